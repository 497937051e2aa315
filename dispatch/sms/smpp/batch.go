package smpp

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms/smpp/pdu"
)

// batch is messages on their way over a session. Each index is settled once:
// done was called for it.
type batch struct {
	*session
	ctx  context.Context
	ms   []dispatch.Message
	done func(int, dispatch.Receipt, error)

	next    int           // the first message that was not looked at
	waiting int           // units that wait for their answers
	long    map[int]*long // messages of several units that are not settled, by index
	ready   []int         // those whose next part may be submitted
	noting  []int         // those of which a part was just taken
	armed   time.Time     // when the timer rings; zero: it does not
}

// How long a session rests when the centre finds it too fast: twice as long
// each time, until it takes as many at a time as before.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 3 * time.Second
)

// SendBatch submits the messages in their order, with as many waiting for
// their answers as the window has room for. The parts of a message follow one
// another; those of other messages go in between.
func (s *session) SendBatch(ctx context.Context, ms []dispatch.Message, done func(i int, r dispatch.Receipt, err error)) {
	b := batch{session: s, ctx: ctx, ms: ms, done: done}
	if s.client.cfg.Bind == bindReceiver {
		b.refuseAll()
		return
	}
	if !s.Broken() && ctx.Err() == nil {
		b.prepare()
		b.run()
	}
	b.farewell()
	for ; b.next < len(ms); b.next++ {
		if l := b.long[b.next]; l == nil || !l.settled {
			b.unspoken(b.next, errUnspoken)
		}
	}
	if cap(s.said) > mostKept {
		s.said = nil
	}
}

// mostKept is the largest buffer that a session keeps.
const mostKept = 256 << 10

var (
	errUnspoken = errors.New("the session ended before the message's turn")
	errReceiver = errors.New("the account is bound as a receiver: it sends nothing")
)

// unspoken settles a message that the centre cannot have taken, because the
// session ended before it.
func (b *batch) unspoken(i int, err error) {
	b.fail(i, &dispatch.SendError{Class: dispatch.SessionFatal, Err: errors.Join(err, b.ctx.Err())})
}

func (b *batch) refuseAll() {
	for i := range b.ms {
		b.fail(i, &dispatch.SendError{Class: dispatch.Configuration, Err: errReceiver})
	}
}

func (b *batch) fail(i int, failure *dispatch.SendError) {
	failure.Account = b.client.cfg.Name
	b.done(i, dispatch.Receipt{}, failure)
}

// accepted is how an answer that takes a message is recorded.
const accepted = "ROK"

func (b *batch) accept(i int, id string) {
	b.done(i, dispatch.Receipt{Account: b.client.cfg.Name, Code: accepted, ProviderID: id}, nil)
}

// run submits and hears until all is settled, or the session is of no use.
func (b *batch) run() {
	for {
		b.collect()
		switch {
		case b.link.reason() != nil:
			b.broke()
			return
		case b.ctx.Err() != nil:
			b.abandon()
			return
		case b.Broken():
			b.expire()
			if b.waiting == 0 {
				b.dropParts(errUnspoken)
				return
			}
		default:
			b.expire()
			b.fill()
			if b.waiting == 0 && !b.hasWork() {
				return
			}
		}
		b.wait()
	}
}

func (b *batch) hasWork() bool { return b.next < len(b.ms) || len(b.ready) > 0 }

// farewell answers a centre that asked us to leave.
func (b *batch) farewell() {
	if b.link.reason() == nil && !b.link.isGood() {
		_ = b.link.goodbye() // it says that it is over
	}
}

// fill submits while there is room in the window.
func (b *batch) fill() {
	if time.Now().Before(b.hold) {
		return
	}
	b.said, b.ends, b.sent = b.said[:0], b.ends[:0], b.sent[:0]
	for b.waiting < b.allowed {
		i, p, found := b.choose()
		if !found {
			break
		}
		b.submit(i, p)
	}
	if len(b.said) == 0 {
		return
	}
	begin := b.link.write(b.said)
	b.link.wrote(begin, b.sent, b.ends, time.Now())
}

// choose is the next unit: the next part of a message whose part before was
// taken, or else the next message.
func (b *batch) choose() (i int, p portion, found bool) {
	for len(b.ready) > 0 {
		i, b.ready = b.ready[0], b.ready[1:]
		return i, b.long[i].portion(), true
	}
	for b.next < len(b.ms) {
		i = b.next
		b.next++
		if l := b.long[i]; l != nil {
			if l.settled {
				continue
			}
			return i, l.portion(), true
		}
		composed, err := b.client.compose(&b.writer.composer, b.ms[i].Content.Text)
		if err != nil {
			b.fail(i, &dispatch.SendError{Class: dispatch.Permanent, Err: err})
			continue
		}
		return i, portion{composed: composed}, true
	}
	return 0, portion{}, false
}

// submit appends a unit to what is said next.
func (b *batch) submit(i int, p portion) {
	m := &b.ms[i]
	if b.link.version >= pdu.Version34 {
		// What an SMSC before 3.4 does with an option is not defined (section 3.3).
		p.reference = b.client.nextReference(m.Address)
	}
	start := len(b.said)
	said, err := b.writer.append(b.said, 0, m, p)
	if err != nil {
		b.settleLong(i)
		b.fail(i, &dispatch.SendError{Class: dispatch.Permanent, Err: err})
		return
	}
	b.said = said
	u := unit{delivery: m.DeliveryID, address: m.Address, reference: p.reference, message: i, part: whole}
	if b.long[i] != nil {
		u.part = p.part
	}
	sequence := b.link.fill(u)
	pdu.SetSequence(b.said, start, sequence)
	b.sent, b.ends = append(b.sent, sequence), append(b.ends, len(b.said))
	b.waiting++
}

