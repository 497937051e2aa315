package modem

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"herald/dispatch/sms"
	"herald/hardware/gsm/tpdu"
	"herald/problem"
)

func TestUnitsThatAreNone(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	for name, c := range map[string]struct{ length, text string }{
		"no digits":         {"10", "hello"},
		"a length too much": {"14", "0011000B916407281553F80000AA05E8329BFD06"},
		"no submit":         {"4", "0000010203"},
		"nothing":           {"8", ""},
		"much too long":     {"100", strings.Repeat("00", 2000)},
	} {
		l.say("AT+CMGS=" + c.length + "\r")
		l.until("\r\n> ")
		l.say(c.text + "\x1a")
		if got := barred(l.until(final)); got != "+CMS ERROR: 304" && got != "ERROR" {
			t.Errorf("%s gives %q", name, got)
		}
	}
	if parts := m.Parts(); len(parts) != 0 {
		t.Errorf("sent was %+v", parts)
	}
}

// TestThePromptTakesWhateverComes is why a program must send ESC when it does
// not know where it is: the next command becomes a part of the text.
func TestThePromptTakesWhateverComes(t *testing.T) {
	t.Parallel()
	l := dial(t, start(t, Config{}))
	l.say("AT+CMGS=20\r")
	l.until("\r\n> ")
	l.say("AT\r")
	l.quiet(20 * time.Millisecond)
	l.say("\x1b")
	l.until("^\r\nOK\r\n")
	l.wants("AT", "OK")
}

func TestReferences(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	first, second := submit("+8613800138000", "一"), submit("+8613800138000", "二")
	second.Reference, second.RejectDuplicates = 7, true
	other := second
	other.To, _ = tpdu.Number("+8613800138001")
	for i, c := range []struct {
		unit tpdu.Submit
		want string
	}{
		{first, "+CMGS: 0|OK"},
		{first, "+CMGS: 1|OK"},
		{second, "+CMGS: 7|OK"},
		{second, "+CMS ERROR: 197"},
		{other, "+CMGS: 7|OK"},  // another recipient
		{second, "+CMGS: 7|OK"}, // the centre holds the newest of a reference
	} {
		if got := l.sends(c.unit); got != c.want {
			t.Errorf("%d gives %q, want %q", i, got, c.want)
		}
	}
	if n := m.Texts().Count(); n != 5 {
		t.Errorf("%d messages arrived, want 5", n)
	}
	if parts := m.Parts(); len(parts) != 6 || !parts[3].Refused || parts[2].Refused || !parts[3].RejectDuplicates {
		t.Errorf("the parts are %+v", parts)
	}
}

func TestAModemThatNumbersPartsItself(t *testing.T) {
	t.Parallel()
	l := dial(t, start(t, Config{OwnReferences: true}))
	unit := submit("+8613800138000", "x")
	unit.Reference, unit.RejectDuplicates = 9, true
	for i := range 3 {
		if got, want := l.sends(unit), fmt.Sprintf("+CMGS: %d|OK", i); got != want {
			t.Errorf("gives %q, want %q", got, want)
		}
	}
}

// TestPartsAreJoined has them come out of order, with another message between
// them, and one part twice.
func TestPartsAreJoined(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	text := strings.Repeat("一二三四五六七八九十", 15)
	c, err := sms.Compose(text, sms.Options{WideReference: true})
	if err != nil || len(c.Parts) != 3 {
		t.Fatalf("%d parts, %v", len(c.Parts), err)
	}
	to, _ := tpdu.Number("+8613800138000")
	for _, i := range []int{2, 0, 0, 1} {
		unit := tpdu.Submit{To: to, UserData: tpdu.UserData{DCS: tpdu.UCS2, Header: true, Length: c.Length(i), Data: c.Octets(700, i)}}
		l.sends(unit)
		if i == 2 {
			l.sends(submit("+8613800138000", "between"))
		}
	}
	got := m.Texts().All()
	if len(got) != 2 || got[0].Text != "between" || got[1].Text != text || got[1].Parts != 3 {
		t.Errorf("the network has %+v", got)
	}
	if parts := m.Parts(); len(parts) != 5 || parts[0].Number != 3 || parts[0].Of != 3 || parts[0].Message != 700 {
		t.Errorf("the parts are %+v", parts)
	}
}

