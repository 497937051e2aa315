package fax

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"herald/dispatch"
	"herald/dispatch/fax/pages"
	"herald/hardware/fax"
)

// session is a connection to the server.
type session struct {
	sender *Sender
	conn   *fax.Conn
	broken bool
}

var _ dispatch.LiveSession = (*session)(nil)

// Broken reports whether nothing more can be said.
func (s *session) Broken() bool { return s.broken || !s.conn.Usable() }

// Alive asks the server how it is.
func (s *session) Alive(ctx context.Context) error {
	health, err := s.conn.Check(ctx)
	if err == nil && !health.Scheduler {
		err = errNoScheduler
	}
	if err != nil {
		s.broken = true
		return s.sender.fail(err)
	}
	return nil
}

// Close signs out.
func (s *session) Close(context.Context) error {
	s.broken = true
	_ = s.conn.Close() // it is gone, one way or another
	return nil
}

func (s *session) failed(f *dispatch.SendError) (dispatch.Receipt, error) {
	f.Account = s.sender.cfg.Name
	if f.Class == dispatch.SessionFatal {
		s.broken = true
	}
	return dispatch.Receipt{}, f
}

// The reasons for not sending.
var (
	errNotFax = errors.New("the recipient has no fax number")
	errPerson = errors.New("a person may have answered there, twice: it is not dialled again")
	errEmpty  = errors.New("it says nothing")
)

// Send submits a fax. A job of the delivery that is under way already is not
// submitted again.
func (s *session) Send(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	if s.Broken() || ctx.Err() != nil {
		return s.failed(&dispatch.SendError{Class: dispatch.SessionFatal, Err: errors.Join(fax.ErrClosed, ctx.Err())})
	}
	source, document, failure := s.sender.write(m)
	if failure != nil {
		return s.failed(failure)
	}
	vain, err := s.sender.store.dialledInVain(ctx, m.DeliveryID)
	if err != nil {
		return s.failed(&dispatch.SendError{Class: dispatch.Transient, Err: err})
	}
	if vain >= mostInVain {
		return s.failed(&dispatch.SendError{Class: dispatch.Permanent, Code: string(fax.NoCarrier), Err: errPerson})
	}
	wanted := job{
		Delivery: m.DeliveryID, Attempt: m.Attempt, Account: s.sender.cfg.Name, Pages: document.Pages, Private: m.Private, ExpiresAt: s.sender.expires(m),
	}
	for range 2 { // again, when the job before turns out not to have been submitted
		j, begun, err := s.sender.store.begin(ctx, m.WireID, wanted, source, document.PDF)
		if err != nil {
			return s.failed(&dispatch.SendError{Class: dispatch.Transient, Err: err})
		}
		if begun {
			return s.submit(ctx, j, s.sender.order(j, source, document.PDF, vain))
		}
		receipt, failure := s.sender.find(ctx, s.conn, j)
		if failure == nil {
			return receipt, nil
		}
		if errors.Is(failure, errTooLate) { // whoever calls has decided to send it again
			if err := s.sender.store.giveUp(ctx, j.Info, forgotten, errTooLate.Error()); err != nil {
				return s.failed(s.sender.inDoubt(err))
			}
			continue
		}
		if failure.Class != dispatch.Transient {
			return s.failed(failure)
		}
	}
	return s.failed(&dispatch.SendError{Class: dispatch.Transient, Err: errors.New("another hand-over of it is under way")})
}

// expires is when a message is given up at the latest.
func (s *Sender) expires(m dispatch.Message) time.Time {
	latest := s.now().Add(s.cfg.GiveUpAfter)
	if !m.ExpiresAt.IsZero() && m.ExpiresAt.Before(latest) {
		return m.ExpiresAt
	}
	return latest
}

// write makes the pages of a message. What cannot be written will never be sent.
func (s *Sender) write(m dispatch.Message) (pages.Fax, pages.Document, *dispatch.SendError) {
	refuse := func(err error) (pages.Fax, pages.Document, *dispatch.SendError) {
		return pages.Fax{}, pages.Document{}, &dispatch.SendError{Class: dispatch.Permanent, Err: err}
	}
	if !isNumber(m.Address) {
		return refuse(errNotFax)
	}
	if m.Content.Text == "" && m.Content.Subject == "" {
		return refuse(errEmpty)
	}
	source := pages.Fax{
		Locale: cmp.Or(m.Content.Locale, s.cfg.Locale), At: s.now().In(s.set.zone).Truncate(time.Minute),
		From: s.cfg.SenderName, FromNumber: s.cfg.SenderNumber, To: m.Name, ToNumber: m.Address,
		Subject: m.Content.Subject, Body: m.Content.Text, Cover: s.cfg.Cover,
	}
	document, err := s.font.Render(source, 1)
	if err != nil {
		return refuse(err)
	}
	if document.Missing != "" {
		s.logger.Warn("the font for faxes lacks characters: boxes stand for them", "delivery", m.DeliveryID, "characters", len([]rune(document.Missing)))
	}
	return source, document, nil
}

