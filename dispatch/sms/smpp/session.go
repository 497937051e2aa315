package smpp

import (
	"context"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/smpp/pdu"
)

// session is what messages are handed over on: a link, or a transmitter and
// its receiver. It belongs to one goroutine at a time; its links have their
// own.
type session struct {
	client   *Client
	link     *link // that submits, unless the account only receives
	receiver *link // of a pair; else nil

	writer writer
	said   []byte // kept for its room, as the following
	places []place
	ends   []int
	sent   []uint32

	// allowed is how many units may wait for their answers: the account's
	// window, and less for a while after the centre found us too fast.
	allowed int
	pause   time.Duration // how long it rests when it finds us too fast again
	hold    time.Time     // nothing is submitted before
	useless bool          // the centre lets us submit nothing more
	timer   *time.Timer
}

var (
	_ dispatch.BatchSession = (*session)(nil)
	_ dispatch.LiveSession  = (*session)(nil)
)

func newSession(c *Client) *session {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &session{client: c, writer: writer{client: c}, allowed: c.cfg.Window, pause: firstPause, timer: timer}
}

// Send hands one message over.
func (s *session) Send(ctx context.Context, m dispatch.Message) (r dispatch.Receipt, err error) {
	one := [1]dispatch.Message{m}
	s.SendBatch(ctx, one[:], func(_ int, receipt dispatch.Receipt, failure error) { r, err = receipt, failure })
	return r, err
}

// Broken reports whether nothing more can be said on the session.
func (s *session) Broken() bool {
	return s.useless || !s.link.isGood() || s.receiver != nil && !s.receiver.isGood()
}

// Alive asks the centre whether the session still is one. It fails with
// *dispatch.SendError, and the session is broken then.
func (s *session) Alive(ctx context.Context) error {
	for _, l := range s.links() {
		if _, err := l.ask(ctx, enquiry); err != nil {
			l.end(err)
			return &dispatch.SendError{Class: dispatch.SessionFatal, Account: s.client.cfg.Name, Err: err}
		}
	}
	return nil
}

func (s *session) links() []*link {
	if s.receiver == nil {
		return []*link{s.link}
	}
	return []*link{s.link, s.receiver}
}

// farewell is how long a centre may take to answer unbind.
const farewell = time.Second

// Close ends the session, with unbind where that is still possible, and
// returns when its goroutines are gone.
func (s *session) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	for _, l := range s.links() {
		if ctx.Err() == nil && l.isGood() {
			// Whatever comes of it, it is over.
			_, _ = l.ask(ctx, func(dst []byte, sequence uint32) ([]byte, error) {
				return pdu.AppendBare(dst, pdu.Unbind, pdu.OK, sequence), nil
			})
		}
		l.end(errClosed)
		l.running.Wait()
	}
	s.timer.Stop()
	return nil
}