func TestSpeed(t *testing.T) {
	t.Parallel()
	const first, kept = 3 * time.Second, 20 * time.Millisecond // so far apart that no busy machine makes them the same
	m := start(t, Config{PartTime: first, KeptPartTime: kept})
	l := dial(t, m)
	took := func() time.Duration {
		began := time.Now()
		l.sends(submit("+8613800138000", "x"))
		return time.Since(began)
	}
	took()
	if d := took(); d < first {
		t.Errorf("a part takes %v", d)
	}
	l.wants("AT+CMMS=2", "OK")
	if d := took(); d < kept || d >= first {
		t.Errorf("a part over a link that is open takes %v", d)
	}
}

func TestWhatIsWrittenCanBeSent(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	l.say("AT+CMGW=17\r")
	l.until("\r\n> ")
	l.say("0011000A81214365870900000105E8329BFD06\x1a")
	if got := barred(l.until(final)); got != "+CMS ERROR: 304" {
		t.Errorf("a length that is not the unit's gives %q", got)
	}
	l.say("AT+CMGW=18\r")
	l.until("\r\n> ")
	l.say("0011000A81214365870900000105E8329BFD06\x1a")
	l.until("\r\n\\+CMGW: 1\r\n\r\nOK")
	l.until("\r\n")
	l.wants("AT+CMGR=1", "+CMGR: 2,,18|0011000A81214365870900000105E8329BFD06|OK")
	l.wants("AT+CMSS=1", "+CMSS: 0|OK")
	l.wants("AT+CMGL=3", "+CMGL: 1,3,,18|0011000A81214365870900000105E8329BFD06|OK")
	if got := m.Texts().All(); len(got) != 1 || got[0].Text != "hello" || got[0].To != "1234567890" {
		t.Errorf("the network has %+v", got)
	}
}

func TestTextMode(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 8, 7, 0, time.UTC)
	m := start(t, Config{Now: func() time.Time { return now }})
	l := dial(t, m)
	l.wants("AT+CMGF=1;+CMGF?", "+CMGF: 1|OK")
	l.wants(`AT+CMGS="nobody"`, "+CMS ERROR: 305")
	send := func(number, text, want string) {
		t.Helper()
		l.say(`AT+CMGS="` + number + "\"\r")
		l.until("\r\n> ")
		l.say(text + "\x1a")
		if got := barred(l.until(final)); got != want {
			t.Errorf("sending gives %q, want %q", got, want)
		}
	}
	send("+8613800138000", "two\rlines \x00", "+CMGS: 0|OK")
	l.wants(`AT+CSCS="UCS2";+CSMP=49,167,0,8`, "OK")
	send("002B0038003600310030", "60A8597D", "+CMGS: 1|OK")
	send("002B0038003600310030", "no digits", "+CMS ERROR: 305")
	l.wants(`AT+CSCS="IRA";+CSMP=17,167,0,0`, "OK")
	got := m.Texts().All()
	if len(got) != 2 || got[0].Text != "two\rlines @" || got[1].Text != "您好" || got[1].To != "+8610" {
		t.Errorf("the network has %+v", got)
	}

	deliver(t, m, "+447700900123", "hello")
	l.wants("AT+CMGR=1", `+CMGR: "REC UNREAD","+447700900123",,"26/11/22,09:08:07+00"|hello|OK`)
	l.wants("AT+CSDH=1", "OK")
	l.wants(`AT+CMGL="ALL"`, `+CMGL: 1,"REC READ","+447700900123",,"26/11/22,09:08:07+00",145,4,0,0,"+15550999",145,5|hello|OK`)
	l.wants(`AT+CMGL="NONE"`, "+CMS ERROR: 302")
	l.wants("AT+CNMI=1,2,0,0,0;+CSDH=0", "OK")
	deliver(t, m, "Shop", "您好")
	l.until(`^\r\n\+CMT: "Shop",,"26/11/22,09:08:07\+00"\r\n60A8597D\r\n`)
}

