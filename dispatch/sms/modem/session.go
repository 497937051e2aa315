package modem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/hardware/gsm"
	"herald/hardware/gsm/tpdu"
)

// session is the right to use the modem, as long as it works on.
type session struct {
	sender *Sender
	starts int // of the modem when it was opened
	broken bool
}

var _ dispatch.LiveSession = (*session)(nil)

// Broken reports whether the modem failed since the session was opened.
func (s *session) Broken() bool {
	h := s.sender.modem.Health()
	return s.broken || h.State != gsm.Ready || h.Starts != s.starts
}

// Alive is nil while the modem is ready; it watches itself.
func (s *session) Alive(context.Context) error {
	if !s.Broken() {
		return nil
	}
	s.broken = true
	return s.fail(&dispatch.SendError{Class: dispatch.SessionFatal, Err: gsm.ErrNotReady})
}

// Close gives the modem back.
func (s *session) Close(context.Context) error {
	s.broken = true
	return nil
}

func (s *session) fail(e *dispatch.SendError) error {
	e.Account = s.sender.cfg.Name
	if e.Class == dispatch.SessionFatal {
		s.broken = true
	}
	return e
}

// Send hands the parts over that were not taken before, in order.
func (s *session) Send(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	if s.Broken() || ctx.Err() != nil {
		return dispatch.Receipt{}, s.fail(&dispatch.SendError{Class: dispatch.SessionFatal, Err: errors.Join(gsm.ErrNotReady, ctx.Err())})
	}
	receipt, failure := s.sender.send(ctx, m, nil)
	if failure != nil {
		return dispatch.Receipt{}, s.fail(failure)
	}
	return receipt, nil
}

// errNotPhone is why a message without a phone's number is not sent.
var errNotPhone = errors.New("the recipient has no phone number")

// noteWithin is how long the outcome of a part may take to be noted, also
// after ctx ended.
const noteWithin = 10 * time.Second

// send hands a message over; nil is success. Whoever calls it has decided that
// parts in doubt are to be sent again, unless mayRepeat says no.
func (s *Sender) send(ctx context.Context, m dispatch.Message, mayRepeat func(sim string) *dispatch.SendError) (dispatch.Receipt, *dispatch.SendError) {
	letter, failure := s.write(m)
	if failure == nil && mayRepeat != nil {
		failure = mayRepeat(letter.SIM)
	}
	if failure != nil {
		return dispatch.Receipt{}, failure
	}
	progress, err := s.progress(ctx, m, letter)
	if err != nil {
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	var missing []int
	for n, taken := range progress.Accepted {
		if !taken {
			missing = append(missing, n)
		}
	}
	ready, failure := s.begin(ctx, letter, missing, mayRepeat == nil)
	if failure != nil {
		return dispatch.Receipt{}, failure
	}
	if mayRepeat != nil && slices.ContainsFunc(ready, func(p part) bool { return p.untold(letter.SIM) }) {
		s.release(ctx, letter.whole)
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Doubt, Err: errStaysInDoubt}
	}
	first := progress.ProviderIDs[0]
	for _, p := range ready {
		id, failure := s.sendPart(ctx, letter, progress.Reference, p)
		if failure != nil {
			s.release(ctx, letter.whole)
			return dispatch.Receipt{}, failure
		}
		if p.Number == 0 {
			first = id
		}
	}
	return dispatch.Receipt{ProviderID: first, Account: s.cfg.Name, Code: "OK", Detail: detail(len(letter.text.Parts))}, nil
}

func detail(parts int) string {
	if parts == 1 {
		return ""
	}
	return fmt.Sprintf("%d parts", parts)
}

// letter is a message as it will be written.
type letter struct {
	whole
	text  sms.Composition
	to    tpdu.Address
	valid tpdu.Validity
}

// write composes a message. What cannot be written will never be sent.
func (s *Sender) write(m dispatch.Message) (letter, *dispatch.SendError) {
	to, err := tpdu.Number(m.Address)
	if err != nil {
		return letter{}, &dispatch.SendError{Class: dispatch.Permanent, Err: errNotPhone}
	}
	text, err := s.compose(m)
	if err != nil {
		return letter{}, &dispatch.SendError{Class: dispatch.Permanent, Err: err}
	}
	l := letter{text: text, to: to, whole: whole{
		Delivery: m.DeliveryID, Account: s.cfg.Name, SIM: s.modem.Health().SIM,
		Recipient: hashNumber(m.Address), Text: textOf(m), Of: len(text.Parts),
	}}
	if l.SIM == "" { // it is being set up, and nothing is known of what this SIM sent
		return letter{}, &dispatch.SendError{Class: dispatch.SessionFatal, Err: gsm.ErrNotReady}
	}
	if !m.ExpiresAt.IsZero() {
		l.valid.For = max(m.ExpiresAt.Sub(s.now()), time.Minute)
	}
	return l, nil
}

// textOf tells what a message says, and to whom, from what others do.
func textOf(m dispatch.Message) int64 { return hash(m.Address + "\x00" + m.Content.Text) }

