package voice

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch"
	"herald/hardware/sim/phone"
	"herald/problem"
)

// leftOpen writes a call down as a process leaves it that dies there.
func (b *bench) leftOpen(t *testing.T, m dispatch.Message, began time.Time, change func(*row), codes ...string) row {
	t.Helper()
	r := row{ID: uuid.Must(uuid.NewV7()), DeliveryID: m.DeliveryID, Attempt: m.Attempt, Account: "trunk", BeganAt: began}
	r.CallID = r.ID.String()
	if _, err := b.deps.Store.begin(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		r.Steps = append(r.Steps, step{At: began, Code: code})
	}
	if change != nil {
		change(&r)
	}
	if err := b.deps.Store.update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNobodyKnowsWhatBecameOfACallWhoseProcessDied(t *testing.T) {
	t.Parallel()
	b := start(t, "127.0.0.1:9", nil, whistler{})
	long := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		codes   []string
		change  func(*row)
		class   dispatch.Class // empty: it counts as taken
		says    string
		reports []string
	}{
		"dialled":  {[]string{codeDialled}, nil, dispatch.Doubt, "in_doubt: it was dialled; what came of it is not known", nil},
		"rang":     {[]string{codeDialled, codeRinging}, nil, dispatch.Doubt, "in_doubt: it rang; what came of it is not known", nil},
		"failed":   {[]string{codeDialled, codeFailed}, nil, dispatch.Transient, "transient: it was dialled, and not answered", nil},
		"nothing":  {nil, nil, dispatch.Doubt, "in_doubt: it was dialled; what came of it is not known", nil},
		"answered": {[]string{codeDialled, codeAnswered}, nil, "", "answered; how much was heard is not known", nil},
		"confirmed": {
			[]string{codeDialled, codeAnswered, codeConfirmed},
			func(r *row) { r.Confirmed, r.Reached = true, true }, "",
			"answered; how much was heard is not known",
			[]string{"delivered"},
		},
		"stopped": {
			[]string{codeDialled, codeAnswered, codeStopped},
			func(r *row) { r.Stopped = true }, "",
			"answered; how much was heard is not known",
			[]string{"unsubscribed"},
		},
	} {
		m := b.message(t, "+15550201", asks)
		if _, err := b.Resolve(t.Context(), m); asSendError(t, err).Class != dispatch.Transient {
			t.Errorf("before it is dialled it is %v", err)
		}
		m.Attempt++
		b.leftOpen(t, m, long, c.change, c.codes...)
		resolved := func(when string) {
			receipt, err := b.Resolve(t.Context(), m)
			if c.class == "" {
				if err != nil || receipt.Detail != c.says || receipt.ProviderID == "" || receipt.Account != "trunk" {
					t.Errorf("%s, %s: it is %+v, %v", name, when, receipt, err)
				}
				return
			}
			if failure := asSendError(t, err); failure.Class != c.class || failure.Error() != c.says || failure.Account != "trunk" {
				t.Errorf("%s, %s: it is %v", name, when, err)
			}
		}
		resolved("left open")
		var told []string
		if err := b.report(t.Context(), func(_ context.Context, reports []dispatch.Report) error {
			for _, r := range reports {
				if r.DeliveryID == m.DeliveryID && r.Channel == "voice" && r.ProviderID != "" {
					told = append(told, string(r.Event))
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(told, c.reports) {
			t.Errorf("%s: reported is %q, want %q", name, told, c.reports)
		}
		if call := b.written(t, m); call.Outcome != lost || call.EndedAt == nil {
			t.Errorf("%s: the call is %+v", name, call)
		}
		resolved("buried")
	}
}

// TestWhoWasTakenForDeadDoesNotDial what others have been given meanwhile,
// because it was not dialled.
func TestWhoWasTakenForDeadDoesNotDial(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{})
	b := start(t, p.Addr(), nil, whistler{})
	m := b.message(t, "+15550201", "steps: [{say: Good day.}]")
	for range 2 { // it may be asked again
		if _, err := b.Resolve(t.Context(), m); asSendError(t, err).Class != dispatch.Transient {
			t.Errorf("it is resolved to %v", err)
		}
	}
	if _, _, err := b.send(t, m); asSendError(t, err).Class != dispatch.Transient {
		t.Errorf("who was taken for dead gets %v", err)
	}
	again := m
	again.Attempt++
	if _, call, err := b.send(t, again); err != nil || call.Outcome != spoken {
		t.Errorf("the next attempt is %+v, %v", call, err)
	}
	if err := p.Calls().WaitFor(patience(t), func(_ []phone.Call, n int64) bool { return n > 0 }); err != nil || p.Calls().Count() != 1 {
		t.Errorf("the phone knows of %d calls", p.Calls().Count())
	}
	if told := b.told(t, m); strings.Count(told, "dialled") != 1 {
		t.Errorf("it is told %q", told)
	}
}

func asSendError(t *testing.T, err error) *dispatch.SendError {
	t.Helper()
	var failure *dispatch.SendError
	if !errors.As(err, &failure) {
		t.Fatalf("the error is %v", err)
	}
	return failure
}

// TestADatabaseThatIsLostInACall is what a process leaves behind that dies
// there, but for the call, which goes on.
func TestADatabaseThatIsLostInACall(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{}, phone.Fault{Kind: phone.Person, Press: []phone.Press{{After: phone.Duration(500 * time.Millisecond), Digits: "9"}}})
	b := start(t, p.Addr(), nil, whistler{})
	own, err := pgxpool.NewWithConfig(t.Context(), b.db.Config().Copy())
	if err != nil {
		t.Fatal(err)
	}
	healthy := b.deps.Store
	b.deps.Store = NewStore(own)
	m := b.message(t, "+15550201", "steps: [{say: Good day.}, {gather: {wait: 10s, tries: 1, choices: {9: [{stop: true}]}}}, {pause: 2s}, {say: The end.}]")
	wait := b.sending(t, patience(t), m)
	b.untilTold(t, m, codeStopped)
	own.Close()
	b.deps.Store = healthy // of what follows; the call has the other
	receipt, call, err := wait()
	if err != nil || receipt.Detail != "heard 0.1 of 0.2 s" && receipt.Detail != "heard 0.2 of 0.2 s" {
		t.Errorf("it comes to %+v, %v", receipt, err)
	}
	if call.EndedAt != nil || !call.answered() || !call.Stopped {
		t.Errorf("the call is %+v", call)
	}
	if resolved, err := b.Resolve(t.Context(), m); err != nil || resolved.ProviderID != receipt.ProviderID {
		t.Errorf("it is resolved to %+v, %v", resolved, err)
	}
	if !strings.Contains(b.logged.String(), "what became of a call is not written down") {
		t.Errorf("the log is %s", b.logged)
	}
	b.deps.Now = func() time.Time { return time.Now().Add(time.Hour) }
	var told []dispatch.Report
	if err := b.report(t.Context(), func(_ context.Context, reports []dispatch.Report) error {
		told = append(told, reports...)
		return nil
	}); err != nil || len(told) != 1 || told[0].Event != dispatch.ReportUnsubscribed {
		t.Errorf("reported is %+v, %v", told, err)
	}
}

func TestACallThatGoesOnIsNotBuried(t *testing.T) {
	t.Parallel()
	b := start(t, "127.0.0.1:9", nil, whistler{})
	m := b.message(t, "+15550201", asks)
	b.leftOpen(t, m, time.Now().Add(-b.Longest()), nil, codeDialled)
	if err := b.report(t.Context(), func(context.Context, []dispatch.Report) error { return errors.New("there is nothing") }); err != nil {
		t.Error(err)
	}
	if call := b.written(t, m); call.EndedAt != nil {
		t.Errorf("the call is %+v", call)
	}
}

func TestCallsAreReportedInBatches(t *testing.T) {
	t.Parallel()
	b := start(t, "127.0.0.1:9", nil, whistler{})
	m := b.message(t, "+15550201", asks)
	const many = 230
	began := time.Now().Add(-time.Minute)
	for range many {
		b.leftOpen(t, m, began, func(r *row) { r.EndedAt, r.Outcome, r.Reached, r.Stopped = &began, spoken, true, true })
	}
	keys, batches := map[string]bool{}, 0
	if err := b.report(t.Context(), func(_ context.Context, reports []dispatch.Report) error {
		batches++
		for _, r := range reports {
			keys[r.Key] = true
		}
		return nil
	}); err != nil || len(keys) != 2*many || batches != 3 {
		t.Errorf("%d reports in %d batches, %v", len(keys), batches, err)
	}
}

func TestErasingAMemberOrADeliveryTakesTheCallsAlong(t *testing.T) {
	t.Parallel()
	b := start(t, "127.0.0.1:9", nil, whistler{})
	store := b.deps.Store
	for _, erase := range []string{`DELETE FROM deliveries WHERE id = $1`, `DELETE FROM members WHERE account = $1::text`} {
		m := b.message(t, "+15550201", asks)
		call := b.leftOpen(t, m, time.Now(), nil, codeDialled)
		recording := Recording{ID: uuid.Must(uuid.NewV7()), MadeAt: time.Now(), Lasts: time.Second, WAV: []byte("RIFF"), KeepUntil: time.Now().Add(time.Hour)}
		if err := store.keep(t.Context(), call.ID, recording); err != nil {
			t.Fatal(err)
		}
		if kept, err := store.Recording(t.Context(), recording.ID); err != nil || kept.DeliveryID != m.DeliveryID || kept.Lasts != time.Second || string(kept.WAV) != "RIFF" {
			t.Errorf("the recording is %+v, %v", kept, err)
		}
		if _, err := b.db.Exec(t.Context(), erase, m.DeliveryID.String()); err != nil {
			t.Fatal(err)
		}
		if entries, err := store.Entries(t.Context(), []uuid.UUID{m.DeliveryID}); err != nil || len(entries) != 0 {
			t.Errorf("it is told %v, %v", entries, err)
		}
		if _, err := store.Recording(t.Context(), recording.ID); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("its recording gives %v", err)
		}
	}
	if _, err := store.begin(t.Context(), row{ID: uuid.New(), DeliveryID: uuid.New(), BeganAt: time.Now()}); err == nil {
		t.Error("a call is made for no delivery")
	}
}

func TestManyRecordingsAreSwept(t *testing.T) {
	t.Parallel()
	b := start(t, "127.0.0.1:9", nil, whistler{})
	call := b.leftOpen(t, b.message(t, "+15550201", asks), time.Now(), nil, codeDialled)
	const old = 2*sweepLimit + 7
	for i := range old + 3 {
		until := time.Now().Add(-time.Minute)
		if i >= old {
			until = until.Add(time.Hour)
		}
		if err := b.deps.Store.keep(t.Context(), call.ID, Recording{ID: uuid.Must(uuid.NewV7()), WAV: []byte{}, KeepUntil: until}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := b.deps.Store.Sweep(t.Context()); n != old || err != nil {
		t.Errorf("swept are %d, %v", n, err)
	}
}

func TestEveryQueryHasAnIndex(t *testing.T) {
	t.Parallel()
	b := start(t, "127.0.0.1:9", nil, whistler{})
	tx, err := b.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // nothing was changed
	if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off`); err != nil {
		t.Fatal(err)
	}
	for want, query := range map[string]string{
		"calls_delivery":             `SELECT steps FROM calls WHERE delivery_id = ANY ('{01a20455-a163-7745-83ae-c2bde4a09496}') ORDER BY id`,
		"calls_untold":               `SELECT id FROM calls WHERE account = 'trunk' AND NOT told AND ended_at <= now() ORDER BY began_at LIMIT 100`,
		"calls_member":               `SELECT id FROM calls WHERE member_id = 1`,
		"call_recordings_keep_until": `SELECT id FROM call_recordings WHERE keep_until <= now() ORDER BY keep_until LIMIT 100`,
		"call_recordings_call":       `SELECT id FROM call_recordings WHERE call = '01a20455-a163-7745-83ae-c2bde4a09496'`,
	} {
		rows, err := tx.Query(t.Context(), "EXPLAIN "+query)
		if err != nil {
			t.Fatal(err)
		}
		plan := ""
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan += line + "\n"
		}
		if !slices.Contains(strings.Fields(plan), want) {
			t.Errorf("%s is not used:\n%s", want, plan)
		}
	}
}
