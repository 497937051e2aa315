package modem

import (
	"strconv"
	"strings"
)

// form is how a command was asked (3GPP TS 27.007, section 4).
type form uint8

const (
	run    form = iota // AT+CMD, ATZ, ATE0
	assign             // AT+CMD=1,2
	query              // AT+CMD?
	probe              // AT+CMD=?
)

// command is one of those on a line.
type command struct {
	name string // upper case: "+CMGS", "E", "&F", "S0", "D"
	form form
	args []string // without their quotes; for E0 and the like the number
}

// mostParts is how many parameters a command may have, and a line commands.
const mostParts = 32

// commandsOf takes a line apart, which begins with AT; it is false when that
// cannot be done.
func commandsOf(line string) ([]command, bool) {
	rest := line[min(2, len(line)):]
	var all []command
	for {
		rest = strings.TrimLeft(rest, " ;")
		if rest == "" {
			return all, true
		}
		if len(all) == mostParts {
			return nil, false
		}
		c, behind, ok := first(rest)
		if !ok {
			return nil, false
		}
		all, rest = append(all, c), behind
	}
}

// first takes the first command off a text that has one.
func first(text string) (command, string, bool) {
	switch b := upper(text[0]); {
	case strings.IndexByte("+^%$#*", b) >= 0:
		return extended(text)
	case b == 'D': // a number to the end of the line
		return command{name: "D", args: []string{text[1:]}}, "", true
	case b == '&' && len(text) > 1 && isLetter(upper(text[1])):
		return basic(text, 2)
	case b == 'S':
		return register(text)
	case isLetter(b):
		return basic(text, 1)
	default:
		return command{}, "", false
	}
}

// basic reads E, E0, &F1: a name and a number.
func basic(text string, name int) (command, string, bool) {
	end := name
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	c := command{name: strings.ToUpper(text[:name])}
	if end > name {
		c.args = []string{text[name:end]}
	}
	return c, text[end:], true
}

// register reads S0=1 and S0?.
func register(text string) (command, string, bool) {
	end := 1
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	c := command{name: strings.ToUpper(text[:end])}
	switch {
	case end < len(text) && text[end] == '?':
		c.form = query
		return c, text[end+1:], true
	case end < len(text) && text[end] == '=':
		number := end + 1
		for number < len(text) && isDigit(text[number]) {
			number++
		}
		c.form, c.args = assign, []string{text[end+1 : number]}
		return c, text[number:], true
	}
	return c, text[end:], end > 1
}

// extended reads +CMD, +CMD?, +CMD=?, +CMD=1,"two".
func extended(text string) (command, string, bool) {
	end := 1
	for end < len(text) && (isLetter(upper(text[end])) || isDigit(text[end])) {
		end++
	}
	c := command{name: strings.ToUpper(text[:end])}
	rest := text[end:]
	switch {
	case end == 1:
		return command{}, "", false
	case strings.HasPrefix(rest, "=?"):
		c.form, rest = probe, rest[2:]
	case strings.HasPrefix(rest, "?"):
		c.form, rest = query, rest[1:]
	case strings.HasPrefix(rest, "="):
		c.form = assign
		var ok bool
		if c.args, rest, ok = arguments(rest[1:]); !ok {
			return command{}, "", false
		}
	}
	return c, rest, rest == "" || rest[0] == ';' || rest[0] == ' '
}

// arguments reads values up to a semicolon or the end: numbers as they are,
// texts without their quotes.
func arguments(text string) (all []string, rest string, ok bool) {
	for {
		text = strings.TrimLeft(text, " ")
		var value string
		if strings.HasPrefix(text, `"`) {
			end := strings.IndexByte(text[1:], '"')
			if end < 0 {
				end = len(text) - 1 // some programs leave the last quote out
			}
			value, text = text[1:1+end], text[min(len(text), end+2):]
			text = strings.TrimLeft(text, " ")
		} else {
			end := strings.IndexAny(text, ",;")
			if end < 0 {
				end = len(text)
			}
			value, text = strings.TrimSpace(text[:end]), text[end:]
		}
		if all = append(all, value); len(all) > mostParts {
			return nil, "", false
		}
		switch {
		case text == "" || text[0] == ';':
			return all, text, true
		case text[0] != ',':
			return nil, "", false
		}
		text = text[1:]
	}
}

func isLetter(b byte) bool { return 'A' <= b && b <= 'Z' }
func isDigit(b byte) bool  { return '0' <= b && b <= '9' }

// text is the argument at i, or "" when it was left out.
func (c command) text(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// number is the argument at i, or usual when it was left out; it is false for
// one that is no number from 0 to most.
func (c command) number(i, usual, most int) (int, bool) {
	text := c.text(i)
	if text == "" {
		return usual, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && 0 <= n && n <= most
}
