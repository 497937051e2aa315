package sms

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// compose gives the text with letters and their accents in one character,
// which is how the alphabets have them.
func compose(text string) string { return norm.NFC.String(text) }

// toValid puts U+FFFD in the place of what is no UTF-8.
func toValid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// instead are the characters that have no decomposition and are written with
// others of the default alphabet. An empty one is left out.
var instead = map[rune]string{
	'“': `"`, '”': `"`, '„': `"`, '‟': `"`, '«': `"`, '»': `"`, '″': `"`, '〝': `"`, '〞': `"`,
	'‘': "'", '’': "'", '‚': "'", '‛': "'", '‹': "'", '›': "'", '′': "'", '`': "'", '´': "'", 'ʼ': "'",
	'‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '―': "-", '−': "-",
	'•': "*", '·': ".", '∙': ".", '×': "x", '÷': "/", '⁄': "/", '∕': "/", '¦': "|",
	'©': "(c)", '®': "(R)", '°': "deg", '±': "+/-", '¢': "c", '¬': "-",
	'₹': "Rs", '₽': "RUB", '₴': "UAH", '₺': "TL", '₩': "KRW", '₦': "NGN", '₫': "VND",
	'œ': "oe", 'Œ': "OE", 'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ð': "d", 'Ð': "D", 'þ': "th", 'Þ': "Th",
	'ħ': "h", 'Ħ': "H", 'ı': "i", 'ŋ': "n", 'Ŋ': "N", 'ŧ': "t", 'Ŧ': "T", 'ẞ': "SS",
	'\t': " ", '\u2028': "\n", '\u2029': "\n", '\u0085': "\n",
	'\u00AD': "", '\u200B': "", '\u200C': "", '\u200D': "", '\u2060': "", '\uFEFF': "",
	'\u200E': "", '\u200F': "", '\uFE0E': "", '\uFE0F': "",
}

// greek are the capitals that the default alphabet has as Latin ones only.
var greek = map[rune]string{
	'Α': "A", 'Β': "B", 'Ε': "E", 'Ζ': "Z", 'Η': "H", 'Ι': "I", 'Κ': "K", 'Μ': "M", 'Ν': "N",
	'Ο': "O", 'Ρ': "P", 'Τ': "T", 'Υ': "Y", 'Χ': "X",
}

// transliterate writes a text with the default alphabet; ok is false when
// that cannot be done with all of it.
func transliterate(text string) (plain string, ok bool) {
	var b strings.Builder
	for _, r := range compose(text) {
		s, ok := plainly(r)
		if !ok {
			return "", false
		}
		b.WriteString(s)
	}
	return b.String(), true
}

// plainly gives a character as one or more of the default alphabet.
func plainly(r rune) (string, bool) {
	if inDefault(r) {
		return string(r), true
	}
	if s, ok := instead[r]; ok {
		return s, true
	}
	var b strings.Builder
	for _, d := range norm.NFKD.String(string(r)) {
		s, ok := instead[d]
		switch {
		case unicode.Is(unicode.Mn, d): // the accent goes
		case inDefault(d):
			b.WriteRune(d)
		case ok:
			b.WriteString(s)
		default:
			capital := unicode.ToUpper(d)
			latin, ok := greek[capital]
			if !ok && !(unicode.Is(unicode.Greek, d) && inDefault(capital)) {
				return "", false
			}
			if !ok {
				latin = string(capital)
			}
			b.WriteString(latin)
		}
	}
	return b.String(), true
}

func inDefault(r rune) bool { return r == '€' || r >= 0 && r < 0x400 && quick[r] != absent }
