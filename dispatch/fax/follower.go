package fax

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"herald/dispatch"
	"herald/hardware/fax"
)

// Reports follows the account's jobs until ctx ends and reports what comes of
// them. Which those are is in the table, so it goes on where another process
// stopped; two nodes that follow the same job do no harm.
func (s *Sender) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	f := s.follower(take)
	defer f.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the waiters are waited for
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-s.news:
		case info := <-f.over:
			delete(f.waited, info)
		}
		if err := f.look(ctx); err != nil {
			return err
		}
		timer.Reset(s.set.every)
	}
}

// follower follows the jobs of an account. All but waiters and over belong to
// the goroutine of Reports.
type follower struct {
	*Sender
	take    func(context.Context, []dispatch.Report) error
	conn    *fax.Conn       // nil: there is none
	away    bool            // the server was told of as being away
	waited  map[string]bool // the jobs whose end a connection waits for
	missing map[string]int  // how often the server did not know a job of ours, in turn
	over    chan string     // a job that was waited for may have ended
	waiters sync.WaitGroup
}

func (s *Sender) follower(take func(context.Context, []dispatch.Report) error) *follower {
	return &follower{Sender: s, take: take, waited: map[string]bool{}, over: make(chan string), missing: map[string]int{}}
}

// close waits for the waiters, whose context has ended.
func (f *follower) close() {
	f.hangUp()
	f.waiters.Wait()
}

func (f *follower) hangUp() {
	if f.conn != nil {
		_ = f.conn.Close() // it is of no more use
		f.conn = nil
	}
}

// look brings the table up to date with the server, and reports. It fails when
// the database does, or whoever takes the reports.
func (f *follower) look(ctx context.Context) error {
	jobs, err := f.store.untold(ctx, f.cfg.Name)
	if err != nil {
		return err
	}
	var live []job
	for _, j := range jobs {
		if j.State != ended {
			live = append(live, j)
		}
	}
	if len(live) == 0 {
		f.hangUp()
		return f.report(ctx, jobs)
	}
	listed, err := f.list(ctx)
	switch {
	case err == nil:
		f.away = false
	case ctx.Err() != nil:
		return ctx.Err()
	case !f.away:
		f.away = true
		f.logger.WarnContext(ctx, "the fax server does not say how its jobs stand: it is asked again", "error", err)
	}
	if err != nil {
		f.hangUp()
		return f.report(ctx, jobs)
	}
	for _, j := range live {
		if err := f.follow(ctx, j, listed); err != nil {
			return err
		}
	}
	if jobs, err = f.store.untold(ctx, f.cfg.Name); err != nil {
		return err
	}
	return f.report(ctx, jobs)
}

// list asks for all jobs of the server, by our ids.
func (f *follower) list(ctx context.Context) (map[string]fax.Status, error) {
	if f.conn == nil || !f.conn.Usable() {
		conn, err := fax.Open(ctx, f.set.server)
		if err != nil {
			return nil, err
		}
		f.conn = conn
	}
	all, err := f.conn.List(ctx)
	if err != nil {
		return nil, err
	}
	listed := make(map[string]fax.Status, len(all))
	for _, s := range all {
		s.Text = printable(s.Text)
		listed[s.Info] = s
	}
	return listed, nil
}

