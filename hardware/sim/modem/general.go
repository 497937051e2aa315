package modem

import (
	"fmt"
	"strings"
	"time"
)

// entry is a command that the modem knows.
type entry struct {
	do       func(command) answer
	card     bool // it needs an unlocked SIM
	messages bool // its failures are +CMS ERROR
}

// table is all commands by name.
func (m *Modem) table() map[string]entry {
	all := map[string]entry{
		"E": {do: m.flag(&m.state.echo)}, "V": {do: m.flag(&m.state.verbose)}, "Q": {do: m.flag(&m.state.quiet)},
		"Z": {do: m.reset}, "&F": {do: m.reset}, "I": {do: m.identify}, "D": {do: noCarrier}, "A": {do: noCarrier},
		"+GCAP": {do: says("+GCAP: +CGSM,+DS,+ES")}, "+CPAS": {do: says("+CPAS: 0")}, "+CBC": {do: says("+CBC: 0,100")}, "+CGATT": {do: says("+CGATT: 1")},
		"+CGMI": {do: says(m.cfg.Manufacturer)}, "+GMI": {do: says(m.cfg.Manufacturer)},
		"+CGMM": {do: says(m.cfg.Model)}, "+GMM": {do: says(m.cfg.Model)},
		"+CGMR": {do: says(m.cfg.Revision)}, "+GMR": {do: says(m.cfg.Revision)},
		"+CGSN": {do: says(m.cfg.IMEI)}, "+GSN": {do: says(m.cfg.IMEI)},
		"+CIMI": {do: m.subscriber, card: true}, "+CCID": {do: m.cardNumber, card: true}, "^ICCID": {do: m.cardNumber, card: true},
		"+CNUM": {do: m.ownNumber, card: true},
		"+CPIN": {do: m.pin}, "+CLCK": {do: m.lock, card: true}, "+CFUN": {do: m.functions}, "+CMEE": {do: m.setting(&m.state.errors, 2)},
		"+CREG": {do: m.registration}, "+CGREG": {do: m.registration}, "+CEREG": {do: m.registration},
		"+CSQ": {do: m.signal}, "+COPS": {do: m.operator}, "+CCLK": {do: m.clock}, "+CSCS": {do: m.charset}, "+CUSD": {do: m.ussd, card: true},
	}
	for name, do := range m.messageCommands() {
		all[name] = entry{do: do, card: true, messages: true}
	}
	for name, do := range map[string]func(command) answer{ // no need of a card
		"+CMGF": m.messageFormat, "+CSDH": m.flagSetting(&m.state.textHeader), "+CNMI": m.notification, "+CSMS": m.service,
		"+CMMS": m.setting(&m.state.keepLink, 2),
	} {
		all[name] = entry{do: do, messages: true}
	}
	return all
}

// says is a command that only tells something.
func says(text string) func(command) answer {
	return func(c command) answer {
		if c.form == probe {
			return ok()
		}
		return ok(text)
	}
}

func noCarrier(command) answer { return answer{fail: &failure{text: "NO CARRIER"}} }

// flag is E0, E1 and the like.
func (m *Modem) flag(to *bool) func(command) answer {
	return func(c command) answer {
		n, fine := c.number(0, 0, 1)
		if !fine {
			return wrong()
		}
		*to = n == 1
		return ok()
	}
}

// flagSetting is a setting that is 0 or 1.
func (m *Modem) flagSetting(to *bool) func(command) answer {
	n := 0
	do := m.setting(&n, 1)
	return func(c command) answer {
		n = bit(*to)
		a := do(c)
		*to = n == 1
		return a
	}
}

func bit(on bool) int {
	if on {
		return 1
	}
	return 0
}

// setting is a command with one number from 0 to most.
func (m *Modem) setting(to *int, most int) func(command) answer {
	return func(c command) answer {
		switch c.form {
		case probe:
			return ok(fmt.Sprintf("%s: (0-%d)", c.name, most))
		case query:
			return ok(fmt.Sprintf("%s: %d", c.name, *to))
		}
		n, fine := c.number(0, 0, most)
		if !fine {
			return m.incorrect(c.name)
		}
		*to = n
		return ok()
	}
}

// incorrect is the failure of a command with parameters that it does not take.
func (m *Modem) incorrect(name string) answer {
	if m.commands[name].messages {
		return cms(302)
	}
	return cme(50)
}

// reset is ATZ and AT&F; what the network knows of the modem stays.
func (m *Modem) reset(command) answer {
	radio := m.state.radio
	m.state = m.fresh()
	m.state.radio = radio
	return ok()
}

func (m *Modem) identify(command) answer {
	return ok("Manufacturer: "+m.cfg.Manufacturer, "Model: "+m.cfg.Model, "Revision: "+m.cfg.Revision, "IMEI: "+m.cfg.IMEI)
}

func (m *Modem) subscriber(c command) answer { return says(m.card.sim.IMSI)(c) }

func (m *Modem) cardNumber(c command) answer { return says(c.name + ": " + m.card.sim.ICCID)(c) }

func (m *Modem) ownNumber(c command) answer {
	if c.form == probe {
		return ok()
	}
	number := m.card.sim.Number
	return ok(fmt.Sprintf("+CNUM: ,%s,%d", m.quoted(number), typeOfNumber(number)))
}