// submit gives a job to the server on a session.
func (s *session) submit(ctx context.Context, j job, order fax.Job) (dispatch.Receipt, error) {
	id, err := s.conn.Submit(ctx, order)
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	if err == nil {
		s.sender.note(noting, j, s.sender.store.opened(noting, j.Info, id))
		s.sender.told()
		return s.sender.receipt(j, id), nil
	}
	if errors.Is(err, fax.ErrUnanswered) {
		receipt, failure := s.sender.lookFor(ctx, j)
		if failure == nil {
			return receipt, nil
		}
		failure.Class, failure.Err = dispatch.Doubt, errors.Join(err, failure.Err)
		return s.failed(failure)
	}
	s.sender.note(noting, j, s.sender.store.giveUp(noting, j.Info, unsent, err.Error()))
	return s.failed(s.sender.fail(err))
}

// noteWithin is how long an outcome may take to be noted, also after ctx ended.
const noteWithin = 10 * time.Second

// note says that a note failed; the follower finds out by itself.
func (s *Sender) note(ctx context.Context, j job, err error) {
	if err != nil {
		s.logger.ErrorContext(ctx, "how a fax stands is not noted", "delivery", j.Delivery, "error", err)
	}
}

const (
	// mostInVain is how often a number is dialled where a person may answer.
	mostInVain = 2
	// shortest is the least that a server can be told to try.
	shortest = time.Minute
)

// order is a job as the server is given it. Within one, the server dials
// whatever happens, so no job may dial more often than a person may be called.
func (s *Sender) order(j job, source pages.Fax, document []byte, vain int) fax.Job {
	left := s.cfg.MaxDials - j.DialsBefore
	if j.First > 1 { // a fax has answered there
		left = mostInVain
	}
	dials := max(min(left, mostInVain-vain), 1)
	order := fax.Job{
		Number: s.cfg.dialled(source.ToNumber), PDF: document, Info: j.Info, NoECM: s.cfg.NoECM,
		MaxDials: dials, MaxTries: s.cfg.MaxTries, RetryAfter: s.cfg.RetryAfter, Modem: s.cfg.Modem,
		LastTime: max(j.ExpiresAt.Sub(s.now()), shortest),
	}
	if s.cfg.Standard {
		order.Resolution = fax.Standard
	}
	return order
}

func (s *Sender) receipt(j job, id string) dispatch.Receipt {
	unit := " pages"
	if j.Pages == 1 {
		unit = " page"
	}
	return dispatch.Receipt{ProviderID: id, Account: s.cfg.Name, Code: "200", Detail: strconv.Itoa(j.Pages) + unit}
}

// lookFor looks for a job on a session of its own.
func (s *Sender) lookFor(ctx context.Context, j job) (dispatch.Receipt, *dispatch.SendError) {
	conn, err := fax.Open(ctx, s.set.server)
	if err != nil {
		return dispatch.Receipt{}, s.inDoubt(err)
	}
	defer conn.Close() //nolint:errcheck // it was only asked
	return s.find(ctx, conn, j)
}

func (s *Sender) inDoubt(err error) *dispatch.SendError {
	return &dispatch.SendError{Class: dispatch.Doubt, Account: s.cfg.Name, Err: err}
}

var (
	errMaybe   = errors.New("the server may come to it still")
	errTooLate = errors.New("nobody knows any more whether the server had it")
	errNever   = errors.New("the server does not have it")
)

// find asks the server for a job that may have been submitted: a Receipt when
// it was, Transient when it surely was not, and Doubt otherwise.
func (s *Sender) find(ctx context.Context, conn *fax.Conn, j job) (dispatch.Receipt, *dispatch.SendError) {
	if j.State != submitting { // it was, and goes on or has ended
		return s.receipt(j, j.ID), nil
	}
	found, err := conn.Find(ctx, j.Info)
	if err != nil {
		return dispatch.Receipt{}, s.inDoubt(err)
	}
	if len(found) > 0 {
		if err := s.store.opened(ctx, j.Info, found[0].ID); err != nil {
			return dispatch.Receipt{}, s.inDoubt(err)
		}
		s.told()
		return s.receipt(j, found[0].ID), nil
	}
	switch age := s.now().Sub(*j.SubmittedAt); {
	case age < s.set.settles:
		return dispatch.Receipt{}, s.inDoubt(errMaybe)
	case age > s.set.forgets:
		return dispatch.Receipt{}, s.inDoubt(errTooLate)
	}
	if err := s.store.giveUp(ctx, j.Info, unsent, errNever.Error()); err != nil {
		return dispatch.Receipt{}, s.inDoubt(err)
	}
	return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Transient, Account: s.cfg.Name, Err: errNever}
}

// Resolve finds out what became of a fax in doubt: by its row, which is
// written before it is submitted, and by asking the server for it.
func (s *Sender) Resolve(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	j, found, err := s.store.latest(ctx, m.DeliveryID, s.cfg.Name)
	switch {
	case err != nil:
		return dispatch.Receipt{}, s.inDoubt(err)
	case !found, j.Outcome == unsent, j.State == ended && j.Attempt < m.Attempt:
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Transient, Account: s.cfg.Name, Err: errNever}
	case j.State != submitting || j.Further > 0:
		return s.receipt(j, j.ID), nil
	}
	receipt, failure := s.lookFor(ctx, j)
	if failure != nil {
		return dispatch.Receipt{}, failure
	}
	return receipt, nil
}