// whole is the part of a unit that is a whole message.
const whole = -1

// wait rests until something was answered, the timer rings, or ctx ends.
func (b *batch) wait() {
	b.arm()
	select {
	case <-b.link.wake:
	case <-b.ctx.Done():
	case <-b.timer.C:
		b.armed = time.Time{}
	}
}

// arm sets the timer to when the first answer is due, or the rest is over. An
// alarm that is too early does no harm: answers only become due later.
func (b *batch) arm() {
	alarm := b.armed
	if alarm.IsZero() {
		alarm = b.link.due(b.client.cfg.Timeout)
	}
	if b.hasWork() && time.Now().Before(b.hold) && (alarm.IsZero() || b.hold.Before(alarm)) {
		alarm = b.hold
	}
	if alarm.IsZero() || alarm.Equal(b.armed) {
		return
	}
	b.armed = alarm
	b.timer.Reset(time.Until(alarm))
}

// collect settles what was answered.
func (b *batch) collect() {
	b.places = b.link.collect(b.places[:0])
	for i := range b.places {
		b.waiting--
		b.answer(&b.places[i])
	}
	b.note()
}

func (b *batch) answer(p *place) {
	if p.status == pdu.OK && !p.broken {
		b.speedUp()
		if p.part == whole {
			b.accept(p.message, p.id)
		} else {
			b.took(p)
		}
		return
	}
	failure := b.client.refused(p.status)
	if p.broken { // a generic_nack: the centre does not understand us
		failure.Class = dispatch.SessionFatal
	}
	switch failure.Class {
	case dispatch.Throttled:
		b.slowDown()
	case dispatch.SessionFatal:
		b.useless = true
	}
	b.failUnit(p, failure)
}

// slowDown rests, and lets one unit at a time go afterwards. Nothing that the
// centre refused is overtaken by what belongs behind it: the parts of a message
// wait for one another.
func (b *batch) slowDown() {
	now := time.Now()
	if b.allowed = 1; now.Before(b.hold) {
		return // the answers of one window are one refusal
	}
	b.hold = now.Add(b.pause)
	b.pause = min(2*b.pause, mostPause)
}

func (b *batch) speedUp() {
	if b.allowed == b.client.cfg.Window {
		return
	}
	if b.allowed++; b.allowed == b.client.cfg.Window {
		b.pause = firstPause
	}
}

var errTimeout = errors.New("the centre did not answer in time")

// expire gives up what was not answered in time, when the timer has rung.
func (b *batch) expire() {
	if !b.armed.IsZero() {
		return
	}
	now := time.Now()
	b.places = b.link.giveUp(b.places[:0], now.Add(-b.client.cfg.Timeout).Add(time.Nanosecond))
	heard := time.Unix(0, b.link.heard.Load())
	for i := range b.places {
		p := &b.places[i]
		b.waiting--
		b.doubt(p, errTimeout)
		if heard.Before(p.sent) { // nor did it say anything else
			b.link.end(errSilent)
		}
	}
}

// abandon settles everything when ctx has ended.
func (b *batch) abandon() {
	b.places = b.link.giveUp(b.places[:0], time.Now().Add(time.Hour))
	for i := range b.places {
		b.doubt(&b.places[i], context.Cause(b.ctx))
	}
	b.collect() // what was answered just before
	b.dropParts(errUnspoken)
}

// broke settles everything when the link is down: what the centre cannot have
// had in full, because that never left this process, was not taken.
func (b *batch) broke() {
	why, reached := b.link.reason(), b.link.out.reached()
	b.link.running.Wait() // nothing is heard any more
	b.collect()
	b.places = b.link.giveUp(b.places[:0], time.Now().Add(time.Hour))
	for i := range b.places {
		if p := &b.places[i]; p.end > reached {
			b.failUnit(p, &dispatch.SendError{Class: dispatch.SessionFatal, Err: why})
		} else {
			b.doubt(p, why)
		}
	}
	b.dropParts(why)
}

// doubt settles a unit that the centre may have taken.
func (b *batch) doubt(p *place, why error) {
	if p.part == whole {
		b.client.doubts.add(p.unit)
	}
	b.failUnit(p, &dispatch.SendError{Class: dispatch.Doubt, Err: why})
}

func (b *batch) failUnit(p *place, failure *dispatch.SendError) {
	if p.part != whole {
		b.failLong(p.message, failure)
		return
	}
	b.fail(p.message, failure)
}

// nextReference numbers a unit to an address, as none in doubt there is.
func (c *Client) nextReference(address string) uint16 {
	for {
		n := uint16(c.references.Add(1)) //nolint:gosec // the lower bits
		if n != 0 && !c.doubts.has(reference{n, address}) {
			return n
		}
	}
}

// delivery names a message in what is kept of its parts.
func (b *batch) delivery(i int) uuid.UUID { return b.ms[i].DeliveryID }
