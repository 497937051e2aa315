package absence

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// history is what happened to one order, in no order.
func history(kinds ...string) *rapid.Generator[[]happening] {
	at := rapid.SampledFrom([]time.Duration{0, 1, 2, 10, day/µs - 1, day / µs, day/µs + 1, day/µs + 2, 2 * day / µs, 2*day/µs + 1})
	return rapid.Custom(func(t *rapid.T) []happening {
		events := make([]happening, rapid.IntRange(1, 9).Draw(t, "events"))
		for n := range events {
			events[n] = happening{n + 1, rapid.SampledFrom(kinds).Draw(t, "kind"), at.Draw(t, "µs") * µs}
		}
		return events
	})
}

// TestAnyOrderOfReceiptComesToTheSame compares what fires after all was
// received, in any order and in transactions of any size, with the state
// machine of the package comment walked in the order in which it happened.
func TestAnyOrderOfReceiptComesToTheSame(t *testing.T) {
	y := newYard(t, orders(), silence())
	for name, kinds := range map[string][]string{
		"orders":  {created, created, paid, cancelled},
		"silence": {seen, seen, seen, gone},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				y.clear()
				happened := history(kinds...).Draw(t, "history")
				for received := rapid.Permutation(happened).Draw(t, "received"); len(received) > 0; {
					n := rapid.IntRange(1, len(received)).Draw(t, "in a transaction")
					y.record(received[:n]...)
					received = received[n:]
				}
				y.sweep(10 * day)
				if got, want := y.fired(), walk(happened); !slices.Equal(got, want) {
					t.Fatalf("fired %v, want %v", got, want)
				}
			})
		})
	}
}

// walk is the state machine on events in order of time, to the end of all time.
func walk(events []happening) (fires []int) {
	events = slices.Clone(events)
	closesOnly := func(h happening) int {
		if h.kind == created || h.kind == seen {
			return 0
		}
		return 1 // after the openers of the same instant
	}
	slices.SortFunc(events, func(a, b happening) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(closesOnly(a), closesOnly(b)), cmp.Compare(a.n, b.n))
	})
	var open *happening
	for _, h := range events {
		if open != nil && h.at > open.at+day {
			fires = append(fires, open.n)
			open = nil
		}
		if h.kind != created {
			open = nil
		}
		if open == nil && (h.kind == created || h.kind == seen) {
			open = &h
		}
	}
	if open != nil {
		fires = append(fires, open.n)
	}
	slices.Sort(fires)
	return fires
}

// end is a mark of the oracle's.
type end struct{ at, forget time.Duration }

// TestSweepsMayComeAtAnyTime lets sweeps come between what is received, and
// compares them with lists that are gone through whole: a watch that is due
// fires unless one of the ends remembered then ends it.
func TestSweepsMayComeAtAnyTime(t *testing.T) {
	y := newYard(t, orders())
	rapid.Check(t, func(t *rapid.T) {
		y.clear()
		var open []happening // undecided
		var ends []end       // closers, and due times of what fired
		var want []int
		now := time.Duration(0)
		for _, h := range rapid.Permutation(history(created, paid).Draw(t, "history")).Draw(t, "received") {
			y.record(h)
			if h.kind == created {
				open = append(open, h)
			} else {
				ends = append(ends, end{h.at, max(h.at, now) + day})
			}
			if !rapid.Bool().Draw(t, "sweep") {
				continue
			}
			now += rapid.SampledFrom([]time.Duration{0, µs, 2 * µs, day - µs, day, day + µs}).Draw(t, "later")
			y.sweep(now)
			open, ends, want = sweepLists(now, open, ends, want)
			if got := y.fired(); !slices.Equal(got, want) {
				t.Fatalf("at %s: fired %v, want %v", now, got, want)
			}
		}
	})
}

func sweepLists(now time.Duration, open []happening, ends []end, fired []int) ([]happening, []end, []int) {
	slices.SortFunc(open, func(a, b happening) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.n, b.n)) })
	open = slices.DeleteFunc(open, func(h happening) bool {
		due := h.at + day
		ended := slices.ContainsFunc(ends, func(e end) bool { return h.at <= e.at && e.at <= due })
		if ended || due >= now {
			return ended // what is open and ended will never fire
		}
		fired, ends = append(fired, h.n), append(ends, end{due, max(due, now) + day})
		return true
	})
	slices.Sort(fired)
	return open, slices.DeleteFunc(ends, func(e end) bool { return e.forget+forgetLater < now }), fired
}
