package parts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"herald/dispatch"
)

func TestMessageIsDeliveredWhenAllItsPartsAre(t *testing.T) {
	n := newNode(t)
	delivery := n.sent("a", "b", "c")
	for _, id := range []string{"c", "a", "c"} {
		if got := n.report(says(dispatch.ReportDelivered, id)); len(got) != 0 {
			t.Fatalf("after %s: %+v", id, got)
		}
	}
	at := n.at.Add(-time.Second)
	last := says(dispatch.ReportDelivered, "b")
	last.At = at
	got := n.report(last)
	wantVerdict(t, got, delivery, dispatch.ReportDelivered)
	if got[1].ProviderID != "a" {
		t.Errorf("the attempt is named %q and not by its first part", got[1].ProviderID)
	}
	if diff := cmp.Diff(got, n.report(last)); diff != "" {
		t.Errorf("given again it says something else: %s", diff)
	}
}

func TestMessageIsBouncedWhenOnePartWillNeverArrive(t *testing.T) {
	for _, event := range []dispatch.ReportEvent{dispatch.ReportBounced, dispatch.ReportExpired} {
		t.Run(string(event), func(t *testing.T) {
			n := newNode(t)
			delivery := n.sent("a", "b")
			bad := says(event, "b")
			bad.AddressDead, bad.Detail = true, "absent\x00"
			got := n.report(bad)
			wantVerdict(t, got, delivery, event)
			if !got[0].AddressDead || got[0].Code != "CODE b" || got[0].Detail != "part 2 of 2: absent" {
				t.Errorf("got %+v", got[0])
			}
			wantVerdict(t, n.report(says(dispatch.ReportDelivered, "a")), delivery, event)
			wantVerdict(t, n.report(says(dispatch.ReportDelivered, "b")), delivery, event)
		})
	}
}

func TestReportsThatEndNothingAreOfTheDelivery(t *testing.T) {
	n := newNode(t)
	delivery := n.sent("a", "b")
	got := n.report(says(dispatch.ReportDelayed, "b"))
	if len(got) != 1 || got[0].DeliveryID != delivery || got[0].ProviderID != "" || got[0].Detail != "part 2 of 2" {
		t.Fatalf("got %+v", got)
	}
	other := n.report(says(dispatch.ReportDelayed, "a"))
	if other[0].Key == got[0].Key {
		t.Error("two parts' delays are one report")
	}
}

func TestAllElseGoesThrough(t *testing.T) {
	n := newNode(t)
	n.sent("a", "b")
	reports := []dispatch.Report{
		says(dispatch.ReportDelivered, "single"),
		{DeliveryID: uuid.New(), Account: account, Event: dispatch.ReportBounced},
		{Account: "another", ProviderID: "a", Event: dispatch.ReportDelivered},
		{Account: account, Event: dispatch.ReportDelivered},
	}
	if diff := cmp.Diff(reports, n.report(reports...)); diff != "" {
		t.Error(diff)
	}
	n.report(says(dispatch.ReportDelivered, "a"))
	sums := n.report(says(dispatch.ReportDelivered, "b"))
	if diff := cmp.Diff(sums, n.report(sums...)); diff != "" {
		t.Errorf("what was summed is summed again: %s", diff)
	}
}

