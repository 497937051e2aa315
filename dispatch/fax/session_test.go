package fax

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch"
	"herald/hardware/fax"
	"herald/hardware/sim"
	"herald/hardware/sim/hfaxd"
	"herald/problem"
)

// classOf is what an error means.
func classOf(t *testing.T, err error) dispatch.Class {
	t.Helper()
	var failure *dispatch.SendError
	if !errors.As(err, &failure) {
		t.Fatalf("the error is %v", err)
	}
	if failure.Account != "fax" {
		t.Errorf("%v names no account", err)
	}
	return failure.Class
}

// jobs are how many the server has, or had, of a message.
func (b *bench) jobs(m dispatch.Message) int {
	b.t.Helper()
	return (&peer{bench: b}).Taken(m)
}

func TestWhatIsHandedOver(t *testing.T) {
	t.Parallel()
	b := start(t, func(a *Account, _ *settings) { a.Cover = true })
	m := b.message(1, 1)
	receipt := b.send(m)
	if diff := cmp.Diff(dispatch.Receipt{ProviderID: "1", Account: "fax", Code: "200", Detail: "2 pages"}, receipt); diff != "" {
		t.Error(diff)
	}
	b.follow(b.Sender, 1)
	got := b.arrived(m)
	if len(got) != 1 || !got[0].Whole() || got[0].Of != 2 || got[0].Info != m.WireID || got[0].From != "shop" {
		t.Fatalf("%d jobs arrived", len(got))
	}
	kept, err := b.store.Document(t.Context(), m.DeliveryID)
	if err != nil || !cmp.Equal(kept, got[0].Document) {
		t.Errorf("what is kept is not what was sent: %v", err)
	}
	source, err := b.store.source(t.Context(), m.WireID)
	if err != nil || source.From != "先锋商城" || source.ToNumber != m.Address || source.Locale != "zh" || source.At.Format("-07:00") != "+08:00" {
		t.Errorf("it was made of %+v", source)
	}
}

func TestWhatIsNeverSent(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	s := b.open()
	for name, change := range map[string]func(*dispatch.Message){
		"no number":      func(m *dispatch.Message) { m.Address = "a@example.org" },
		"nothing to say": func(m *dispatch.Message) { m.Content.Subject, m.Content.Text = "", "" },
		"too many pages": func(m *dispatch.Message) { m.Content.Text = strings.Repeat("page\n\n", 3000) },
	} {
		m := b.message(1, 1)
		change(&m)
		_, err := s.Send(t.Context(), m)
		if class := classOf(t, err); class != dispatch.Permanent || s.Broken() {
			t.Errorf("%s gives %v", name, err)
		}
		if n := len(b.rows(m)); n != 0 {
			t.Errorf("%s leaves %d rows", name, n)
		}
	}
}

// TestAnAnswerThatIsLostIsLookedFor: the job is there, and is not given twice.
func TestAnAnswerThatIsLostIsLookedFor(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 1)
	b.faults(hfaxd.Fault{Kind: hfaxd.DropAfter, Number: m.Address, Times: 1})
	if receipt := b.send(m); receipt.ProviderID != "1" {
		t.Errorf("the receipt is %+v", receipt)
	}
	ending{dispatch.ReportDelivered, "", "1 of 1"}.check(t, m, b.follow(b.Sender, 1)[0])
	if n := b.jobs(m); n != 1 {
		t.Errorf("the server has %d jobs", n)
	}
}

// inDoubt leaves a message in doubt, taken or not.
func (b *bench) inDoubt(m dispatch.Message, taken bool) {
	b.t.Helper()
	act := breaks
	if taken {
		act = deafens
	}
	s := b.open()
	b.wire.at("JSUBM", act)
	if _, err := s.Send(b.t.Context(), m); classOf(b.t, err) != dispatch.Doubt {
		b.t.Fatalf("it gives %v", err)
	}
	b.wire.heal()
}

func TestDoubtIsResolved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		taken bool
		after time.Duration
		want  dispatch.Class // empty: it was taken
	}{
		"the server has it":                  {true, 0, ""},
		"the server has it, much later":      {true, 20 * time.Hour, ""},
		"the server may come to it still":    {false, 5 * time.Second, dispatch.Doubt},
		"the server surely has it not":       {false, 2 * time.Minute, dispatch.Transient},
		"the server may have had it, and no": {false, time.Hour, dispatch.Doubt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, func(a *Account, _ *settings) {
				if c.taken { // and nothing is answered
					a.Timeout = 3 * time.Second
				}
			})
			m := b.message(1, 1)
			b.faults(hfaxd.Fault{Kind: hfaxd.Slow, Delay: sim.Duration(time.Hour)})
			b.inDoubt(m, c.taken)
			b.clock.advance(c.after)
			receipt, err := b.another(nil).Resolve(t.Context(), m) // of another run
			if c.want == "" {
				if err != nil || receipt.ProviderID != "1" {
					t.Fatalf("it gives %+v, %v", receipt, err)
				}
			} else if got := classOf(t, err); got != c.want {
				t.Fatalf("it gives %v", err)
			}
			m.Attempt = 2
			_, err = b.open().Send(t.Context(), m)
			if again := c.want == dispatch.Doubt && c.after < time.Minute; again != (err != nil) {
				t.Errorf("sent again, it gives %v", err)
			}
			wanted := 1
			if c.want == dispatch.Doubt && c.after < time.Minute {
				wanted = 0
			}
			if n := b.jobs(m); n != wanted {
				t.Errorf("the server has %d jobs", n)
			}
		})
	}
}

