package matcher

import (
	"testing"
	"time"
)

// A watch takes two hours from its opener to its firing in all of these; hours
// are counted from the beginning of the span, and it is 20.
func TestWhatWasNotSeenTakesOutWhatHangsOnIt(t *testing.T) {
	hour := func(n int) time.Time { return time.Date(2026, 3, 1, n, 0, 0, 0, time.UTC) }
	all := sight{whole: true}
	back := func(to int) sight { return sight{from: hour(to)} }
	gap := func(since, until int) sight {
		return sight{whole: true, gap: &Span{hour(since), hour(until)}}
	}
	for name, c := range map[string]struct {
		seen          []sight
		from          int
		since, until  int // the gap; both 0: none
		holds, misses []int
		waiting       bool
	}{
		"nothing":                      {[]sight{all, all}, 0, 0, 0, []int{0, 20}, []int{-1}, true},
		"the beginning":                {[]sight{back(5), all}, 7, 0, 0, []int{7, 20}, []int{6}, true},
		"more of it another time":      {[]sight{back(5), back(9)}, 11, 0, 0, []int{11}, []int{10}, true},
		"almost all":                   {[]sight{back(19)}, 20, 0, 0, nil, []int{20}, false},
		"a time in between":            {[]sight{gap(10, 12)}, 0, 10, 14, []int{9, 14}, []int{10, 13}, true},
		"two of them":                  {[]sight{gap(10, 12), gap(8, 9)}, 0, 8, 14, []int{7, 14}, []int{8, 11}, true},
		"a time up to the present":     {[]sight{gap(10, 19)}, 0, 10, 20, []int{9}, []int{10, 20}, false},
		"the beginning up to the time": {[]sight{gap(10, 12), back(9)}, 14, 0, 0, []int{14}, []int{11, 13}, true},
	} {
		s := span{from: hour(0)}
		for _, seen := range c.seen {
			s.narrow(seen, 2*time.Hour)
		}
		from, gap := s.upTo(hour(20))
		if !from.Equal(hour(c.from)) || (gap == nil) != (c.until == 0) || gap != nil && *gap != (Span{hour(c.since), hour(c.until)}) {
			t.Errorf("%s: from %v, but for %v", name, from, gap)
		}
		for _, h := range c.holds {
			if !s.holds(hour(h)) {
				t.Errorf("%s: %d is uncertain", name, h)
			}
		}
		for _, h := range c.misses {
			if s.holds(hour(h)) {
				t.Errorf("%s: %d is certain", name, h)
			}
		}
		if s.reaches(hour(20)) != c.waiting {
			t.Errorf("%s: what waits is known: %t", name, !c.waiting)
		}
	}
}
