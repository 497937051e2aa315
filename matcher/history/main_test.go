package history

import (
	"testing"

	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
