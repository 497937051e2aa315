package cmpp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"herald/dispatch"
	"herald/dispatch/sms/parts"
	sim "herald/hardware/sim/cmpp"
	"herald/hardware/sim/ismg"
	"herald/postgres/pgtest"
)

// TestLongMessagesWithTheStore: one report of three is not the message's; the
// last is, or the first that says that a part will not arrive. What people
// write in parts, told on two nodes, is one text.
func TestLongMessagesWithTheStore(t *testing.T) {
	db := pgtest.New(t)
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	nodes := make([]*Gateway, 2)
	for i := range nodes {
		node, err := New(account, parts.NewStore(db), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = node
	}
	s := openSession(t, nodes[0])
	reports := listen(t, nodes[0].Reports)
	// Reports that come before the store knows of their parts it keeps.
	ctx, cancel := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { parts.NewStore(db).Run(ctx, slog.New(slog.DiscardHandler), reports.take) })
	t.Cleanup(keeping.Wait)
	t.Cleanup(cancel)
	receipts := make([]dispatch.Receipt, 2)
	for i := range receipts {
		if i == 1 {
			// The second part of the second message will not arrive.
			setFaults(t, g, ismg.Fault{Kind: ismg.NoReport, Times: 1}, ismg.Fault{Kind: ismg.Undelivered, Times: 1})
		}
		var err error
		if receipts[i], err = s.Send(within(t), message(i, long)); err != nil {
			t.Fatal(err)
		}
		settled(t, g)
	}
	// Each is told by the delivery's id, and by that of the first part.
	heard := reports.await(t, 4)
	slices.SortStableFunc(heard, func(x, y dispatch.Report) int { return cmp.Compare(y.Event, x.Event) })
	for i, want := range []dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportBounced} {
		if heard[2*i].DeliveryID == heard[2*i+1].DeliveryID || heard[2*i+1].ProviderID != receipts[i].ProviderID || heard[2*i].Event != want || heard[2*i+1].Event != want {
			t.Errorf("of message %d is reported %+v, want %s", i, heard[2*i:2*i+2], want)
		}
	}
	if len(heard) != 4 {
		t.Errorf("there are %d reports of two messages", len(heard))
	}

	openSession(t, nodes[1])
	first, second := listen(t, nodes[0].Receive), listen(t, nodes[1].Receive)
	for i := range 5 {
		if err := g.Say("13800138000", "10657012345", fmt.Sprint(i, long)); err != nil {
			t.Fatal(err)
		}
	}
	settled(t, g)
	first.mu.Lock()
	second.mu.Lock()
	defer first.mu.Unlock()
	defer second.mu.Unlock()
	texts := map[string]bool{}
	for _, w := range append(first.heard, second.heard...) {
		texts[w.Text] = true
	}
	for i := range 5 {
		if !texts[fmt.Sprint(i, long)] {
			t.Errorf("text %d did not come", i)
		}
	}
	if len(texts) != 5 {
		t.Errorf("heard were %d texts", len(texts))
	}
}