// bornAt is when a delivery was made, which its id says (RFC 9562, section 5.7).
func bornAt(delivery uuid.UUID) time.Time { return time.Unix(delivery.Time().UnixTime()) }

// progress is how far a message has come at earlier attempts. One of one part
// is known by the Store alone.
func (s *Sender) progress(ctx context.Context, m dispatch.Message, l letter) (parts.Progress, error) {
	if l.Of == 1 {
		return parts.Progress{Accepted: make([]bool, 1), ProviderIDs: make([]string, 1)}, nil
	}
	progress, err := s.parts.Begin(ctx, s.cfg.Name, []parts.Start{{DeliveryID: m.DeliveryID, Address: m.Address, Of: l.Of, Text: l.text.Text}})
	if err != nil {
		return parts.Progress{}, err
	}
	return progress[0], nil
}

// begin makes parts ready to be sent; renew is Store.begin's.
func (s *Sender) begin(ctx context.Context, l letter, missing []int, renew bool) ([]part, *dispatch.SendError) {
	if n := len(missing); s.cfg.DailyQuota > 0 && n > s.cfg.DailyQuota || s.cfg.MonthlyQuota > 0 && n > s.cfg.MonthlyQuota {
		return nil, &dispatch.SendError{Class: dispatch.Transient, Err: errors.New("it has more parts than the SIM may send in a day or month")}
	}
	ready, err := s.store.begin(ctx, l.whole, missing, s.quotas, renew)
	var full *exhausted
	switch {
	case errors.As(err, &full):
		day, month := s.quotas.ends(s.now())
		if len(full.period) > len("2006-01") {
			month = day
		}
		s.full.Store(month.Unix())
		s.logger.WarnContext(ctx, "the SIM sends no more: its quota is used up", "period", full.period, "until", month)
		// Another account may take it at once.
		return nil, &dispatch.SendError{Class: dispatch.SessionFatal, After: month.Sub(s.now()), Err: err}
	case err != nil:
		return nil, &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	if usage, err := s.store.usage(ctx, l.SIM, s.quotas); err == nil {
		s.usage.Store(&usage)
	}
	return ready, nil
}

// sendPart sends a part, unless it is known what came of it, and notes what
// comes of it.
func (s *Sender) sendPart(ctx context.Context, l letter, reference uint16, p part) (id string, failure *dispatch.SendError) {
	again := p.State == doubt
	// What the centre says of a shared reference may be said of another part,
	// and that of a new one of none.
	tells := again && !p.Shared
	if p.State == accepted { // as was heard late, or by a run that died then
		s.tellParts(ctx, l.whole, p.Number, p.ProviderID)
		return p.ProviderID, nil
	}
	if err := s.store.intend(ctx, l.whole, p.Number); err != nil {
		return "", &dispatch.SendError{Class: dispatch.Transient, Err: err}
	}
	sent, err := s.modem.Submit(ctx, tpdu.Submit{
		RejectDuplicates: tells, Report: !s.cfg.NoReports, Reference: p.Reference, To: l.to, Validity: l.valid,
		UserData: l.userData(reference, p.Number),
	})
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	if tells && saysDuplicate(err) {
		sent, err = gsm.Sent{Reference: p.Reference}, nil
	} else if err == nil {
		if err := s.store.learn(noting, l.SIM, sent.Own); err != nil {
			s.logger.WarnContext(ctx, "what was learnt of the modem is lost", "error", err)
		}
	}
	if err != nil {
		return "", s.notTaken(noting, l, p, again, err)
	}
	id = s.providerID(sent.Reference)
	s.accepted(noting, l.whole, p.Number, sent.Reference, id)
	return id, nil
}

func (l letter) userData(reference uint16, n int) tpdu.UserData {
	u := tpdu.UserData{Length: l.text.Length(n), Data: l.text.Octets(reference, n), Header: l.text.Header(reference, n) != nil}
	if l.text.Encoding == sms.UCS2 {
		u.DCS = tpdu.UCS2
	}
	return u
}

// providerID names a part by when it was sent and its reference: the modem
// gives it no other name, and references come again.
func (s *Sender) providerID(reference byte) string {
	return fmt.Sprintf("%s-%d", s.now().UTC().Format("20060102T150405.000"), reference)
}

// mayRepeat is nil when a part in doubt can be sent again without becoming
// two: the modem sends our references, and the centre looks for duplicates.
func (s *Sender) mayRepeat(ctx context.Context, sim string) *dispatch.SendError {
	keeps, err := s.store.keeps(ctx, sim)
	switch {
	case err != nil:
		return &dispatch.SendError{Class: dispatch.Doubt, Err: err}
	case s.cfg.HoldDoubt || !keeps:
		return &dispatch.SendError{Class: dispatch.Doubt, Err: errStaysInDoubt}
	}
	return nil
}

var errStaysInDoubt = errors.New("it may have been sent, and cannot be sent again as the same")

// accepted notes a part as taken; that it was is true whatever comes of that.
func (s *Sender) accepted(ctx context.Context, w whole, n int, reference byte, id string) {
	if err := s.store.took(ctx, w, n, reference, id); err != nil {
		s.logger.ErrorContext(ctx, "a part that was sent is not noted", "delivery", w.Delivery, "part", n, "error", err)
	}
	s.tellParts(ctx, w, n, id)
}

// tellParts notes a part of several as taken, so that it is not sent again and
// its report counts.
func (s *Sender) tellParts(ctx context.Context, w whole, n int, id string) {
	if w.Of == 1 {
		return
	}
	if err := s.parts.Accepted(ctx, s.cfg.Name, parts.Part{DeliveryID: w.Delivery, Part: n, ProviderID: id}); err != nil {
		s.logger.ErrorContext(ctx, "a part that was sent is not noted", "delivery", w.Delivery, "part", n, "error", err)
	}
}

// notTaken says what a failure means and notes it. A part that was in doubt
// before stays so until the centre clearly has it or refuses it.
func (s *Sender) notTaken(ctx context.Context, l letter, p part, again bool, err error) *dispatch.SendError {
	failure := classify(err)
	var note error
	var refusal *gsm.Error
	isRefusal := errors.As(err, &refusal)
	switch {
	case failure.Class == dispatch.Doubt:
	case again && (failure.Class == dispatch.SessionFatal || !isRefusal):
		failure.Class = dispatch.Doubt
	case again && failure.Class == dispatch.Permanent:
		note = s.store.refuse(ctx, l.whole, p.Number, failure.Code)
	case again: // it may pass, and says nothing of the first time
		failure.Class = dispatch.Doubt
	case isRefusal:
		note = s.store.refuse(ctx, l.whole, p.Number, failure.Code)
	default:
		note = s.store.unsent(ctx, l.whole, p.Number)
	}
	if note != nil {
		s.logger.ErrorContext(ctx, "a part that was not sent is not noted", "delivery", l.Delivery, "part", p.Number, "error", note)
	}
	return failure
}

// release gives back what the parts count that were not sent.
func (s *Sender) release(ctx context.Context, w whole) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	if err := s.store.release(ctx, w); err != nil {
		s.logger.WarnContext(ctx, "what was not sent stays counted for an hour", "delivery", w.Delivery, "error", err)
	}
}

