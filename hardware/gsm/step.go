package gsm

import (
	"fmt"
	"time"
)

// A command whose answer does not come in time leaves us out of step: the next
// OK may be its. So we escape from a prompt and ask something whose answer has
// a name, another one each time, and begin anew behind that answer. What comes
// of the command meanwhile is its answer after all.

const (
	// probesMost is how many questions are asked to get back in step, and
	// probeLimit how long each may take.
	probesMost = 3
	probeLimit = 5 * time.Second
)

// probes are questions that any modem answers, with or without a SIM.
var probes = []command{
	{text: "AT+CMEE?", own: prefixed("+CMEE:")},
	{text: "AT+CREG?", own: solicited("+CREG:")},
	{text: "AT+CSQ", own: solicited("+CSQ:")},
}

// timedOut is the end of a request's time.
func (p *port) timedOut() {
	switch r := p.now; {
	case r == nil:
	case r.probes >= r.most:
		p.fail(fmt.Errorf("%w: the modem answers nothing", ErrStuck))
	default:
		p.probe()
	}
}

// probe asks the next question.
func (p *port) probe() {
	r := p.now
	if r.probes == 0 {
		p.lexer = lexer{}
		p.talk.heads, p.talk.quoted = nil, ""
		p.talk.unanswered = r.unit != "" && r.prompted
		if r.unit != "" {
			p.say(escape + "\r")
		}
	}
	question := probes[r.probes%len(probes)]
	if r.text == question.text {
		r.probes++
		question = probes[r.probes%len(probes)]
	}
	if r.probes > 0 && len(p.talk.owed) < 2*len(probes) {
		p.talk.owed = append(p.talk.owed, nameOf(p.talk.command.text))
	}
	r.probes++
	p.talk.command, p.talk.lines = &question, nil
	p.say(question.text + "\r")
	p.limit.Reset(min(probeLimit, p.cfg.Timeout))
}

// nameOf is how a question's answer begins: "+CSQ:" of AT+CSQ.
func nameOf(text string) string {
	name := text[2:]
	if name[len(name)-1] == '?' {
		name = name[:len(name)-1]
	}
	return name + ":"
}

// inStep ends a resynchronisation.
func (p *port) inStep() {
	r := p.now
	a := answer{err: ErrUnanswered}
	switch {
	case r.known != nil:
		a = *r.known
	case r.unit != "" && r.stage.Load() != sent && r.stage.Load() != left:
		a.err = &Error{Text: "nothing where it should ask for the message"}
	case r.unit != "":
		p.ghost = r
	}
	p.talk.unanswered = p.ghost != nil
	p.finish(a)
}

// heardLate takes an answer to a submission that was given up.
func (p *port) heardLate(a answer) {
	switch {
	case p.now != nil && p.now.probes > 0 && p.now.prompted:
		p.now.known = &a
	case p.ghost != nil:
		ghost := p.ghost
		p.ghost, p.talk.unanswered = nil, false
		if ghost.late != nil {
			p.notify(note{late: func() { ghost.late(a) }})
		}
	}
}
