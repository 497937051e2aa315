package modem

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sim/texts"
)

// gammu is the program with the modem as its phone. It says what it says line
// by line, even where it would keep it for a while.
func gammu(t *testing.T, m *Modem, args ...string) *exec.Cmd {
	t.Helper()
	rc := filepath.Join(t.TempDir(), "gammurc")
	text := fmt.Sprintf("[gammu]\ndevice = %s\nconnection = at115200\n", m.Path())
	if err := os.WriteFile(rc, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all := append([]string{"-oL", peers.Program(t, "gammu", "gammu"), "-c", rc}, args...)
	cmd := exec.CommandContext(t.Context(), "stdbuf", all...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	return cmd
}

// does runs gammu to its end and gives what it said.
func does(t *testing.T, m *Modem, args ...string) string {
	t.Helper()
	said, err := gammu(t, m, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("gammu %s: %v\n%s", args, err, said)
	}
	return string(said)
}

func wants(t *testing.T, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q:\n%s", text, said)
		}
	}
}

// long is a text of so many parts in the 7-bit alphabet.
func long(parts int) string {
	var b strings.Builder
	for i := 0; b.Len() < 153*(parts-1)+20; i++ {
		fmt.Fprintf(&b, "word %d ", i)
	}
	return strings.TrimSpace(b.String())
}

func TestGammuKnowsTheModemAndItsNetwork(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	wants(t, does(t, m, "identify"), "Herald", "Simulated Modem", "490154203237518", "001010123456789")
	wants(t, does(t, m, "networkinfo"), "home network", "001 01", "LAC 00C3, CID 0000B0CA", `"Simulated Mobile"`)
}

func TestGammuSends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, encoding string
		parts          int
		options        []string
	}{
		"one part":    {"Hello {world} €@", "GSM-7", 1, nil},
		"four parts":  {long(4), "GSM-7", 4, []string{"-len", "700"}},
		"Chinese":     {"您好，婴儿车降价了 😀", "UCS-2", 1, []string{"-unicode"}},
		"two of UCS2": {strings.Repeat("婴儿车降价了", 15), "UCS-2", 2, []string{"-unicode", "-len", "400"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, Config{})
			said := does(t, m, append([]string{"sendsms", "TEXT", "+8613800138000", "-text", c.text}, c.options...)...)
			wants(t, said, fmt.Sprintf("Sending SMS %d/%[1]d", c.parts), "OK, message reference=")
			got := m.Texts().All()
			if len(got) != 1 || got[0].To != "+8613800138000" || got[0].Text != c.text || got[0].Encoding != c.encoding || got[0].Parts != c.parts {
				t.Errorf("the network has %+v\n%s", got, said)
			}
		})
	}
}

func TestGammuHearsARefusal(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	setFaults(t, m, Fault{Kind: Error, Command: "+CMGS", Code: 28})
	said, err := gammu(t, m, "sendsms", "TEXT", "+8613800138000", "-text", "no").CombinedOutput()
	if err == nil || m.Texts().Count() != 0 {
		t.Errorf("gammu is content:\n%s", said)
	}
}

func TestGammuReceives(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	deliver(t, m, "+447700900123", "STOP")
	deliver(t, m, "Shop", strings.Repeat("这是一个很长的消息。", 8)+"😀")
	said := does(t, m, "getallsms")
	wants(t, said, `"+447700900123"`, "STOP", `"Shop"`, "part 2 of 2", "3 SMS parts", "这是一个很长的消息。")
}

func TestGammuAsksForTheBalance(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{"after the OK": {}, "before it": {USSDFirst: true}, "in Chinese": {USSD: map[string]string{"*100#": "您的余额是12.50元"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, cfg)
			answer := m.cfg.USSD["*100#"]
			// It waits for ten seconds before it sees that it has its answer.
			peers.Start(t, gammu(t, m, "getussd", "*100#")).UntilSaid(answer)
		})
	}
}

// TestGammuSeesMessagesAndReportsArrive has the network gone between two
// programs, so that the report of what the first sent comes to the second.
func TestGammuSeesMessagesAndReportsArrive(t *testing.T) {
	t.Parallel()
	m := start(t, Config{ReportAfter: time.Second})
	first := gammu(t, m, "sendsms", "TEXT", "+8613800138000", "-report", "-text", "say when it is there")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, m, func(kept []texts.Text, _ int64) bool { return len(kept) == 1 })
	setFaults(t, m, Fault{Kind: NoNetwork})
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	second := peers.Start(t, gammu(t, m, "monitor"))
	second.UntilSaid("Enabling info about USSD")
	setFaults(t, m)
	second.UntilSaid("Delivered") // it takes one at a time
	deliver(t, m, "+447700900123", "hello 您")
	second.UntilSaid("hello 您")
}
