package modem

import (
	"testing"
	"time"
)

func TestTheModemSaysWhatItIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 8, 7, 0, time.FixedZone("", 8*3600))
	m := start(t, Config{Now: func() time.Time { return now }})
	l := dial(t, m)
	for _, c := range [][2]string{
		{"AT", "OK"},
		{"at+cgmi", "Herald|OK"},
		{"AT+CGMM;+CGMR", "Simulated Modem|1.0|OK"},
		{"AT+CGSN", "490154203237518|OK"},
		{"AT+CIMI", "001010123456789|OK"},
		{"AT+CCID", "+CCID: 8988211000000000000|OK"},
		{"AT+GCAP", "+GCAP: +CGSM,+DS,+ES|OK"},
		{"AT+CPIN?", "+CPIN: READY|OK"},
		{"AT+CSQ", "+CSQ: 24,99|OK"},
		{"AT+CREG?", "+CREG: 0,1|OK"},
		{"AT+COPS=3,0;+COPS?", `+COPS: 0,0,"Simulated Mobile"|OK`},
		{"AT+COPS=3,2;+COPS?", `+COPS: 0,2,"00101"|OK`},
		{"AT+CPAS", "+CPAS: 0|OK"},
		{"AT+CFUN?", "+CFUN: 1|OK"},
		{"AT+CCLK?", `+CCLK: "26/11/22,09:08:07+32"|OK`},
		{"AT+CNUM", `+CNUM: ,"+15550100",145|OK`},
		{"AT+CSCA?", `+CSCA: "+15550999",145|OK`},
		{"AT+CPMS?", `+CPMS: "SM",0,20,"SM",0,20,"SM",0,20|OK`},
		{"AT+CPMS=\"ME\"", "+CPMS: 0,50,0,20,0,20|OK"},
		{"AT+CPMS=\"XX\"", "+CMS ERROR: 302"},
		{"AT+CNMI=2,1,0,2,0", "OK"},
		{"AT+CNMI=9", "+CMS ERROR: 302"},
		{"AT+CMGR=99", "+CMS ERROR: 321"},
		{"AT+CMGS=0", "+CMS ERROR: 304"},
		{"AT+CMSS=1", "+CMS ERROR: 321"},
		{"AT+CNMA", "+CMS ERROR: 340"},
		{"AT+CSMP=17,167,0,16", "OK"},
		{"AT+UNKNOWN", "ERROR"},
		{"ATS0=0S7?", "S7: 0|OK"},
		{"ATS0", "OK"},
		{"AT&F0E0V1", "OK"},
		{"ATD123;", "NO CARRIER"},
		{"AT=", "ERROR"},
		{"AT+CFUN=7", "ERROR"},
		{"noise AT", "OK"},
	} {
		l.wants(c[0], c[1])
	}
}

func TestErrorsAreNumbersOrWords(t *testing.T) {
	t.Parallel()
	l := dial(t, start(t, Config{}))
	l.wants("AT+CPIN=1", "ERROR")
	l.wants("AT+CMEE=1;+CPIN=1", "+CME ERROR: 3")
	l.wants("AT+CMEE=2;+CPIN=1", "+CME ERROR: operation not allowed")
	l.wants("AT+CMGR=1", "+CMS ERROR: invalid memory index")
	l.wants("AT+CMEE=3", "+CME ERROR: incorrect parameters")
	l.say("ATV0\r")
	l.until("^0\r")
	l.say("AT+CSQ\r")
	l.until("^\\+CSQ: 24,99\r\n0\r")
	l.say("AT+NONE\r")
	l.until("^4\r")
	l.say("ATQ1\r")
	l.say("AT+CMEE?\r")
	l.until(`^\+CMEE: 2\r\n`)
	l.quiet(20 * time.Millisecond)
}

func TestEchoAndRepetition(t *testing.T) {
	t.Parallel()
	l := reopen(t, start(t, Config{}))
	l.say("AT\r")
	l.until("^AT\r\r\nOK\r\n")
	l.say("A/")
	l.until("^A/\r\nOK\r\n")
	l.say("ATX\b\bTE0\r")
	l.until("\r\nOK\r\n")
	l.wants("AT", "OK")
}

