package modem

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// answer is what a command gives: lines of information and how it ended.
type answer struct {
	lines []string
	fail  *failure // nil: OK
	// prompt asks for a text; then is called with it.
	prompt func(text string) answer
	// silent ends with nothing at all.
	silent bool
	// before and within are what faults put in front of it and into it.
	before, within string
	// then happens when it was written.
	then func()
}

// failure is how a command ends when it does not end with OK.
type failure struct {
	cms  bool   // +CMS ERROR rather than +CME ERROR
	code int    // 3GPP TS 27.007 section 9.2, 27.005 section 3.2.5
	text string // instead of both, such as "ERROR"
}

func ok(lines ...string) answer { return answer{lines: lines} }
func wrong() answer             { return answer{fail: &failure{text: "ERROR"}} }
func cme(code int) answer       { return answer{fail: &failure{code: code}} }
func cms(code int) answer       { return answer{fail: &failure{cms: true, code: code}} }

// serve reads the line until the modem closes, and plugs it in again when a
// fault pulled it out.
func (m *Modem) serve() {
	for {
		m.mu.Lock()
		p := m.port
		m.mu.Unlock()
		if p != nil {
			m.listen(p)
		}
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return
		}
		if err := m.unplug(); err != nil {
			m.cfg.Logger.Warn("simulated modem: unplugging", "error", err)
		}
		away := max(m.away, time.Millisecond)
		m.away = 0
		if m.wait(away) {
			if err := m.plugIn(); err != nil {
				m.cfg.Logger.Error("simulated modem: plugging in", "error", err)
			}
		}
		m.mu.Unlock()
	}
}

// listen takes bytes from the line until it ends. The reader is its own.
func (m *Modem) listen(p *port) {
	m.reader = reader{}
	buffer := make([]byte, 512)
	for {
		n, err := p.near.Read(buffer)
		if err != nil {
			return
		}
		for _, b := range buffer[:n] {
			m.hear(b)
		}
	}
}

// hear takes one byte from the line.
func (m *Modem) hear(b byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state.echo && !m.hung && !m.silent && b != ctrlZ && b != escape {
		m.say(string(rune(b)))
	}
	found, text := m.reader.take(b)
	if found == nothing || m.deaf(found, text) {
		return
	}
	m.busy = true
	switch found {
	case commandLine:
		m.finish(m.obey(text))
	case messageText:
		prompted := m.prompted
		m.prompted = nil
		m.finish(prompted(text))
	case cancelled:
		m.prompted = nil
		m.finish(ok())
	case tooLong:
		m.finish(wrong())
	}
	m.busy = m.reader.text // an indication would get into the text
	m.tellWaiting()
}

// deaf is true for a modem that does not react; a reset gets through to one
// that hangs, and a program that opens the line anew finds it well.
func (m *Modem) deaf(found found, text string) bool {
	if m.silent {
		return true
	}
	if m.hung && m.port != nil && m.port.notice.any() {
		m.hung = false
	}
	if !m.hung {
		return false
	}
	if line, _ := commandsOf(text); found == commandLine && len(line) > 0 && isReset(line[0]) {
		m.hung = false
	}
	return m.hung
}

// obey carries out a line; the first command that fails ends it (ITU-T V.250,
// section 5.7).
func (m *Modem) obey(line string) answer {
	commands, fine := commandsOf(line)
	if !fine {
		return wrong()
	}
	if len(commands) == 0 {
		return m.meddled("AT", "", func() answer { return ok() })
	}
	var all answer
	for _, c := range commands {
		a := m.one(c)
		a.lines, a.before = append(all.lines, a.lines...), all.before+a.before
		if a.within == "" {
			a.within = all.within
		}
		if first := all.then; first != nil && a.then != nil {
			second := a.then
			a.then = func() { first(); second() }
		} else if first != nil {
			a.then = first
		}
		if all = a; a.fail != nil || a.silent || a.prompt != nil {
			return all
		}
	}
	return all
}

