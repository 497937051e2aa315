package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"herald/dispatch"
)

// stage is how far the conversation had come (RFC 5321, section 3.3).
type stage int

const (
	connecting stage = iota // connect, greeting, EHLO, STARTTLS
	signingIn               // AUTH
	naming                  // MAIL, which is about us
	addressing              // RCPT, which is about them
	starting                // DATA
	writing                 // the message, up to its last line
	ending                  // the final dot was sent, or may have been
)

// classify says what a failure means for the message.
//
// A reply is judged by its enhanced code (RFC 3463) where it has one, else by
// its basic code (RFC 5321, section 4.2.3), and by its words only where
// practice has no code for it:
//
//	reply, or event                                   class          address dead
//	421 anywhere, without a word of rates              session fatal
//	4.7.28; any 4xx that speaks of rates or limits,    throttled
//	  unless it speaks of greylisting
//	any other 4xx                                      transient
//	AUTH 5xx; 530, 534, 535, 538; 5.7.8, 5.7.9;        configuration
//	  5xx that says relaying is denied
//	greeting or EHLO 5xx                               configuration
//	MAIL 5xx, but for the size (552, 5.3.4) and        configuration
//	  the need of SMTPUTF8 (5.6.7)
//	RCPT, or the final dot, 5.1.1 5.1.2 5.1.3          permanent      yes
//	  5.1.6 5.1.10
//	RCPT 550, 551 or 553 without an enhanced code      permanent      yes
//	  whose words say that nobody is there
//	any other 5xx (5.2.x full, disabled; 5.4.4 no      permanent
//	  route; 5.7.x policy)
//	lost before the answer to MAIL, on a session       session fatal
//	  that had been used or had rested (session.go)
//	no connection, time-out, or lost before the dot    transient
//	certificate refused, no STARTTLS, no AUTH there    configuration
//	time-out, lost, or nonsense after the dot          in doubt
//
// 5.2.1 (disabled) and 5.4.4 (no route) can pass, so they do not make an
// address dead; 5.1.2 (no such domain) and 5.1.10 (the domain takes no mail,
// RFC 7505) are as final as 5.1.1.
func classify(at stage, err error) *dispatch.SendError {
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 400 && reply.Code < 600 {
		return classifyReply(at, reply)
	}
	class := dispatch.Transient
	switch {
	case at == ending:
		class = dispatch.Doubt
	case at <= signingIn && isMisconfigured(err):
		class = dispatch.Configuration
	case errors.As(err, &reply): // a reply that has no place here, such as 250 to DATA
		class = dispatch.SessionFatal
	}
	return &dispatch.SendError{Class: class, Err: plainError(at, err)}
}

// said is a reply taken apart.
type said struct {
	code     int
	enhanced string // "5.1.1", or ""
	words    string // lower case
}

var (
	ofRates    = regexp.MustCompile(`\brate\b|rate.?limit|too many (messages|connections|e?mails|recipients|sessions)|too fast|throttl|slow down|sending limit|exceeded .*(messages|connections) per`)
	ofGreylist = regexp.MustCompile(`gr[ea]y.?list|postgrey`)
	ofRelaying = regexp.MustCompile(`relay(ing)? (access )?(is )?(denied|not (permitted|allowed))|(unable|not (permitted|allowed)) to relay`)
	ofNobody   = regexp.MustCompile(`(no such|unknown|invalid|nonexistent|non-existent|unrecognized) (local )?(user|mailbox|recipient|account|address)|(user|mailbox|recipient|account|address) (is )?(unknown|not found|does ?n.t exist|does not exist|not exist)|no (mailbox|user|account) (here )?(by|with|under) that name|user doesn't have`)
)

func take(reply *textproto.Error) said {
	return said{reply.Code, enhancedCode(reply.Msg), strings.ToLower(reply.Msg)}
}

// enhancedCode is what a reply's text begins with, such as "5.1.1" (RFC 3463,
// section 2), or empty.
func enhancedCode(text string) string {
	if text == "" || text[0] != '2' && text[0] != '4' && text[0] != '5' {
		return ""
	}
	at := 1
	for range 2 {
		if at >= len(text) || text[at] != '.' {
			return ""
		}
		digits := at + 1
		for at = digits; at < len(text) && at < digits+3 && isDigit(text[at]); {
			at++
		}
		if at == digits {
			return ""
		}
	}
	if at < len(text) && inDotAtom[text[at]] {
		return "" // a word goes on
	}
	return text[:at]
}

func classifyReply(at stage, reply *textproto.Error) *dispatch.SendError {
	s := take(reply)
	out := &dispatch.SendError{Code: s.String(), Err: replyError(reply)}
	switch {
	case s.code < 500:
		out.Class = s.temporary()
	case s.isConfiguration(at):
		out.Class = dispatch.Configuration
	default:
		out.Class = dispatch.Permanent
		out.AddressDead = s.isNobody(at)
	}
	return out
}

