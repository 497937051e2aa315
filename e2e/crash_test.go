package e2e

import (
	"fmt"
	"testing"
	"time"

	"herald/postgres/pgtest"
)

// takeUpWithin is how soon the work of a dead node must be done by others.
const takeUpWithin = 30 * time.Second

// TestWorkOfADeadNodeIsTakenUpInTime kills one of three nodes in the middle of
// a batch: the others do its work, over no more connections than the account
// has on all nodes.
func TestWorkOfADeadNodeIsTakenUpInTime(t *testing.T) {
	t.Parallel()
	const members, events, sessions = 100, 10, 6
	mail, database := newSink(t), pgtest.URL(t)
	c := newCluster(t, database, 3, members, mailAccount("sink", mail, fmt.Sprintf("max_sessions: %d", sessions)))
	pool := connectTo(t, database)

	mail.behave(manners{before: 5 * time.Millisecond}) // about 20 ms a message, so that there is something to interrupt
	for p := 1; p <= events; p++ {
		if err := c.tell(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	const busy = `SELECT count(*) FROM hand_overs WHERE node LIKE 'node1%'`
	eventually(t, patience, "the node to be at work", func() bool { return count(t, pool, busy) > 0 })
	c.nodes[1].kill()
	killed := time.Now()
	interrupted := count(t, pool, busy)
	eventually(t, takeUpWithin, "the dead node's jobs to be done by others", func() bool {
		return count(t, pool, `
SELECT count(*) FROM river_job
WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] LIKE 'node1%'`)+count(t, pool, busy) == 0
	})
	took := time.Since(killed)

	l := c.rest(patience)
	done := time.Since(killed)
	if l.Accepted != members*events || !l.Balanced {
		t.Errorf("ledger = %+v, want %d accepted", l, members*events)
	}
	if n := len(mail.arrivals()); n != members*events {
		t.Errorf("%d messages came, want %d", n, members*events)
	}
	if done > takeUpWithin {
		t.Errorf("the batch was done %v after the node died, want at most %v", done, takeUpWithin)
	}
	if most := mail.sessions(); most > sessions {
		t.Errorf("%d sessions at a time, %d are allowed", most, sessions)
	}
	t.Logf("%d hand-overs were interrupted and taken up after %v; all was done after %v; %d sessions at most; %d messages came again",
		interrupted, took, done, mail.sessions(), mail.arrived()-len(mail.arrivals()))
}
