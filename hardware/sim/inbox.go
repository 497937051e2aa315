package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // reads parts that are not UTF-8
	"github.com/emersion/go-message/mail"
)

// Mail is one message as it came in.
type Mail struct {
	ID         int64     `json:"id"` // from 1, in order of arrival
	ReceivedAt time.Time `json:"received_at"`
	From       string    `json:"from"` // of the envelope
	To         []string  `json:"to"`   // of the envelope
	Subject    string    `json:"subject"`
	MessageID  string    `json:"message_id"` // without angle brackets
	Header     []Field   `json:"header"`     // every field, decoded, in order
	Text       string    `json:"text"`       // the first plain text part
	HTML       string    `json:"html"`       // the first HTML part
	Bytes      int       `json:"bytes"`      // on the wire
	// Problem says why it could not be read in full; empty when it could.
	Problem string `json:"problem,omitempty"`
	// Raw is the message as it came.
	Raw []byte `json:"-"`
}

// Field is one field of a header.
type Field struct {
	Name  string `json:"name"` // as it was written, in its canonical case
	Value string `json:"value"`
}

// Get is the value of the first field of that name, whatever its case, or "".
func (m Mail) Get(name string) string {
	for _, f := range m.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// parse reads a message as far as it can be read.
func parse(from string, to []string, raw []byte, at time.Time) Mail {
	m := Mail{ReceivedAt: at, From: from, To: slices.Clone(to), Bytes: len(raw), Raw: raw}
	reader, err := mail.CreateReader(bytes.NewReader(raw))
	if reader == nil {
		m.Problem = err.Error()
		return m
	}
	if err != nil && !message.IsUnknownCharset(err) {
		m.Problem = err.Error()
	}
	for fields := reader.Header.Fields(); fields.Next(); {
		value, err := fields.Text()
		if err != nil {
			value = fields.Value()
		}
		m.Header = append(m.Header, Field{fields.Key(), value})
	}
	m.Subject = m.Get("Subject")
	m.MessageID = strings.Trim(m.Get("Message-Id"), "<> ")
	if err := m.readParts(reader); err != nil {
		m.Problem = err.Error()
	}
	return m
}

func (m *Mail) readParts(reader *mail.Reader) error {
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !message.IsUnknownCharset(err) {
			return err
		}
		header, isInline := part.Header.(*mail.InlineHeader)
		if !isInline {
			continue
		}
		kind, _, err := header.ContentType()
		if err != nil {
			kind = "text/plain" // RFC 2045, section 5.2
		}
		body, err := io.ReadAll(part.Body)
		if err != nil {
			return err
		}
		switch {
		case kind == "text/html" && m.HTML == "":
			m.HTML = string(body)
		case kind == "text/plain" && m.Text == "":
			m.Text = string(body)
		}
	}
}

// inbox keeps the newest mails. A mail never changes once it is in, and mails
// are only ever added behind those handed out, so slices of it can be shared.
type inbox struct {
	keep int

	mu      sync.Mutex
	mails   []Mail        // guarded by mu
	total   int64         // guarded by mu
	last    int64         // guarded by mu: the newest ID; not reset by clear
	arrived chan struct{} // guarded by mu: closed and replaced at every arrival
}

func newInbox(keep int) *inbox { return &inbox{keep: keep, arrived: make(chan struct{})} }

func (b *inbox) add(m Mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total++
	b.last++
	m.ID = b.last
	b.mails = append(b.mails, m)
	if len(b.mails) >= 2*b.keep { // copied seldom, so that adding stays cheap
		b.mails = slices.Clone(b.mails[len(b.mails)-b.keep:])
	}
	close(b.arrived)
	b.arrived = make(chan struct{})
}

func (b *inbox) all() []Mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept()
}

// kept wants mu held.
func (b *inbox) kept() []Mail {
	return slices.Clip(b.mails[max(0, len(b.mails)-b.keep):])
}

func (b *inbox) count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

func (b *inbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails, b.total = nil, 0
}

// waitFor asks enough of the mails kept and of the count, now and after every arrival.
func (b *inbox) waitFor(ctx context.Context, enough func(kept []Mail, total int64) bool) error {
	for {
		b.mu.Lock()
		kept, total, arrived := b.kept(), b.total, b.arrived
		b.mu.Unlock()
		if enough(kept, total) {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
