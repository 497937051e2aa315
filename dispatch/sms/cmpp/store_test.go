package cmpp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch"
	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/parts"
	sim "herald/hardware/sim/cmpp"
	"herald/hardware/sim/ismg"
	"herald/postgres/pgtest"
)

// TestLongMessagesWithTheStore: one report of three is not the message's; the
// last is, or the first that says that a part will not arrive.
func TestLongMessagesWithTheStore(t *testing.T) {
	db := pgtest.New(t)
	g := startSim(t, sim.Config{})
	d := nodeOn(t, db, g)
	s := openSession(t, d)
	reports := linktest.Listen(t, d.Reports)
	// Reports that come before the store knows of their parts it keeps.
	ctx, cancel := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { parts.NewStore(db).Run(ctx, slog.New(slog.DiscardHandler), reports.Take) })
	t.Cleanup(keeping.Wait)
	t.Cleanup(cancel)
	receipts := make([]dispatch.Receipt, 2)
	for i := range receipts {
		if i == 1 {
			// The second part of the second message will not arrive.
			linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.NoReport, Times: 1}, ismg.Fault{Kind: ismg.Undelivered, Times: 1})
		}
		var err error
		if receipts[i], err = s.Send(linktest.Within(t), linktest.Message(i, linktest.Long)); err != nil {
			t.Fatal(err)
		}
		linktest.Settled(t, g)
	}
	// Each is told by the delivery's id, and by that of the first part; the key
	// tells what is told twice.
	type name struct{ key, id string }
	seen := map[name]bool{}
	var heard []dispatch.Report
	for n := 4; len(heard) < 4; n++ {
		heard = nil
		clear(seen)
		for _, r := range reports.Await(t, n) {
			if one := (name{r.Key, r.ProviderID}); !seen[one] {
				seen[one] = true
				heard = append(heard, r)
			}
		}
	}
	slices.SortStableFunc(heard, func(x, y dispatch.Report) int { return cmp.Compare(y.Event, x.Event) })
	for i, want := range []dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportBounced} {
		if heard[2*i].DeliveryID == heard[2*i+1].DeliveryID || heard[2*i+1].ProviderID != receipts[i].ProviderID || heard[2*i].Event != want || heard[2*i+1].Event != want {
			t.Errorf("of message %d is reported %+v, want %s", i, heard[2*i:2*i+2], want)
		}
	}
	if len(heard) != 4 {
		t.Errorf("there are %d reports of two messages", len(heard))
	}
}

// nodeOn is an account on a node of its own.
func nodeOn(t *testing.T, db *pgxpool.Pool, g *sim.Gateway) *Gateway {
	t.Helper()
	d, err := New(accountAt(t, g.Addr()), parts.NewStore(db), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPartsToldOnTwoNodes are put together.
func TestPartsToldOnTwoNodes(t *testing.T) {
	db := pgtest.New(t)
	g := startSim(t, sim.Config{})
	nodes := []*Gateway{nodeOn(t, db, g), nodeOn(t, db, g)}
	openSession(t, nodes[0])
	openSession(t, nodes[1])
	first, second := linktest.Listen(t, nodes[0].Receive), linktest.Listen(t, nodes[1].Receive)
	for i := range 5 {
		if err := g.Say("13800138000", "10657012345", fmt.Sprint(i, linktest.Long)); err != nil {
			t.Fatal(err)
		}
	}
	linktest.Settled(t, g)
	texts := map[string]bool{}
	for _, w := range append(first.Heard(), second.Heard()...) {
		texts[w.Text] = true
	}
	for i := range 5 {
		if !texts[fmt.Sprint(i, linktest.Long)] {
			t.Errorf("text %d did not come", i)
		}
	}
	if len(texts) != 5 {
		t.Errorf("heard were %d texts", len(texts))
	}
}
