package ismg

import (
	"slices"
	"strings"
	"sync"
	"time"

	"herald/dispatch/sms"
	"herald/dispatch/sms/wire"
	"herald/hardware/sim"
	"herald/hardware/sim/texts"
	"herald/problem"
)

// Message is one short message that a client submitted.
type Message struct {
	Account  string
	ID       string // as its report has it
	From, To string
	Format   wire.Format
	HasUDH   bool // Content begins with a user data header
	Content  []byte
	At       time.Time
}

// Phones have the messages that clients submitted, and the texts that those
// make, their parts joined.
type Phones struct {
	messages *sim.Box[Message]
	texts    *texts.Box

	mu      sync.Mutex
	waiting map[sameText]*pieces // guarded by mu
}

type sameText struct {
	account, from, to string
	reference         uint16
	of                byte
}

type pieces struct {
	since time.Time
	parts []part // in their order
}

type part struct {
	number byte
	id     string
	format wire.Format
	octets []byte
}

// NewPhones keep so many messages and texts.
func NewPhones(keep int) *Phones {
	return &Phones{messages: sim.NewBox[Message](keep, nil), texts: texts.NewBox(keep), waiting: map[sameText]*pieces{}}
}

// mostWaiting is how many texts may wait for parts.
const mostWaiting = 1000

// Get keeps a message, and its text once all parts of it came.
func (p *Phones) Get(m Message) {
	p.messages.Add(m)
	text := texts.Text{At: m.At, From: m.From, To: m.To, Account: m.Account, Encoding: formatName(m.Format), Parts: 1, IDs: []string{m.ID}}
	var h sms.Header
	octets := m.Content
	if m.HasUDH {
		header, rest, err := sms.ParseHeader(octets)
		if err != nil {
			text.Problem = err.Error()
		} else {
			h, octets = header, rest
		}
	}
	if h.Of < 2 {
		read(&text, m.Format, octets)
		p.texts.Add(text)
		return
	}
	whole := p.join(sameText{m.Account, m.From, m.To, h.Ref, h.Of}, part{h.Part, m.ID, m.Format, octets}, m.At)
	if whole == nil {
		return
	}
	text.Parts, text.IDs = len(whole), nil
	var all []byte
	for _, one := range whole {
		text.IDs = append(text.IDs, one.id)
		all = append(all, one.octets...)
	}
	read(&text, m.Format, all)
	p.texts.Add(text)
}

func read(t *texts.Text, format wire.Format, octets []byte) {
	text, readable := wire.Read(format, octets)
	if t.Text = text; !readable {
		t.Problem = "it is for no reader"
	}
}

// join adds a part, and gives all when it was the last.
func (p *Phones) join(key sameText, one part, now time.Time) []part {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[key]
	if w == nil {
		if len(p.waiting) >= mostWaiting {
			p.forgetOldest()
		}
		w = &pieces{since: now}
		p.waiting[key] = w
	}
	at, again := slices.BinarySearchFunc(w.parts, one, func(x, y part) int { return int(x.number) - int(y.number) })
	if again {
		w.parts[at] = one
	} else {
		w.parts = slices.Insert(w.parts, at, one)
	}
	if len(w.parts) < int(key.of) {
		return nil
	}
	delete(p.waiting, key)
	return w.parts
}

// forgetOldest wants mu held.
func (p *Phones) forgetOldest() {
	var oldest sameText
	var since time.Time
	for key, w := range p.waiting {
		if since.IsZero() || w.since.Before(since) {
			oldest, since = key, w.since
		}
	}
	delete(p.waiting, oldest)
}

func formatName(f wire.Format) string {
	switch f {
	case wire.ASCII:
		return "ASCII"
	case wire.UCS2:
		return "UCS-2"
	case wire.GBK:
		return "GBK"
	default:
		return "binary"
	}
}

// Written is one short message that a phone writes.
type Written struct {
	Format  wire.Format
	HasUDH  bool
	Content []byte
}

// Say has a phone write t: tell is given its short messages, which reference
// holds together, and the text is kept. It fails with problem.Invalid when the
// text is too long.
func (p *Phones) Say(t texts.Text, reference uint16, tell func(Written)) error {
	letter, err := wire.Writing{}.Compose(strings.ToValidUTF8(t.Text, "?"))
	if err != nil {
		return problem.New(problem.Invalid, "the text is too long")
	}
	t.Parts, t.Reply = letter.Parts(), true
	for i := range t.Parts {
		tell(Written{letter.Format(), t.Parts > 1, letter.Part(reference, i)})
	}
	p.texts.Add(t)
	return nil
}
