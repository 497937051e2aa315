package modem

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/hardware/gsm"
	"herald/hardware/gsm/tpdu"
	"herald/subscriptions"
)

// errNobody leaves what came in the modem.
var errNobody = errors.New("nobody is there to take it")

// Receive gives what people write to take, until ctx ends. Pieces of a message
// are kept durably until all are there; nothing is deleted in the modem before.
func (s *Sender) Receive(ctx context.Context, take func(context.Context, []dispatch.Inbound) error) error {
	s.setTakers(func() { s.receive = take })
	defer s.setTakers(func() { s.receive = nil })
	s.modem.Collect()
	if err := parts.LookOverdue(ctx, s.parts, s.cfg.Name, take); err != nil {
		return err
	}
	return ctx.Err()
}

// Reports gives what the operator says of messages to take, until ctx ends.
func (s *Sender) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	s.setTakers(func() { s.report = take })
	defer s.setTakers(func() { s.report = nil })
	s.modem.Collect()
	<-ctx.Done()
	return ctx.Err()
}

func (s *Sender) setTakers(set func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set()
}

// takeMessages is what the modem gives its messages to.
func (s *Sender) takeMessages(ctx context.Context, messages []tpdu.Deliver) error {
	s.mu.Lock()
	take := s.receive
	s.mu.Unlock()
	if take == nil {
		return errNobody
	}
	var pieces []sms.Piece
	for _, d := range messages {
		if piece, ok := s.piece(d); ok {
			pieces = append(pieces, piece)
		}
	}
	if len(pieces) == 0 {
		return nil
	}
	return s.parts.Collect(ctx, s.cfg.Name, pieces, take)
}

// piece reads a message; false for one that is not for people: data for
// programs and the phone itself.
func (s *Sender) piece(d tpdu.Deliver) (sms.Piece, bool) {
	p := sms.Piece{From: sender(d.From), At: d.At}
	data, septets := d.Data, d.Length
	fill := 0
	if d.Header {
		header, rest, err := sms.ParseHeader(data)
		if err == nil {
			p.Header, data, fill = header, rest, header.Fill()
			septets -= header.Septets()
		}
	}
	switch {
	case d.DCS.Compressed(), p.Header.ToPort != 0, d.DCS.Alphabet() == tpdu.Data8, d.PID == silent:
		s.logger.Info("a message for a program came in, and is passed over", "dcs", byte(d.DCS))
		return p, false
	case d.DCS.Alphabet() == tpdu.UCS2:
		p.Encoding, p.Data = sms.UCS2, data
	default:
		p.Encoding, p.Data = sms.GSM7, sms.Unpack(data, max(septets, 0), fill)
	}
	return p, true
}

// silent is TP-PID of a message that no phone shows (type 0, 3GPP TS 23.040,
// section 9.2.3.9).
const silent = 0x40

// sender is a number as contact points have it, or a name.
func sender(a tpdu.Address) string {
	if a.Name != "" {
		return strings.TrimSpace(sms.DecodeGSM7([]byte(a.Name), 0, 0))
	}
	return a.Number()
}

// takeReports is what the modem gives its status reports to.
func (s *Sender) takeReports(ctx context.Context, list []tpdu.StatusReport) error {
	s.mu.Lock()
	take := s.report
	s.mu.Unlock()
	if take == nil {
		return errNobody
	}
	var reports []dispatch.Report
	var lost []reported
	for _, r := range list {
		report, of, ours, err := s.reportOf(ctx, r)
		switch {
		case err != nil:
			return err
		case !ours:
			s.logger.InfoContext(ctx, "a status report is of no message of ours", "status", byte(r.Status))
			continue
		case report.Event == dispatch.ReportBounced || report.Event == dispatch.ReportExpired:
			lost = append(lost, of)
		}
		reports = append(reports, report)
	}
	reports, err := s.parts.Reports(ctx, reports)
	if err == nil && len(reports) > 0 {
		err = take(ctx, reports)
	}
	for _, of := range lost {
		if err == nil { // whoever wants it sent again means anew
			err = s.store.lose(ctx, of.whole, of.Number)
		}
	}
	return err
}

// reportOf finds what a status report is of: a delivery of one part by its id,
// a part of others by the id that it was given when it was taken. A report of
// what was in doubt ends the doubt.
func (s *Sender) reportOf(ctx context.Context, r tpdu.StatusReport) (report dispatch.Report, of reported, ours bool, err error) {
	if r.OfCommand {
		return report, of, false, nil
	}
	of, ours, err = s.store.find(ctx, s.modem.Health().SIM, r.Reference, hashNumber(r.To.Digits), r.At)
	if err != nil || !ours {
		return report, of, false, err
	}
	if of.State == doubt {
		of.ProviderID = s.providerID(r.Reference)
		if err := s.store.took(ctx, of.whole, of.Number, r.Reference, of.ProviderID); err != nil {
			return report, of, false, err
		}
		if of.Of > 1 {
			taken := parts.Part{DeliveryID: of.Delivery, Part: of.Number, ProviderID: of.ProviderID}
			if err := s.parts.Accepted(ctx, of.Account, taken); err != nil {
				return report, of, false, err
			}
		}
	}
	report = dispatch.Report{
		Account: of.Account, Channel: subscriptions.SMS, Event: events[r.Status.Fate()],
		Code: fmt.Sprintf("%02X", byte(r.Status)), At: r.Done,
		Key: fmt.Sprintf("%s %02X", of.ProviderID, byte(r.Status)),
	}
	if of.Of == 1 {
		report.DeliveryID = of.Delivery
	} else {
		report.ProviderID = of.ProviderID
	}
	return report, of, true, nil
}

// events are what the fate of a message is for dispatch. An absent phone or a
// full one is no reason never to write there again, so no address is dead.
var events = map[tpdu.Fate]dispatch.ReportEvent{
	tpdu.Trying: dispatch.ReportDelayed, tpdu.Delivered: dispatch.ReportDelivered,
	tpdu.Failed: dispatch.ReportBounced, tpdu.Expired: dispatch.ReportExpired,
}

// late is told what a part came to for whose answer nobody waited any more.
func (s *Sender) late(u tpdu.Submit, sent gsm.Sent, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), noteWithin)
	defer cancel()
	if noted := s.noteLate(ctx, u, sent, err); noted != nil {
		s.logger.ErrorContext(ctx, "a late answer is not noted", "error", noted)
	}
}

func (s *Sender) noteLate(ctx context.Context, u tpdu.Submit, sent gsm.Sent, err error) error {
	of, found, ferr := s.store.find(ctx, s.modem.Health().SIM, u.Reference, hashNumber(u.To.Digits), s.now())
	if ferr != nil || !found || of.State != doubt {
		return ferr
	}
	switch {
	case err == nil, saysDuplicate(err) && u.RejectDuplicates:
		reference := sent.Reference
		if err != nil {
			reference = u.Reference
		}
		s.accepted(ctx, of.whole, of.Number, reference, s.providerID(reference))
		return nil
	case classify(err).Class == dispatch.Doubt, u.RejectDuplicates:
		return nil // it says nothing of the first time
	}
	return s.store.refuse(ctx, of.whole, of.Number, classify(err).Code)
}