// typeOfNumber is the type of address that goes with a number (3GPP TS
// 24.008, section 10.5.4.7).
func typeOfNumber(number string) int {
	if strings.HasPrefix(number, "+") {
		return 145
	}
	return 129
}

// pin is AT+CPIN (3GPP TS 27.007, section 8.3).
func (m *Modem) pin(c command) answer {
	switch c.form {
	case probe:
		return ok()
	case query:
		if m.card.sim.Missing {
			return cme(10)
		}
		return ok("+CPIN: " + m.card.status())
	}
	if fail := m.card.enter(c.text(0), c.text(1)); fail != nil {
		return answer{fail: fail}
	}
	return answer{then: m.bring}
}

// lock says whether the card asks for its PIN; nothing else is ever locked.
func (m *Modem) lock(c command) answer {
	switch {
	case c.form == probe:
		return ok(`+CLCK: ("SC")`)
	case c.text(1) == "2":
		return ok(fmt.Sprintf("+CLCK: %d", bit(c.text(0) == "SC" && m.card.sim.PIN != "")))
	}
	return cme(3)
}

// functions is AT+CFUN: the radio, and the reset that brings back a modem
// that hangs.
func (m *Modem) functions(c command) answer {
	switch {
	case c.form == probe:
		return ok("+CFUN: (0,1,4),(0,1)")
	case c.form == query:
		return ok(fmt.Sprintf("+CFUN: %d", m.state.radio))
	case isReset(c):
		return answer{then: func() { m.restart(0, "") }}
	}
	n, fine := c.number(0, 1, 4)
	if !fine || n != 0 && n != 1 && n != 4 {
		return cme(50)
	}
	m.state.radio = n
	return answer{then: func() { m.registrationChanged(); m.bring() }}
}

// registered is the state of AT+CREG: 1 home, 2 searching, 0 not.
func (m *Modem) registered() int {
	_, away := m.inForce(NoNetwork)
	switch {
	case m.state.radio != 1:
		return 0
	case away, m.card.problem(false) != nil:
		return 2
	}
	return 1
}

// registration is AT+CREG, AT+CGREG and AT+CEREG.
func (m *Modem) registration(c command) answer {
	switch c.form {
	case probe:
		return ok(c.name + ": (0-2)")
	case query, run:
		n := m.state.registration[c.name]
		return ok(fmt.Sprintf("%s: %d,%d%s", c.name, n, m.registered(), m.cell(n)))
	}
	n, fine := c.number(0, 0, 2)
	if !fine {
		return cme(50)
	}
	m.state.registration[c.name] = n
	return ok()
}

// cell is where the modem is, when that was asked for.
func (m *Modem) cell(n int) string {
	if n != 2 || m.registered() != 1 {
		return ""
	}
	return `,"00C3","0000B0CA"`
}

// registrationChanged tells programs that asked to be told.
func (m *Modem) registrationChanged() {
	for _, name := range []string{"+CREG", "+CGREG", "+CEREG"} {
		if n := m.state.registration[name]; n > 0 {
			m.indicate(fmt.Sprintf("%s: %d%s", name, m.registered(), m.cell(n)))
		}
	}
}

func (m *Modem) signal(c command) answer {
	if c.form == probe {
		return ok("+CSQ: (0-31,99),(0-7,99)")
	}
	level := 24 // -65 dBm
	if fault, found := m.inForce(Signal); found {
		level = fault.Code
	}
	if m.state.radio != 1 {
		level = 99
	}
	return ok(fmt.Sprintf("+CSQ: %d,99", level))
}

// operator is AT+COPS (3GPP TS 27.007, section 7.3).
func (m *Modem) operator(c command) answer {
	switch c.form {
	case probe:
		return ok(fmt.Sprintf(`+COPS: (2,%s,%s,"%s"),,(0-4),(0-2)`, m.quoted(m.cfg.Operator), m.quoted(short(m.cfg.Operator)), m.cfg.Network))
	case query:
		if m.registered() != 1 {
			return ok("+COPS: 0")
		}
		name := m.quoted(m.cfg.Operator)
		switch m.state.operatorFormat {
		case 1:
			name = m.quoted(short(m.cfg.Operator))
		case 2:
			name = `"` + m.cfg.Network + `"`
		}
		return ok(fmt.Sprintf("+COPS: 0,%d,%s", m.state.operatorFormat, name))
	}
	mode, fine := c.number(0, 0, 4)
	format, known := c.number(1, m.state.operatorFormat, 2)
	if !fine || !known {
		return cme(50)
	}
	if mode == 3 {
		m.state.operatorFormat = format
	}
	return ok()
}

// short is a name in the eight characters of a short operator's name.
func short(name string) string {
	word, _, _ := strings.Cut(name, " ")
	return word[:min(8, len(word))]
}

func (m *Modem) clock(c command) answer {
	if c.form != query {
		return ok() // the network sets it
	}
	return ok(`+CCLK: "` + timestamp(m.cfg.Now()) + `"`)
}

// timestamp is a time as AT commands write it, its zone in quarters of an hour.
func timestamp(t time.Time) string {
	_, seconds := t.Zone()
	return fmt.Sprintf("%s%+03d", t.Format("06/01/02,15:04:05"), seconds/900)
}
