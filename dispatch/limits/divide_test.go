package limits

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDivide(t *testing.T) {
	tests := map[string]struct {
		total int
		wants []int
		want  []int
	}{
		"nobody":                        {5, nil, []int{}},
		"one alone gets all it wants":   {5, []int{4}, []int{4}},
		"but no more than there is":     {5, []int{9}, []int{5}},
		"enough for all":                {10, []int{1, 2, 3}, []int{1, 2, 3}},
		"alike":                         {6, []int{9, 9, 9}, []int{2, 2, 2}},
		"the small is served":           {10, []int{1, 9, 9}, []int{1, 5, 4}},
		"one modem goes to the first":   {1, []int{1, 1, 1}, []int{1, 0, 0}},
		"or the first who wants it":     {1, []int{0, 1, 1}, []int{0, 1, 0}},
		"nothing to share":              {0, []int{1}, []int{0}},
		"less than nothing":             {-1, []int{1, 1}, []int{0, 0}},
		"less than one each":            {2, []int{3, 3, 3}, []int{1, 1, 0}},
		"a rest after one is satisfied": {7, []int{1, 4, 4}, []int{1, 3, 3}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Divide(tt.total, tt.wants); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestDivideIsMaxMinFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(0, 50).Draw(t, "total")
		wants := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 8).Draw(t, "wants")
		shares := Divide(total, wants)
		sum, wanted := 0, 0
		for i, s := range shares {
			sum += s
			wanted += wants[i]
			if s < 0 || s > wants[i] {
				t.Fatalf("%v: share %d is not within what is wanted", shares, i)
			}
			for j, other := range shares {
				// One who got less than it wants has at most one less than any
				// other, and none less than those after it.
				if s < wants[i] && (other > s+1 || j > i && other > s) {
					t.Fatalf("%v: %d is left short beside %d", shares, i, j)
				}
			}
		}
		if sum != min(total, wanted) {
			t.Fatalf("%v: %d shared of %d", shares, sum, min(total, wanted))
		}
	})
}
