package email

import (
	"bytes"

	"herald/dispatch"
)

// front is what is said before an envelope.
type front int

const (
	nothing front = iota
	content       // of the message before
	// The message before was refused, but the server waits for its content: it
	// is given none (RFC 2920, section 3.1), and refuses that, too.
	loneDot
	restart // the message before was refused
)

var fronts = map[front]string{loneDot: ".\r\n", restart: "RSET\r\n"}

// pipeline says the content of a message and the envelope of the next one in
// one breath, the most that RFC 2920, section 3.1, allows: DATA ends a group of
// commands, and content may begin one. The answers are counted in the order of
// what was said:
//
//	we say                             the server answers
//	MAIL RCPT DATA                     250 250 354
//	content .  MAIL RCPT DATA          250  250 250 354
//	content .                          250
//
// While the server reads one message, the next is written.
func (b *batch) pipeline() {
	b.said = b.said[:0]
	this := b.envelope()
	if this == none {
		return
	}
	b.arm(b.ctx)
	if _, err := b.say(b.said); err != nil {
		b.broken = true
		b.fail(this, b.failure(b.ctx, naming, err))
		return
	}
	for before, how := none, nothing; ; {
		dot, following := 0, none
		if this != none {
			b.said = b.mailer.composer.append(b.said[:0], &b.ms[this])
			dot = len(b.said)
			following = b.envelope()
		}
		b.settleFront(how, before)
		if this == none || b.broken {
			b.unspoken(this)
			b.unspoken(following)
			return
		}
		b.arm(b.ctx)
		if how = b.hearEnvelope(this); !b.broken {
			b.sayGroup(how, this, dot)
		}
		if b.broken {
			b.unspoken(following)
			return
		}
		before, this = this, following
	}
}

// settleFront reads the answer to what was said before an envelope.
func (b *batch) settleFront(how front, before int) {
	switch how {
	case nothing:
	case content:
		b.settle(before)
	case loneDot:
		// Taken or not, it has no recipient.
		if r, err := b.replies.next(); err != nil || r.code/100 == 3 || r.code == 421 {
			b.broken = true
		}
	case restart:
		if _, failure := b.hear(b.ctx, starting, 2); failure != nil {
			b.broken = true
		}
	}
}

// envelopeSteps are the commands of an envelope and how their answers begin.
var envelopeSteps = [...]struct {
	at     stage
	wanted int
}{{naming, 2}, {addressing, 2}, {starting, 3}}

// hearEnvelope reads the three answers, and says what goes on: the message's
// content, or what stands in its place when it was refused, and so is settled.
func (b *batch) hearEnvelope(i int) front {
	var refusal *dispatch.SendError
	var taken [len(envelopeSteps)]bool
	for step, s := range envelopeSteps {
		_, failure := b.hear(b.ctx, s.at, s.wanted)
		taken[step] = failure == nil
		if refusal == nil {
			refusal = failure
		}
		if b.broken {
			break
		}
	}
	if refusal == nil {
		return content
	}
	b.fail(i, refusal)
	if !taken[2] {
		return restart
	}
	if taken[1] { // but not its sender: with a dot, somebody would get an empty message
		b.broken = true
	}
	return loneDot
}

// sayGroup says what was composed, dot bytes of content and the next
// envelope, with another front in place of the content of a refused message.
func (b *batch) sayGroup(how front, i, dot int) {
	if how == content {
		if n, err := b.say(b.said); err != nil {
			b.interrupted(i, n, dot, err)
		}
		return
	}
	from := dot - len(fronts[how])
	copy(b.said[from:], fronts[how])
	if _, err := b.say(b.said[from:]); err != nil {
		b.broken = true
	}
}

// takeTurns says one command at a time and waits for its answer.
func (b *batch) takeTurns() {
	for !b.broken {
		b.said = b.said[:0]
		i := b.envelope()
		if i == none {
			return
		}
		b.arm(b.ctx)
		if failure := b.introduce(); failure != nil {
			b.fail(i, failure)
			if !b.broken {
				_ = b.reset(b.ctx) // if it does not, the session is broken
			}
			continue
		}
		b.said = b.mailer.composer.append(b.said[:0], &b.ms[i])
		if n, err := b.say(b.said); err != nil {
			b.interrupted(i, n, len(b.said), err)
			return
		}
		b.settle(i)
	}
}

// introduce says an envelope line by line.
func (b *batch) introduce() *dispatch.SendError {
	var line []byte
	rest := b.said
	for _, s := range envelopeSteps {
		line, rest = cutLine(rest)
		if _, err := b.say(line); err != nil {
			b.broken = true
			return b.failure(b.ctx, s.at, err)
		}
		if _, failure := b.hear(b.ctx, s.at, s.wanted); failure != nil {
			return failure
		}
	}
	return nil
}

// cutLine takes the first line off, with its end.
func cutLine(text []byte) (line, rest []byte) {
	end := bytes.IndexByte(text, '\n') + 1
	return text[:end], text[end:]
}
