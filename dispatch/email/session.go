package email

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"time"

	"herald/dispatch"
)

// session is one connection to a mail server that mail can be sent on. It
// belongs to one goroutine at a time.
type session struct {
	mailer  *Mailer
	conn    net.Conn        // below the encryption: its deadline bounds everything
	text    *textproto.Conn // above it
	replies replyReader

	pipelining    bool // RFC 2920
	international bool // SMTPUTF8, RFC 6531

	said   []byte // what is to be said next; kept for its room
	opened time.Time
	armed  time.Time // when the deadline was set
	spoke  bool      // the server answered since it was greeted
	broken bool      // nothing more can be said
}

var (
	_ dispatch.BatchSession = (*session)(nil)
	_ dispatch.LiveSession  = (*session)(nil)
)

// Send hands one message over.
func (s *session) Send(ctx context.Context, m dispatch.Message) (r dispatch.Receipt, err error) {
	one := [1]dispatch.Message{m}
	s.SendBatch(ctx, one[:], func(_ int, receipt dispatch.Receipt, failure error) { r, err = receipt, failure })
	return r, err
}

// Broken reports whether nothing more can be said on the session.
func (s *session) Broken() bool { return s.broken }

// Alive asks the server whether the session still is one. It fails with
// *dispatch.SendError, and the session is broken then.
func (s *session) Alive(ctx context.Context) error {
	defer s.bind(ctx)()
	if s.broken || ctx.Err() != nil {
		s.broken = true
		return &dispatch.SendError{Class: dispatch.SessionFatal, Account: s.mailer.cfg.Name, Err: errors.Join(errBroken, ctx.Err())}
	}
	s.arm(ctx)
	if err := s.reset(ctx); err != nil {
		return err
	}
	return nil
}

var errBroken = errors.New("the session is broken")

// reset makes the server forget what was said of a message. After a failure
// the session is broken.
func (s *session) reset(ctx context.Context) *dispatch.SendError {
	if _, err := s.say([]byte("RSET\r\n")); err != nil {
		s.broken = true
		return s.failure(ctx, starting, err)
	}
	_, failure := s.hear(ctx, starting, 2)
	s.broken = s.broken || failure != nil
	return failure
}

// goodbye is how long a server may take to answer QUIT.
const goodbye = time.Second

// Close ends the session, with QUIT where that is still possible.
func (s *session) Close(ctx context.Context) error {
	if s.broken {
		return closed(s.conn.Close())
	}
	s.broken = true
	defer s.bind(ctx)()
	if err := s.conn.SetDeadline(time.Now().Add(goodbye)); err == nil && ctx.Err() == nil {
		if _, err := s.say([]byte("QUIT\r\n")); err == nil {
			_, _ = s.replies.next() // it is over either way
		}
	}
	if ctx.Err() != nil { // no time for the end of the encryption
		return closed(s.conn.Close())
	}
	return closed(s.text.Close())
}

// closed is what is wrong with the end of a connection; that the server ended
// it first is not.
func closed(err error) error {
	var opErr *net.OpError
	if err == nil || errors.Is(err, net.ErrClosed) || isClosed(err) || errors.As(err, &opErr) && opErr.Timeout() {
		return nil
	}
	return fmt.Errorf("close a connection: %w", err)
}

// bind makes the conversation end with ctx. The function it returns must be
// called when the conversation rests.
func (s *session) bind(ctx context.Context) (rest func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	stop := context.AfterFunc(ctx, s.cut)
	return func() {
		if !stop() {
			s.broken = true
		}
	}
}

// cut ends what is being said or heard.
func (s *session) cut() { _ = s.conn.SetDeadline(time.Unix(1, 0)) } // a closed connection needs none

// arm gives the next message its time. The deadline is moved no more often
// than eight times within the time-out, so a message has at least seven
// eighths of it, and never more than all.
func (s *session) arm(ctx context.Context) {
	now := time.Now()
	if limit := s.mailer.cfg.Timeout; now.Sub(s.armed) > limit/8 {
		s.armed = now
		if err := s.conn.SetDeadline(now.Add(limit)); err != nil {
			s.broken = true // the next word on it fails
		}
		if ctx.Err() != nil { // which may have cut before
			s.cut()
		}
	}
}

// say writes to the server. n is how much left this machine, as far as can be
// known: the server has not seen more.
func (s *session) say(text []byte) (n int, err error) {
	out := s.text.W
	if n, err = out.Write(text); err != nil {
		return n, err
	}
	if err = out.Flush(); err != nil {
		n -= out.Buffered()
	}
	return n, err
}

// hear reads the answer to what was said at a stage, whose code must begin
// with wanted. After any other answer than a plain refusal the session is broken.
func (s *session) hear(ctx context.Context, at stage, wanted int) (reply, *dispatch.SendError) {
	r, err := s.replies.next()
	if err != nil {
		s.broken = true
		return reply{}, s.failure(ctx, at, err)
	}
	s.spoke = true
	if r.code/100 == wanted {
		return r, nil
	}
	if r.code < 400 || r.code == 421 {
		s.broken = true
	}
	return reply{}, s.failure(ctx, at, r.asError())
}

// failure says what an error means for the message it befell.
func (s *session) failure(ctx context.Context, at stage, err error) *dispatch.SendError {
	if s.broken && ctx.Err() == context.Canceled { // says more than the time-out by which we end a conversation
		err = errors.Join(context.Canceled, err)
	}
	failure := classify(at, err)
	failure.Account = s.mailer.cfg.Name
	if at == naming && isClosed(err) && (s.spoke || time.Since(s.opened) > time.Second) {
		// The server had ended the session before it heard of this message. When
		// it ends a new session at the first word, that is its answer.
		failure.Class = dispatch.SessionFatal
	}
	return failure
}
