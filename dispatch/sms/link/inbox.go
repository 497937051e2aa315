package link

import (
	"context"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/wire"
)

// inbox keeps what people write until somebody took it, or until it is durable
// where its other parts are awaited: the gateway is answered only then.
type inbox struct {
	account string
	parts   Parts
	queue   *queue[sms.Piece]
}

// newInbox makes an inbox of an account that keeps most short messages.
func newInbox(account string, store Parts, most int) *inbox {
	return &inbox{account: account, parts: store, queue: newQueue[sms.Piece](most)}
}

// put keeps p, by its Key, until it was taken, when taken is called. It is
// false when there is no room.
func (b *inbox) put(p sms.Piece, taken func()) bool { return b.queue.put(p.Key, p, taken) }

// run gives the messages that are whole to take until ctx ends or take fails;
// what it failed with is given again.
func (b *inbox) run(ctx context.Context, take func(context.Context, []dispatch.Inbound) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		if err := parts.LookOverdue(ctx, b.parts, b.account, take); err != nil {
			cancel(err)
		}
	}()
	err := b.queue.run(ctx, func(ctx context.Context, pieces []sms.Piece) error {
		return b.parts.Collect(ctx, b.account, pieces, take)
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(err)
	<-looked
	return err
}

// Piece makes the content of a short message one that an Intake takes; it is
// false when it is for no reader, but for a program or a card. Of content with
// a user data header hasUDH is true.
func Piece(format wire.Format, hasUDH bool, content []byte) (p sms.Piece, readable bool) {
	if hasUDH {
		// A header that cannot be read is ignored (3GPP 23.040, section
		// 9.2.3.24): what stands there is text then.
		if header, rest, err := sms.ParseHeader(content); err == nil {
			p.Header, content = header, rest
		}
	}
	p.Encoding, p.Data = sms.UCS2, content
	if format != wire.UCS2 { // of which a character may be cut in two
		text, ok := wire.Read(format, content)
		p.Data = sms.AppendUCS2(nil, text)
		readable = ok
	}
	return p, (readable || format == wire.UCS2) && p.Header.ToPort == 0
}
