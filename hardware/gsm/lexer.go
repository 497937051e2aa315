package gsm

import "strings"

const (
	ctrlZ  = "\x1a" // ends a message
	escape = "\x1b" // abandons it

	// maxLine is longer than any line of a modem: a unit has at most 2*(175+12)
	// hexadecimal digits.
	maxLine = 4096
)

// lexer cuts what a modem writes into lines. It does not believe that a line
// ends: one longer than maxLine is dropped.
type lexer struct {
	buf      []byte
	tooLong  bool // the rest of the line is dropped
	prompted bool // the line began with a prompt
}

// feed adds what was read and calls each for every line, without its end and
// control characters; empty lines are left out. prompt is asked whether one is
// awaited, and a `>` that begins a line then is given at once: no line end
// follows it.
func (l *lexer) feed(read []byte, prompt func() bool, each func(line string, isPrompt bool)) {
	for _, b := range read {
		switch {
		case b == '\r' || b == '\n':
			line, dropped := l.line(), l.tooLong
			*l = lexer{buf: l.buf[:0]}
			if line != "" && !dropped {
				each(line, false)
			}
		case b < ' ' && b != '\t' || b == 0x7f:
			// NUL and the like, from a modem that starts
		case len(l.buf) >= maxLine:
			l.tooLong = true
		case b == '>' && len(l.buf) == 0 && !l.prompted && prompt():
			l.prompted = true
			each(">", true)
		default:
			l.buf = append(l.buf, b)
		}
	}
}

// line is what has come of it, without a prompt that nobody awaited.
func (l *lexer) line() string {
	line := strings.TrimSpace(string(l.buf))
	for strings.HasPrefix(line, ">") {
		line = strings.TrimSpace(line[1:])
	}
	return line
}
