package email

import (
	"encoding/hex"
	"errors"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"herald/dispatch"
)

const (
	// maxAddress is the longest address there is: 254 characters between the
	// brackets of a path of 256 (RFC 5321, section 4.5.3.1.3, erratum 1690).
	maxAddress = 254
	// maxLocal is the longest part before its @ (section 4.5.3.1.1).
	maxLocal = 64
	// maxURL leaves room for the rest of a line of 998 characters.
	maxURL = 900
)

// composer writes the messages of one account. It is not changed after it was
// made, so all sessions share it.
type composer struct {
	from     string // the field, with its end
	idDomain string
	now      func() time.Time
}

func newComposer(from netmail.Address, idDomain string, now func() time.Time) *composer {
	field := appendMailbox(nil, "From: ", from.Name, from.Address)
	return &composer{from: string(field), idDomain: idDomain, now: now}
}

// check says whether the message can be sent at all; what it takes, append
// can write.
func (c *composer) check(m *dispatch.Message) error {
	if err := checkAddress(m.Address); err != nil {
		return err
	}
	if m.Content.HTML == "" && m.Content.Text == "" {
		return errors.New("the message is empty")
	}
	if m.WireID == "" || len(m.WireID) > 200 || !isMadeOf(m.WireID, inWireID) {
		return errors.New("the wire id is not letters, digits, - and _")
	}
	return checkUnsubscribe(m.UnsubscribeURL)
}

// append writes the message as it travels, up to the dot that ends it:
// multipart/alternative where there is HTML beside the text, in UTF-8.
//
// Whatever a subject, a name or a text contains, it stays inside its field:
// control characters become spaces, and what is not plain is encoded.
func (c *composer) append(dst []byte, m *dispatch.Message) []byte {
	dst = append(dst, c.from...)
	dst = appendMailbox(dst, "To: ", m.Name, m.Address)
	dst = appendText(append(dst, "Subject: "...), oneLine(m.Content.Subject), len("Subject: "))
	dst = c.now().AppendFormat(append(dst, "\r\nDate: "...), time.RFC1123Z)
	// The same bytes for every attempt (RFC 5322, section 3.6.4).
	dst = append(append(dst, "\r\nMessage-ID: <"...), m.WireID...)
	dst = append(append(append(dst, '@'), c.idDomain...), ">\r\n"...)
	dst = append(dst, "Auto-Submitted: auto-generated\r\nX-Herald-Delivery: "...) // RFC 3834, section 5
	dst = appendUUID(dst, m.DeliveryID)
	dst = appendUnsubscribe(append(dst, "\r\n"...), m.UnsubscribeURL)
	dst = append(dst, "MIME-Version: 1.0\r\nContent-Type: "...)
	switch {
	case m.Content.Text == "":
		dst = appendBody(append(dst, htmlType...), m.Content.HTML)
	case m.Content.HTML == "":
		dst = appendBody(append(dst, textType...), m.Content.Text)
	default:
		dst = appendAlternatives(dst, m)
	}
	return append(dst, "\r\n.\r\n"...)
}

const (
	textType = "text/plain; charset=UTF-8\r\n"
	htmlType = "text/html; charset=UTF-8\r\n"
)

// appendMailbox writes a field of one address, on two lines where it is long.
func appendMailbox(dst []byte, field, name, address string) []byte {
	start := len(dst)
	dst = append(dst, field...)
	if name = oneLine(name); name != "" {
		dst = appendPhrase(dst, name, len(field))
		if len(dst)-start+len(" <>")+len(address) > lineLength {
			dst = append(dst, "\r\n"...)
		}
		dst = append(dst, ' ')
	}
	return append(append(append(dst, '<'), address...), ">\r\n"...)
}

