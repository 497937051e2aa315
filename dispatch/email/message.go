package email

import (
	"errors"
	"fmt"
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
// is HTML beside the text, quoted-printable, UTF-8. Its errors mean that the
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
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent(), mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP))
	msg.FromMailAddress(&from)
	msg.ToMailAddress(&netmail.Address{Name: oneLine(m.Name), Address: m.Address})
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
		msg.SetBodyString(mail.TypeTextHTML, m.Content.HTML)
	default:
		msg.SetBodyString(mail.TypeTextPlain, m.Content.Text)
		if m.Content.HTML != "" {
			msg.AddAlternativeString(mail.TypeTextHTML, m.Content.HTML)
		}
	}
	return msg, nil
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

// needsUTF8 says whether the envelope cannot be written in ASCII, which only a
// server with SMTPUTF8 takes (RFC 6531).
func needsUTF8(m dispatch.Message) bool { return !isASCII(m.Address) }

// senderOf is the From field of an account.
func senderOf(a Account) netmail.Address {
	return netmail.Address{Name: oneLine(a.FromName), Address: a.From}
}

// describe names a delivery in errors and logs, which hold no addresses.
func describe(m dispatch.Message) string { return fmt.Sprintf("delivery %s", m.DeliveryID) }