func TestMessagesFillTheCardAndTheNetworkKeepsTheRest(t *testing.T) {
	t.Parallel()
	m := start(t, Config{SIM: SIM{Capacity: 2}})
	l := dial(t, m)
	l.wants("AT+CNMI=1,1,0,0,0", "OK")
	for i := range 3 {
		deliver(t, m, "+447700900123", fmt.Sprint(i))
	}
	l.until(`\+CMTI: "SM",2\r\n`)
	if m.Held() != 1 || m.Status().Memories["SM"] != 2 {
		t.Errorf("it is %+v", m.Status())
	}
	l.wants("AT+CMGD=?", "+CMGD: (1,2),(0-4)|OK")
	l.wants("AT+CMGD=3", "+CMS ERROR: 321")
	l.wants("AT+CMGD=1", "OK")
	l.until(`^\r\n\+CMTI: "SM",1\r\n`)
	l.does("AT+CMGR=2")
	l.wants("AT+CMGD=1,1", "OK") // those that were read
	if s := m.Status(); s.Held != 0 || s.Memories["SM"] != 1 {
		t.Errorf("it is %+v", s)
	}
	l.wants("AT+CMGD=1,4", "OK")
	if s := m.Status(); s.Memories["SM"] != 0 {
		t.Errorf("it is %+v", s)
	}
}

func TestStatusReports(t *testing.T) {
	t.Parallel()
	m := start(t, Config{ReportAfter: time.Millisecond, Reports: 1})
	l := dial(t, m)
	unit := submit("+8613800138000", "x")
	unit.Report = true

	l.wants("AT+CNMI=1,0,0,1,0", "OK")
	l.sends(unit)
	said := barred(l.until(`\+CDS: 26\r\n[0-9A-F]+\r\n`))
	if report := reportOf(t, said[strings.LastIndex(said, "|")+1:]); report.Reference != 0 || report.To.Number() != "+8613800138000" || report.Status != 0 {
		t.Errorf("the report is %+v", report)
	}

	setFaults(t, m, Fault{Kind: Report, Code: 0x46, Recipient: "+86*", Times: 1}, Fault{Kind: NoReport, Recipient: "+1*"})
	l.wants("AT+CNMI=1,0,0,2,0", "OK")
	l.sends(unit)
	l.until(`\+CDSI: "SR",1\r\n`)
	l.sends(unit) // there is no room for its report
	shortly(t, "the second report", func() bool { return m.Held() == 1 })
	l.wants(`AT+CPMS="SR"`, "+CPMS: 1,1,0,20,0,20|OK")
	said = l.does("AT+CMGR=1")
	if report := reportOf(t, strings.Split(said, "|")[1]); report.Reference != 1 || report.Status != 0x46 {
		t.Errorf("the report is %+v", report)
	}
	l.wants("AT+CMGF=1", "OK")
	if said := l.does("AT+CMGR=1"); !strings.HasPrefix(said, `+CMGR: "REC READ",6,1,"+8613800138000",145,"`) || !strings.HasSuffix(said, `",70|OK`) {
		t.Errorf("in text mode it is %q", said)
	}
	l.wants("AT+CMGF=0;+CMGD=1", "OK")
	l.until(`^\r\n\+CDSI: "SR",1\r\n`)

	unit.To, _ = tpdu.Number("+15550123")
	l.sends(unit)
	l.quiet(20 * time.Millisecond)
}