// one does one command of a line, with the faults that concern it: those of a
// command that asks for a text wait for that.
func (m *Modem) one(c command) answer {
	do := func() answer { return m.carryOut(c) }
	switch {
	case c.prompts():
		return m.meddled(">", "", do)
	case c.name == "+CMSS":
		return do() // has a recipient, once the message is found
	}
	return m.meddled(c.name, "", do)
}

// carryOut does one command.
func (m *Modem) carryOut(c command) answer {
	entry, known := m.commands[c.name]
	switch {
	case !known && isQuiet(c.name):
		if c.form == query {
			return ok(c.name + ": 0")
		}
		return ok()
	case !known:
		return wrong()
	case entry.card && c.form != probe:
		if problem := m.card.problem(entry.messages); problem != nil {
			return answer{fail: problem}
		}
	}
	return entry.do(c)
}

// finish writes an answer, or the prompt it wants.
func (m *Modem) finish(a answer) {
	if a.prompt != nil {
		m.prompted, m.reader.text = a.prompt, true
	}
	if !a.silent {
		m.say(a.before + m.format(a))
	}
	if a.then != nil {
		a.then()
	}
}

// format writes an answer in the verbose form or the short one (ITU-T V.250,
// section 5.7.1).
func (m *Modem) format(a answer) string {
	var b strings.Builder
	if a.within != "" { // behind the first line, where there is one
		a.lines = slices.Insert(slices.Clone(a.lines), min(1, len(a.lines)), "\r\n"+a.within)
	}
	if len(a.lines) > 0 && m.state.verbose {
		b.WriteString("\r\n")
	}
	for _, line := range a.lines {
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	switch {
	case a.prompt != nil:
		return b.String() + "\r\n> " // 3GPP TS 27.005, section 3.5.1: no line end behind it
	case m.state.quiet:
		return b.String()
	}
	final, short := "OK", "0"
	if a.fail != nil {
		final, short = m.failed(*a.fail)
	}
	if m.state.verbose {
		b.WriteString("\r\n" + final + "\r\n")
	} else {
		b.WriteString(short + "\r")
	}
	return b.String()
}

// failed is how a failure is written, in full and short; AT+CMEE decides about
// +CME ERROR, and of both whether they have words.
func (m *Modem) failed(f failure) (full, short string) {
	name := "+CME ERROR: "
	if f.cms {
		name = "+CMS ERROR: "
	}
	switch {
	case f.text == "ERROR", f.text == "" && !f.cms && m.state.errors == 0:
		return "ERROR", "4"
	case f.text != "":
		return f.text, f.text
	case m.state.errors == 2 && words(f) != "":
		return name + words(f), name + words(f)
	}
	full = fmt.Sprintf("%s%d", name, f.code)
	return full, full
}

// say writes to the line; what cannot be written is lost, as on a wire. It
// wants mu held.
func (m *Modem) say(text string) {
	if m.port == nil || text == "" {
		return
	}
	if err := m.port.write([]byte(text)); err != nil {
		m.cfg.Logger.Debug("simulated modem: writing", "error", err)
	}
}

// mostIndications is how many wait at most.
const mostIndications = 200

// indicate says something that nobody asked for, when no command is being
// carried out. It wants mu held.
func (m *Modem) indicate(text string) {
	if len(m.urcs) < mostIndications {
		m.urcs = append(m.urcs, text)
	}
	m.tellWaiting()
}

// tellWaiting says what waits, unless a command is on its way: from its first
// character the line is the program's (3GPP TS 27.005, section 3.4.1). It wants
// mu held.
func (m *Modem) tellWaiting() {
	if m.busy || m.hung || m.reader.begun() || m.silent {
		return
	}
	waiting := m.urcs
	m.urcs = nil
	for _, text := range waiting {
		m.say("\r\n" + text + "\r\n")
	}
}
