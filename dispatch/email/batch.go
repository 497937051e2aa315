package email

import (
	"context"
	"errors"

	"herald/dispatch"
)

// batch is messages on their way over a session. Each index is settled once:
// done was called for it.
type batch struct {
	*session
	ctx  context.Context
	ms   []dispatch.Message
	done func(int, dispatch.Receipt, error)
	next int // the first that was not looked at
}

// none is the index of no message.
const none = -1

// SendBatch hands the messages over in their order, with pipelining where the
// server offers it.
func (s *session) SendBatch(ctx context.Context, ms []dispatch.Message, done func(i int, r dispatch.Receipt, err error)) {
	b := batch{session: s, ctx: ctx, ms: ms, done: done}
	defer s.bind(ctx)()
	s.broken = s.broken || ctx.Err() != nil
	switch {
	case s.broken:
	case s.pipelining:
		b.pipeline()
	default:
		b.takeTurns()
	}
	if cap(s.said) > mostKept {
		s.said = nil
	}
	for b.next < len(ms) {
		b.unspoken(b.next)
		b.next++
	}
}

// mostKept is the largest buffer that a session keeps.
const mostKept = 256 << 10

var errUnspoken = errors.New("the session ended before the message's turn")

// unspoken settles a message that the server cannot have taken, because the
// session ended before it.
func (b *batch) unspoken(i int) {
	if i == none {
		return
	}
	failure := &dispatch.SendError{Class: dispatch.SessionFatal, Account: b.mailer.cfg.Name, Err: errUnspoken}
	if err := b.ctx.Err(); err != nil {
		failure.Err = errors.Join(errUnspoken, err)
	}
	b.done(i, dispatch.Receipt{}, failure)
}

func (b *batch) fail(i int, failure *dispatch.SendError) {
	b.done(i, dispatch.Receipt{}, failure)
}

func (b *batch) accept(i int, r reply) {
	b.done(i, receipt(b.mailer.cfg.Name, r.code, string(r.text)), nil)
}

// envelope appends the commands of the next message that can be sent to what
// is said next, and is its index; those that cannot are settled. None: there
// is no more.
func (b *batch) envelope() int {
	for b.next < len(b.ms) {
		i := b.next
		b.next++
		whole, err := b.appendEnvelope(b.said, &b.ms[i])
		if err == nil {
			b.said = whole
			return i
		}
		b.fail(i, &dispatch.SendError{Class: dispatch.Permanent, Account: b.mailer.cfg.Name, Err: err})
	}
	return none
}

var errInternational = errors.New("the server takes no international addresses")

// appendEnvelope writes MAIL, RCPT and DATA. BODY=8BITMIME is asked for where
// the header has such an address and nowhere else: all the rest is ASCII.
func (s *session) appendEnvelope(dst []byte, m *dispatch.Message) ([]byte, error) {
	if err := s.mailer.composer.check(m); err != nil {
		return dst, err
	}
	plain := isASCII(m.Address)
	if !plain && !s.international {
		return dst, errInternational
	}
	dst, err := s.mailer.appendReturnPath(append(dst, "MAIL FROM:<"...), m.DeliveryID)
	if err != nil {
		return dst, err
	}
	if dst = append(dst, '>'); !plain {
		dst = append(dst, " SMTPUTF8 BODY=8BITMIME"...) // RFC 6531, section 3.4
	}
	dst = append(append(dst, "\r\nRCPT TO:<"...), m.Address...)
	return append(dst, ">\r\nDATA\r\n"...), nil
}

// settle reads the answer to a message that was said to its dot.
func (b *batch) settle(i int) {
	r, failure := b.hear(b.ctx, ending, 2)
	if failure != nil {
		b.fail(i, failure)
		return
	}
	b.accept(i, r)
}

// interrupted settles a message that could not be said with all that followed
// it: n bytes were, and its dot stands at the end of the first dot bytes. The
// server may have answered before it closed the connection.
func (b *batch) interrupted(i, n, dot int, err error) {
	b.broken = true
	at := writing
	if n >= dot {
		at = ending
	}
	if isClosed(err) {
		if r, rerr := b.replies.next(); rerr == nil {
			if r.code/100 == 2 && at == ending {
				b.accept(i, r)
				return
			}
			if r.code < 400 { // it says that it took what it was not given
				at = ending
			}
			err = r.asError()
		}
	}
	b.fail(i, b.failure(b.ctx, at, err))
}