// report reports what came of jobs that have ended, once.
func (f *follower) report(ctx context.Context, jobs []job) error {
	var reports []dispatch.Report
	var infos []string
	for _, j := range jobs {
		if j.State != ended {
			continue
		}
		if infos = append(infos, j.Info); j.Outcome != forgotten { // of those nobody knows anything to report
			reports = append(reports, j.report())
		}
	}
	if len(infos) == 0 {
		return nil
	}
	if len(reports) > 0 {
		if err := f.take(ctx, reports); err != nil {
			return fmt.Errorf("report what came of %d faxes: %w", len(reports), err)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	return f.store.tell(ctx, infos)
}

// follow notes how a job stands, and does what is next. It fails when the
// database does.
func (f *follower) follow(ctx context.Context, j job, listed map[string]fax.Status) error {
	status, known := listed[j.Info]
	switch {
	case known:
		delete(f.missing, j.Info)
		return f.known(ctx, j, status)
	case j.State == waiting:
		return f.goOn(ctx, j)
	case j.State == open:
		return f.unknown(ctx, j)
	case j.Further > 0: // and nobody else looks after it
		return f.lost(ctx, j)
	}
	return nil // it is being submitted, or dispatch asks what became of it
}

// known follows a job that the server has.
func (f *follower) known(ctx context.Context, j job, status fax.Status) error {
	if j.State != open {
		if err := f.store.opened(ctx, j.Info, status.ID); err != nil {
			return err
		}
	}
	j.ID = status.ID
	if status.Over() {
		return f.end(ctx, j, f.last(ctx, j, status))
	}
	lingers := j.lingers(status, f.now().Add(-f.set.lingers))
	// In a call, what is said is of the one before.
	if status.State != fax.Active && (status.Dials != j.Dials || status.Tries != j.Tries || status.Text != j.Text) || status.Sent != j.Sent {
		if status.State == fax.Active {
			status.Dials, status.Tries, status.Text = j.Dials, j.Tries, j.Text
		} else {
			j.Vain = j.inVain(status)
		}
		j.Sent, j.Dials, j.Tries, j.Text = status.Sent, status.Dials, status.Tries, status.Text
		if err := f.store.progress(ctx, j); err != nil {
			return err
		}
	}
	if lingers || !f.now().Before(j.ExpiresAt) {
		if err := f.conn.Kill(ctx, j.ID); err != nil && !errors.Is(err, fax.ErrOver) && !errors.Is(err, fax.ErrUnknown) {
			f.logger.WarnContext(ctx, "a fax that has expired, or whose call does not end, is not ended: it is tried again", "delivery", j.Delivery, "error", err)
		}
		return nil
	}
	f.wait(ctx, j)
	return nil
}

// lingers reports whether the call of a job goes on though all of its pages
// were confirmed by a time: its line, and ours, are held for nothing.
func (j job) lingers(s fax.Status, by time.Time) bool {
	return s.State == fax.Active && s.Confirmed(j.own()) && s.Sent == j.Sent && j.SentAt != nil && j.SentAt.Before(by)
}

// last asks for the server's number of the failure, which a list has not.
func (f *follower) last(ctx context.Context, j job, listed fax.Status) fax.Status {
	full, err := f.conn.Status(ctx, listed.ID)
	if err != nil || full.Info != j.Info || !full.Over() {
		return listed
	}
	full.Text = printable(full.Text)
	return full
}

// printable is as much of what a server says as can be stored and read.
func printable(text string) string {
	const most = 500
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// end notes what came of a job, and plans a further one where pages are left.
func (f *follower) end(ctx context.Context, j job, s fax.Status) error {
	now := f.now()
	j.Vain = j.inVain(s)
	j.Sent, j.Dials, j.Tries, j.Code, j.Text = min(s.Sent, j.own()), s.Dials, s.Tries, s.Code, s.Text
	j.Outcome = j.outcomeOf(s, now)
	due := now.Add(f.set.pause)
	if !j.goesOn(f.cfg.MaxDials, due) {
		due = time.Time{}
	}
	return f.store.end(ctx, j, due)
}

// timesMissing is how often the server must not know a job to have forgotten it.
const timesMissing = 2

// unknown follows a job that the server had, and does not know now.
func (f *follower) unknown(ctx context.Context, j job) error {
	f.missing[j.Info]++
	if f.missing[j.Info] < timesMissing {
		return nil
	}
	delete(f.missing, j.Info)
	j.Outcome = forgotten
	return f.store.end(ctx, j, time.Time{})
}

// lost follows a further job whose submission nobody answered.
func (f *follower) lost(ctx context.Context, j job) error {
	switch age := f.now().Sub(*j.SubmittedAt); {
	case age < f.set.settles:
		return nil
	case age < f.set.forgets:
		return f.store.putBack(ctx, j.Info, *j.SubmittedAt, f.now())
	}
	j.Outcome = forgotten
	return f.store.end(ctx, j, time.Time{})
}

// goOn submits a further job when it is due.
func (f *follower) goOn(ctx context.Context, j job) error {
	now := f.now()
	if !now.Before(j.ExpiresAt) || !j.Kept {
		j.Outcome = expired
		return f.store.end(ctx, j, time.Time{})
	}
	if now.Before(j.DueAt) {
		return nil
	}
	source, err := f.store.source(ctx, j.Info)
	if err != nil {
		return err
	}
	document, err := f.font.Render(source, j.First)
	if err == nil && document.Pages != j.Pages {
		err = fmt.Errorf("the fax has %d pages now, and had %d", document.Pages, j.Pages)
	}
	if err != nil {
		f.logger.ErrorContext(ctx, "the pages that are left of a fax cannot be made", "delivery", j.Delivery, "error", err)
		j.Outcome = outcome(fax.Document)
		return f.store.end(ctx, j, time.Time{})
	}
	vain, err := f.store.dialledInVain(ctx, j.Delivery)
	if err != nil {
		return err
	}
	if vain >= mostInVain {
		j.Outcome = outcome(fax.NoCarrier)
		return f.store.end(ctx, j, time.Time{})
	}
	tried, mine, err := f.store.claim(ctx, j.Info)
	if err != nil || !mine {
		return err
	}
	id, err := f.conn.Submit(ctx, f.order(j, source, document.PDF, vain))
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	switch {
	case err == nil:
		return f.store.opened(noting, j.Info, id)
	case errors.Is(err, fax.ErrUnanswered): // a later look finds it, or puts it back
		f.logger.WarnContext(ctx, "a fax that was handed over again was not answered", "delivery", j.Delivery, "error", err)
		return nil
	case f.fail(err).Class == dispatch.Permanent:
		j.Outcome, j.Text = outcome(fax.Refused), err.Error()
		return f.store.end(noting, j, time.Time{})
	}
	f.logger.WarnContext(ctx, "the pages that are left of a fax were not taken: they are tried again", "delivery", j.Delivery, "error", err)
	return f.store.putBack(noting, j.Info, tried, now.Add(f.set.pause))
}

// mostWaiters is how many jobs' ends are waited for, each on a connection of
// its own; those of others are seen at the next look.
const mostWaiters = 4

// wait lets the server tell when a job has ended.
func (f *follower) wait(ctx context.Context, j job) {
	if f.waited[j.Info] || len(f.waited) >= mostWaiters {
		return
	}
	f.waited[j.Info] = true
	f.waiters.Go(func() {
		if err := f.await(ctx, j.ID); err != nil { // the server does not tell: it is not asked at once again
			pause := time.NewTimer(f.set.every)
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
		select {
		case f.over <- j.Info:
		case <-ctx.Done():
		}
	})
}

// await returns when a job has ended; what came of it, a look finds out.
func (f *follower) await(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, f.set.waits)
	defer cancel()
	conn, err := fax.Open(ctx, f.set.server)
	if err != nil {
		return err
	}
	_, err = conn.Wait(ctx, id)
	_ = conn.Close() // it has served its turn
	return err
}
