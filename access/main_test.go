package access

import (
	"errors"
	"sync"
	"testing"
	"time"

	"herald/postgres/pgtest"
	"herald/problem"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func wantCode(t *testing.T, err error, code problem.Code) {
	t.Helper()
	if err == nil || problem.CodeOf(err) != code {
		t.Errorf("got %v, want a problem that is %s", err, code)
	}
}

// wantFields asks for exactly these mistakes: place and rule by turns.
func wantFields(t *testing.T, err error, placesAndRules ...string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid {
		t.Fatalf("got %v, want an invalid problem", err)
	}
	var got []string
	for _, f := range p.Fields {
		got = append(got, f.Path, f.Rule)
	}
	if len(got) != len(placesAndRules) {
		t.Fatalf("got the mistakes %q, want %q", got, placesAndRules)
	}
	for i := range got {
		if got[i] != placesAndRules[i] {
			t.Errorf("got the mistakes %q, want %q", got, placesAndRules)
		}
	}
}
