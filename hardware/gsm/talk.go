package gsm

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// note is what the modem says by itself (an unsolicited result code, URC).
type note struct {
	line string
	unit []byte // what follows +CMT, +CDS and +CBM: the PDU with its centre
	late func() // instead: the answer to a submission that nobody waits for
}

// talk makes sense of a modem's lines: which belong to the command that is
// under way, which end it, and which are notes. It is fed by one goroutine.
type talk struct {
	command *command // under way; nil: none
	lines   []string // its information lines so far
	heads   []head   // lines whose unit has not come yet, the newest last
	quoted  string   // a +CUSD whose text goes on in the next line
	// unanswered says that a submission has no answer yet although another
	// command may be under way: what can only be its answer is.
	unanswered bool
	// owed are the names of the lines of questions that were given up: they may
	// come yet.
	owed []string
	// lateOK says that a late line came, whose OK is not the command's.
	lateOK bool
}

// head is a line that a unit follows.
type head struct {
	line   string
	own    bool // of the command
	length int  // octets of the unit without its centre; -1: not said
}

// command is an AT command and what its answer looks like.
type command struct {
	text string // "AT+CSQ"
	// own tells its information lines from notes; nil: it has none.
	own func(line string) bool
	// unit is what is sent after the prompt, in hexadecimal; empty: there is none.
	unit string
}

// prefixed is own for the commands whose lines begin with their name.
func prefixed(prefixes ...string) func(string) bool {
	return func(line string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				return true
			}
		}
		return false
	}
}

// solicited is own for an answer that has more values than the note of the
// same name: "+CREG: 0,1" against "+CREG: 1".
func solicited(prefix string) func(string) bool {
	return func(line string) bool { return strings.HasPrefix(line, prefix) && strings.Contains(line, ",") }
}

// unnamed is own for the commands whose lines have no name before them, such
// as AT+CIMI, or have one.
func unnamed(prefixes ...string) func(string) bool {
	named := prefixed(prefixes...)
	return func(line string) bool {
		return named(line) || !strings.ContainsAny(line[:1], "+^*#%$&") && !bareNotes[line] && !strings.HasPrefix(line, "AT+")
	}
}

// bareNotes are notes without a sign before them.
var bareNotes = map[string]bool{
	"RING": true, "NO CARRIER": true, "BUSY": true, "NO ANSWER": true, "RDY": true, "SMS DONE": true, "PB DONE": true,
	"Call Ready": true, "SMS Ready": true, "NORMAL POWER DOWN": true, "UNDER-VOLTAGE WARNNING": true, "OVER-VOLTAGE WARNNING": true,
}

// outcome is what a line came to: a note, or the answer to the command, or one
// that came too late, to whatever was asked before.
type outcome struct {
	note  *note
	final bool
	late  bool
	line  string // of a late answer: its information line, if it has one
	err   error  // of an answer; nil: OK
}

// take sorts a line.
func (t *talk) take(line string) []outcome {
	if t.quoted != "" {
		return t.goOn(line)
	}
	if strings.HasPrefix(line, "+CUSD:") && strings.Count(line, `"`)%2 == 1 {
		t.quoted = line
		return nil
	}
	if err, is := final(line); is {
		return t.end(err)
	}
	if unit := t.unitOf(line); unit != nil {
		return unit()
	}
	own := t.command != nil && t.command.own != nil && t.command.own(line)
	if length, has := unitFollows(line); has {
		t.heads = append(t.heads[max(0, len(t.heads)-3):], head{line, own, length})
		return nil
	}
	switch {
	case own:
		t.lines = append(t.lines, line)
		if len(t.lines) > maxLines {
			t.lines = t.lines[1:]
		}
	case t.isEcho(line):
	case strings.HasPrefix(line, "+CMGS:"):
		t.lateOK = true
		return []outcome{{late: true, line: line}}
	case t.isOwed(line):
		t.lateOK = true
	default:
		return []outcome{{note: &note{line: line}}}
	}
	return nil
}

// maxLines is more than any answer has: twice 255 messages.
const maxLines = 1024

// quotedMax is the longest text of an operator's answer that we believe (USSD
// has 182 characters, four hexadecimal digits each at most).
const quotedMax = 1024

// goOn adds a line to a quoted text. A modem that forgets the closing quote
// must not swallow its answers.
func (t *talk) goOn(line string) []outcome {
	whole := t.quoted + "\n" + line
	if _, is := final(line); is || len(whole) > quotedMax {
		t.quoted = ""
		return append([]outcome{{note: &note{line: whole[:len(whole)-len(line)-1] + `"`}}}, t.take(line)...)
	}
	t.quoted = whole
	if strings.Count(whole, `"`)%2 == 0 {
		t.quoted = ""
		return []outcome{{note: &note{line: whole}}}
	}
	return nil
}

// end is a final result code.
func (t *talk) end(err error) []outcome {
	switch {
	case t.lateOK && err == nil:
		t.lateOK = false // the end of its late line
		return nil
	case t.unanswered && is(err, CMS) && (t.command == nil || !t.command.ofMessages()):
		return []outcome{{late: true, err: err}}
	case t.command == nil:
		return nil // of something that nobody asks for any more
	}
	var left []head
	for _, h := range t.heads {
		if !h.own {
			left = append(left, h)
		}
	}
	t.heads = left
	return []outcome{{final: true, err: err}}
}

