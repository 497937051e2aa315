package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	telephone "herald/hardware/sim/phone"
	"herald/hardware/sim/simtest"
	"herald/postgres/pgtest"
)

// TestNodesShareATrunk has three nodes call by one trunk: all of them do, and
// never more at a time than the trunk has channels.
func TestNodesShareATrunk(t *testing.T) {
	t.Parallel()
	const nodes, members, events, channels = 3, 12, 2, 6
	phones := simtest.Start(t, telephone.New(telephone.Config{AnswerAfter: 100 * time.Millisecond}))
	database := pgtest.URL(t)
	c := newClusterOf(t, database, nodes, members,
		func(i int) contact { return contact{"voice", fmt.Sprintf("+12025550%03d", 100+i), true} },
		"HERALD_DATA_DIR="+t.TempDir(), trunkTo(t, phones.Addr(), fmt.Sprintf("machines: {ignore: true}, max_sessions: %d", channels)))
	c.nodes[0].call(http.StatusOK, "PUT", "/api/v1/templates/price_drop/voice/en", "application/json", map[string]any{"body": siegeScript}, nil)
	began := time.Now()
	for p := 1; p <= events; p++ {
		if err := c.tell(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	l := c.rest(patience)
	if l.Accepted+l.Delivered != members*events || !l.Balanced {
		t.Errorf("the ledger is %+v", l)
	}
	calls := phones.Calls().All()
	if len(calls) != members*events {
		t.Errorf("%d calls came, not %d", len(calls), members*events)
	}
	most := mostAtATime(calls)
	if most > channels {
		t.Errorf("there were %d calls at a time, where the trunk has %d channels", most, channels)
	}
	pool := connectTo(t, database)
	if n := count(t, pool, `SELECT count(DISTINCT node) FROM attempts`); n != nodes {
		t.Errorf("%d nodes called, of %d", n, nodes)
	}
	t.Logf("%d calls in %v, at most %d at a time", len(calls), time.Since(began), most)
}

// mostAtATime is how many calls there were at once.
func mostAtATime(calls []telephone.Call) (most int) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, c := range calls {
		ended := c.BeganAt.Add(time.Duration(c.Rang + c.Lasted))
		changes = append(changes, change{c.BeganAt, 1}, change{ended, -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return a.at.Compare(b.at) })
	now := 0
	for _, c := range changes {
		now += c.by
		most = max(most, now)
	}
	return most
}