func reportOf(t *testing.T, pdu string) tpdu.StatusReport {
	t.Helper()
	octets, err := hex.DecodeString(pdu)
	if err != nil {
		t.Fatal(err)
	}
	_, unit, err := tpdu.SplitCentre(octets)
	if err != nil {
		t.Fatal(err)
	}
	report, err := tpdu.ParseStatusReport(unit)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestWhatComesDirectlyIsAcknowledged(t *testing.T) {
	t.Parallel()
	m := start(t, Config{AckTime: 3 * time.Second})
	l := dial(t, m)
	l.wants("AT+CSMS=1;+CNMI=1,2,0,1,0", "+CSMS: 1,1,1|OK")
	for _, text := range []string{"a", "b", "c"} {
		deliver(t, m, "+447700900123", text)
	}
	direct := `\+CMT: ,\d+\r\n[0-9A-F]+\r\n`
	l.until(direct)
	l.wants("AT+CNMA", "OK")
	l.until(direct)
	l.say("AT+CNMA=2,3\r") // a failure, with what to tell the network
	l.until("\r\n> ")
	l.say("00D300\x1a")
	l.until(final)
	l.until(direct) // the third
	l.wants("AT+CNMA=1", "OK")
	l.until(direct) // the second, again
	shortly(t, "the network's patience to end", func() bool { return m.Status().Memories["SM"] == 1 })
	l.wants("AT+CNMI?", "+CNMI: 1,0,0,0,0|OK")
	l.wants("AT+CNMA", "+CMS ERROR: 340")
}

func TestIndicationsWaitForTheEndOfACommand(t *testing.T) {
	t.Parallel()
	m := start(t, Config{PartTime: 50 * time.Millisecond})
	l := dial(t, m)
	l.wants("AT+CNMI=2,1,0,0,0", "OK")
	l.say("AT+CMGS=18\r")
	l.until("\r\n> ")
	deliver(t, m, "+447700900123", "while it is written")
	l.say("0011000A81214365870900000105E8329BFD06\x1a")
	deliver(t, m, "+447700900123", "while it is sent")
	l.until(`^\r\n\+CMGS: 0\r\n\r\nOK\r\n\r\n\+CMTI: "SM",1\r\n\r\n\+CMTI: "SM",2\r\n`)

	l.say("AT+C")
	shortly(t, "it to hear that", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.reader.begun()
	})
	deliver(t, m, "+447700900123", "while it is asked")
	l.say("SQ\r")
	l.until(`^\r\n\+CSQ: 24,99\r\n\r\nOK\r\n\r\n\+CMTI: "SM",3\r\n`)
}

func TestIndicationsAreHeldBackInModeZero(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	l.wants("AT+CNMI=0,1,0,0,0", "OK")
	deliver(t, m, "+447700900123", "x")
	l.wants("AT", "OK")
	l.wants("AT+CNMI=1", "OK")
	l.until(`^\r\n\+CMTI: "SM",1\r\n`)
	l.wants("AT+CNMI=0;+CNMI=0,1,0,0,1", "OK")
	deliver(t, m, "+447700900123", "y")
	l.wants("AT+CNMI=1", "OK")
	l.quiet(20 * time.Millisecond)
}

func TestClasses(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	l.wants(`AT+CPMS="ME","ME","ME"`, "+CPMS: 0,50,0,50,0,50|OK")
	from, _ := tpdu.Number("+447700900123")
	// Shown at once; the modem's; the card's.
	for _, class := range []tpdu.DCS{0x10, 0x11, 0x12} {
		if err := m.DeliverUnit(tpdu.Deliver{From: from, UserData: tpdu.UserData{DCS: class, Length: 1, Data: []byte{0x78}}}); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.Status(); s.Memories["SM"] != 1 || s.Memories["ME"] != 1 || s.Held != 0 {
		t.Errorf("it is %+v", s)
	}
	l.wants("AT+CNMI=1,3,0,0,0", "OK")
	if err := m.DeliverUnit(tpdu.Deliver{From: from, UserData: tpdu.UserData{DCS: 0x13, Length: 1, Data: []byte{0x78}}}); err != nil {
		t.Fatal(err)
	}
	l.until(`\+CMT: `)
}

func TestAMessageToOneself(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	l.wants("AT+CNMI=1,1,0,0,0", "OK")
	l.sends(submit("+15550100", "does it work?"))
	l.until(`\+CMTI: "SM",1\r\n`)
}

func TestWhatCannotBeDelivered(t *testing.T) {
	t.Parallel()
	m := New(Config{})
	for from, text := range map[string]string{"": "x", "a name of more than eleven": "x", "店": "x", "+1555": strings.Repeat("很长", 20_000)} {
		if err := m.Deliver(from, text); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("from %q gives %v", from, err)
		}
	}
	m.centre.waiting = make([]incoming, mostHeld)
	if err := m.Deliver("+1555", "x"); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("a network that is full gives %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
