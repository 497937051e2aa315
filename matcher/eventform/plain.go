package eventform

import (
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// readPlain reads an event in JSON as nearly all are written, in one pass: each
// attribute once, nothing escaped, data an object. What it
// cannot read it leaves to the rest of this package, so that neither what is
// taken nor what is said of a mistake depends on it.
func readPlain(body []byte, l Limits) (_ Item, ok bool) {
	p := plainReader{text: string(body), depth: l.Depth}
	var a attributes
	var data map[string]any
	if !p.envelope(&a, &data) {
		return Item{}, false
	}
	event, bad := a.event(l)
	if len(bad) > 0 || a.DataContentType != "" && a.DataContentType != "application/json" && !isJSON(a.DataContentType) {
		return Item{}, false
	}
	if event.Data = data; data == nil {
		event.Data = map[string]any{}
	}
	return Item{Event: event}, true
}

// plainReader reads JSON (RFC 8259). Its methods are false where they cannot.
type plainReader struct {
	text  string
	at    int
	depth int // levels of nesting that may still be opened
}

func (p *plainReader) envelope(a *attributes, data *map[string]any) bool {
	seen := 0
	ok := p.members(func(name string) bool {
		target, bit := a.named(name)
		if bit == 0 {
			return p.other(name)
		}
		if seen&bit != 0 {
			return false
		}
		seen |= bit
		if target != nil {
			var ok bool
			*target, ok = p.string()
			return ok
		}
		value, ok := p.value()
		object, isObject := value.(map[string]any)
		*data = object
		return ok && isObject
	})
	p.space()
	return ok && p.at == len(p.text)
}

// named is where an attribute belongs, nil for data, and a bit of its own; 0
// for any other.
func (a *attributes) named(name string) (target *string, bit int) {
	switch name {
	case "specversion":
		return &a.SpecVersion, 1
	case "id":
		return &a.ID, 2
	case "source":
		return &a.Source, 4
	case "type":
		return &a.Type, 8
	case "subject":
		return &a.Subject, 16
	case "time":
		return &a.Time, 32
	case "datacontenttype":
		return &a.DataContentType, 64
	case "data":
		return nil, 128
	}
	return nil, 0
}

// other passes over an extension attribute. Its name must be as CloudEvents
// 1.0.2 has them ("Naming conventions"): others could be one of ours in
// capitals, or data_base64.
func (p *plainReader) other(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	_, ok := p.value()
	return ok
}

// space passes over space, of which there mostly is none.
func (p *plainReader) space() {
	if p.at < len(p.text) && p.text[p.at] <= ' ' {
		p.spaces()
	}
}

func (p *plainReader) spaces() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// take passes over a character, and space before it.
func (p *plainReader) take(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// members reads an object; member reads the value of each name.
func (p *plainReader) members(member func(name string) bool) bool {
	if !p.open('{') {
		return false
	}
	if p.take('}') {
		p.depth++
		return true
	}
	for {
		p.space()
		name, ok := p.string()
		if !ok || !p.take(':') {
			return false
		}
		if p.space(); !member(name) {
			return false
		}
		if !p.take(',') {
			p.depth++
			return p.take('}')
		}
	}
}

func (p *plainReader) open(c byte) bool {
	p.depth--
	return p.depth >= 0 && p.take(c)
}

// value reads any value, as package json makes it.
func (p *plainReader) value() (any, bool) {
	if p.space(); p.at == len(p.text) {
		return nil, false
	}
	switch c := p.text[p.at]; c {
	case '{':
		object := map[string]any{}
		ok := p.members(func(name string) (ok bool) {
			object[name], ok = p.value()
			return ok
		})
		return object, ok
	case '[':
		return p.array()
	case '"':
		return p.string()
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	default:
		return p.number()
	}
}

func (p *plainReader) word(word string) bool {
	if len(p.text)-p.at < len(word) || p.text[p.at:p.at+len(word)] != word {
		return false
	}
	p.at += len(word)
	return true
}

func (p *plainReader) array() (any, bool) {
	list := []any{}
	if !p.open('[') {
		return nil, false
	}
	if p.take(']') {
		p.depth++
		return list, true
	}
	for {
		element, ok := p.value()
		if !ok {
			return nil, false
		}
		list = append(list, element)
		if !p.take(',') {
			p.depth++
			return list, p.take(']')
		}
	}
}

// string reads a string without escapes, in UTF-8.
func (p *plainReader) string() (string, bool) {
	if p.at == len(p.text) || p.text[p.at] != '"' {
		return "", false
	}
	start := p.at + 1
	end, ascii := stringEnd(p.text, start)
	if end == len(p.text) || p.text[end] != '"' {
		return "", false
	}
	p.at = end + 1
	s := p.text[start:end]
	return s, ascii || utf8.ValidString(s)
}

// stringEnd is where from a place on a text has its first quotation mark,
// backslash or control character, and whether all before it is ASCII.
func stringEnd(text string, i int) (end int, ascii bool) {
	var seen uint64
	for ; len(text)-i >= 8; i += 8 {
		bytes := eightBytes(text[i:])
		if ends := endsAmong(bytes); ends != 0 {
			first := bits.TrailingZeros64(ends) &^ 7
			seen |= bytes & (1<<first - 1)
			return i + first/8, seen&eachHigh == 0
		}
		seen |= bytes
	}
	for ; i < len(text) && text[i] >= ' ' && text[i] != '"' && text[i] != '\\'; i++ {
		seen |= uint64(text[i])
	}
	return i, seen&eachHigh == 0
}

// Eight bytes in a word: each of them 1, each with nothing but its highest bit.
const (
	each     = 0x0101010101010101
	eachHigh = each << 7
)

func eightBytes(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// endsAmong sets the highest bit of the first of eight bytes that is a
// quotation mark, a backslash or a control character, and perhaps of later
// ones; none where there is none (Warren, Hacker's Delight, 6-1).
func endsAmong(bytes uint64) uint64 {
	quotation, backslash := bytes^each*'"', bytes^each*'\\'
	return ((quotation-each)&^quotation | (backslash-each)&^backslash | (bytes-each*' ')&^bytes) & eachHigh
}

// number reads a number: RFC 8259, section 6.
func (p *plainReader) number() (any, bool) {
	start := p.at
	if p.at < len(p.text) && p.text[p.at] == '-' {
		p.at++
	}
	if zero := p.at < len(p.text) && p.text[p.at] == '0'; zero {
		p.at++
	} else if !p.digits() {
		return nil, false
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		if p.at++; !p.digits() {
			return nil, false
		}
	}
	if p.at < len(p.text) && p.text[p.at]|0x20 == 'e' {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if !p.digits() {
			return nil, false
		}
	}
	if number, ok := decimal(p.text[start:p.at]); ok {
		return number, true
	}
	number, err := strconv.ParseFloat(p.text[start:p.at], 64)
	return number, err == nil
}

func (p *plainReader) digits() (some bool) {
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
		some = true
	}
	return some
}

// decimal reads a number of JSON that is short and has no exponent. Its digits
// and the power of ten that they are divided by are exact in a float64, so it
// is rounded once, as it should be (Clinger, How to Read Floating Point Numbers
// Accurately, 1990).
func decimal(text string) (number float64, ok bool) {
	digits, negative := text, text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) > 15 {
		return 0, false
	}
	whole, scale, fraction := int64(0), 1.0, false
	for i := range len(digits) {
		switch c := digits[i]; {
		case c >= '0' && c <= '9':
			whole = 10*whole + int64(c-'0')
			if fraction {
				scale *= 10
			}
		case c == '.':
			fraction = true
		default:
			return 0, false
		}
	}
	number = float64(whole) / scale
	if negative {
		number = -number
	}
	return number, true
}
