package dispatch

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/problem"
)

// stuck is a bench with one delivery in each state that an operator may have
// to decide about.
func stuck(t *testing.T) (b *bench, of map[State]uuid.UUID) {
	b = newIdleBench(t)
	var stop func()
	b.events, stop = b.startUntil(b.node.Name(), b.worker)
	of = map[State]uuid.UUID{}
	for state, fault := range map[State]*SendError{
		Failed: {Class: Permanent}, InDoubt: {Class: Doubt}, Deferred: {Class: Transient},
	} {
		b.sender.fails(fault)
		of[state] = b.enqueue(b.note())[0]
		b.worked(1)
	}
	b.sender.does(nil)
	of[Accepted] = b.enqueue(b.note())[0]
	b.worked(1)
	stop()
	of[Pending] = b.enqueue(b.note())[0]
	return b, of
}

func TestWhatRulingsAreFor(t *testing.T) {
	type outcome struct {
		state  State
		reason string
	}
	for ruling, want := range map[Ruling]map[State]outcome{
		RulingRetry:      {Failed: {Pending, ""}, InDoubt: {InDoubt, "resent"}, Deferred: {Pending, ""}},
		RulingDiscard:    {Failed: {Failed, "discarded"}, InDoubt: {Failed, "discarded"}, Deferred: {Failed, "discarded"}, Pending: {Failed, "discarded"}},
		RulingAssumeSent: {InDoubt: {Accepted, "assumed_sent"}},
	} {
		t.Run(string(ruling), func(t *testing.T) {
			b, of := stuck(t)
			for state, id := range of {
				before := b.delivery(id)
				err := b.store.Rule(t.Context(), ruling, id, "operator:ann")
				after := b.delivery(id)
				w, allowed := want[state]
				if !allowed {
					if problem.CodeOf(err) != problem.Conflict || after.State != before.State || after.Reason != before.Reason {
						t.Errorf("%s: %v, and it is %s", state, err, after.State)
					}
					continue
				}
				if err != nil || after.State != w.state || after.Reason != w.reason {
					t.Errorf("%s: %v, and it is %s %s", state, err, after.State, after.Reason)
				}
				n, err := b.store.Notification(t.Context(), after.NotificationID)
				if err != nil {
					t.Fatal(err)
				}
				if last := n.Decision[len(n.Decision)-1]; last.Code != ruling.step() || last.Args["actor"] != "operator:ann" {
					t.Errorf("%s: the decision ends with %+v", state, last)
				}
			}
			if c := b.check(); !c.OK {
				t.Errorf("the ledger: %+v", c.Differences)
			}
			b.due(time.Hour)
			jobs := b.waiting() // those of earlier turns among them, which do nothing
			b.events = b.start(b.node.Name(), b.worker)
			b.worked(jobs)
			for state, id := range of {
				if d := b.delivery(id); ruling == RulingRetry && want[state].state != "" && d.State != Accepted {
					t.Errorf("%s was sent again and is %s", state, d.State)
				}
				if d := b.delivery(id); ruling != RulingRetry && want[state].state.Final() && d.State != want[state].state {
					t.Errorf("%s came back: %s", state, d.State)
				}
			}
			b.balanced()
		})
	}
}

func TestNothingIsTakenFromAWorkersHands(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note())[0]
	b.takes("node-0", id)
	for _, ruling := range []Ruling{RulingRetry, RulingDiscard} {
		if err := b.store.Rule(t.Context(), ruling, id, "operator:ann"); problem.CodeOf(err) != problem.Conflict {
			t.Errorf("%s: %v", ruling, err)
		}
	}
	if d := b.delivery(id); d.State != Pending {
		t.Errorf("got %+v", d)
	}
}

func TestWhatEveryJobForgotIsSentByRetry(t *testing.T) {
	b := newIdleBench(t)
	ids := b.enqueue(b.note(), b.note())
	b.exec(`DELETE FROM river_job`)
	// One may have been handed over by a node that died.
	b.exec(`INSERT INTO hand_overs (job_id, node, account, deliveries, started_at) VALUES (0, 'dead', 'main', ARRAY[$1::uuid], now() - interval '1 day')`, ids[1])
	for _, id := range ids {
		if err := b.store.Rule(t.Context(), RulingRetry, id, "operator:ann"); err != nil {
			t.Fatal(err)
		}
	}
	if d := b.delivery(ids[1]); d.State != InDoubt {
		t.Errorf("it may have arrived, and is %s", d.State)
	}
	b.events = b.start(b.node.Name(), b.worker)
	b.worked(2)
	for i, repeated := range []int{0, 1} {
		if d := b.delivery(ids[i]); d.State != Accepted || d.Repeated != repeated {
			t.Errorf("%d: %+v", i, d)
		}
	}
	b.balanced()
}

func TestDiscardErasesWhatWasPrivate(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note(func(n *Notification) { n.Private = true }))[0]
	if err := b.store.Rule(t.Context(), RulingRetry, id, "operator:ann"); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("got %v", err)
	}
	if err := b.store.Rule(t.Context(), RulingDiscard, id, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	if !scalar[bool](b, `SELECT data = '{}' FROM notifications`) {
		t.Error("the data is kept beyond the end")
	}
}

func TestSearchByReasonAndAccount(t *testing.T) {
	b, of := stuck(t)
	for name, test := range map[string]struct {
		q    Search
		want int64
	}{
		"a reason":                 {Search{State: Failed, Reason: "refused"}, 1},
		"another reason":           {Search{State: Failed, Reason: "expired"}, 0},
		"an account":               {Search{State: InDoubt, Account: "main"}, 1},
		"another account":          {Search{State: InDoubt, Account: "other"}, 0},
		"ids":                      {Search{IDs: []uuid.UUID{of[Failed], of[Pending], uuid.New()}}, 2},
		"what wants looking after": {Search{State: Deferred, Attention: true}, 1},
	} {
		n, err := b.store.Count(t.Context(), test.q)
		page, err2 := b.store.Find(t.Context(), test.q)
		if n != test.want || err != nil || err2 != nil || len(page.Deliveries) != int(test.want) {
			t.Errorf("%s: %d, %d found, %v, %v", name, n, len(page.Deliveries), err, err2)
		}
	}
	if err := b.store.Rule(t.Context(), RulingDiscard, of[Failed], "operator:ann"); err != nil {
		t.Fatal(err)
	}
	for attention, want := range map[bool]int64{true: 0, false: 1} {
		if n, err := b.store.Count(t.Context(), Search{State: Failed, Attention: attention}); n != want || err != nil {
			t.Errorf("attention %t: %d, %v", attention, n, err)
		}
	}
	if _, err := b.store.Find(t.Context(), Search{Reason: "refused"}); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("a reason without a state: %v", err)
	}
}
