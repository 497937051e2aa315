package fax

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/fax/pages"
	"herald/hardware/sim/hfaxd"
	"herald/problem"
)

func newLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestTheStoryOfAFax(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m, other := b.message(1, 3), b.message(2, 1)
	b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 1, Times: 2})
	b.send(m)
	b.follow(b.Sender, 1)
	b.row(other) // in doubt
	told, err := b.store.Entries(t.Context(), []uuid.UUID{m.DeliveryID, uuid.New()})
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		Code string
		OK   bool
		Args map[string]any
	}
	var got []line
	for i, e := range told {
		got = append(got, line{e.Code, e.OK, e.Args})
		if e.DeliveryID != m.DeliveryID || e.Detail["account"] != "fax" && e.Code != "fax_sent" || i > 0 && e.At.Before(told[i-1].At) {
			t.Errorf("an entry is %+v", e)
		}
	}
	if diff := cmp.Diff([]line{
		{"fax_submitted", true, map[string]any{"pages": 3, "first": 1}},
		{"fax_sent", true, map[string]any{"sent": 1, "of": 3}},
		{"fax_ended", false, map[string]any{"outcome": "dropped", "dials": 2}},
		{"fax_submitted", true, map[string]any{"pages": 3, "first": 2}},
		{"fax_sent", true, map[string]any{"sent": 3, "of": 3}},
		{"fax_ended", true, map[string]any{"outcome": "delivered", "dials": 3}},
	}, got); diff != "" {
		t.Error(diff)
	}
	if told, err = b.store.Entries(t.Context(), []uuid.UUID{other.DeliveryID}); err != nil || len(told) != 1 || told[0].Code != "fax_submitted" {
		t.Errorf("of one in doubt is told %+v, %v", told, err)
	}
}

func TestDocumentsAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 1)
	b.send(m)
	b.follow(b.Sender, 1)
	shown := func(want bool) {
		t.Helper()
		told, err := b.store.Entries(t.Context(), []uuid.UUID{m.DeliveryID})
		if err != nil || (told[0].Detail["document"] == true) != want {
			t.Errorf("it says that its pages can be seen: %+v, %v", told[0], err)
		}
	}
	shown(true)
	if n, err := b.store.Sweep(t.Context(), 24*time.Hour); err != nil || n != 0 {
		t.Errorf("at once, %d are forgotten, %v", n, err)
	}
	b.clock.advance(25 * time.Hour)
	if n, err := b.store.Sweep(t.Context(), 24*time.Hour); err != nil || n != 1 {
		t.Errorf("a day later, %d are forgotten, %v", n, err)
	}
	shown(false)
	if _, err := b.store.Document(t.Context(), m.DeliveryID); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("what was forgotten gives %v", err)
	}
	if rows := b.rows(m); len(rows) != 1 || rows[0].Kept || rows[0].Outcome != delivered {
		t.Errorf("its row is %+v", rows)
	}
}

// TestWhatIsPrivateIsForgottenAtOnce: nobody is shown it, and nothing of it is
// kept when its last job has ended.
func TestWhatIsPrivateIsForgottenAtOnce(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, b *bench, m dispatch.Message){
		"all pages arrive": func(_ *testing.T, b *bench, _ dispatch.Message) { b.follow(b.Sender, 1) },
		"a further job has the last of them": func(t *testing.T, b *bench, m dispatch.Message) {
			ending{dispatch.ReportDelivered, "", "2 of 2"}.check(t, m, b.follow(b.Sender, 1)[0])
			if rows := b.rows(m); len(rows) != 2 {
				t.Errorf("its rows are %+v", rows)
			}
		},
		"it is given up": func(t *testing.T, b *bench, m dispatch.Message) {
			if _, err := b.db.Exec(t.Context(), `UPDATE faxes SET state = 'submitting'`); err != nil {
				t.Fatal(err)
			}
			if err := b.store.giveUp(t.Context(), b.rows(m)[0].Info, unsent, "nobody took it"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, nil)
			if strings.HasPrefix(name, "a further job") {
				b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 1, Times: 2})
			}
			m := b.message(1, 2)
			m.Private = true
			b.send(m)
			if _, err := b.store.Document(t.Context(), m.DeliveryID); problem.CodeOf(err) != problem.NotFound {
				t.Errorf("on its way it is shown: %v", err)
			}
			end(t, b, m)
			var kept int
			if err := b.db.QueryRow(t.Context(), `SELECT count(source) + count(document) FROM faxes`).Scan(&kept); err != nil || kept != 0 {
				t.Errorf("it is kept %d times, %v", kept, err)
			}
		})
	}
}

// TestAFaxGoesWithItsMember: nothing is left of what somebody was told who is
// erased.
func TestAFaxGoesWithItsMember(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"the member is erased":    `DELETE FROM members WHERE account = $1`,
		"the delivery is deleted": `DELETE FROM deliveries WHERE id::text = $1`,
	} {
		b := start(t, nil)
		m := b.message(1, 1)
		b.row(m)
		if _, err := b.db.Exec(t.Context(), statement, m.WireID); err != nil {
			t.Fatal(err)
		}
		if rows := b.rows(m); len(rows) != 0 {
			t.Errorf("%s: left are %+v", name, rows)
		}
	}
}

// TestADeliveryHasOneJobAtATime, whoever hands it over.
func TestADeliveryHasOneJobAtATime(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 1)
	first := b.row(m)
	again, begun, err := b.store.begin(t.Context(), m.WireID, first, pages.Fax{}, nil)
	if err != nil || begun || again.Info != first.Info {
		t.Errorf("a second job is %+v, %v, %v", again, begun, err)
	}
	if err := b.store.giveUp(t.Context(), first.Info, unsent, "never"); err != nil {
		t.Fatal(err)
	}
	second, begun, err := b.store.begin(t.Context(), m.WireID, first, pages.Fax{}, nil)
	if err != nil || !begun || second.Info != m.WireID+".2" {
		t.Errorf("after it was not sent, it is %+v, %v, %v", second, begun, err)
	}
	onAnother := first
	onAnother.Account = "spare"
	if third, begun, err := b.store.begin(t.Context(), m.WireID, onAnother, pages.Fax{}, nil); err != nil || !begun || third.Info != m.WireID+".3" {
		t.Errorf("on another account it is %+v, %v, %v", third, begun, err)
	}
}

// TestWhoWasTakenForDeadSubmitsNothing once a later attempt has begun, also
// when that has ended.
func TestWhoWasTakenForDeadSubmitsNothing(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 1)
	if _, err := b.Resolve(t.Context(), m); classOf(t, err) != dispatch.Transient {
		t.Errorf("before its row is written it is %v", err)
	}
	later := m
	later.Attempt = 2
	b.send(later)
	b.follow(b.Sender, 1)
	session, err := b.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Send(t.Context(), m); classOf(t, err) != dispatch.Transient {
		t.Errorf("the attempt before it is %v", err)
	}
	if err := session.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := b.jobs(m); n != 1 {
		t.Errorf("the server was given %d jobs", n)
	}
}
