package templates

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneLine makes a subject of what a template printed: control characters,
// line ends and the separators that some readers take for line ends (U+2028,
// U+2029) become spaces, and spaces in a row become one.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// tidyText is a plain text part: valid UTF-8, without control characters
// other than line ends and tabs, and with no more than one empty line in a row.
func tidyText(s string) string {
	s = strings.TrimSpace(s)
	if isTidy(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if line == "" && (len(lines) == 0 || lines[len(lines)-1] == "") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// isTidy reports of most texts without space around them that are tidy already
// that they are: of those without a control character, a blank at the end of a line or two empty lines
// in a row.
func isTidy(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			if before := s[i-1]; before == ' ' || before == '\t' || before >= utf8.RuneSelf || before == '\n' && s[i-2] == '\n' {
				return false
			}
		case c < ' ' && c != '\t', c == 0x7f, c == 0xc2: // 0xc2 begins the control characters beyond ASCII
			return false
		}
	}
	return true
}

// markdownText is a value as a part of a line of Markdown that means itself
// (CommonMark 0.31, section 2.4; GitHub Flavored Markdown 0.29). Punctuation
// that could be markup there is escaped, also together with what the template
// has around it. Without line ends it begins no block and leaves no row of a
// table, and without blanks in front it is never indented into code.
func markdownText(value string) string {
	var b strings.Builder
	b.Grow(len(value) + len(value)/4)
	before := ' ' // what was written last
	runes := []rune(strings.ToValidUTF8(value, ""))
	for i, r := range runes {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		if r == ' ' && before == ' ' {
			continue
		}
		after := ' '
		if i+1 < len(runes) {
			after = runes[i+1]
		}
		if mayBeMarkup(before, r, after) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
		before = r
	}
	return b.String()
}

// mayBeMarkup reports whether r can be a part of markup between its
// neighbours, a blank at either end of a value.
func mayBeMarkup(before, r, after rune) bool {
	switch r {
	case '\\', '`', '*', '_', '[', ']', '(', ')', '<', '>', '#', '+', '!', '|', '~', '&', '=', '@', '^':
		return true
	case '-': // of a list or a line below something
		return !isWord(before) || !isWord(after)
	case '.': // behind the number of a list, or www
		return !isWord(before) || !isWord(after) || before == 'w' || before == 'W'
	case ':': // of an address
		return !unicode.IsDigit(before) || !unicode.IsDigit(after)
	}
	return false
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
