package smtp

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
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
