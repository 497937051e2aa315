package email

import (
	"errors"
	netmail "net/mail"
	"net/url"
	"strings"
	"unicode"

	"github.com/wneessen/go-mail"

	"herald/dispatch"
)

// maxAddress is the longest address there is: 254 characters between the
// brackets of a path of 256 (RFC 5321, section 4.5.3.1.3, erratum 1690).
const maxAddress = 254

// compose writes the message for the wire: multipart/alternative where there
// is HTML beside the text, in UTF-8. Its errors mean that the
// message itself cannot be sent.
//
// Whatever a subject, a name or an address contains, it stays inside its
// field: control characters become spaces, and the rest is encoded (RFC 2047).
func compose(m dispatch.Message, from netmail.Address, idDomain string) (*mail.Msg, error) {
	if err := checkAddress(m.Address); err != nil {
		return nil, err
	}
	if m.Content.HTML == "" && m.Content.Text == "" {
		return nil, errors.New("the message is empty")
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&from)
	msg.ToMailAddress(&netmail.Address{Name: displayName(m.Name), Address: m.Address})
	msg.Subject(oneLine(m.Content.Subject))
	msg.SetDate()
	id, err := messageID(m.WireID, idDomain)
	if err != nil {
		return nil, err
	}
	msg.SetMessageIDWithValue(id)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834, section 5
	msg.SetGenHeader("X-Herald-Delivery", m.DeliveryID.String())
	if err := setUnsubscribe(msg, m.UnsubscribeURL); err != nil {
		return nil, err
	}
	switch {
	case m.Content.Text == "":
		msg.SetBodyString(mail.TypeTextHTML, m.Content.HTML, encodingFor(m.Content.HTML))
	default:
		msg.SetBodyString(mail.TypeTextPlain, m.Content.Text, encodingFor(m.Content.Text))
		if m.Content.HTML != "" {
			msg.AddAlternativeString(mail.TypeTextHTML, m.Content.HTML, encodingFor(m.Content.HTML))
		}
	}
	return msg, nil
}

// encodingFor takes the shorter of the two encodings that any server passes
// on: quoted-printable makes three bytes of one that is not ASCII, base64 four
// of any three (RFC 2045, section 6).
func encodingFor(text string) mail.PartOption {
	high := 0
	for i := range len(text) {
		if text[i] >= 0x80 {
			high++
		}
	}
	if high > len(text)/6 {
		return mail.WithPartEncoding(mail.EncodingB64)
	}
	return mail.WithPartEncoding(mail.EncodingQP)
}

// messageID is id-left@id-right (RFC 5322, section 3.6.4) of the same bytes
// for every attempt of a delivery.
func messageID(wireID, domain string) (string, error) {
	if wireID == "" || len(wireID) > 200 || strings.Trim(wireID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return "", errors.New("the wire id is not letters, digits, - and _")
	}
	return wireID + "@" + domain, nil
}

// setUnsubscribe offers the two ways of RFC 8058: the address in
// List-Unsubscribe, and List-Unsubscribe-Post, which says that a bare POST
// there is enough. The latter needs https (section 3.1), so over http, which
// only a trial installation uses, it is left out unless the address is the
// machine's own.
func setUnsubscribe(msg *mail.Msg, address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.ContainsFunc(address, unfitForURL) {
		return errors.New("the unsubscribe address is not an http address")
	}
	msg.SetGenHeader(mail.HeaderListUnsubscribe, "<"+address+">")
	if u.Scheme == "https" || isLoopback(u.Hostname()) {
		msg.SetGenHeader(mail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
	}
	return nil
}

func unfitForURL(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' || r == ',' }

// checkAddress accepts what stands between the brackets of RCPT TO:<…> as it
// is: a local part and a domain, without anything that could end the path.
// The address itself is not repeated in the error, which is logged.
func checkAddress(address string) error {
	parsed, err := netmail.ParseAddress("<" + address + ">")
	if err != nil || parsed.Address != address || len(address) > maxAddress {
		return errors.New("the address is not one of mail")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '<' || r == '>' }) {
		return errors.New("the address has characters that no mail server takes")
	}
	return nil
}

// displayName is a name that stands before an address. net/mail leaves a
// backslash in the encoded words of a name as it is, where RFC 2047, section 5
// (3), forbids it and readers stumble; its wide twin reads the same.
func displayName(s string) string {
	if s = oneLine(s); isASCII(s) {
		return s
	}
	return strings.ReplaceAll(s, `\`, "＼")
}

// oneLine is s without control characters and line separators.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}
