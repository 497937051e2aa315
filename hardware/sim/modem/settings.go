package modem

import (
	"strings"
	"time"
)

// settings are what commands set and a restart forgets.
type settings struct {
	echo, verbose, quiet bool
	errors               int    // AT+CMEE
	textMode, textHeader bool   // AT+CMGF, AT+CSDH
	charset              string // AT+CSCS
	notify               [5]int // AT+CNMI: mode, mt, bm, ds, bfr
	memory               [3]string
	acknowledges         bool // AT+CSMS=1
	keepLink             int  // AT+CMMS
	sentAt               time.Time
	registration         map[string]int // AT+CREG and its like: n
	operatorFormat       int            // AT+COPS=3,n
	presentUSSD          int            // AT+CUSD=n
	radio                int            // AT+CFUN
	textParameters       textParameters // AT+CSMP
}

func (m *Modem) fresh() settings {
	return settings{
		echo: true, verbose: true, charset: "GSM", memory: [3]string{"SM", "SM", "SM"},
		registration: map[string]int{}, radio: 1, textParameters: textParameters{first: 0x11, validity: 0xA7},
	}
}

// restart is power going and coming back: settings are lost, the card is
// locked, and nothing is heard or said for a while.
func (m *Modem) restart(silence time.Duration, greeting string) {
	m.state = m.fresh()
	m.card.unlocked = m.card.sim.PIN == ""
	m.hung, m.busy, m.prompted, m.urcs = false, false, nil, nil
	m.reader = reader{last: m.reader.last}
	m.centre.forget()
	running := func() {
		m.silent = false
		if greeting != "" {
			m.indicate(greeting)
		}
		m.bring()
	}
	if silence == 0 {
		running()
		return
	}
	m.silent = true
	m.later(silence, running)
}

// isReset tells AT+CFUN=1,1 and AT+CFUN=0,1.
func isReset(c command) bool {
	return c.name == "+CFUN" && c.form == assign && c.text(1) == "1"
}

// isQuiet tells commands that are accepted and change nothing here: what they
// set concerns calls, data or the serial line.
func isQuiet(name string) bool {
	switch name {
	case "+CLIP", "+CLIR", "+COLP", "+CRC", "+CR", "+CCWA", "+CVHU", "+CRLP", "+CBST", "+CSTA", "+CMOD", "+CSSN", "+CTZR",
		"+CTZU", "+IPR", "+IFC", "+ICF", "+ILRR", "+CSCB", "+CSAS", "+CRES", "+CGEREP", "^CURC", "+FCLASS", "+CSDF":
		return true
	}
	return len(name) == 2 && name[0] == '&' || strings.HasPrefix(name, "S") || len(name) == 1 && strings.Contains("HLMOWX", name)
}

// words are those of AT+CMEE=2, for the failures that are met here.
func words(f failure) string {
	if f.cms {
		switch f.code {
		case 302:
			return "operation not allowed"
		case 304:
			return "invalid PDU mode parameter"
		case 305:
			return "invalid text mode parameter"
		case 310:
			return "SIM not inserted"
		case 311:
			return "SIM PIN required"
		case 316:
			return "SIM PUK required"
		case 321:
			return "invalid memory index"
		case 322:
			return "memory full"
		case 331:
			return "no network service"
		case 340:
			return "no +CNMA acknowledgement expected"
		}
		return ""
	}
	switch f.code {
	case 3:
		return "operation not allowed"
	case 4:
		return "operation not supported"
	case 10:
		return "SIM not inserted"
	case 11:
		return "SIM PIN required"
	case 12:
		return "SIM PUK required"
	case 16:
		return "incorrect password"
	case 30:
		return "no network service"
	case 50:
		return "incorrect parameters"
	}
	return ""
}
