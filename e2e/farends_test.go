package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"herald/postgres/pgtest"
)

// badCompany is a mail server with bad manners, and a good one beside it.
type badCompany struct {
	*cluster
	bad, good *sink
	owed      int
	began     time.Time
}

// The sessions of each of the two accounts, on both nodes together.
const companySessions = 4

// keepBadCompany starts two nodes with both accounts and tells events.
func keepBadCompany(t *testing.T, m manners, events int, timeout string) *badCompany {
	t.Helper()
	const members = 10
	c := &badCompany{bad: newSink(t), good: newSink(t), owed: events * members}
	c.bad.behave(m)
	settings := fmt.Sprintf("max_sessions: %d, timeout: %s", companySessions, timeout)
	c.cluster = newCluster(t, pgtest.URL(t), 2, members, mailAccount("bad", c.bad, settings), mailAccount("good", c.good, settings))
	c.began = time.Now()
	for p := 1; p <= events; p++ {
		if err := c.tell(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// settle waits for the end and holds that nothing is lost, that what came
// again is marked and has one Message-ID, and that the accounts had no more
// sessions than they may.
func (c *badCompany) settle(t *testing.T) (l ledger, repeats int) {
	t.Helper()
	l = c.rest(patience)
	if int(l.Accepted+l.Failed) != c.owed || !l.Balanced {
		t.Errorf("ledger = %+v, want %d accepted or failed", l, c.owed)
	}
	came := map[string][]string{}
	for _, s := range []*sink{c.bad, c.good} {
		for id, a := range s.arrivals() {
			came[id] = append(came[id], a.messageIDs...)
		}
		if most := s.sessions(); most > companySessions {
			t.Errorf("%d sessions at a time, %d are allowed", most, companySessions)
		}
	}
	if len(came) != int(l.Accepted) {
		t.Errorf("%d messages came, %d are accepted", len(came), l.Accepted)
	}
	marked := c.marked()
	for id, messageIDs := range came {
		again := len(messageIDs) - 1
		repeats += again
		if again > marked[id] {
			t.Errorf("delivery %s came %d times and is marked as repeated %d times", id, again+1, marked[id])
		}
		if len(slices.Compact(messageIDs)) > 1 {
			t.Errorf("delivery %s has several Message-IDs: %v", id, messageIDs)
		}
	}
	t.Logf("%d deliveries in %v: %d came by the bad account and %d by the good, %d again; %d and %d sessions at most",
		c.owed, time.Since(c.began), c.bad.arrived(), c.good.arrived(), repeats, c.bad.sessions(), c.good.sessions())
	return l, repeats
}

// marked is how often each delivery was handed over again.
func (c *badCompany) marked() map[string]int {
	c.t.Helper()
	marked := map[string]int{}
	for _, d := range c.nodes[0].deliveries() {
		marked[d.ID] = d.Repeated
	}
	return marked
}

func TestSlowServer(t *testing.T) {
	t.Parallel()
	c := keepBadCompany(t, manners{before: 50 * time.Millisecond}, 40, "10s")
	l, repeats := c.settle(t)
	if l.Failed != 0 || repeats != 0 {
		t.Errorf("%d failed and %d came again, want none: slowness is no failure", l.Failed, repeats)
	}
	if c.bad.arrived() == 0 {
		t.Error("the slow account did nothing")
	}
}

// A server with a bad day: by chance it refuses one thing or another, and in
// the end only what it always refuses. Who had no luck five times in a row
// would wait for longer than this test.
func TestServerThatRefusesByChance(t *testing.T) {
	t.Parallel()
	over := sync.OnceValue(func() time.Time { return time.Now().Add(10 * time.Second) }) // from the first message on
	c := keepBadCompany(t, manners{refusal: func(verb, to string) string {
		switch dice := rand.IntN(100); {
		case verb == "RCPT" && to == "waiter00003@example.com":
			return "550 5.7.1 not this one"
		case time.Now().After(over()):
			return ""
		case verb == "MAIL" && dice < 5:
			return "421 4.3.2 going down"
		case verb == "RCPT" && dice < 30:
			return "450 4.2.0 busy"
		case verb == "." && dice < 10:
			return "451 4.3.0 not now"
		}
		return ""
	}}, 20, "10s")
	l, repeats := c.settle(t)
	if repeats != 0 {
		t.Errorf("%d came again, want none: a refusal is clear", repeats)
	}
	if l.Failed == 0 || l.Failed > 20 || len(c.bad.turnedAway()) != 1 {
		t.Errorf("%d failed and %d were turned away, want some of the one member whom the server refuses for good", l.Failed, len(c.bad.turnedAway()))
	}
}

// A tarpit takes seconds for a message. What it has in its hands it may keep;
// the rest goes by the account beside it.
func TestTarpit(t *testing.T) {
	t.Parallel()
	c := keepBadCompany(t, manners{letter: 100 * time.Millisecond}, 40, "10s")
	eventually(t, 15*time.Second, "nearly all to have come beside the tarpit", func() bool {
		return c.good.arrived() >= c.owed-50
	})
	t.Logf("%d came by the good account in %v", c.good.arrived(), time.Since(c.began))
	l, _ := c.settle(t)
	if l.Failed != 0 {
		t.Errorf("%d failed, want none", l.Failed)
	}
}

// A server that keeps each message and closes the connection instead of
// answering: each is in doubt, and goes again.
func TestServerThatLeavesAfterTheDot(t *testing.T) {
	t.Parallel()
	c := keepBadCompany(t, manners{leave: true}, 20, "10s")
	l, repeats := c.settle(t)
	if l.Failed != 0 {
		t.Errorf("%d failed, want none", l.Failed)
	}
	if repeats != c.bad.arrived() {
		t.Errorf("%d came again, want the %d that came by the bad account", repeats, c.bad.arrived())
	}
	if c.bad.arrived() > c.owed/4 {
		t.Errorf("%d messages were given to an account that answers none: its circuit did not open", c.bad.arrived())
	}
}

// A server that falls silent at DATA has not heard a message: none is in doubt.
func TestServerThatFallsSilentAtData(t *testing.T) {
	t.Parallel()
	c := keepBadCompany(t, manners{mute: true}, 20, "2s")
	l, repeats := c.settle(t)
	if l.Failed != 0 || repeats != 0 || c.bad.arrived() != 0 {
		t.Errorf("%d failed, %d came again, %d came by the bad account, want none", l.Failed, repeats, c.bad.arrived())
	}
}
