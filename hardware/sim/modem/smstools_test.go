package modem

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"herald/e2e/peers"
	"herald/hardware/sim/texts"
)

const smsdConf = `devices = GSM1
outgoing = %[1]s/outgoing
checked = %[1]s/checked
incoming = %[1]s/incoming
sent = %[1]s/sent
failed = %[1]s/failed
report = %[1]s/report
infofile = %[1]s/info
pidfile = %[1]s/pid
logfile = 1
loglevel = 7
delaytime = 1
incoming_utf8 = yes
[GSM1]
device = %[2]s
baudrate = 115200
rtscts = no
incoming = high
report = yes
pin = 1234
decode_unicode_text = yes
primary_memory = SM
secondary_memory = SR
init = AT+CNMI=1,1,0,2,0
send_delay = 0
regular_run_cmd = AT+CUSD=1,"*100#",15
regular_run_interval = 300
regular_run_statfile = %[1]s/ussd
`

// smsd is the daemon of the SMS Server Tools, with a folder for each step.
type smsd struct {
	*peers.Process
	t   *testing.T
	dir string
}

func startSmsd(t *testing.T, m *Modem) *smsd {
	t.Helper()
	s := &smsd{t: t, dir: t.TempDir()}
	for _, folder := range []string{"outgoing", "checked", "incoming", "sent", "failed", "report"} {
		if err := os.Mkdir(filepath.Join(s.dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(s.dir, "smsd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, smsdConf, s.dir, m.Path()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(peers.Program(t, "smsd", "smstools"), "-t", "-c", conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.Process = peers.Start(t, cmd)
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // it has children, which may be gone
	return s
}

// send puts a message where it looks for them.
func (s *smsd) send(name, message string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "outgoing", name), []byte(message), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// has waits until a file in a folder has all of these texts.
func (s *smsd) has(folder string, wanted ...string) {
	s.t.Helper()
	s.Until(fmt.Sprintf("%s has a file with %q", folder, wanted), func() bool {
		files, _ := filepath.Glob(filepath.Join(s.dir, folder, "*")) // the pattern is a good one
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err == nil && holds(string(content), wanted) {
				return true
			}
		}
		return false
	})
}

func holds(text string, wanted []string) bool {
	for _, part := range wanted {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// TestSmsdWorksWithTheModem has it unlock the SIM, send, receive, take in
// status reports that are stored, and ask for the balance.
func TestSmsdWorksWithTheModem(t *testing.T) {
	t.Parallel()
	m := start(t, Config{SIM: SIM{PIN: "1234"}})
	deliver(t, m, "+447700900123", "hello 您好")
	s := startSmsd(t, m)
	s.send("short", "To: 8613800138000\nReport: yes\n\nHello {world} €@")
	s.send("long", "To: 8613800138001\n\n"+long(4))
	s.send("chinese", "To: 8613800138002\nAlphabet: UTF-8\n\n您好，婴儿车降价了")
	s.Until("the network has them", func() bool { return m.Texts().Count() == 4 })
	got := map[string]texts.Text{}
	for _, text := range m.Texts().All() {
		got[text.To] = text
	}
	for to, want := range map[string]texts.Text{
		"+8613800138000": {Text: "Hello {world} €@", Encoding: "GSM-7", Parts: 1},
		"+8613800138001": {Text: long(4), Encoding: "GSM-7", Parts: 4},
		"+8613800138002": {Text: "您好，婴儿车降价了", Encoding: "UCS-2", Parts: 1},
	} {
		if text := got[to]; text.Text != want.Text || text.Encoding != want.Encoding || text.Parts != want.Parts {
			t.Errorf("%s got %+v, want %+v", to, text, want)
		}
	}
	s.has("report", "SMS STATUS REPORT", "Status: 0,Ok")
	s.has("incoming", "From: 447700900123", "hello 您好")
	s.Until("it has the balance", func() bool {
		content, err := os.ReadFile(filepath.Join(s.dir, "ussd"))
		return err == nil && strings.Contains(string(content), "Your balance is 12.50 USD.")
	})
	s.has("sent", "To: 8613800138001")
}
