package modem

import (
	"encoding/hex"
	"fmt"
	"strings"

	"herald/dispatch/sms"
)

// The coding schemes of USSD that answers here have (3GPP TS 23.038, section 5).
const (
	ussdGSM7 = 15
	ussdUCS2 = 72
)

// ussd is AT+CUSD (3GPP TS 27.007, section 7.15).
func (m *Modem) ussd(c command) answer {
	switch c.form {
	case probe:
		return ok("+CUSD: (0-2)")
	case query:
		return ok(fmt.Sprintf("+CUSD: %d", m.state.presentUSSD))
	}
	n, fine := c.number(0, 1, 2)
	if !fine {
		return cme(50)
	}
	if n < 2 {
		m.state.presentUSSD = n
	}
	if n == 2 || c.text(1) == "" {
		return ok()
	}
	if m.registered() != 1 {
		return cme(30)
	}
	said := m.ussdAnswer(c.text(1))
	if m.state.presentUSSD == 0 {
		return ok()
	}
	if m.cfg.USSDFirst {
		return ok(said)
	}
	return answer{then: func() { m.indicate(said) }}
}

// ussdAnswer asks the network: 0 is an answer, 4 that it does not know the code.
func (m *Modem) ussdAnswer(request string) string {
	for _, code := range m.ussdCodes(request) {
		if text, known := m.cfg.USSD[code]; known {
			return "+CUSD: 0," + m.ussdText(text)
		}
	}
	return "+CUSD: 4"
}

// ussdCodes are what a program may mean: modems differ in whether a code is
// written plainly, in the character set, or in packed septets.
func (m *Modem) ussdCodes(request string) []string {
	codes := []string{m.unquoted(request), m.decoded(request)}
	if octets, err := hex.DecodeString(request); err == nil && m.cfg.USSDPacked {
		codes = append(codes, sms.DecodeGSM7(sms.Unpack(octets, -1, 0), 0, 0))
	}
	return codes
}

func (m *Modem) ussdText(text string) string {
	septets, fine := sms.EncodeGSM7(text, 0, 0)
	switch {
	case !fine:
		return fmt.Sprintf(`"%s",%d`, strings.ToUpper(hex.EncodeToString(sms.AppendUCS2(nil, text))), ussdUCS2)
	case m.cfg.USSDPacked:
		return fmt.Sprintf(`"%s",%d`, strings.ToUpper(hex.EncodeToString(sms.Pack(septets, 0))), ussdGSM7)
	}
	return fmt.Sprintf(`%s,%d`, m.quoted(text), ussdGSM7)
}
