package modem

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/problem"
)

func TestFaultsOfAnAnswer(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)

	setFaults(t, m, Fault{Kind: Late, Command: "+CSQ", Delay: Duration(50 * time.Millisecond), Times: 1})
	began := time.Now()
	l.say("AT+CSQ\r")
	l.say("AT+CPAS\r") // which then gets the late answer first
	if got := barred(l.until(final)); got != "+CSQ: 24,99|OK" || time.Since(began) < 50*time.Millisecond {
		t.Errorf("late is %q after %v", got, time.Since(began))
	}
	l.until(`^\r\n\+CPAS: 0\r\n\r\nOK\r\n`)

	setFaults(t, m, Fault{Kind: Lost, Command: "+CMEE", Times: 1}, Fault{Kind: Ignored, Command: "+CREG", Times: 1})
	l.say("AT+CMEE=1\r")
	l.say("AT+CREG=1\r")
	l.quiet(20 * time.Millisecond)
	l.wants("AT+CMEE?;+CREG?", "+CMEE: 1|+CREG: 0,1|OK")

	setFaults(t, m, Fault{Kind: Within, Command: "+C*", Text: "RING", Times: 2})
	l.wants("AT+CSQ", "+CSQ: 24,99|RING|OK")
	l.wants("AT+CMEE=0", "RING|OK")

	setFaults(t, m, Fault{Kind: Garbage, Times: 1})
	l.say("AT\r")
	if said := l.until("\r\nOK\r\n"); said != "\x00\xff\xfe\x81\x7f{~\r\nOK\r\n" {
		t.Errorf("it says %q", said)
	}

	setFaults(t, m,
		Fault{Kind: Error, Command: "+CSQ", Code: 515, Times: 1}, Fault{Kind: Error, Command: "+CMGL", Code: 321, Times: 1},
		Fault{Kind: Error, Command: "+CMEE", Done: true, Times: 1}, Fault{Kind: Error, Command: "+CPAS", Text: "BUSY", Times: 1})
	l.wants("AT+CMGL", "+CMS ERROR: 321")
	l.wants("AT+CMEE=1", "ERROR")
	l.wants("AT+CSQ", "+CME ERROR: 515")
	l.say("AT+CPAS\r")
	l.until("^\r\nBUSY\r\n")
	if left := m.Faults(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
}

func TestFaultsOfASubmission(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	setFaults(t, m,
		Fault{Kind: Error, Command: "+CMGS", Recipient: "+86*", Code: 28},
		Fault{Kind: Error, Command: "+CMGS", Recipient: "+4420*", Code: 500, Done: true},
		Fault{Kind: Error, Command: ">", Code: 330, Times: 1})
	l.say("AT+CMGS=20\r")
	if got := barred(l.until(final)); got != "+CMS ERROR: 330" {
		t.Errorf("instead of a prompt comes %q", got)
	}
	for _, c := range [][2]string{{"+8613800138000", "+CMS ERROR: 28"}, {"+442012345", "+CMS ERROR: 500"}, {"+15551", "+CMGS: 1|OK"}} {
		to, want := c[0], c[1]
		if got := l.sends(submit(to, "x")); got != want {
			t.Errorf("to %s gives %q, want %q", to, got, want)
		}
	}
	if n := m.Texts().Count(); n != 2 { // one of them with an error
		t.Errorf("%d arrived, want 2", n)
	}

	setFaults(t, m, Fault{Kind: Lost, Command: "+CMGS", Times: 1})
	unit := submit("+15552", "in doubt")
	unit.Reference, unit.RejectDuplicates = 40, true
	l.submits(unit)
	l.quiet(20 * time.Millisecond)
	if got := l.sends(unit); got != "+CMS ERROR: 197" {
		t.Errorf("again gives %q", got)
	}

	setFaults(t, m, Fault{Kind: Lost, Command: ">", Times: 1})
	l.say("AT+CMGS=17\r")
	l.quiet(20 * time.Millisecond)
	l.say("\x1b")
	l.until("^\r\nOK\r\n")
}

func TestTheNetworkComesAndGoes(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	l.wants("AT+CREG=1;+CNMI=1,1", "OK")
	setFaults(t, m, Fault{Kind: NoNetwork}, Fault{Kind: Signal, Code: 3})
	l.until(`^\r\n\+CREG: 2\r\n`)
	l.wants("AT+CREG?;+CSQ", "+CREG: 1,2|+CSQ: 3,99|OK")
	if got := l.sends(submit("+15551", "x")); got != "+CMS ERROR: 331" {
		t.Errorf("sending gives %q", got)
	}
	deliver(t, m, "+447700900123", "x")
	if m.Held() != 1 {
		t.Errorf("the network keeps %d", m.Held())
	}
	setFaults(t, m)
	l.until(`^\r\n\+CREG: 1\r\n\r\n\+CMTI: "SM",1\r\n`)
}

