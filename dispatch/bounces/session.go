package bounces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"herald/dispatch"
	"herald/subscriptions"
)

// session is one client's conversation; go-smtp calls it from one goroutine.
type session struct {
	listener *Listener
	take     func(context.Context, []dispatch.Report) error
	ctx      context.Context
	host     netip.Prefix

	fromNobody bool        // MAIL FROM:<>, as bounces have
	deliveries []uuid.UUID // named by return addresses
	complaints bool        // Config.Complaints was named
}

var (
	errUnknown     = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such address here"}
	errNotFromYou  = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "this address takes no mail from you"}
	errUnavailable = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "it could not be stored, send it again later"}
)

// Reset implements smtp.Session.
func (s *session) Reset() { s.fromNobody, s.deliveries, s.complaints = false, nil, false }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.fromNobody = from == ""
	return nil
}

// Rcpt implements smtp.Session: it takes addresses that Herald made, and no others.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	l := s.listener
	to = strings.ToLower(to)
	if to == l.cfg.Complaints && to != "" {
		if len(l.cfg.ComplaintNetworks) > 0 && !slices.ContainsFunc(l.cfg.ComplaintNetworks, s.within) {
			l.metrics.refused.WithLabelValues("sender").Inc()
			return errNotFromYou
		}
		s.complaints = true
		return nil
	}
	delivery, ours := l.deliveryOf(to)
	if !ours {
		l.metrics.refused.WithLabelValues("recipient").Inc()
		return errUnknown
	}
	if !slices.Contains(s.deliveries, delivery) {
		s.deliveries = append(s.deliveries, delivery)
	}
	return nil
}

func (s *session) within(network netip.Prefix) bool { return network.Contains(s.host.Addr()) }

// readFor is how much of a message is read for its meaning. What a report says
// stands before the mail that it returns.
const readFor = 256 << 10

// Data implements smtp.Session: nil, which is said as 250, means that what the
// message tells is kept.
func (s *session) Data(r io.Reader) error {
	l := s.listener
	var head bytes.Buffer
	_, err := io.Copy(&head, io.LimitReader(r, readFor))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		if errors.Is(err, smtp.ErrDataTooLarge) {
			l.metrics.refused.WithLabelValues("size").Inc()
		}
		return err
	}
	f := read(head.Bytes(), s.fromNobody)
	if reports := s.reports(f); len(reports) > 0 {
		ctx, cancel := context.WithTimeout(s.ctx, l.cfg.TakeTimeout)
		defer cancel()
		if err := s.take(ctx, reports); err != nil {
			l.metrics.refused.WithLabelValues("unavailable").Inc()
			l.cfg.Logger.Warn("a bounce could not be recorded: its sender will try again", "delivery", reports[0].DeliveryID, "error", err)
			return errUnavailable
		}
	}
	l.metrics.messages.WithLabelValues(string(f.kind)).Inc()
	if f.kind == other {
		l.cfg.Logger.Info("mail to a return address was not understood", "deliveries", s.deliveries)
	}
	return nil
}

// reports says of each delivery that the envelope names, or that a complaint
// returns, what was found.
func (s *session) reports(f finding) []dispatch.Report {
	if f.event == "" {
		return nil
	}
	deliveries := s.deliveries
	if s.complaints && f.kind == complaint {
		if delivery, found := s.listener.returned(f.returned); found && !slices.Contains(deliveries, delivery) {
			deliveries = append(slices.Clone(deliveries), delivery)
		}
	}
	list := make([]dispatch.Report, len(deliveries))
	for i, delivery := range deliveries {
		list[i] = dispatch.Report{
			DeliveryID: delivery, Channel: subscriptions.Email,
			Event: f.event, Code: f.code, Detail: f.detail, AddressDead: f.addressDead,
			At:  s.listener.when(f.at),
			Key: fmt.Sprintf("bounce:%s:%s", f.id, delivery),
		}
	}
	return list
}

// returned is the delivery whose mail a complaint gives back.
func (l *Listener) returned(r returned) (uuid.UUID, bool) {
	for _, address := range r.from {
		if delivery, ours := l.deliveryOf(address); ours {
			return delivery, true
		}
	}
	for _, text := range []string{r.delivery, r.messageID} {
		if delivery, err := uuid.Parse(text); err == nil && len(text) == 36 && delivery != uuid.Nil {
			return delivery, true
		}
	}
	return uuid.Nil, false
}

// when is the time a message gives, if it can be one: a clock that is wrong,
// or a lie, must not put a report before its delivery or into the future.
func (l *Listener) when(at time.Time) time.Time {
	now := l.cfg.Now()
	if at.After(now) || at.Before(now.Add(-30*24*time.Hour)) {
		return time.Time{}
	}
	return at
}