// TestWhereARunDies: what the next one is told at each point.
func TestWhereARunDies(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	resolve := func(m dispatch.Message) error {
		_, err := b.Resolve(t.Context(), m)
		return err
	}
	before := b.message(1, 1)
	if got := classOf(t, resolve(before)); got != dispatch.Transient {
		t.Errorf("before its row is written it is %s", got)
	}
	written := b.message(2, 1)
	b.row(written)
	if got := classOf(t, resolve(written)); got != dispatch.Doubt {
		t.Errorf("just after its row is written it is %s", got)
	}
	b.clock.advance(2 * time.Minute)
	if got := classOf(t, resolve(written)); got != dispatch.Transient {
		t.Errorf("a while after its row is written it is %s", got)
	}
	submitted := b.message(3, 1) // and its id not noted
	b.send(submitted)
	if _, err := b.db.Exec(t.Context(), `UPDATE faxes SET state = 'submitting', job = '' WHERE delivery_id = $1`, submitted.DeliveryID); err != nil {
		t.Fatal(err)
	}
	ending{dispatch.ReportDelivered, "", "1 of 1"}.check(t, submitted, b.follow(b.Sender, 1)[0])
	if err := resolve(submitted); err != nil {
		t.Errorf("once it was submitted it gives %v", err)
	}
	// An operator sends it again, and the run dies before the row is written.
	submitted.Attempt = 2
	if got := classOf(t, resolve(submitted)); got != dispatch.Transient {
		t.Errorf("a second attempt that never began is %s", got)
	}
}

// row writes the row of a message as Send does, and no more.
func (b *bench) row(m dispatch.Message) job {
	b.t.Helper()
	source, document, failure := b.write(m)
	if failure != nil {
		b.t.Fatal(failure)
	}
	j, begun, err := b.store.begin(b.t.Context(), m.WireID, job{
		Delivery: m.DeliveryID, Attempt: m.Attempt, Account: "fax", Pages: document.Pages, ExpiresAt: m.ExpiresAt,
	}, source, document.PDF)
	if err != nil || !begun {
		b.t.Fatal(begun, err)
	}
	return j
}

// TestAFurtherJobWhoseAnswerIsLost is found, or given once more.
func TestAFurtherJobWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]hfaxd.FaultKind{"it was taken": hfaxd.DropAfter, "it was not": hfaxd.DropBefore} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, func(_ *Account, s *settings) { s.settles = 50 * time.Millisecond })
			m := b.message(1, 2)
			b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 1, Times: 2}, hfaxd.Fault{Kind: hfaxd.Slow, Delay: sim.Duration(time.Millisecond)})
			b.send(m)
			b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 1, Times: 2}, hfaxd.Fault{Kind: kind, Times: 1})
			ending{dispatch.ReportDelivered, "", "2 of 2"}.check(t, m, b.follow(b.Sender, 1)[0])
			pages := 0
			for _, one := range b.arrived(m) {
				pages += one.Pages
			}
			if pages != 2 {
				t.Errorf("%d pages arrived, want each once", pages)
			}
		})
	}
}

func TestRefusalsMeanWhatTheySay(t *testing.T) {
	t.Parallel()
	s := &Sender{cfg: Account{Name: "fax"}}
	for _, c := range []struct {
		err  error
		want dispatch.Class
	}{
		{fax.ErrLogin, dispatch.Configuration},
		{fax.ErrConfig, dispatch.Configuration},
		{fax.ErrJob, dispatch.Permanent},
		{fax.ErrGone, dispatch.SessionFatal},
		{fax.ErrProtocol, dispatch.SessionFatal},
		{errNoScheduler, dispatch.SessionFatal},
		{context.Canceled, dispatch.SessionFatal},
		{errors.Join(fax.ErrUnanswered, fax.ErrGone), dispatch.Doubt},
		{&fax.Refusal{Command: "JPARM", Code: 503}, dispatch.Permanent},
		{&fax.Refusal{Command: "JSUBM", Code: 504}, dispatch.Permanent},
		{&fax.Refusal{Command: "STOT", Code: 452}, dispatch.Transient},
		{&fax.Refusal{Command: "STOT", Code: 553}, dispatch.Configuration},
		{errors.Join(fax.ErrGone, &fax.Refusal{Command: "JNEW", Code: 421}), dispatch.SessionFatal},
	} {
		if got := s.fail(c.err); got.Class != c.want || got.Account != "fax" {
			t.Errorf("%v is %s, want %s", c.err, got.Class, c.want)
		}
	}
}

