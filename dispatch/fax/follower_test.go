package fax

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch"
	"herald/hardware/fax"
	"herald/hardware/sim"
	"herald/hardware/sim/hfaxd"
)

// ending is what is reported of a fax, without its times and names.
type ending struct {
	Event dispatch.ReportEvent
	Code  string
	Says  string // a part of the detail
}

func (e ending) check(t *testing.T, m dispatch.Message, got dispatch.Report) {
	t.Helper()
	if got.Event != e.Event || got.Code != e.Code || !strings.Contains(got.Detail, e.Says) || got.DeliveryID != m.DeliveryID || got.At.IsZero() || got.Key == "" {
		t.Errorf("reported is %+v, want %+v", got, e)
	}
	if strings.Contains(got.Detail, m.Address) || strings.Contains(got.Detail, m.Name) {
		t.Errorf("the report says whom it is about: %s", got.Detail)
	}
}

func TestWhatIsReported(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	number := 0
	for _, c := range []struct {
		name   string
		pages  int
		faults []hfaxd.Fault // of its number
		want   ending
		jobs   int // that the server was given
		dials  int // over all jobs
	}{
		{"all pages arrive", 3, nil, ending{dispatch.ReportDelivered, "", "3 of 3 pages"}, 1, 1},
		{"busy once", 1, []hfaxd.Fault{{Kind: hfaxd.Busy, Times: 1}}, ending{dispatch.ReportDelivered, "", "1 of 1"}, 1, 2},
		{"busy", 1, []hfaxd.Fault{{Kind: hfaxd.Busy}}, ending{dispatch.ReportBounced, "busy", "0 of 1 pages, dials: 2"}, 1, 2},
		{"nobody answers", 1, []hfaxd.Fault{{Kind: hfaxd.NoAnswer}}, ending{dispatch.ReportBounced, "no_answer", "nobody answered; 0 of 1"}, 1, 2},
		{"our line is dead", 1, []hfaxd.Fault{{Kind: hfaxd.NoDialTone}}, ending{dispatch.ReportBounced, "no_tone", "own line is dead"}, 1, 2},
		{"a person answers", 1, []hfaxd.Fault{{Kind: hfaxd.Human}}, ending{dispatch.ReportBounced, "no_carrier", "no fax"}, 1, 2},
		{"somebody kills the job", 2, []hfaxd.Fault{{Kind: hfaxd.Kill}}, ending{dispatch.ReportBounced, "killed", "0 of 2"}, 1, 1},
		{"the line drops in the first page", 2, []hfaxd.Fault{{Kind: hfaxd.Drop}}, ending{dispatch.ReportBounced, "dropped", "0 of 2"}, 1, 2},
		{"the only page is not confirmed", 1, []hfaxd.Fault{{Kind: hfaxd.Unconfirmed}}, ending{dispatch.ReportBounced, "unconfirmed", "it may have arrived; 0 of 1"}, 1, 2},
		{"the line drops behind the first page", 3, []hfaxd.Fault{{Kind: hfaxd.Drop, Page: 1, Times: 2}}, ending{dispatch.ReportDelivered, "", "3 of 3"}, 2, 3},
		{"it drops behind each page, always", 5, []hfaxd.Fault{{Kind: hfaxd.Drop, Page: 1}}, ending{dispatch.ReportBounced, "dropped", "of 5"}, 3, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			number++
			m := b.message(number, c.pages)
			for i := range c.faults {
				c.faults[i].Number = m.Address
			}
			b.faults(c.faults...)
			b.send(m)
			c.want.check(t, m, b.follow(b.Sender, 1)[0])
			rows := b.rows(m)
			last := rows[len(rows)-1]
			if len(rows) != c.jobs || last.DialsBefore+last.Dials != c.dials || last.State != ended {
				t.Errorf("its jobs are %+v", rows)
			}
			if left, err := b.store.untold(t.Context(), "fax"); err != nil || len(left) != 0 {
				t.Errorf("left to tell are %+v, %v", left, err)
			}
		})
	}
}