// Resolve finds out what became of a message in doubt: by what was heard of
// its parts since, and by sending those in doubt again under their references,
// which the centre refuses if it has them (3GPP TS 23.040, sections 9.2.3.6
// and 9.2.3.25). Where another part to the recipient has the reference, too,
// that would tell nothing, and the doubt stays, as it does while another SIM is
// in the modem.
func (s *Sender) Resolve(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	failed := func(f *dispatch.SendError) (dispatch.Receipt, error) {
		f.Account = s.cfg.Name
		return dispatch.Receipt{}, f
	}
	known, err := s.store.parts(ctx, m.DeliveryID, s.cfg.Name)
	if err != nil {
		return failed(&dispatch.SendError{Class: dispatch.Doubt, Err: err})
	}
	taken, inDoubt, changed, refusal := 0, false, false, ""
	for _, p := range known {
		switch p.State {
		case accepted:
			taken++
		case doubt:
			inDoubt = true
		case refused:
			refusal = p.Detail
		}
		changed = changed || p.text != textOf(m)
	}
	switch {
	case taken > 0 && taken == known[0].of: // whatever it would say now, and by which SIM
		return s.receipt(ctx, m.DeliveryID, known), nil
	case len(known) == 0 && s.now().Sub(bornAt(m.DeliveryID)) > keepParts/2, changed:
		return failed(&dispatch.SendError{Class: dispatch.Doubt, Err: errStaysInDoubt}) // nobody knows any more
	case len(known) == 0: // its intent was never noted
		return failed(&dispatch.SendError{Class: dispatch.Transient, Err: errors.New("it was not sent")})
	case !inDoubt && refusal != "":
		return failed(&dispatch.SendError{Class: dispatch.Transient, Code: refusal, Err: errors.New("it was refused")})
	}
	var mayRepeat func(string) *dispatch.SendError
	if inDoubt {
		mayRepeat = func(sim string) *dispatch.SendError { return s.mayRepeat(ctx, sim) }
	}
	receipt, failure := s.send(ctx, m, mayRepeat)
	if failure != nil {
		if inDoubt && failure.Class != dispatch.Permanent {
			failure.Class = dispatch.Doubt
		}
		return failed(failure)
	}
	return receipt, nil
}

// receipt is that of a message of which all parts are known to be taken.
func (s *Sender) receipt(ctx context.Context, delivery uuid.UUID, known []part) dispatch.Receipt {
	w := whole{Delivery: delivery, Account: s.cfg.Name, Of: len(known)}
	for _, p := range known {
		s.tellParts(ctx, w, p.Number, p.ProviderID)
	}
	return dispatch.Receipt{ProviderID: known[0].ProviderID, Account: s.cfg.Name, Code: "OK", Detail: detail(len(known))}
}
