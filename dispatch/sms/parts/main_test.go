package parts

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// node is a store with a clock of its own.
type node struct {
	*Store
	t  *testing.T
	at time.Time
}

func newNode(t *testing.T) *node {
	n := &node{Store: NewStore(pgtest.New(t)), t: t, at: time.Now().Truncate(time.Second)}
	n.now = func() time.Time { return n.at }
	return n
}

const account = "operator"

// begin begins a message and returns how far it has come.
func (n *node) begin(start Start) Progress {
	n.t.Helper()
	got, err := n.Begin(n.t.Context(), account, []Start{start})
	if err != nil {
		n.t.Fatal(err)
	}
	return got[0]
}

// accept notes the parts of a message as taken, by the ids given.
func (n *node) accept(delivery uuid.UUID, ids ...string) {
	n.t.Helper()
	taken := make([]Part, len(ids))
	for i, id := range ids {
		taken[i] = Part{DeliveryID: delivery, Part: i, ProviderID: id}
	}
	if err := n.Accepted(n.t.Context(), account, taken...); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) report(reports ...dispatch.Report) []dispatch.Report {
	n.t.Helper()
	got, err := n.Reports(n.t.Context(), reports)
	if err != nil {
		n.t.Fatal(err)
	}
	return got
}

// look gives what was held and can be told now.
func (n *node) lookNow() []dispatch.Report {
	n.t.Helper()
	var got []dispatch.Report
	_, err := n.look(n.t.Context(), func(_ context.Context, reports []dispatch.Report) error {
		got = reports
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return got
}

// sent is a message of several parts that the provider took with these ids.
func (n *node) sent(ids ...string) uuid.UUID {
	n.t.Helper()
	delivery := uuid.Must(uuid.NewV7())
	n.begin(Start{DeliveryID: delivery, Address: "+4915112345678", Of: len(ids), Text: "a long text"})
	n.accept(delivery, ids...)
	return delivery
}

func says(event dispatch.ReportEvent, id string) dispatch.Report {
	return dispatch.Report{Account: account, ProviderID: id, Channel: "sms", Event: event, Code: "CODE " + id}
}

// wantVerdict fails unless the reports say of one delivery what is wanted.
func wantVerdict(t *testing.T, got []dispatch.Report, delivery uuid.UUID, event dispatch.ReportEvent) {
	t.Helper()
	if len(got) == 0 || !slices.ContainsFunc(got, func(r dispatch.Report) bool { return r.DeliveryID == delivery }) {
		t.Fatalf("nothing was said of %s: %+v", delivery, got)
	}
	for _, r := range got {
		if r.Event != event || r.Key != got[0].Key || r.Account != account || r.Channel != "sms" {
			t.Errorf("got %+v, want %s, all with one key", r, event)
		}
	}
}