// TestNoPageGoesAgain: what a further job has are the pages that are left, as
// the first had them.
func TestNoPageGoesAgain(t *testing.T) {
	t.Parallel()
	b := start(t, func(a *Account, _ *settings) { a.Cover = true })
	m := b.message(1, 4)
	b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 2, Times: 2})
	b.send(m)
	ending{dispatch.ReportDelivered, "", "5 of 5"}.check(t, m, b.follow(b.Sender, 1)[0])
	got := b.arrived(m)
	if len(got) != 2 || got[0].Of != 5 || got[0].Pages+got[1].Of != 5 || got[1].Pages != got[1].Of {
		t.Fatalf("%d jobs arrived", len(got))
	}
	rows := b.rows(m)
	source, err := b.store.source(t.Context(), rows[0].Info)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := b.font.Render(source, rows[1].First)
	if err != nil || !bytes.Equal(whole.PDF, got[1].Document) {
		t.Errorf("the further job has other pages: %v", err)
	}
	if got[1].Info != m.WireID+"-1" {
		t.Errorf("its id is %s", got[1].Info)
	}
}

func TestAPersonIsCalledTwiceAtMost(t *testing.T) {
	t.Parallel()
	b := start(t, func(a *Account, _ *settings) { a.MaxDials = 10 })
	m := b.message(1, 1)
	b.faults(hfaxd.Fault{Kind: hfaxd.Human})
	b.send(m)
	ending{dispatch.ReportBounced, "no_carrier", "dials: 2"}.check(t, m, b.follow(b.Sender, 1)[0])
	m.Attempt = 2 // an operator sends it again
	_, err := b.open().Send(t.Context(), m)
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != dispatch.Permanent || !errors.Is(err, errPerson) {
		t.Errorf("sent again, it gives %v", err)
	}
	if n := len(b.rows(m)); n != 1 {
		t.Errorf("it has %d jobs", n)
	}
}

// TestDialsThatAPersonMayHaveAnswered are those of which nothing else is known.
func TestDialsThatAPersonMayHaveAnswered(t *testing.T) {
	t.Parallel()
	const busy, person, dropped = "Busy signal detected", "No carrier detected", "Unspecified Transmit Phase C error"
	for _, c := range []struct {
		name   string
		job    job
		status fax.Status
		want   int
	}{
		{"a person", job{}, fax.Status{Dials: 1, Text: person}, 1},
		{"a person, twice", job{Dials: 1, Vain: 1}, fax.Status{Dials: 2, Text: person}, 2},
		{"busy", job{}, fax.Status{Dials: 1, Text: busy}, 0},
		{"busy, and nobody looked at the dial before", job{}, fax.Status{Dials: 2, Text: busy}, 1},
		{"busy, after a person", job{Dials: 1, Vain: 1}, fax.Status{Dials: 2, Text: busy}, 1},
		{"a fax answered", job{}, fax.Status{Dials: 1, Tries: 1, Text: dropped}, 0},
		{"a fax answered the second time", job{}, fax.Status{Dials: 2, Tries: 1, State: fax.Done}, 1},
		{"nothing new", job{Dials: 2, Tries: 1, Vain: 1}, fax.Status{Dials: 2, Tries: 1, Text: busy}, 1},
	} {
		if got := c.job.inVain(c.status); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestAPersonBehindABusyLine is called twice at most, also over further jobs.
func TestAPersonBehindABusyLine(t *testing.T) {
	t.Parallel()
	b := start(t, func(a *Account, _ *settings) { a.MaxDials = 10 })
	m := b.message(1, 1)
	b.faults(hfaxd.Fault{Kind: hfaxd.Human, Times: 1}, hfaxd.Fault{Kind: hfaxd.Busy, Times: 1}, hfaxd.Fault{Kind: hfaxd.Human})
	b.send(m)
	ending{dispatch.ReportBounced, "no_carrier", "dials: 3"}.check(t, m, b.follow(b.Sender, 1)[0])
}

func TestBusyNumbersAreDialledAsOftenAsTheAccountSays(t *testing.T) {
	t.Parallel()
	b := start(t, func(a *Account, _ *settings) { a.MaxDials = 5 })
	m := b.message(1, 1)
	b.faults(hfaxd.Fault{Kind: hfaxd.Busy})
	b.send(m)
	ending{dispatch.ReportBounced, "busy", "dials: 5"}.check(t, m, b.follow(b.Sender, 1)[0])
}

func TestAJobIsEndedWhenItsMessageExpires(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 2)
	b.faults(hfaxd.Fault{Kind: hfaxd.Slow, Delay: sim.Duration(time.Hour)})
	b.send(m)
	b.clock.advance(time.Hour)
	ending{dispatch.ReportExpired, "expired", "no more time; 0 of 2"}.check(t, m, b.follow(b.Sender, 1)[0])
}

// TestACallThatDoesNotEndIsEnded: behind its last page it only holds the line,
// and all has arrived.
func TestACallThatDoesNotEndIsEnded(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 2)
	b.faults(hfaxd.Fault{Kind: hfaxd.Linger})
	b.send(m)
	b.await(func() bool { return b.rows(m)[0].Sent == 2 })
	if state := b.rows(m)[0].State; state != open {
		t.Fatalf("while it goes on, its job is %s", state)
	}
	b.clock.advance(lingersFor + time.Second)
	ending{dispatch.ReportDelivered, "", "2 of 2 pages"}.check(t, m, b.follow(b.Sender, 1)[0])
	if arrived := b.arrived(m); len(arrived) != 1 || arrived[0].Calls != 1 || arrived[0].State != "failed" {
		t.Errorf("the machine has %+v", arrived)
	}
}

