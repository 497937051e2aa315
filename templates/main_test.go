package templates

import (
	"context"
	"testing"
	"time"

	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// preview fills a template for a company that has not said its name.
func preview(ctx context.Context, t Template, data map[string]any) (Content, error) {
	return NewStore(nil, nil, time.Now).Preview(ctx, t, data)
}