func TestAModemThatHangs(t *testing.T) {
	t.Parallel()
	m := start(t, Config{SIM: SIM{PIN: "1234"}})
	l := dial(t, m)
	l.wants("AT+CPIN=1234", "OK")
	l.wants("AT+CNMI=1,1", "OK")
	hang := Fault{Kind: Hang, Command: "+CSQ", Times: 1}

	setFaults(t, m, hang)
	for _, command := range []string{"AT+CSQ\r", "AT\r", "\x1b", "ATZ\r"} {
		l.say(command)
	}
	shortly(t, "it to hang", func() bool { return m.Status().Hangs })
	deliver(t, m, "+447700900123", "x")
	l.quiet(20 * time.Millisecond)
	l.wants("AT+CFUN=1,1", "OK")
	shortly(t, "the restart", func() bool { return m.Status().PIN == "SIM PIN" })
	l.does("ATE0")
	l.wants("AT+CPIN=1234", "OK")

	setFaults(t, m, hang)
	l.say("AT+CSQ\r")
	shortly(t, "it to hang", func() bool { return m.Status().Hangs })
	l.hangUp()
	again := reopen(t, m)
	again.wants("AT+CPIN?", "+CPIN: READY|OK") // nothing was reset
}

func TestTheLineIsPulledOut(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "modem")
	m := start(t, Config{Link: name})
	if m.Path() != name {
		t.Fatalf("it is at %s", m.Path())
	}
	l := dial(t, m)
	l.wants("AT+CMEE=1", "OK")
	setFaults(t, m, Fault{Kind: Unplug, Command: "+CMGS", Done: true, Times: 1, Delay: Duration(20 * time.Millisecond)})
	l.submits(submit("+15551", "the last word"))
	for l.read(peers.Patience) {
	}
	if m.Texts().Count() != 1 {
		t.Error("it was not sent")
	}
	l.hangUp()
	shortly(t, "the line", func() bool { // its link is away as long as it is
		_, err := os.Lstat(name)
		return err == nil
	})
	again := reopen(t, m)
	again.wants("AT+CMEE?", "+CMEE: 1|OK")
}

func TestAModemThatRestarts(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	l.wants("AT+CMEE=1", "OK")
	setFaults(t, m, Fault{Kind: Reboot, Command: "+CSQ", Times: 1, Text: "^SYSSTART", Delay: Duration(3 * time.Second)})
	l.say("AT+CSQ\r")
	l.say("AT\r") // nobody hears it
	shortly(t, "it to go down", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.silent
	})
	deliver(t, m, "+447700900123", "x")
	if m.Held() != 1 {
		t.Errorf("the network keeps %d", m.Held())
	}
	l.until(`^\r\n\^SYSSTART\r\n`)
	l.say("AT+CMEE?\r")
	l.until(`^AT\+CMEE\?\r\r\n\+CMEE: 0\r\n\r\nOK\r\n`)
	if m.Status().Memories["SM"] != 1 {
		t.Errorf("it is %+v", m.Status())
	}
}

func TestARestartForgetsWhatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	l.wants("AT+CSMS=1;+CNMI=1,2", "+CSMS: 1,1,1|OK")
	deliver(t, m, "+447700900123", "x")
	l.until(`\+CMT: `)
	l.until(`\r\n.*\r\n`)
	l.wants("AT+CFUN=1,1", "OK")
	shortly(t, "it to come again", func() bool { return m.Status().Memories["SM"] == 1 })
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	for path, fault := range map[string]Fault{
		"faults[0].kind":      {Kind: "explode"},
		"faults[0].code":      {Kind: Signal, Code: 50},
		"faults[0].times":     {Kind: NoNetwork, Times: 1},
		"faults[0].delay":     {Kind: Late},
		"faults[0].command":   {Kind: Lost, Command: "[a"},
		"faults[0].recipient": {Kind: NoNetwork, Recipient: "+1"},
		"faults[0].text":      {Kind: Within, Text: "a\r\nb"},
	} {
		err := New(Config{}).SetFaults(fault)
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), path+":") {
			t.Errorf("%+v gives %v, want %s", fault, err, path)
		}
	}
}
