package index

import (
	"fmt"
	"testing"
)

// An event has a probe for each level of the grid, most of which nobody waits on.
func TestLevelsOfAPlaceAreToldApart(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for level := range 17 {
		key := fmt.Sprintf("g%d.1.2.3:", level)
		if other, ok := seen[family(key)]; ok {
			t.Errorf("%s is of the family of %s", key, other)
		}
		seen[family(key)] = key
	}
}
