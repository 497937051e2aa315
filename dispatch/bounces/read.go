package bounces

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html"
	"io"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // bounces are written in every charset

	"herald/dispatch"
)

// kind is the form of a message.
type kind string

const (
	dsn       kind = "dsn"        // a delivery status notification, RFC 3464
	complaint kind = "complaint"  // an abuse report, RFC 5965
	exim      kind = "exim"       // Exim's text with X-Failed-Recipients
	qmail     kind = "qmail"      // QSBMF
	text      kind = "text"       // a server's words with a code among them
	autoReply kind = "auto_reply" // an absent reader's answer, RFC 3834
	other     kind = "other"      // something else, such as a reply
)

// finding is what a message says.
type finding struct {
	kind        kind
	event       dispatch.ReportEvent // empty: nothing of a delivery
	code        string               // such as "5.1.1"
	detail      string               // one line without addresses
	at          time.Time            // as the message says; may be zero
	addressDead bool
	id          string   // the same for the same message, sent again
	returned    returned // of a complaint
}

// returned is what a message gives back of ours.
type returned struct {
	from      []string // envelope senders: Original-Mail-From, Return-Path
	delivery  string   // X-Herald-Delivery
	messageID string   // the left side of Message-ID
}

// read finds out what a message says. It never fails: what it does not
// understand is other. raw may be cut off at any byte.
func read(raw []byte, fromNobody bool) finding {
	m := dissect(raw)
	f := m.meaning(fromNobody)
	f.id = m.id(raw)
	if f.at.IsZero() {
		f.at = m.date()
	}
	return f
}

// letter is a message taken apart.
type letter struct {
	header   message.Header
	status   []byte // message/delivery-status
	feedback []byte // message/feedback-report
	words    string // the first text
	returned returned
	parts    int
}

const (
	maxHeader = 64 << 10
	maxPart   = 64 << 10
	maxParts  = 64
	maxDepth  = 6
)

func dissect(raw []byte) *letter {
	m := &letter{}
	entity, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if entity == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		m.words = string(raw[:min(len(raw), maxPart)]) // not even a header: only words
		return m
	}
	m.header = entity.Header
	m.gather(entity, 0)
	return m
}

// gather collects the parts that matter, of whatever multipart they are in: on
// its way a report may have been wrapped by a scanner.
func (m *letter) gather(e *message.Entity, depth int) {
	if m.parts++; m.parts > maxParts || depth > maxDepth {
		return
	}
	if parts := e.MultipartReader(); parts != nil {
		for {
			part, err := parts.NextPart()
			if part == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return // the end, or where it was cut off
			}
			m.gather(part, depth+1)
		}
	}
	body, _ := io.ReadAll(io.LimitReader(e.Body, maxPart)) // what can be read of it
	mediaType, _, err := e.Header.ContentType()
	if err != nil && mediaType == "" {
		mediaType = "text/plain" // RFC 2045, section 5.2
	}
	switch mediaType {
	case "message/delivery-status", "message/global-delivery-status":
		m.status = first(m.status, body)
	case "message/feedback-report":
		m.feedback = first(m.feedback, body)
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers":
		m.giveBack(body)
	case "text/plain", "":
		if m.words == "" {
			m.words = string(body)
		}
	case "text/html":
		if m.words == "" {
			m.words = withoutTags(string(body))
		}
	}
}

func first(have, found []byte) []byte {
	if have == nil {
		return found
	}
	return have
}

var aTag = regexp.MustCompile(`(?s)<(?:style|script)\b.*?</(?:style|script)>|<[a-zA-Z/!][^<>]*>`)

func withoutTags(page string) string { return html.UnescapeString(aTag.ReplaceAllString(page, " ")) }

func (m *letter) giveBack(headers []byte) {
	for _, f := range fields(headers, true) {
		switch f.name {
		case "return-path":
			m.returned.from = append(m.returned.from, f.value)
		case "x-herald-delivery":
			m.returned.delivery = f.value
		case "message-id":
			m.returned.messageID, _, _ = strings.Cut(strings.Trim(f.value, "<>"), "@")
		}
	}
}

// meaning decides what kind of message it is. A report proper goes first:
// it is marked as an automatic answer too (RFC 3834, section 5), and so are
// the bounces of Exim and Postfix.
func (m *letter) meaning(fromNobody bool) finding {
	status := recipients(m.status)
	switch {
	case m.feedback != nil:
		return m.complains()
	case len(status) > 0:
		return readStatus(status, m.words)
	case m.header.Get("X-Failed-Recipients") != "":
		return readExim(m.words)
	case qmailHello.MatchString(m.words):
		return readQmail(m.words)
	case m.isEximWarning():
		return finding{kind: exim, event: dispatch.ReportDelayed, detail: "the message is delayed"}
	}
	switch daemon, automatic := m.isFromDaemon(), m.isAutomatic(); {
	case automatic && !daemon:
		return finding{kind: autoReply}
	case daemon || fromNobody:
		return readText(m.words)
	}
	return finding{kind: other}
}

// isFromDaemon says whether the author is a mail server.
func (m *letter) isFromDaemon() bool {
	from := strings.ToLower(m.header.Get("From"))
	if address, err := mail.ParseAddress(from); err == nil {
		from = address.Address
	}
	local, _, _ := strings.Cut(strings.Trim(from, "<> "), "@")
	return local == "postmaster" || strings.HasPrefix(local, "mailer-daemon") || strings.HasPrefix(local, "mail-daemon") ||
		strings.HasPrefix(local, "microsoftexchange")
}

var away = regexp.MustCompile(`(?i)^\s*(automatic reply|auto(matic)?[ -]?(reply|response)|auto:|out of (the )?office|on vacation|automatische antwort|abwesenheit|réponse automatique|respuesta automática)|自动回复|自動回覆|自動返信`)

// isAutomatic finds the marks of answers that nobody wrote: RFC 3834, section
// 5, and what was in use before it and beside it.
func (m *letter) isAutomatic() bool {
	submitted, _, _ := strings.Cut(strings.ToLower(m.header.Get("Auto-Submitted")), ";")
	if submitted = strings.TrimSpace(submitted); submitted != "" && submitted != "no" {
		return true
	}
	for _, name := range []string{"X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress"} {
		if m.header.Has(name) {
			return true
		}
	}
	if precedence := strings.ToLower(m.header.Get("Precedence")); precedence == "auto_reply" {
		return true
	}
	subject, _ := m.header.Text("Subject")
	return away.MatchString(subject)
}

// id names the message: by its Message-ID, which is the same when it is sent
// again, or by its bytes.
func (m *letter) id(raw []byte) string {
	sum := sha256.Sum256(raw)
	if id := m.header.Get("Message-Id"); id != "" {
		sum = sha256.Sum256([]byte(id))
	}
	return hex.EncodeToString(sum[:12])
}

func (m *letter) date() time.Time { return parseDate(m.header.Get("Date")) }

func parseDate(text string) time.Time {
	at, err := mail.ParseDate(text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
