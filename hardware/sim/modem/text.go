package modem

import (
	"encoding/hex"
	"fmt"
	"strings"

	"herald/dispatch/sms"
	"herald/hardware/gsm/tpdu"
)

// textParameters are those of AT+CSMP: the first octet of a unit, validity
// period, protocol and coding scheme.
type textParameters struct{ first, validity, protocol, coding int }

func (m *Modem) textParameters(c command) answer {
	p := m.state.textParameters
	switch c.form {
	case probe:
		return ok()
	case query:
		return ok(fmt.Sprintf("+CSMP: %d,%d,%d,%d", p.first, p.validity, p.protocol, p.coding))
	}
	for i, to := range []*int{&p.first, &p.validity, &p.protocol, &p.coding} {
		n, fine := c.number(i, *to, 255)
		if !fine {
			return cms(cmsTextParameter)
		}
		*to = n
	}
	m.state.textParameters = p
	return ok()
}

// charset is AT+CSCS: how texts between quotes and text mode are written.
func (m *Modem) charset(c command) answer {
	switch c.form {
	case probe:
		return ok(`+CSCS: ("GSM","IRA","UCS2")`)
	case query:
		return ok(`+CSCS: "` + m.state.charset + `"`)
	}
	switch name := strings.ToUpper(m.unquoted(c.text(0))); name {
	case "GSM", "IRA", "UCS2":
		m.state.charset = name
		return ok()
	}
	return cme(50)
}

// encoded writes a text in the character set of AT+CSCS.
func (m *Modem) encoded(text string) string {
	switch m.state.charset {
	case "UCS2":
		return strings.ToUpper(hex.EncodeToString(sms.AppendUCS2(nil, text)))
	case "GSM":
		if septets, fine := sms.EncodeGSM7(text, 0, 0); fine {
			return string(septets)
		}
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x7F {
			return '?'
		}
		return r
	}, text)
}

// decoded reads what encoded writes.
func (m *Modem) decoded(text string) string {
	switch m.state.charset {
	case "UCS2":
		if octets, err := hex.DecodeString(text); err == nil && len(octets)%2 == 0 {
			return sms.DecodeUCS2(octets)
		}
	case "GSM":
		return sms.DecodeGSM7([]byte(text), 0, 0)
	}
	return text
}

func (m *Modem) quoted(text string) string { return `"` + m.encoded(text) + `"` }

// unquoted reads a text parameter: in the character set, or plain, as programs
// write what has only digits and letters. Four zeros begin no number in UCS-2
// digits, and no plain text is so long.
func (m *Modem) unquoted(text string) string {
	if m.state.charset == "UCS2" && len(text)%4 == 0 && strings.HasPrefix(text, "00") {
		return m.decoded(text)
	}
	return text
}

// textUnit makes a unit of a text written in text mode.
func (m *Modem) textUnit(number, text string) (slot, *failure) {
	fail := &failure{cms: true, code: cmsTextParameter}
	p := m.state.textParameters
	unit := tpdu.Submit{Report: p.first&0x20 != 0, RejectDuplicates: p.first&0x04 != 0, PID: byte(p.protocol)} //nolint:gosec // up to 255
	if number != "" {
		to, err := tpdu.Number(number)
		if err != nil {
			return slot{}, fail
		}
		unit.To = to
	} else {
		unit.To = tpdu.Address{Type: tpdu.Unknown}
	}
	data, fine := m.textData(tpdu.DCS(p.coding), p.first&0x40 != 0, text) //nolint:gosec // up to 255
	if !fine {
		return slot{}, fail
	}
	unit.UserData = data
	octets, err := unit.MarshalBinary()
	if err != nil {
		return slot{}, fail
	}
	return slot{pdu: append([]byte{0}, octets...), unit: 1, state: unsent}, nil
}

// textData reads a text as section 3.3.1 of 3GPP TS 27.005 has it (data): in
// the character set for the 7-bit alphabet without a header, else in digits.
func (m *Modem) textData(dcs tpdu.DCS, header bool, text string) (tpdu.UserData, bool) {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\r")
	if dcs.Septets() && !header {
		septets, fine := sms.EncodeGSM7(m.decoded(text), 0, 0)
		return tpdu.UserData{DCS: dcs, Length: len(septets), Data: sms.Pack(septets, 0)}, fine && len(septets) <= tpdu.MaxSeptets
	}
	octets, err := hex.DecodeString(text)
	if err != nil || len(octets) > tpdu.MaxData {
		return tpdu.UserData{}, false
	}
	length := len(octets)
	if dcs.Septets() {
		length = length * 8 / 7
		octets = octets[:(length*7+7)/8]
	}
	return tpdu.UserData{DCS: dcs, Header: header, Length: length, Data: octets}, true
}

// written is the reverse of textData.
func (m *Modem) written(u tpdu.UserData) string {
	if u.DCS.Septets() && !u.Header {
		return m.encoded(sms.DecodeGSM7(sms.Unpack(u.Data, u.Length, 0), 0, 0))
	}
	return strings.ToUpper(hex.EncodeToString(u.Data))
}

// shownAsText is a stored message in text mode (sections 3.4.2 and 3.4.3).
func (m *Modem) shownAsText(begin string, place *slot) []string {
	unit := place.pdu[place.unit:]
	state := `"` + stateName(place.state) + `"`
	if len(unit) == 0 {
		return []string{begin + state}
	}
	switch tpdu.TypeOf(unit[0]) {
	case tpdu.TypeStatusReport:
		report, err := tpdu.ParseStatusReport(unit)
		if err != nil {
			return []string{begin + state}
		}
		return []string{begin + state + "," + m.reportText(report)}
	case tpdu.TypeSubmit:
		submit, err := tpdu.ParseSubmit(unit)
		if err != nil {
			return []string{begin + state}
		}
		return []string{begin + state + "," + m.quoted(submit.To.Number()) + ",", m.written(submit.UserData)}
	}
	deliver, err := tpdu.ParseDeliver(unit)
	if err != nil {
		return []string{begin + state}
	}
	return []string{begin + state + "," + m.head(deliver), m.written(deliver.UserData)}
}

// head is who sent a message and when; with AT+CSDH=1 also how.
func (m *Modem) head(d tpdu.Deliver) string {
	from := d.From.Number()
	if from == "" {
		from = sms.DecodeGSM7([]byte(d.From.Name), 0, 0)
	}
	text := fmt.Sprintf(`%s,,"%s"`, m.quoted(from), timestamp(d.At))
	if m.state.textHeader {
		centre := m.card.sim.ServiceCentre
		text += fmt.Sprintf(`,%d,%d,%d,%d,"%s",%d,%d`, d.From.Type, 4|bit(d.Header)<<6, d.PID, d.DCS, centre, typeOfNumber(centre), d.Length)
	}
	return text
}

func (m *Modem) reportText(r tpdu.StatusReport) string {
	return fmt.Sprintf(`6,%d,%s,%d,"%s","%s",%d`, r.Reference, m.quoted(r.To.Number()), r.To.Type, timestamp(r.At), timestamp(r.Done), r.Status)
}

// directText is a unit that goes straight to a program in text mode.
func (m *Modem) directText(name string, in incoming) string {
	unit := in.pdu.pdu[in.pdu.unit:]
	if in.report {
		report, err := tpdu.ParseStatusReport(unit)
		if err != nil {
			return name
		}
		return name + m.reportText(report)
	}
	deliver, err := tpdu.ParseDeliver(unit)
	if err != nil {
		return name
	}
	return name + m.head(deliver) + "\r\n" + m.written(deliver.UserData)
}
