package modem

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"herald/hardware/gsm/tpdu"
)

// The failures of messages (3GPP TS 27.005, section 3.2.5; 23.040, section 9.2.3.22).
const (
	cmsDuplicate     = 197
	cmsNotAllowed    = 302
	cmsPDUParameter  = 304
	cmsTextParameter = 305
	cmsMemoryIndex   = 321
	cmsMemoryFull    = 322
	cmsNoNetwork     = 331
	cmsNoAckExpected = 340
)

// messageCommands are those that need the card.
func (m *Modem) messageCommands() map[string]func(command) answer {
	return map[string]func(command) answer{
		"+CPMS": m.memories, "+CSCA": m.serviceCentre, "+CSMP": m.textParameters, "+CMGL": m.list, "+CMGR": m.readMessage,
		"+CMGD": m.deleteMessage, "+CMGS": m.sendMessage, "+CMGW": m.writeMessage, "+CMSS": m.sendStored, "+CNMA": m.acknowledge,
	}
}

// prompts tells whether a command asks for a text after it.
func (c command) prompts() bool {
	switch c.name {
	case "+CMGS":
		return c.form == assign
	case "+CMGW":
		return c.form == assign || c.form == run
	case "+CNMA":
		return c.form == assign && c.text(1) != "" && c.text(1) != "0"
	}
	return false
}

func (m *Modem) messageFormat(c command) answer {
	if c.form == probe {
		return ok("+CMGF: (0,1)")
	}
	return m.flagSetting(&m.state.textMode)(c)
}

// service is AT+CSMS: with 1, what comes directly must be acknowledged.
func (m *Modem) service(c command) answer {
	switch c.form {
	case probe:
		return ok("+CSMS: (0,1)")
	case query:
		return ok(fmt.Sprintf("+CSMS: %d,1,1,1", bit(m.state.acknowledges)))
	}
	n, fine := c.number(0, 0, 1)
	if !fine {
		return cms(cmsNotAllowed)
	}
	m.state.acknowledges = n == 1
	return ok("+CSMS: 1,1,1")
}

// notification is AT+CNMI (3GPP TS 27.005, section 3.4.1).
func (m *Modem) notification(c command) answer {
	switch c.form {
	case probe:
		return ok("+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)")
	case query:
		n := m.state.notify
		return ok(fmt.Sprintf("+CNMI: %d,%d,%d,%d,%d", n[0], n[1], n[2], n[3], n[4]))
	}
	next := m.state.notify
	for i, most := range [...]int{2, 3, 2, 2, 1} {
		n, fine := c.number(i, next[i], most)
		if !fine {
			return cms(cmsNotAllowed)
		}
		next[i] = n
	}
	m.state.notify = next
	return answer{then: func() { m.tellHeld(); m.bring() }}
}

// memories is AT+CPMS.
func (m *Modem) memories(c command) answer {
	if c.form == probe {
		return ok(`+CPMS: ("SM","ME","SR"),("SM","ME"),("SM","ME")`)
	}
	next := m.state.memory
	for i := range next {
		name := strings.ToUpper(m.unquoted(c.text(i)))
		switch {
		case name == "" || c.form != assign:
			continue
		case m.stores[name] == nil, i > 0 && name == "SR":
			return cms(cmsNotAllowed)
		}
		next[i] = name
	}
	m.state.memory = next
	var figures []string
	for _, name := range next {
		used, total := m.stores.spaces(name)
		if c.form == query {
			figures = append(figures, fmt.Sprintf(`"%s",%d,%d`, name, used, total))
		} else {
			figures = append(figures, fmt.Sprintf("%d,%d", used, total))
		}
	}
	return answer{lines: []string{"+CPMS: " + strings.Join(figures, ",")}, then: m.bring}
}

func (m *Modem) serviceCentre(c command) answer {
	switch c.form {
	case probe:
		return ok()
	case query:
		number := m.card.sim.ServiceCentre
		return ok(fmt.Sprintf("+CSCA: %q,%d", number, typeOfNumber(number)))
	}
	number := m.unquoted(c.text(0))
	if c.text(1) == "145" && !strings.HasPrefix(number, "+") {
		number = "+" + number
	}
	if _, err := tpdu.Number(number); err != nil {
		return cms(cmsNotAllowed)
	}
	m.card.sim.ServiceCentre = number
	return ok()
}

// store1 is the memory that is read, listed and deleted from.
func (m *Modem) store1() *memory { return m.stores[m.state.memory[0]] }

// list is AT+CMGL.
func (m *Modem) list(c command) answer {
	if c.form == probe {
		if m.state.textMode {
			return ok(`+CMGL: ("REC UNREAD","REC READ","STO UNSENT","STO SENT","ALL")`)
		}
		return ok("+CMGL: (0-4)")
	}
	state, fine := c.number(0, unread, anyState)
	if m.state.textMode && c.text(0) != "" {
		state = slices.IndexFunc([]int{unread, seen, unsent, sent, anyState}, func(s int) bool { return stateName(s) == m.unquoted(c.text(0)) })
		fine = state >= 0
	}
	if !fine {
		return cms(cmsNotAllowed)
	}
	var lines []string
	slots := m.store1().slots
	for i := range slots {
		if place := &slots[i]; place.taken && (state == anyState || state == place.state) {
			lines = append(lines, m.shown(fmt.Sprintf("+CMGL: %d,", i+1), place)...)
		}
	}
	return ok(lines...)
}

