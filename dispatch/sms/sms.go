// Package sms turns a text into what a phone network carries, and back: it
// chooses the alphabet, counts and cuts into parts, packs septets, and writes
// and reads the headers that hold the parts of a message together.
//
// It is pure: a text comes in through Compose (or a Composer that keeps its
// memory), and the user data of each part goes out; what arrives is read by
// ParseHeader, Unpack and the Decode functions, and put together by a
// Collector. Preview tells the writer of a text what it will cost.
//
// The alphabets are those of 3GPP TS 23.038, the parts and their headers
// those of 3GPP TS 23.040 section 9.2.3.24.
package sms

import (
	"errors"
	"unicode/utf8"
)

// Encoding is how the characters of a message are written.
type Encoding uint8

// The encodings.
const (
	GSM7 Encoding = iota // seven bits each, 23.038 section 6.2.1, with escapes
	UCS2                 // sixteen bits each, big-endian, with surrogate pairs
)

// String is the encoding's name, as those who send messages know it.
func (e Encoding) String() string {
	if e == UCS2 {
		return "UCS-2"
	}
	return "GSM-7"
}

// Language is a national language identifier of 23.038 section 6.2.1.2.4; it
// names the tables that take the place of the default alphabet or of its
// extension.
type Language uint8

// The languages that have tables. Spanish has no locking shift table.
const (
	DefaultLanguage Language = iota
	Turkish
	Spanish
	Portuguese
	Bengali
	Gujarati
	Hindi
	Kannada
	Malayalam
	Oriya
	Punjabi
	Tamil
	Telugu
	Urdu
)

const (
	// maxParts is what the one octet of a header can number.
	maxParts = 255
	// partOctets is the user data of one short message, 23.040 section 9.2.3.16.
	partOctets = 140
	// maxText is more than 255 parts can hold, in octets of UTF-8.
	maxText = 4 * maxParts * partOctets * 8 / 7
)

// ErrTooLong is the error of a text that needs more than 255 parts.
var ErrTooLong = errors.New("sms: the text is longer than 255 parts")

// Options are how a text may be written. The zero value is what every phone
// and every network understands.
type Options struct {
	// Transliterate lets characters that GSM-7 has not be written with others
	// (“ as ", ő as o), where the whole text then needs no UCS-2.
	Transliterate bool
	// Languages are those whose national tables the recipient's phone and
	// network are known to have, first choice first. Unknown ones are ignored.
	Languages []Language
	// UCS2Only says that nothing else arrives intact.
	UCS2Only bool
	// WideReference numbers messages of several parts with 16 bits rather
	// than 8, at the cost of one octet of each part.
	WideReference bool
}

// Composition is a text as it will be sent.
type Composition struct {
	Encoding Encoding
	// Locking and Shift are the national tables it is written with.
	Locking, Shift Language
	// Parts are the user data without header: one septet per byte for GSM7,
	// octets of UTF-16BE for UCS2. There is always one.
	Parts [][]byte
	// Text is what will be read: valid UTF-8, transliterated if it had to be.
	Text string

	wide bool
}

// Compose writes a text in as few parts as it can: with the default alphabet
// if that has all its characters, or else with national tables that are
// allowed, or else transliterated if that is, or else in UCS-2. No part ends
// inside an escape sequence or a surrogate pair, nor, where that takes no
// further part, inside what a reader sees as one character. It fails with
// ErrTooLong only.
func Compose(text string, o Options) (Composition, error) {
	return new(Composer).Compose(text, o)
}

// Composer composes one text after another in the same memory. It is for one
// goroutine.
type Composer struct {
	data, best []byte
	parts      [][]byte
	cuts       []int
}

// Compose is the package's Compose; the Parts are valid until the next call.
// It does not allocate for a text of one GSM-7 part in the default alphabet.
func (c *Composer) Compose(text string, o Options) (Composition, error) {
	if len(text) > maxText {
		return Composition{}, ErrTooLong
	}
	text = valid(text)
	if !o.UCS2Only {
		if m, ok := c.septets(text, o); ok {
			return m, tooLong(m)
		}
	}
	m := Composition{Encoding: UCS2, Text: text, wide: o.WideReference}
	c.data = AppendUCS2(c.data[:0], text)
	m.Parts = c.split(m, c.data)
	return m, tooLong(m)
}

func tooLong(m Composition) error {
	if len(m.Parts) > maxParts {
		return ErrTooLong
	}
	return nil
}

// septets writes the text with seven bits, if that can be done.
func (c *Composer) septets(text string, o Options) (Composition, bool) {
	if m, ok := c.exact(text, o); ok {
		return m, true
	}
	if composed := compose(text); composed != text {
		if m, ok := c.exact(composed, o); ok {
			return m, true
		}
	}
	if !o.Transliterate {
		return Composition{}, false
	}
	plain, ok := transliterate(text)
	if !ok {
		return Composition{}, false
	}
	return c.exact(plain, o)
}

// exact writes the text with seven bits and all of its characters.
func (c *Composer) exact(text string, o Options) (Composition, bool) {
	m := Composition{Encoding: GSM7, Text: text, wide: o.WideReference}
	var ok bool
	if c.data, ok = AppendGSM7(c.data[:0], text, 0, 0); ok {
		m.Parts = c.split(m, c.data)
		return m, true
	}
	return c.national(m, o.Languages)
}

// national writes the text with tables of one of the languages: those with
// which it takes the fewest parts, and of several the first.
func (c *Composer) national(m Composition, languages []Language) (Composition, bool) {
	fewest, best := 0, m
	for _, l := range languages {
		for _, tables := range [...][2]Language{{0, l}, {l, 0}, {l, l}} {
			m.Locking, m.Shift = tables[0], tables[1]
			if !m.Locking.locks() || !m.Shift.shifts() {
				continue
			}
			var ok bool
			if c.data, ok = AppendGSM7(c.data[:0], m.Text, m.Locking, m.Shift); !ok {
				continue
			}
			if n := len(c.split(m, c.data)); fewest == 0 || n < fewest {
				fewest, best = n, m
				c.data, c.best = c.best, c.data
			}
		}
	}
	if fewest == 0 {
		return Composition{}, false
	}
	best.Parts = c.split(best, c.best)
	return best, true
}

func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return toValid(text)
}