func TestThreeWrongPINsNeedThePUK(t *testing.T) {
	t.Parallel()
	m := start(t, Config{SIM: SIM{PIN: "1234"}})
	l := dial(t, m)
	l.does("AT+CMEE=1")
	l.wants("AT+CREG?", "+CREG: 0,2|OK")
	l.wants("AT+CMGL=4", "+CMS ERROR: 311")
	l.wants("AT+CIMI", "+CME ERROR: 11")
	l.wants("AT+CPIN=0000", "+CME ERROR: 16")
	l.wants(`AT+CPIN="1111"`, "+CME ERROR: 16")
	l.wants("AT+CPIN?", "+CPIN: SIM PIN|OK")
	l.wants("AT+CPIN=2222", "+CME ERROR: 12")
	l.wants("AT+CPIN?", "+CPIN: SIM PUK|OK")
	l.wants("AT+CMGL=4", "+CMS ERROR: 316")
	l.wants("AT+CPIN=1234", "+CME ERROR: 12")
	l.wants("AT+CPIN=87654321,4321", "+CME ERROR: 16")
	l.wants("AT+CPIN=12345678,4321", "OK")
	l.wants("AT+CREG?", "+CREG: 0,1|OK")
	l.wants("AT+CPIN=4321", "+CME ERROR: 3")
	l.wants("AT+CFUN=1,1", "OK") // the card is locked again
	shortly(t, "the restart", func() bool { return m.Status().PIN == "SIM PIN" })
	l.does("ATE0")
	l.wants("AT+CPIN=4321", "OK")
}

func TestTenWrongPUKsBlockTheCard(t *testing.T) {
	t.Parallel()
	l := dial(t, start(t, Config{SIM: SIM{PIN: "1234"}}))
	l.does("AT+CMEE=1")
	for range 3 {
		l.does("AT+CPIN=0000")
	}
	for range 10 {
		l.wants("AT+CPIN=00000000,1234", "+CME ERROR: 16")
	}
	l.wants("AT+CPIN=12345678,1234", "+CME ERROR: 13")
}

func TestAnEmptyTray(t *testing.T) {
	t.Parallel()
	l := dial(t, start(t, Config{SIM: SIM{Missing: true}}))
	l.does("AT+CMEE=1")
	l.wants("AT+CPIN?", "+CME ERROR: 10")
	l.wants("AT+CPIN=1", "+CME ERROR: 10")
	l.wants("AT+CMGF=0;+CMGL=4", "+CMS ERROR: 310")
	l.wants("AT+CGSN", "490154203237518|OK")
}

func TestTheRadioGoesOffAndOn(t *testing.T) {
	t.Parallel()
	l := dial(t, start(t, Config{}))
	l.does("AT+CREG=1")
	l.wants("AT+CFUN=4", "OK")
	l.until(`^\r\n\+CREG: 0\r\n`)
	l.wants("AT+CSQ", "+CSQ: 99,99|OK")
	l.wants("AT+COPS?", "+COPS: 0|OK")
	l.wants("AT+CUSD=1,\"*100#\",15", "ERROR")
	if got := l.sends(submit("+8613800138000", "no")); got != "+CMS ERROR: 331" {
		t.Errorf("sending gives %q", got)
	}
	l.wants("AT+CREG=2;+CFUN=1", "OK")
	l.until(`^\r\n\+CREG: 1,"00C3","0000B0CA"\r\n`)
}

func TestUSSD(t *testing.T) {
	t.Parallel()
	m := start(t, Config{USSD: map[string]string{"*100#": "¥ 12.50", "*101#": "余额"}})
	l := dial(t, m)
	l.wants(`AT+CUSD=1,"*100#",15`, "OK")
	l.until("^\r\n\\+CUSD: 0,\"\x03 12.50\",15\r\n")
	l.wants(`AT+CUSD=1,"*101#",15`, "OK")
	l.until(`^\r\n\+CUSD: 0,"4F59989D",72\r\n`)
	l.wants(`AT+CUSD=1,"*1#",15`, "OK")
	l.until(`^\r\n\+CUSD: 4\r\n`)
	l.wants(`AT+CSCS="UCS2"`, "OK")
	l.wants(`AT+CUSD=1,"002A0031003000300023",15`, "OK")
	l.until(`^\r\n\+CUSD: 0,"00A500200031003200[0-9A-F]+",15\r\n`)
	l.wants(`AT+CUSD=0,"*100#"`, "OK")
	l.wants("AT+CUSD=2", "OK")
}

func TestUSSDPackedAndBeforeTheOK(t *testing.T) {
	t.Parallel()
	l := dial(t, start(t, Config{USSDPacked: true, USSDFirst: true, USSD: map[string]string{"*100#": "hellohello"}}))
	l.wants(`AT+CUSD=1,"AA180C3602",15`, `+CUSD: 0,"E8329BFD4697D9EC37",15|OK`) // 3GPP TS 23.038's way, *100#
}