// TestAnIDThatBeganAnewIsAnothersJob: the server counts to 32,000, and what it
// says of that job is not of ours.
func TestAnIDThatBeganAnewIsAnothersJob(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	ours, other := b.message(1, 1), b.message(2, 2)
	b.faults(hfaxd.Fault{Number: ours.Address, Kind: hfaxd.Busy})
	b.send(ours)
	b.send(other)
	b.follow(b.Sender, 2)
	f := b.follower(nil)
	defer f.close()
	listed, err := f.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	j := b.rows(ours)[0]
	ended := listed[j.Info]
	if got := f.last(t.Context(), j, ended); got.Code == 0 || got.Info != j.Info {
		t.Errorf("of its own job the server says %+v", got)
	}
	ended.ID = listed[b.rows(other)[0].Info].ID
	if got := f.last(t.Context(), j, ended); got != ended {
		t.Errorf("of another's job it takes %+v", got)
	}
}

// TestPagesThatAreLeftAreNotSentToAPerson: they may have answered meanwhile, as
// often as they are called.
func TestPagesThatAreLeftAreNotSentToAPerson(t *testing.T) {
	t.Parallel()
	b := start(t, func(_ *Account, s *settings) { s.pause = 10 * time.Minute })
	b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 1})
	m := b.message(1, 3)
	b.send(m)
	b.await(func() bool { return len(b.rows(m)) == 2 })
	if _, err := b.db.Exec(t.Context(), `UPDATE faxes SET vain = $2 WHERE delivery_id = $1 AND further = 0`, m.DeliveryID, mostInVain); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(11 * time.Minute)
	ending{dispatch.ReportBounced, "no_carrier", "of 3 pages"}.check(t, m, b.follow(b.Sender, 1)[0])
	if arrived := b.arrived(m); len(arrived) != 1 {
		t.Errorf("it was submitted %d times", len(arrived))
	}
}

// TestPagesThatAreLeftAreNotSentLate: a further job that would come after the
// message expired is none.
func TestPagesThatAreLeftAreNotSentLate(t *testing.T) {
	t.Parallel()
	b := start(t, func(_ *Account, s *settings) { s.pause = 30 * time.Minute })
	b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 1})
	late, planned := b.message(1, 2), b.message(2, 3)
	late.ExpiresAt = b.clock.now().Add(20 * time.Minute)
	b.send(late)
	ending{dispatch.ReportBounced, "dropped", "1 of 2"}.check(t, late, b.follow(b.Sender, 1)[0])
	b.send(planned)
	b.await(func() bool { return len(b.rows(planned)) == 2 })
	b.clock.advance(2 * time.Hour) // while the follower did not run
	ending{dispatch.ReportExpired, "expired", "of 3"}.check(t, planned, b.follow(b.Sender, 1)[0])
}

func TestAJobThatTheServerForgot(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 2)
	b.faults(hfaxd.Fault{Kind: hfaxd.Slow, Delay: sim.Duration(time.Hour)})
	b.send(m)
	b.sim.Restart(true)
	b.faults()
	next := b.message(2, 1)
	b.send(next)
	ending{dispatch.ReportDelivered, "", "1 of 1"}.check(t, next, b.follow(b.Sender, 1)[0])
	// It was not delivered, as far as anybody knows, and did not bounce.
	b.await(func() bool { return b.rows(m)[0].Outcome == forgotten })
	if left, err := b.store.untold(t.Context(), "fax"); err != nil || len(left) != 0 {
		t.Errorf("left to tell are %+v, %v", left, err)
	}
}

// TestAnotherRunGoesOn: what a follower knew is in the table.
func TestAnotherRunGoesOn(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 2)
	b.send(m)
	if err := b.sim.Faxes().WaitFor(t.Context(), func(kept []hfaxd.Fax, _ int64) bool { return len(kept) == 1 }); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("the database is away")
	err := b.Reports(t.Context(), func(context.Context, []dispatch.Report) error { return refused })
	if !errors.Is(err, refused) {
		t.Fatalf("a report that was not taken gives %v", err)
	}
	ending{dispatch.ReportDelivered, "", "2 of 2"}.check(t, m, b.follow(b.another(nil), 1)[0])
}

