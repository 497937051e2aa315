package modem

import "testing"

func FuzzTheLine(f *testing.F) {
	for _, seed := range []string{
		"AT\r", "ATE0V1;+CMEE=1;+CSQ\rA/", "AT+CMGF=0\rAT+CMGS=18\r0011000A81214365870900000105E8329BFD06\x1a",
		"AT+CMGF=1\rAT+CMGW=\"+1\"\rhello\x1aAT+CMGL=\"ALL\"\r", "AT+CPIN=\"1\",\"2\"\r", "AT+CUSD=1,\"*100#\",15\r",
		"AT+CNMI=1,2,0,1,0;+CSMS=1\rAT+CNMA=1,2\rAA\x1a", "AT+CSCS=\"UCS2\"\rAT+CSCA=\"002B\"\r", "AT&F0S0=1D123\r", "AT+CFUN=1,1\r",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		m := New(Config{SIM: SIM{Capacity: 2}, Memory: 2, Reports: 1})
		for _, b := range said {
			m.hear(b)
		}
		if len(m.reader.got) > longestText+1 || m.busy != m.reader.text {
			t.Errorf("%d bytes are kept, busy is %v, a text is %v", len(m.reader.got), m.busy, m.reader.text)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzCommands(f *testing.F) {
	f.Add(`AT+CMGS=12;+COPS=3,"a,b";E0S7?`)
	f.Add("ATD+1;")
	f.Fuzz(func(t *testing.T, line string) {
		commands, fine := commandsOf(line)
		if !fine && commands != nil || len(commands) > mostParts {
			t.Errorf("%q gives %d commands, %v", line, len(commands), fine)
		}
		for _, c := range commands {
			if c.name == "" || len(c.args) > mostParts {
				t.Errorf("%q gives %+v", line, c)
			}
		}
	})
}
