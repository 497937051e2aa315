package wire

import (
	"fmt"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"herald/dispatch/sms"
	"herald/problem"
)

// Format is how the octets of a message are to be read: CMPP's Msg_Fmt (3.0,
// section 8.4.3.1) and SGIP's MessageCoding (1.2, command Submit).
type Format uint8

// The formats.
const (
	ASCII  Format = 0
	Card   Format = 3 // for the card in the phone, not for a reader
	Binary Format = 4
	UCS2   Format = 8
	GBK    Format = 15
)

// Writing is how an account's messages are written.
type Writing struct {
	// Encoding is "auto" (the default: ASCII where one part of it holds the
	// text, else UCS-2), "ucs2" (nothing else), or "gbk" (as auto, but a text
	// of one part that is not ASCII is written in GBK, where GBK has it).
	Encoding string `yaml:"encoding" json:"encoding"`
	// LongASCII says that the gateway takes a text of several parts in ASCII,
	// with 153 characters each. Most know UCS-2 only there, with 67.
	LongASCII bool `yaml:"long_ascii" json:"long_ascii"`
	// Transliterate lets characters be written with others (é as e) where the
	// text then needs no UCS-2.
	Transliterate bool `yaml:"transliterate" json:"transliterate"`
}

// Check notes the mistakes; at is where w stands.
func (w Writing) Check(mistakes *problem.Fields, at string) {
	switch w.Encoding {
	case "", "auto", "ucs2", "gbk":
	default:
		mistakes.Add(at+".encoding", "one_of", `use "auto", "ucs2" or "gbk"`)
	}
}

// Letter is a message as it is written.
type Letter struct {
	format Format
	parts  [][]byte // where there is no header
	whole  sms.Composition
}

// Compose writes a text. It fails when the text is too long.
func (w Writing) Compose(text string) (Letter, error) {
	if w.Encoding != "ucs2" {
		c, err := sms.Compose(text, sms.Options{Transliterate: w.Transliterate})
		if err != nil {
			return Letter{}, fmt.Errorf("write the text: %w", err)
		}
		if c.Encoding == sms.GSM7 && isASCII(c.Text) && (len(c.Parts) == 1 || w.LongASCII) {
			l := Letter{format: ASCII, whole: c}
			for _, septets := range c.Parts {
				l.parts = append(l.parts, []byte(sms.DecodeGSM7(septets, c.Locking, c.Shift)))
			}
			return l, nil
		}
	}
	c, err := sms.Compose(text, sms.Options{UCS2Only: true})
	if err != nil {
		return Letter{}, fmt.Errorf("write the text: %w", err)
	}
	l := Letter{format: UCS2, parts: c.Parts, whole: c}
	if w.Encoding == "gbk" && len(c.Parts) == 1 {
		// Seventy characters of GBK have at most 140 octets.
		if octets, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(c.Text)); err == nil {
			l.format, l.parts = GBK, [][]byte{octets}
		}
	}
	return l, nil
}

// Count is how many short messages a text takes, as they are paid.
func (w Writing) Count(text string) int {
	letter, err := w.Compose(text)
	if err != nil {
		return 1 // it will not be sent
	}
	return letter.Parts()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x7F || s[i] < ' ' && s[i] != '\n' && s[i] != '\r' {
			return false
		}
	}
	return true
}

// Parts is how many short messages it takes.
func (l Letter) Parts() int { return len(l.parts) }

// Format is the format of every part.
func (l Letter) Format() Format { return l.format }

// Part is the content of a part; it begins with a user data header (3GPP
// 23.040, section 9.2.3.24) when there are several.
func (l Letter) Part(reference uint16, part int) []byte {
	header := l.whole.Header(reference, part)
	return append(header[:len(header):len(header)], l.parts[part]...)
}

// Read is what the content of a message says to a reader, without its header;
// false: it is for none.
func Read(format Format, content []byte) (text string, readable bool) {
	switch format {
	case UCS2:
		return sms.DecodeUCS2(content), true
	case GBK:
		// What GBK has not is read as U+FFFD.
		decoded, err := simplifiedchinese.GBK.NewDecoder().Bytes(content)
		return string(decoded), err == nil
	case Card, Binary:
		return "", false
	default: // ASCII, as the gateways turn the default alphabet into
		return strings.ToValidUTF8(string(content), "\uFFFD"), true
	}
}