// TestTwoFollowersDoNoHarm: each job is given to the server once.
func TestTwoFollowersDoNoHarm(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	b.faults(hfaxd.Fault{Kind: hfaxd.Drop, Page: 1, Times: 8})
	var messages []dispatch.Message
	for i := range 6 {
		messages = append(messages, b.message(i, 3))
		b.send(messages[i])
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reports, ended := make(chan dispatch.Report, 100), make(chan error)
	for _, s := range []*Sender{b.Sender, b.another(nil)} {
		go func() {
			ended <- s.Reports(ctx, func(_ context.Context, some []dispatch.Report) error {
				for _, r := range some {
					reports <- r
				}
				return nil
			})
		}()
	}
	keys := map[string]dispatch.ReportEvent{}
	for len(keys) < len(messages) {
		select {
		case r := <-reports:
			keys[r.Key] = r.Event
		case <-ctx.Done():
			t.Fatalf("reported are %v", keys)
		}
	}
	cancel()
	<-ended
	<-ended
	for _, m := range messages {
		var infos []string
		for _, one := range b.arrived(m) {
			infos = append(infos, one.Info)
		}
		if slices.Sort(infos); len(slices.Compact(slices.Clone(infos))) != len(infos) {
			t.Errorf("jobs were given twice: %v", infos)
		}
		pages := 0
		for _, one := range b.arrived(m) {
			pages += one.Pages
		}
		if pages != 3 {
			t.Errorf("%d pages arrived, want 3", pages)
		}
	}
}

// TestTheServerIsAwayForAWhile: the follower goes on when it is back.
func TestTheServerIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	m := b.message(1, 1)
	b.faults(hfaxd.Fault{Kind: hfaxd.Slow, Delay: sim.Duration(200 * time.Millisecond)})
	b.send(m)
	b.wire.close()
	time.AfterFunc(100*time.Millisecond, b.wire.heal)
	ending{dispatch.ReportDelivered, "", "1 of 1"}.check(t, m, b.follow(b.Sender, 1)[0])
}

func TestDoneIsNotDeliveredBeforeAllPagesAre(t *testing.T) {
	t.Parallel()
	j := job{First: 2, Pages: 4, ExpiresAt: time.Now().Add(time.Hour)}
	for name, c := range map[string]struct {
		status fax.Status
		want   outcome
	}{
		"all pages":           {fax.Status{State: fax.Done, Sent: 3, Total: 3}, delivered},
		"ended behind them":   {fax.Status{State: fax.Failed, Sent: 3, Total: 3, Code: 345, Text: "Call aborted by user"}, delivered},
		"of more than ours":   {fax.Status{State: fax.Done, Sent: 3, Total: 4}, incomplete},
		"pages are missing":   {fax.Status{State: fax.Done, Sent: 2, Total: 3}, incomplete},
		"another document":    {fax.Status{State: fax.Done, Sent: 1, Total: 1}, incomplete},
		"nothing was sent":    {fax.Status{State: fax.Done}, incomplete},
		"failed without why":  {fax.Status{State: fax.Failed}, outcome(fax.ServerFault)},
		"rejected":            {fax.Status{State: fax.Failed, Code: 327, Text: "Permission denied"}, outcome(fax.Refused)},
		"killed before time":  {fax.Status{State: fax.Failed, Code: 345, Text: "Call aborted by user"}, outcome(fax.Killed)},
		"expired, by faxq":    {fax.Status{State: fax.Failed, Code: 325, Text: "Kill time expired"}, expired},
		"a document not made": {fax.Status{State: fax.Failed, Code: 347}, outcome(fax.Document)},
	} {
		if got := j.outcomeOf(c.status, time.Now()); got != c.want {
			t.Errorf("%s: it is %s, want %s", name, got, c.want)
		}
		if details[c.want] == "" && c.want != delivered {
			t.Errorf("%s has no words", c.want)
		}
	}
}

func TestWhatAServerSaysIsStored(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff("a b?c", printable("a\x00b\xffc")); diff != "" {
		t.Error(diff)
	}
	if got := printable(strings.Repeat("中", 400)); len(got) > 500 || !strings.HasPrefix(got, "中") || strings.ContainsRune(got, '\ufffd') {
		t.Errorf("it has %d bytes", len(got))
	}
}
