package sgip

import (
	"testing"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/wire"
	"herald/hardware/sim/ismg"
	sim "herald/hardware/sim/sgip"
)

func TestDoubtsAreBounded(t *testing.T) {
	d := newDoubts()
	note := func(delivery uuid.UUID, part int, s wire.Sequence) {
		d.note(parts.Start{DeliveryID: delivery}, &link.Request{Part: part, Sequence: s})
	}
	first := uuid.New()
	note(first, 0, wire.Sequence{1})
	note(first, 0, wire.Sequence{2}) // the newer counts
	note(first, 1, wire.Sequence{3})
	d.forget(first, 1)
	for i := range uint32(mostDoubts - 1) {
		note(uuid.New(), 0, wire.Sequence{3, 0, i})
	}
	if d.of(first, 0) != (wire.Sequence{2}) || d.of(first, 1) != (wire.Sequence{}) {
		t.Errorf("it is %v", d.of(first, 0))
	}
	note(uuid.New(), 0, wire.Sequence{4})
	if d.of(first, 0) != (wire.Sequence{}) || len(d.known) > mostDoubts || len(d.order) > mostDoubts {
		t.Errorf("%d are remembered", len(d.known))
	}
}

// doubtful sends a message whose last fault leaves it in doubt.
func doubtful(t *testing.T, g *sim.Gateway, d *Gateway, m dispatch.Message, faults ...ismg.Fault) {
	t.Helper()
	linktest.SetFaults(t, g, faults...)
	if _, err := openSession(t, d).Send(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Doubt {
		t.Fatalf("it gives %v", err)
	}
	linktest.SetFaults(t, g)
}

func TestResolve(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	account.Window = 1
	d := newGateway(t, account, linktest.NewStore())
	drop := ismg.Fault{Kind: ismg.DropAfter, Times: 1}

	m := linktest.Message(1, "降价")
	if _, err := d.Resolve(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Doubt {
		t.Errorf("a message that was never sent gives %v", err)
	}
	doubtful(t, g, d, m, drop)
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Close})
	if _, err := d.Resolve(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Doubt {
		t.Errorf("a gateway that is away gives %v", err)
	}
	linktest.SetFaults(t, g)
	receipt, err := d.Resolve(linktest.Within(t), m)
	if err != nil || receipt.ProviderID != g.Submitted()[0].ID || receipt.Account != "unicom" || g.Count() != 1 {
		t.Errorf("it gives %+v, %v, and %d messages", receipt, err, g.Count())
	}
	if _, err := d.Resolve(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Doubt {
		t.Errorf("what is known gives %v", err)
	}

	// The gateway never had it, and refuses it now.
	m = linktest.Message(2, "降价")
	doubtful(t, g, d, m, ismg.Fault{Kind: ismg.DropBefore, Times: 1})
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Refuse, Result: 29})
	if _, err := d.Resolve(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Permanent {
		t.Errorf("a message that is refused gives %v", err)
	}
	linktest.SetFaults(t, g)

	// Of three parts the first was taken and the second is in doubt; the third
	// was not sent.
	m = linktest.Message(3, linktest.Long)
	doubtful(t, g, d, m, ismg.Fault{Kind: ismg.NoReport, Times: 1}, drop)
	if _, err := d.Resolve(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Transient {
		t.Errorf("a message that was not sent whole gives %v", err)
	}
	before := g.Count()
	receipt, err = openSession(t, d).Send(linktest.Within(t), m)
	if err != nil || g.Count() != before+1 || receipt.ProviderID != g.Submitted()[1].ID {
		t.Errorf("the rest gives %+v, %v, and %d messages", receipt, err, g.Count()-before)
	}

	// Of three parts the last is in doubt.
	m = linktest.Message(4, linktest.Long)
	doubtful(t, g, d, m, ismg.Fault{Kind: ismg.NoReport, Times: 2}, drop)
	before = g.Count()
	receipt, err = d.Resolve(linktest.Within(t), m)
	if err != nil || g.Count() != before || receipt.ProviderID != g.Submitted()[4].ID {
		t.Errorf("it gives %+v, %v", receipt, err)
	}
}

func TestResolveWithoutAnswer(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{RefuseRepeats: true})
	d := newGateway(t, impatientAt(t, g.Addr()), linktest.NewStore())
	m := linktest.Message(1, "降价")
	doubtful(t, g, d, m, ismg.Fault{Kind: ismg.DropAfter, Times: 1})
	for what, fault := range map[string]ismg.Fault{
		"a gateway that takes it for a mistake": {Kind: ismg.NoReport},
		"one that does not answer":              {Kind: ismg.Lose},
	} {
		linktest.SetFaults(t, g, fault)
		if _, err := d.Resolve(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Doubt || g.Count() != 1 {
			t.Errorf("%s gives %v", what, err)
		}
	}
	if d.doubts.of(m.DeliveryID, 0) == (wire.Sequence{}) {
		t.Error("what is in doubt is forgotten")
	}
}
