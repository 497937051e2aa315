package email

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The forms of text in a header field. A line has at most 76 characters where
// the text allows it, and never more than 998 (RFC 5322, section 2.1.1).
const (
	lineLength = 76
	wordLength = 75  // of an encoded word (RFC 2047, section 2)
	mostPlain  = 900 // of text that is not encoded: it may have no place to fold
)

// appendText writes a field's unstructured text, such as a subject: as it is
// where it is ASCII, else in encoded words. s is one line; column is how much
// stands before it.
func appendText(dst []byte, s string, column int) []byte {
	if len(s) > mostPlain || !isASCII(s) || strings.Contains(s, "=?") {
		return appendEncoded(dst, s, column, mostlyASCII(s))
	}
	for column+len(s) > lineLength {
		cut := strings.LastIndexByte(s[:max(1, lineLength-column)], ' ')
		if cut <= 0 {
			if cut = strings.IndexByte(s[1:], ' ') + 1; cut == 0 {
				break
			}
		}
		dst = append(append(dst, s[:cut]...), "\r\n"...) // the space begins the next line
		s, column = s[cut:], 0
	}
	return append(dst, s...)
}

// appendPhrase writes the name before an address: a quoted string where it is
// ASCII, else encoded words, in base64: RFC 2047, section 5 (3), allows few
// characters in the other form there.
func appendPhrase(dst []byte, s string, column int) []byte {
	if len(s) > mostPlain/2 || !isASCII(s) {
		return appendEncoded(dst, s, column, false)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// appendEncoded writes s as encoded words (RFC 2047), each on a line of its own.
func appendEncoded(dst []byte, s string, column int, quoted bool) []byte {
	for {
		room := min(wordLength, lineLength-column) - len("=?UTF-8?q??=")
		var taken int
		if quoted {
			taken = fittingQuoted(s, room)
			dst = append(appendQuotedWord(append(dst, "=?UTF-8?q?"...), s[:taken]), "?="...)
		} else {
			taken = fittingRunes(s, room/4*3)
			dst = append(base64.StdEncoding.AppendEncode(append(dst, "=?UTF-8?b?"...), []byte(s[:taken])), "?="...)
		}
		if s = s[taken:]; s == "" {
			return dst
		}
		dst, column = append(dst, "\r\n "...), 1
	}
}

// fittingRunes is how many bytes of s, in whole characters, are at most room.
func fittingRunes(s string, room int) int {
	if len(s) <= room {
		return len(s)
	}
	for room > 0 && !utf8.RuneStart(s[room]) {
		room--
	}
	return room
}

// fittingQuoted is how many bytes of s, in whole characters, fit into room
// when they are written by appendQuotedWord.
func fittingQuoted(s string, room int) int {
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf && inQuotedWord[byte(r)]:
			room--
		default:
			room -= 3 * utf8.RuneLen(r)
		}
		if room < 0 {
			return i
		}
	}
	return len(s)
}

func appendQuotedWord(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			dst = append(dst, '_')
		case inQuotedWord[c]:
			dst = append(dst, c)
		default:
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

const hexDigits = "0123456789ABCDEF"

// inQuotedWord is what stands as one character in an encoded word: what is
// printable, but for = ? and _ (RFC 2047, section 4.2).
var inQuotedWord = func() (table [256]bool) {
	for c := ' '; c <= '~'; c++ {
		table[c] = c != '=' && c != '?' && c != '_'
	}
	return table
}()

// mostlyASCII says that quoting three characters for each byte that is not
// ASCII is shorter than base64.
func mostlyASCII(s string) bool { return countHigh(s) <= len(s)/6 }

func countHigh(s string) (n int) {
	for i := range len(s) {
		n += int(s[i] >> 7)
	}
	return n
}

// oneLine is s without control characters and line separators, its words one
// space apart.
func oneLine(s string) string {
	if isOneLine(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// isOneLine says that oneLine has nothing to do.
func isOneLine(s string) bool {
	space := true // before it
	for i, r := range s {
		switch {
		case r == ' ':
			if space {
				return false
			}
			space = true
			continue
		case r < ' ', r >= 0x7f && r <= 0xa0, r >= utf8.RuneSelf && unicode.IsSpace(r):
			return false
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return false
		}
		space = false
	}
	return s == "" || !space
}