// readMessage is AT+CMGR.
func (m *Modem) readMessage(c command) answer {
	if c.form == probe {
		return ok()
	}
	index, fine := c.number(0, 0, 1000)
	place := m.store1().at(index)
	if !fine || place == nil {
		return cms(cmsMemoryIndex)
	}
	return ok(m.shown("+CMGR: ", place)...)
}

// shown is a stored message as a program reads it, which makes it a read one.
func (m *Modem) shown(begin string, place *slot) []string {
	var lines []string
	if m.state.textMode {
		lines = m.shownAsText(begin, place)
	} else {
		lines = []string{
			fmt.Sprintf("%s%d,,%d", begin, place.state, len(place.pdu)-place.unit),
			strings.ToUpper(hex.EncodeToString(place.pdu)),
		}
	}
	if place.state == unread {
		place.state = seen
	}
	return lines
}

// deleteMessage is AT+CMGD, with the flag that deletes more than one.
func (m *Modem) deleteMessage(c command) answer {
	store := m.store1()
	if c.form == probe {
		var indices []string
		for i, place := range store.slots {
			if place.taken {
				indices = append(indices, fmt.Sprint(i+1))
			}
		}
		return ok("+CMGD: (" + strings.Join(indices, ",") + "),(0-4)")
	}
	index, fine := c.number(0, 0, 1000)
	flag, known := c.number(1, 0, 4)
	if !fine || !known {
		return cms(cmsNotAllowed)
	}
	if flag == 0 {
		if index < 1 || index > len(store.slots) {
			return cms(cmsMemoryIndex)
		}
		store.slots[index-1] = slot{}
	}
	doomed := map[int][]int{0: nil, 1: {seen}, 2: {seen, sent}, 3: {seen, unsent, sent}, 4: {unread, seen, unsent, sent}}[flag]
	for i, place := range store.slots {
		if slices.Contains(doomed, place.state) {
			store.slots[i] = slot{}
		}
	}
	return answer{then: m.bring}
}

// sendMessage is AT+CMGS.
func (m *Modem) sendMessage(c command) answer {
	if c.form == probe {
		return ok()
	}
	write, fail := m.writer(c)
	if fail != nil {
		return answer{fail: fail}
	}
	return answer{prompt: func(text string) answer {
		pdu, fail := write(text)
		if fail != nil {
			return answer{fail: fail}
		}
		return m.submit("+CMGS", pdu)
	}}
}

// writer reads what comes after the prompt of AT+CMGS and AT+CMGW: a unit of
// the length that was given, or in text mode a text to the number given.
func (m *Modem) writer(c command) (func(text string) (slot, *failure), *failure) {
	if m.state.textMode {
		number := m.unquoted(c.text(0))
		if _, err := tpdu.Number(number); err != nil && (number != "" || c.name == "+CMGS") {
			return nil, &failure{cms: true, code: cmsTextParameter}
		}
		return func(text string) (slot, *failure) { return m.textUnit(number, text) }, nil
	}
	length, fine := c.number(0, 0, 255)
	if !fine || length < 1 {
		return nil, &failure{cms: true, code: cmsPDUParameter}
	}
	return func(text string) (slot, *failure) { return pduOf(text, length) }, nil
}

// pduOf reads hexadecimal digits: a service centre and a unit of so many octets.
func pduOf(text string, length int) (slot, *failure) {
	fail := &failure{cms: true, code: cmsPDUParameter}
	pdu, err := hex.DecodeString(strings.NewReplacer("\r", "", "\n", "", " ", "").Replace(text))
	if err != nil {
		return slot{}, fail
	}
	_, unit, err := tpdu.SplitCentre(pdu)
	if err != nil || len(unit) != length {
		return slot{}, fail
	}
	return slot{pdu: pdu, unit: len(pdu) - len(unit)}, nil
}

// writeMessage is AT+CMGW: into the second memory.
func (m *Modem) writeMessage(c command) answer {
	if c.form == probe {
		return ok()
	}
	write, fail := m.writer(c)
	if fail != nil {
		return answer{fail: fail}
	}
	state, fine := c.number(1, unsent, sent)
	if m.state.textMode {
		state, fine = unsent, true
	}
	if !fine {
		return cms(cmsNotAllowed)
	}
	return answer{prompt: func(text string) answer {
		pdu, fail := write(text)
		if fail != nil {
			return answer{fail: fail}
		}
		pdu.state = state
		return m.meddled("+CMGW", "", func() answer {
			index := m.stores[m.state.memory[1]].put(pdu)
			if index == 0 {
				return cms(cmsMemoryFull)
			}
			return ok(fmt.Sprintf("+CMGW: %d", index))
		})
	}}
}

// sendStored is AT+CMSS: from the second memory.
func (m *Modem) sendStored(c command) answer {
	if c.form == probe {
		return ok()
	}
	index, fine := c.number(0, 0, 1000)
	place := m.stores[m.state.memory[1]].at(index)
	if !fine || place == nil || place.state < unsent {
		return cms(cmsMemoryIndex)
	}
	a := m.submit("+CMSS", *place)
	if a.fail == nil && place.taken {
		place.state = sent
	}
	return a
}