// appendAlternatives writes both parts, the better one last (RFC 2046, section
// 5.1.4), apart by a boundary that neither encoding can write (RFC 2045,
// section 6.7, the end).
func appendAlternatives(dst []byte, m *dispatch.Message) []byte {
	const begin = "multipart/alternative;\r\n boundary=\""
	dst = append(dst, begin...)
	at := len(dst)
	dst = hex.AppendEncode(append(dst, "=_"...), m.DeliveryID[:])
	boundary := dst[at:]
	dst = append(append(dst, "\"\r\n\r\n--"...), boundary...)
	dst = appendBody(append(dst, "\r\nContent-Type: "+textType...), m.Content.Text)
	dst = append(append(dst, "\r\n--"...), boundary...)
	dst = appendBody(append(dst, "\r\nContent-Type: "+htmlType...), m.Content.HTML)
	return append(append(append(dst, "\r\n--"...), boundary...), "--"...)
}

func appendUUID(dst []byte, id uuid.UUID) []byte {
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, "0123456789abcdef"[b>>4], "0123456789abcdef"[b&15])
	}
	return dst
}

// appendUnsubscribe offers the two ways of RFC 8058: the address in
// List-Unsubscribe, and List-Unsubscribe-Post, which says that a bare POST
// there is enough. The latter needs https (section 3.1), so over http, which
// only a trial installation uses, it is left out unless the address is the
// machine's own.
func appendUnsubscribe(dst []byte, address string) []byte {
	if address == "" {
		return dst
	}
	dst = append(append(append(dst, "List-Unsubscribe: <"...), address...), ">\r\n"...)
	if strings.HasPrefix(address, "https:") || isOwnAddress(address) {
		dst = append(dst, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
	}
	return dst
}

func isOwnAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || isLoopback(u.Hostname()))
}

func checkUnsubscribe(address string) error {
	if address == "" || len(address) <= maxURL && isPlainURL(address) {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || len(address) > maxURL || strings.ContainsFunc(address, unfitForURL) {
		return errors.New("the unsubscribe address is not an http address")
	}
	return nil
}

func unfitForURL(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' || r == ',' }

// isPlainURL finds the usual addresses without taking them apart.
func isPlainURL(address string) bool {
	rest, found := strings.CutPrefix(address, "https://")
	return found && rest != "" && inLabel[rest[0]] && isMadeOf(rest, inPlainURL)
}

// checkAddress accepts what stands between the brackets of RCPT TO:<…> as it
// is: a local part and a domain, without anything that could end the path.
// The address itself is not repeated in the error, which is logged.
func checkAddress(address string) error {
	if isPlainAddress(address) {
		return nil
	}
	parsed, err := netmail.ParseAddress("<" + address + ">")
	if err != nil || parsed.Address != address || len(address) > maxAddress {
		return errors.New("the address is not one of mail")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '<' || r == '>' }) {
		return errors.New("the address has characters that no mail server takes")
	}
	return nil
}

// isPlainAddress finds the usual addresses without taking them apart.
func isPlainAddress(address string) bool {
	local, domain, found := strings.Cut(address, "@")
	return found && len(address) <= maxAddress && isDotAtom(local) && validDomain(domain)
}

// isDotAtom is the form of the usual local part (RFC 5322, section 3.2.3).
func isDotAtom(s string) bool {
	return s != "" && len(s) <= maxLocal && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..") && isMadeOf(s, inDotAtom)
}

const lettersAndDigits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

var (
	inWireID   = characters(lettersAndDigits + "-_")
	inPlainURL = characters(lettersAndDigits + "-_.~/?=&")
	inDotAtom  = characters(lettersAndDigits + "!#$%&'*+-/=?^_`{|}~.") // RFC 5322, section 3.2.3
	inLabel    = characters(lettersAndDigits + "-")
)

func characters(list string) *[256]bool {
	var set [256]bool
	for i := range len(list) {
		set[list[i]] = true
	}
	return &set
}

func isMadeOf(s string, set *[256]bool) bool {
	for i := range len(s) {
		if !set[s[i]] {
			return false
		}
	}
	return true
}
