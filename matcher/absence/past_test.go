package absence

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// received is a history of one order as it was received: what comes at one
// instant comes in one transaction.
type received struct {
	at     time.Duration // after noon
	events []happening
}

// receipts are a history in any order, some of it long after it happened, some
// before by a clock that is ahead.
func receipts(kinds ...string) *rapid.Generator[[]received] {
	step := rapid.SampledFrom([]time.Duration{µs, 2 * µs, time.Hour, day - µs, day, day + µs, 2*day + forgetLater, 3 * day})
	off := rapid.SampledFrom([]time.Duration{-3 * day, -day, -µs, 0, 0, 0, µs, time.Hour, day})
	return rapid.Custom(func(t *rapid.T) (list []received) {
		var at time.Duration
		for n := 0; n < 6; {
			r := received{at: at}
			for range rapid.IntRange(1, 3).Draw(t, "in a transaction") {
				n++
				r.events = append(r.events, happening{n, rapid.SampledFrom(kinds).Draw(t, "kind"), at + off.Draw(t, "off")})
			}
			list = append(list, r)
			at += step.Draw(t, "step")
		}
		return list
	})
}

// nextDue is when the next watch fires; none: there is no watch.
func (y *yard) nextDue(none time.Duration) time.Duration {
	y.Helper()
	var due *time.Time
	if err := y.pool.QueryRow(y.Context(), `SELECT min(due_at) FROM watches`).Scan(&due); err != nil {
		y.Fatal(err)
	}
	if due == nil {
		return none
	}
	return due.Add(tick).Sub(noon)
}

// TestThePastIsWhatASweepFires lets a sweep on the tables look at every instant
// at which something is due while a history is received, and compares what it
// fires, and when, with what the Past tells of the same events.
func TestThePastIsWhatASweepFires(t *testing.T) {
	for name, c := range map[string]struct {
		y     *yard
		kinds []string
	}{
		"orders":  {newYard(t, orders()), []string{created, created, paid, cancelled}},
		"silence": {newYard(t, silence()), []string{seen, seen, seen, gone}},
	} {
		t.Run(name, func(t *testing.T) {
			y, fired := c.y, []Fired(nil)
			y.after = func(_ context.Context, _ pgx.Tx, list []Absence) error {
				for _, a := range list {
					fired = append(fired, Fired{a.Opener, y.clock})
				}
				return nil
			}
			rapid.Check(t, func(t *rapid.T) {
				y.clear()
				fired = nil
				past := y.rules[0].Past()
				for _, r := range receipts(c.kinds...).Draw(t, "receipts") {
					for at := y.nextDue(r.at); at < r.at; at = y.nextDue(r.at) {
						y.sweep(at)
					}
					y.sweep(r.at)
					y.record(r.events...)
					for _, h := range r.events {
						past.Add("1", h.event(noon.Add(r.at)))
					}
					y.sweep(r.at)
				}
				for at := y.nextDue(-1); at > 0; at = y.nextDue(-1) {
					y.sweep(at)
				}
				if want := past.Fired(); !slices.Equal(fired, want) {
					t.Fatalf("the sweep fired %v, the past tells %v", fired, want)
				}
			})
		})
	}
}

func TestThePastKeepsKeysApart(t *testing.T) {
	past := ruleOf(t, orders()).Past()
	for i, key := range []string{"A", "B", "A"} {
		kind := []string{created, created, paid}[i]
		past.Add(key, happening{i + 1, kind, time.Duration(i) * time.Hour}.event(noon.Add(time.Duration(i)*time.Hour)))
	}
	got := past.Fired()
	if want := (Fired{numbered(2), noon.Add(25*time.Hour + µs)}); len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v alone", got, want)
	}
	if got := ruleOf(t, orders()).Past().Fired(); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

// What is received within the reach decides; what comes before it has nothing to do with it.
func TestTheReachHoldsAllThatMatters(t *testing.T) {
	r := ruleOf(t, orders())
	reach := r.Reach(day)
	opener := Event{ID: numbered(1), Type: created, Time: noon.Add(day), Received: noon}
	past := r.Past()
	past.Add("1", opener)
	if got := past.Fired(); got[0].At.Sub(opener.Received) != reach.Fires {
		t.Errorf("an opener that is ahead fires %s after it was received, not %s", got[0].At.Sub(opener.Received), reach.Fires)
	}
	// The closer is as far ahead, and remembered to the last moment.
	for before, fires := range map[time.Duration]int{reach.Before: 0, reach.Before + µs: 1} {
		past := r.Past()
		closer := Event{ID: numbered(2), Type: paid, Time: noon.Add(day - before), Received: noon.Add(-before)}
		past.Add("1", closer)
		past.Add("1", Event{ID: numbered(1), Type: created, Time: closer.Time, Received: noon})
		if got := len(past.Fired()); got != fires {
			t.Errorf("a closer %s before: %d fired, want %d", before, got, fires)
		}
	}
}
