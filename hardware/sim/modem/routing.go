package modem

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// bring hands over what waits, as far as the modem can take it. It wants mu held.
func (m *Modem) bring() {
	if m.registered() != 1 || m.silent || m.closed {
		return
	}
	waiting := m.centre.waiting
	m.centre.waiting = nil
	for _, in := range waiting {
		if !m.route(in) {
			m.centre.waiting = append(m.centre.waiting, in)
		}
	}
}

// route gives a unit to the program or to a memory, as AT+CNMI says (3GPP TS
// 27.005, section 3.4.1); it is false when the network must keep it.
func (m *Modem) route(in incoming) bool {
	mt, ds := m.state.notify[1], m.state.notify[3]
	if in.report {
		if ds == 1 {
			return m.direct("+CDS: ", in)
		}
		return m.storeIncoming("SR", "+CDSI", ds == 2, in)
	}
	switch {
	case in.class == 2: // the SIM's own
		return m.storeIncoming("SM", "+CMTI", mt > 0, in)
	case mt == 2, mt == 3 && in.class == 3:
		return m.direct("+CMT: ", in)
	case in.class == 0: // shown at once, and stored nowhere
		return true
	}
	return m.storeIncoming(m.state.memory[2], "+CMTI", mt > 0, in)
}

func (m *Modem) storeIncoming(memory, name string, tell bool, in incoming) bool {
	in.pdu.state = unread
	index := m.stores[memory].put(in.pdu)
	if index > 0 && tell {
		m.reveal(fmt.Sprintf(`%s: "%s",%d`, name, memory, index))
	}
	return index > 0
}

// direct gives a unit to the program; one at a time, where the program said
// that it acknowledges them.
func (m *Modem) direct(name string, in incoming) bool {
	if m.state.acknowledges {
		if m.centre.awaiting != nil {
			return false
		}
		m.await(&in)
	}
	if m.state.textMode {
		m.reveal(m.directText(name, in))
		return true
	}
	comma := ","
	if in.report {
		comma = ""
	}
	m.reveal(fmt.Sprintf("%s%s%d\r\n%s", name, comma, len(in.pdu.pdu)-in.pdu.unit, strings.ToUpper(hex.EncodeToString(in.pdu.pdu))))
	return true
}

// await gives the program time to acknowledge; without that the network keeps
// the unit, and nothing is handed over directly any more (section 3.4.1).
func (m *Modem) await(in *incoming) {
	m.centre.awaiting = in
	m.later(m.cfg.AckTime, func() {
		if m.centre.awaiting != in {
			return
		}
		m.centre.forget()
		m.state.notify[1], m.state.notify[3] = 0, 0
		m.bring()
	})
}

// acknowledge is AT+CNMA (section 3.4.4).
func (m *Modem) acknowledge(c command) answer {
	if c.form == probe {
		return ok("+CNMA: (0-2)")
	}
	n, fine := c.number(0, 0, 2)
	switch {
	case !fine:
		return cms(cmsNotAllowed)
	case m.centre.awaiting == nil:
		return cms(cmsNoAckExpected)
	}
	done := func() answer {
		in := m.centre.awaiting
		m.centre.awaiting = nil
		if n == 2 && in != nil { // the program cannot take it: it comes again
			m.later(m.cfg.AckTime, func() { m.hold(*in); m.bring() })
			return ok()
		}
		return answer{then: m.bring}
	}
	if c.prompts() {
		return answer{prompt: func(string) answer { return m.meddled("+CNMA", "", done) }}
	}
	return done()
}

// reveal says something about a message, unless AT+CNMI holds that back.
func (m *Modem) reveal(text string) {
	if m.state.notify[0] > 0 {
		m.indicate(text)
	} else if len(m.centre.concealed) < mostIndications {
		m.centre.concealed = append(m.centre.concealed, text)
	}
}

// tellHeld says or forgets what was held back, as the last value of AT+CNMI wants.
func (m *Modem) tellHeld() {
	if m.state.notify[0] == 0 {
		return
	}
	held := m.centre.concealed
	m.centre.concealed = nil
	if m.state.notify[4] == 0 {
		for _, text := range held {
			m.indicate(text)
		}
	}
}
