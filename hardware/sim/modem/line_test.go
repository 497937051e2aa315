package modem

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"herald/dispatch/sms"
	"herald/e2e/peers"
	"herald/hardware/gsm/tpdu"
)

// line is a program at the other end.
type line struct {
	t     *testing.T
	file  *os.File
	heard string
}

// dial opens the modem's line without echo.
func dial(t *testing.T, m *Modem) *line {
	t.Helper()
	l := reopen(t, m)
	l.does("ATE0")
	return l
}

func reopen(t *testing.T, m *Modem) *line {
	t.Helper()
	file, err := os.OpenFile(m.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, file: file}
	t.Cleanup(l.hangUp)
	return l
}

func (l *line) hangUp() { _ = l.file.Close() } // it may be closed

func (l *line) say(text string) {
	l.t.Helper()
	if _, err := l.file.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

// read waits for more; it is false when nothing came in time.
func (l *line) read(patience time.Duration) bool {
	l.t.Helper()
	if err := l.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := l.file.Read(buffer)
	l.heard += string(buffer[:n])
	return err == nil
}

// until gives what is said up to a match, which included.
func (l *line) until(pattern string) string {
	l.t.Helper()
	expression := regexp.MustCompile(pattern)
	for {
		if found := expression.FindStringIndex(l.heard); found != nil {
			said := l.heard[:found[1]]
			l.heard = l.heard[found[1]:]
			return said
		}
		if !l.read(peers.Patience) {
			l.t.Fatalf("it does not say %q, but %q", pattern, l.heard)
		}
	}
}

// quiet fails when something is said.
func (l *line) quiet(patience time.Duration) {
	l.t.Helper()
	if l.read(patience) || l.heard != "" {
		l.t.Fatalf("it says %q", l.heard)
	}
}

const final = `\r\n(OK|ERROR|NO CARRIER|\+CM[ES] ERROR: [^\r]+)\r\n`

// does gives a command's answer, its lines separated by a bar.
func (l *line) does(command string) string {
	l.t.Helper()
	l.say(command + "\r")
	return barred(l.until(final))
}

func barred(said string) string {
	return strings.Join(strings.FieldsFunc(said, func(r rune) bool { return r == '\r' || r == '\n' }), "|")
}

// sends gives the answer to a unit sent.
func (l *line) sends(s tpdu.Submit) string {
	l.t.Helper()
	l.submits(s)
	return barred(l.until(final))
}

// submits sends a unit and waits for nothing.
func (l *line) submits(s tpdu.Submit) {
	l.t.Helper()
	unit, err := s.MarshalBinary()
	if err != nil {
		l.t.Fatal(err)
	}
	l.say(fmt.Sprintf("AT+CMGS=%d\r", len(unit)))
	l.until("\r\n> ")
	l.say("00" + hex.EncodeToString(unit) + "\x1a")
}

// wants fails unless a command's answer is as it should be.
func (l *line) wants(command, want string) {
	l.t.Helper()
	if got := l.does(command); got != want {
		l.t.Errorf("%s gives %q, want %q", command, got, want)
	}
}

func submit(to, text string) tpdu.Submit {
	number, _ := tpdu.Number(to)             // of a test
	c, _ := sms.Compose(text, sms.Options{}) // short
	dcs := tpdu.GSM7
	if c.Encoding == sms.UCS2 {
		dcs = tpdu.UCS2
	}
	return tpdu.Submit{To: number, UserData: tpdu.UserData{DCS: dcs, Length: c.Length(0), Data: c.Octets(0, 0)}}
}

// shortly waits for what the modem brings about by itself.
func shortly(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.NewTimer(peers.Patience)
	defer limit.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("waited for %s in vain", what)
		}
	}
}