// ofMessages reports whether the command can fail with +CMS ERROR.
func (c *command) ofMessages() bool {
	return prefixed("AT+CMG", "AT+CMM", "AT+CN", "AT+CPMS", "AT+CSCA", "AT+CSMS")(c.text)
}

// unitOf finds whose unit a line is: the newest head's that names its length,
// or else the newest.
func (t *talk) unitOf(line string) func() []outcome {
	if len(t.heads) == 0 || len(line) < 4 || len(line)%2 != 0 {
		return nil
	}
	unit, err := hex.DecodeString(line)
	if err != nil {
		return nil
	}
	whose := -1
	for i := len(t.heads) - 1; i >= 0 && whose < 0; i-- {
		if t.heads[i].length == len(unit)-1-int(unit[0]) {
			whose = i
		}
	}
	if whose < 0 && len(unit) >= 9 && (t.command == nil || t.command.own == nil || !t.command.own(line)) {
		whose = len(t.heads) - 1
	}
	if whose < 0 {
		return nil
	}
	h := t.heads[whose]
	t.heads = append(t.heads[:whose:whose], t.heads[whose+1:]...)
	return func() []outcome {
		if h.own {
			t.lines = append(t.lines, h.line, line)
			return nil
		}
		return []outcome{{note: &note{line: h.line, unit: unit}}}
	}
}

// unitFollows reports whether the next line is a unit, and its length. These
// are the result codes of PDU mode in 3GPP TS 27.005.
func unitFollows(line string) (length int, follows bool) {
	for _, name := range []string{"+CMT:", "+CDS:", "+CBM:", "+CMGR:", "+CMGL:"} {
		if !strings.HasPrefix(line, name) {
			continue
		}
		values := fields(line)
		n, err := strconv.Atoi(values[len(values)-1])
		if err != nil || n < 0 || n > 255 {
			n = -1
		}
		return n, n != 0
	}
	return 0, false
}

func (t *talk) isOwed(line string) bool {
	i := slices.IndexFunc(t.owed, func(name string) bool { return strings.HasPrefix(line, name) })
	if i >= 0 {
		t.owed = slices.Delete(t.owed, i, i+1)
	}
	return i >= 0
}

// isEcho reports whether the line is what we wrote: echo is off as soon as the
// modem has heard of it.
func (t *talk) isEcho(line string) bool {
	return t.command != nil && (line == t.command.text || line == t.command.unit && line != "") || strings.HasPrefix(line, "AT")
}

// final reads a final result code (V.250, section 5.7; 3GPP TS 27.007, section
// 9.2; 27.005, section 3.2.5).
func final(line string) (err error, is bool) {
	switch line {
	case "OK":
		return nil, true
	case "ERROR":
		return &Error{}, true
	case "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS": // Huawei
		return &Error{Text: line}, true
	}
	for _, domain := range []Domain{CME, CMS} {
		said, is := strings.CutPrefix(line, "+"+string(domain)+" ERROR")
		if !is {
			continue
		}
		said = strings.Trim(said, ": \"")
		code, err := strconv.Atoi(said)
		if err != nil {
			return &Error{Domain: domain, Code: codeOf(domain, said), Text: clip(said)}, true
		}
		return &Error{Domain: domain, Code: code}, true
	}
	return nil, false
}

// codeOf finds the code of words, which a modem uses that does not know +CMEE=1.
func codeOf(domain Domain, words string) int {
	names := cmeNames
	if domain == CMS {
		names = cmsNames
	}
	for code, name := range names {
		if strings.EqualFold(name, words) {
			return code
		}
	}
	for said, code := range map[string]int{
		"SIM not inserted": 10, "SIM PIN required": cmePINWanted, "SIM PUK required": cmePUKWanted,
		"SIM busy": cmeSIMBusy, "incorrect password": cmeWrongPIN, "memory full": cmsMemoryFull,
	} {
		if strings.EqualFold(said, words) && (domain == CME) == (code < 300) {
			return code
		}
	}
	return -1
}

// clip shortens what a modem says for a log.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60]
	}
	return s
}

// fields are the values of an information line, without their quotes.
// `+CPMS: "SM",3,20` has three. A comma in quotes parts nothing.
func fields(line string) []string {
	if _, values, named := strings.Cut(line, ":"); named {
		line = values
	}
	var list []string
	var value strings.Builder
	quoted, depth := false, 0
	for i := range len(line) {
		switch b := line[i]; {
		case b == '"':
			quoted = !quoted
		case b == ',' && !quoted && depth == 0:
			list = append(list, strings.TrimSpace(value.String()))
			value.Reset()
		default:
			if !quoted && b == '(' {
				depth++
			}
			if !quoted && b == ')' {
				depth--
			}
			value.WriteByte(b)
		}
	}
	return append(list, strings.TrimSpace(value.String()))
}

// number is the i-th value as a number from 0, or -1.
func number(values []string, i int) int {
	if i >= len(values) {
		return -1
	}
	n, err := strconv.Atoi(values[i])
	if err != nil || n < 0 {
		return -1
	}
	return n
}