// String is how a reply's codes are recorded: "550 5.1.1", or "550".
func (s said) String() string {
	switch {
	case s.code == 250 && s.enhanced == "2.0.0": // what most answers have
		return "250 2.0.0"
	case s.enhanced == "":
		return strconv.Itoa(s.code)
	}
	return strconv.Itoa(s.code) + " " + s.enhanced
}

func (s said) temporary() dispatch.Class {
	switch {
	case ofGreylist.MatchString(s.words):
		return dispatch.Transient
	case s.enhanced == "4.7.28" || ofRates.MatchString(s.words):
		return dispatch.Throttled
	case s.code == 421:
		return dispatch.SessionFatal
	}
	return dispatch.Transient
}

func (s said) isConfiguration(at stage) bool {
	switch {
	case at <= signingIn:
		return true
	case s.code == 530 || s.code == 534 || s.code == 535 || s.code == 538: // RFC 4954, section 6
		return true
	case s.enhanced == "5.7.8" || s.enhanced == "5.7.9" || ofRelaying.MatchString(s.words):
		return true
	}
	ofTheMessage := s.code == 552 || s.enhanced == "5.3.4" || s.enhanced == "5.6.7"
	return at == naming && !ofTheMessage
}

func (s said) isNobody(at stage) bool {
	if at != addressing && at != ending {
		return false
	}
	switch s.enhanced {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10":
		return true
	case "":
		return at == addressing && (s.code == 550 || s.code == 551 || s.code == 553) && ofNobody.MatchString(s.words)
	}
	return false
}

// isMisconfigured finds what trying again does not mend.
func isMisconfigured(err error) bool {
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	return errors.Is(err, errNoStartTLS) || errors.Is(err, errNoAuth) ||
		errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &record)
}

var anAddress = regexp.MustCompile(`[^\s<>"'(),;:]+@[^\s<>"'(),;:]+`)

// replyError is a reply as one line without addresses: it is stored with the
// attempt and logged.
func replyError(reply *textproto.Error) error {
	text := anAddress.ReplaceAllString(oneLine(reply.Msg), "…")
	if runes := []rune(text); len(runes) > 400 {
		text = string(runes[:400]) + "…"
	}
	return fmt.Errorf("%d %s", reply.Code, text)
}

// plainError says where it failed, and keeps what is known of the cause.
func plainError(at stage, err error) error {
	words := map[stage]string{
		connecting: "connect", signingIn: "sign in", naming: "name the sender", addressing: "name the recipient",
		starting: "begin the message", writing: "write the message", ending: "wait for the answer to the message",
	}[at]
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", words, context.Canceled)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s: time-out", words)
	case isClosed(err):
		return fmt.Errorf("%s: %w", words, errClosed)
	}
	return fmt.Errorf("%s: %w", words, err)
}

var errClosed = errors.New("the server closed the connection")

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// queued finds the id that servers put into their last answer, for looking a
// message up in their logs. RFC 5321 leaves the words open; these are the
// forms of Postfix and smtp-sink, Exim, Sendmail, Exchange, Amazon SES and
// Gmail, each with a piece of text that tells quickly whether to look.
var queued = []struct {
	hint string
	form *regexp.Regexp
}{
	{"queued as", regexp.MustCompile(`(?i)queued as\s+([A-Za-z0-9._-]+)`)},
	{"id=", regexp.MustCompile(`(?i)\bid=([A-Za-z0-9._-]+)`)},
	{"accepted", regexp.MustCompile(`(?i)(?:2\.0\.0|2\.6\.0)\s+([A-Za-z0-9_-]{6,})\s+Message accepted`)},
	{"InternalId=", regexp.MustCompile(`(?i)\bInternalId=([0-9]+)`)},
	{"-", regexp.MustCompile(`(?i)^(?:2\.\d\.\d\s+)?Ok:?\s+([0-9a-f]{16}-[0-9a-f-]{10,})\s*$`)},
	{"gsmtp", regexp.MustCompile(`(?i)^(?:2\.\d\.\d\s+)?OK\s+\d+\s+(\S+)\s+-\s+gsmtp`)},
}

// receipt reads the answer to the final dot.
func receipt(account string, code int, text string) dispatch.Receipt {
	text = oneLine(text)
	r := dispatch.Receipt{Account: account, Code: said{code, enhancedCode(text), ""}.String(), Detail: text}
	if strings.Contains(text, "@") {
		r.Detail = anAddress.ReplaceAllString(text, "…")
	}
	for _, q := range queued {
		if !strings.Contains(text, q.hint) {
			continue
		}
		if m := q.form.FindStringSubmatch(text); m != nil {
			r.ProviderID = m[1]
			break
		}
	}
	return r
}