func TestPartsReportedOnSeveralNodesAtOnceAreAllCounted(t *testing.T) {
	n := newNode(t)
	const messages, parts = 30, 4
	deliveries := make([]uuid.UUID, messages)
	for i := range deliveries {
		var ids []string
		for p := range parts {
			ids = append(ids, fmt.Sprintf("%d/%d", i, p))
		}
		deliveries[i] = n.sent(ids...)
	}
	var mu sync.Mutex
	delivered := map[uuid.UUID]bool{}
	var nodes sync.WaitGroup
	for p := range parts {
		store := NewStore(n.db)
		nodes.Go(func() {
			for i := range messages {
				i = (i*7 + p) % messages
				got, err := store.Reports(t.Context(), []dispatch.Report{
					says(dispatch.ReportDelivered, fmt.Sprintf("%d/%d", i, p)),
					says(dispatch.ReportDelivered, fmt.Sprintf("%d/%d", (i+1)%messages, p)),
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, r := range got {
					delivered[r.DeliveryID] = true
				}
				mu.Unlock()
			}
		})
	}
	nodes.Wait()
	for i, d := range deliveries {
		if !delivered[d] {
			t.Errorf("nobody saw that message %d has arrived", i)
		}
	}
}

func TestBounceOfAnAccountThatWasGivenUpMeansNothing(t *testing.T) {
	n := newNode(t)
	delivery := n.sent("a", "b")
	n.at = n.at.Add(time.Second)
	if _, err := n.Begin(t.Context(), "another", []Start{{DeliveryID: delivery, Address: "+1", Of: 2}}); err != nil {
		t.Fatal(err)
	}
	if got := n.report(says(dispatch.ReportBounced, "b")); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestIDThatIsUsedAgainMeansTheNewest(t *testing.T) {
	n := newNode(t)
	n.sent("1", "2")
	n.at = n.at.Add(time.Hour)
	newer := n.sent("1", "2")
	n.report(says(dispatch.ReportDelivered, "1"))
	wantVerdict(t, n.report(says(dispatch.ReportDelivered, "2")), newer, dispatch.ReportDelivered)
}

func TestReportBeforeThePartIsNotedIsNotLost(t *testing.T) {
	n := newNode(t)
	delivery := uuid.New()
	n.begin(Start{DeliveryID: delivery, Address: "+1", Of: 2})
	early := says(dispatch.ReportDelivered, "a")
	early.Detail = "odd \x00 byte"
	for range 2 {
		if got := n.report(early); len(got) != 0 {
			t.Fatalf("it went through as one of a single message: %+v", got)
		}
	}
	if got := n.lookNow(); len(got) != 0 {
		t.Fatalf("it was told before anybody could know: %+v", got)
	}
	n.accept(delivery, "a")
	if got := n.lookNow(); len(got) != 0 {
		t.Fatalf("half a message has arrived: %+v", got)
	}
	n.report(says(dispatch.ReportDelivered, "b"))
	n.accept(delivery, "a", "b")
	wantVerdict(t, n.lookNow(), delivery, dispatch.ReportDelivered)
	if got := n.lookNow(); len(got) != 0 {
		t.Errorf("it is told again: %+v", got)
	}
}

func TestReportOfASingleMessageWaitsOnlyWhileItMayBeAPart(t *testing.T) {
	n := newNode(t)
	delivery := uuid.New()
	n.begin(Start{DeliveryID: delivery, Address: "+1", Of: 2})
	single := says(dispatch.ReportDelivered, "single")
	if got := n.report(single); len(got) != 0 {
		t.Fatalf("got %+v", got)
	}
	n.accept(delivery, "a", "b")
	if diff := cmp.Diff([]dispatch.Report{single}, n.lookNow()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]dispatch.Report{single}, n.report(single)); diff != "" {
		t.Errorf("nothing is in hand: %s", diff)
	}

	n.begin(Start{DeliveryID: uuid.New(), Address: "+1", Of: 2}) // and its attempt dies
	n.report(single)
	n.at = n.at.Add(heldFor + time.Second)
	if got := n.lookNow(); len(got) != 1 {
		t.Errorf("a dead attempt holds reports for good: %+v", got)
	}
	n.at = n.at.Add(inHandFor)
	if got := n.report(single); len(got) != 1 {
		t.Errorf("a dead attempt is in hand for good: %+v", got)
	}
}

func TestHeldReportsStayUntilTheyAreTaken(t *testing.T) {
	n := newNode(t)
	delivery := uuid.New()
	n.begin(Start{DeliveryID: delivery, Address: "+1", Of: 2})
	n.report(says(dispatch.ReportBounced, "a"))
	n.accept(delivery, "a", "b")
	refusal := errors.New("not now")
	_, err := n.look(t.Context(), func(context.Context, []dispatch.Report) error { return refusal })
	if !errors.Is(err, refusal) {
		t.Fatalf("got %v", err)
	}
	wantVerdict(t, n.lookNow(), delivery, dispatch.ReportBounced)
}

func TestRunGivesHeldReportsUntilItIsEnded(t *testing.T) {
	n := newNode(t)
	n.lookEvery = time.Millisecond
	delivery := uuid.New()
	n.begin(Start{DeliveryID: delivery, Address: "+1", Of: 2})
	n.report(says(dispatch.ReportDelivered, "a"), says(dispatch.ReportDelivered, "b"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	given := make(chan []dispatch.Report)
	var running sync.WaitGroup
	running.Go(func() {
		refused := false
		n.Run(ctx, slog.New(slog.DiscardHandler), func(_ context.Context, reports []dispatch.Report) error {
			if !refused {
				refused = true
				return errors.New("not now")
			}
			given <- reports
			return nil
		})
	})
	n.accept(delivery, "a", "b")
	wantVerdict(t, <-given, delivery, dispatch.ReportDelivered)
	cancel()
	running.Wait()
}

func TestSweepForgetsWhatIsOld(t *testing.T) {
	n := newNode(t)
	old := n.sent("a", "b")
	n.at = n.at.Add(8 * 24 * time.Hour)
	n.sent("c", "d")
	swept, err := n.Sweep(t.Context(), 7*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if swept != 3 { // two parts and a message; the recipient was written to since
		t.Errorf("%d rows were swept", swept)
	}
	if got := n.report(says(dispatch.ReportDelivered, "a")); len(got) != 1 || got[0].DeliveryID == old {
		t.Errorf("what was swept is known: %+v", got)
	}
}
