package smpp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
)

// Parts keeps what must be known of messages in several parts; *parts.Store is
// one.
type Parts interface {
	Begin(ctx context.Context, account string, starts []parts.Start) ([]parts.Progress, error)
	Accepted(ctx context.Context, account string, taken ...parts.Part) error
	Reports(ctx context.Context, reports []dispatch.Report) ([]dispatch.Report, error)
	Collect(ctx context.Context, account string, pieces []sms.Piece, take func(context.Context, []dispatch.Inbound) error) error
	Overdue(ctx context.Context, account string, take func(context.Context, []dispatch.Inbound) error) error
}

var _ Parts = (*parts.Store)(nil)

// long is a message of several units. Its parts go one after the other: the
// next one when the one before was taken.
type long struct {
	composed sms.Composition
	parts.Progress
	fresh   []parts.Part // that were taken and are not noted
	unnoted bool         // some could not be noted: another attempt would send them again
	settled bool
}

// missing is the first part that the centre has not; -1: it has all.
func (l *long) missing() int { return slices.Index(l.Accepted, false) }

func (l *long) portion() portion {
	return portion{composed: l.composed, part: l.missing(), concat: l.Reference}
}

// surelyOne is the longest text, in octets of UTF-8, that is one part however
// it is written: 70 characters of UCS-2.
const surelyOne = 70

// prepare finds the messages of several units and how far they have come.
func (b *batch) prepare() {
	if b.client.cfg.LongMessages == longPayload {
		return // the centre cuts them
	}
	var starts []parts.Start
	var which []int
	for i := range b.ms {
		m := &b.ms[i]
		if len(m.Content.Text) <= surelyOne {
			continue
		}
		composed, err := b.client.compose(&b.writer.composer, m.Content.Text)
		if err != nil || len(composed.Parts) < 2 {
			continue
		}
		for p, part := range composed.Parts { // the composer's memory is used again
			composed.Parts[p] = slices.Clone(part)
		}
		composed.Parts = slices.Clone(composed.Parts)
		if b.long == nil {
			b.long = map[int]*long{}
		}
		b.long[i] = &long{composed: composed}
		which = append(which, i)
		starts = append(starts, parts.Start{DeliveryID: m.DeliveryID, Address: m.Address, Of: len(composed.Parts), Text: composed.Text})
	}
	if len(starts) == 0 {
		return
	}
	progress, err := b.client.parts.Begin(b.ctx, b.client.cfg.Name, starts)
	for n, i := range which {
		switch {
		case err != nil:
			b.failLong(i, &dispatch.SendError{Class: dispatch.Transient, Err: fmt.Errorf("begin a message of several parts: %w", err)})
		default:
			b.long[i].Progress = progress[n]
			b.finish(i) // an attempt before may have done so
		}
	}
}

// finish settles a message of which the centre has all parts.
func (b *batch) finish(i int) (finished bool) {
	l := b.long[i]
	if l.missing() >= 0 {
		return false
	}
	b.settleLong(i)
	b.accept(i, l.ProviderIDs[0])
	return true
}

// took goes on with a message of which a part was taken.
func (b *batch) took(p *place) {
	l := b.long[p.message]
	l.Accepted[p.part] = true
	l.ProviderIDs[p.part] = p.id
	l.fresh = append(l.fresh, parts.Part{DeliveryID: b.delivery(p.message), Part: p.part, ProviderID: l.ProviderIDs[p.part]})
	b.noting = append(b.noting, p.message)
}

// noteWithin is how long the note of parts that were taken may take.
const noteWithin = 5 * time.Second

// note makes durable which parts were taken since it was called last, and goes
// on with their messages.
func (b *batch) note() {
	if len(b.noting) == 0 {
		return
	}
	var fresh []parts.Part
	for _, i := range b.noting {
		fresh = append(fresh, b.long[i].fresh...)
	}
	// What was taken is noted even when the batch's time is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), noteWithin)
	defer cancel()
	err := b.client.parts.Accepted(ctx, b.client.cfg.Name, fresh...)
	for _, i := range b.noting {
		l := b.long[i]
		l.fresh, l.unnoted = nil, l.unnoted || err != nil
		if !b.finish(i) {
			b.ready = append(b.ready, i)
		}
	}
	b.noting = b.noting[:0]
}

var errUnnoted = errors.New("parts of the message were taken, and could not be noted")

// failLong settles a message of which a part was not taken.
func (b *batch) failLong(i int, failure *dispatch.SendError) {
	if b.settleLong(i).unnoted && failure.Class != dispatch.Permanent {
		failure.Class, failure.Err = dispatch.Doubt, errors.Join(errUnnoted, failure.Err)
	}
	b.fail(i, failure)
}

// settleLong marks a message as settled, if it is one of several parts.
func (b *batch) settleLong(i int) *long {
	l := b.long[i]
	if l != nil {
		l.settled = true
	}
	return l
}

// dropParts settles the messages of which some parts were taken, and the
// others cannot be submitted on this session.
func (b *batch) dropParts(why error) {
	for _, i := range b.ready {
		b.failLong(i, &dispatch.SendError{Class: dispatch.SessionFatal, Err: errors.Join(why, b.ctx.Err())})
	}
	b.ready = b.ready[:0]
}