func TestAccountsAreChecked(t *testing.T) {
	t.Parallel()
	face, err := font()
	if err != nil {
		t.Fatal(err)
	}
	good := Account{Name: "fax", Host: "fax.example.org", SenderName: "Shop", SenderNumber: "+86 21 5555 0100"}
	deps := Deps{Store: NewStore(nil), Font: face, Logger: newLogger()}
	if s, err := New(good, deps); err != nil || s.cfg.MaxDials != 2 || s.cfg.MaxTries != 3 || s.cfg.GiveUpAfter != 3*time.Hour || s.set.server.Address != "fax.example.org:4559" {
		t.Errorf("the least account gives %v", err)
	}
	for field, change := range map[string]func(*Account){
		"name":            func(a *Account) { a.Name = "" },
		"host":            func(a *Account) { a.Host = "fax.example.org:4559" },
		"port":            func(a *Account) { a.Port = 70000 },
		"username":        func(a *Account) { a.Username = `a"b` },
		"password":        func(a *Account) { a.Password = "a\\b" },
		"modem":           func(a *Account) { a.Modem = "any modem" },
		"timeout":         func(a *Account) { a.Timeout = time.Nanosecond },
		"sender_name":     func(a *Account) { a.SenderName = " " },
		"sender_number":   func(a *Account) { a.SenderNumber = "ask us" },
		"time_zone":       func(a *Account) { a.TimeZone = "Mars" },
		"max_dials":       func(a *Account) { a.MaxDials = 99 },
		"max_tries":       func(a *Account) { a.MaxTries = -1 },
		"retry_after":     func(a *Account) { a.RetryAfter = 2 * time.Hour },
		"give_up_after":   func(a *Account) { a.GiveUpAfter = time.Second },
		"dial[0].prefix":  func(a *Account) { a.Dial = []DialRule{{Prefix: "86"}} },
		"dial[0].replace": func(a *Account) { a.Dial = []DialRule{{Prefix: "+86", Replace: "x"}} },
	} {
		bad := good
		change(&bad)
		_, err := New(bad, deps)
		var wrong *problem.Error
		if !errors.As(err, &wrong) || len(wrong.Fields) != 1 || wrong.Fields[0].Path != field {
			t.Errorf("a wrong %s gives %v", field, err)
		}
	}
	if _, err := New(good, Deps{}); err == nil {
		t.Error("a sender without a store is made")
	}
}

func TestHowNumbersAreDialled(t *testing.T) {
	t.Parallel()
	a := Account{Dial: []DialRule{{Prefix: "+86", Replace: "0"}, {Prefix: "+8621", Replace: ""}, {Prefix: "+49", Replace: "9,00 49-"}}}
	for number, want := range map[string]string{
		"+8675555550100": "075555550100", "+862155550100": "55550100", "+493012345": "9,00 49-3012345", "+4412345": "+4412345",
	} {
		if got := a.dialled(number); got != want {
			t.Errorf("%s is dialled as %s, want %s", number, got, want)
		}
	}
}

func TestWhatIsLeftOfAFax(t *testing.T) {
	t.Parallel()
	due := time.Now()
	j := job{First: 1, Pages: 3, Kept: true, ExpiresAt: due.Add(time.Hour)}
	for _, c := range []struct {
		name           string
		outcome        fax.Failure
		sent, dials    int
		before, number int // dials of jobs before, and how many those are
		want           bool
	}{
		{"busy, and there are dials left", fax.Busy, 0, 2, 0, 0, true},
		{"busy, and there are none", fax.Busy, 0, 1, 3, 1, false},
		{"busy behind a page", fax.Busy, 1, 1, 3, 1, true},
		{"dropped in the first page", fax.Dropped, 0, 1, 0, 0, false},
		{"dropped behind a page", fax.Dropped, 1, 1, 0, 0, true},
		{"dropped behind a page, a third time", fax.Dropped, 1, 1, 2, 2, false},
		{"a page behind the first is not confirmed", fax.Unconfirmed, 1, 1, 0, 0, true},
		{"the first page is not confirmed", fax.Unconfirmed, 0, 1, 0, 0, false},
		{"a person answered behind a page", fax.NoCarrier, 1, 2, 0, 0, false},
		{"somebody killed it", fax.Killed, 1, 1, 0, 0, false},
		{"rejected", fax.Refused, 1, 1, 0, 0, false},
	} {
		j := j
		j.Outcome, j.Sent, j.Dials, j.DialsBefore, j.Further = outcome(c.outcome), c.sent, c.dials, c.before, c.number
		if got := j.goesOn(4, due); got != c.want {
			t.Errorf("%s: it goes on: %v", c.name, got)
		}
		if j.goesOn(4, j.ExpiresAt) {
			t.Errorf("%s: it goes on after it expired", c.name)
		}
	}
}
