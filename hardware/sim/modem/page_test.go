package modem

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"herald/hardware/sim/simtest"
)

func TestThePage(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	ask := simtest.Asker(t, m.Handler())
	l := dial(t, m)
	l.sends(submit("+8613800138000", "您好"))

	if status, page := ask("GET", "/", ""); status != http.StatusOK || !strings.Contains(page, "<html") {
		t.Errorf("the page is %d %s", status, page)
	}
	if status, body := ask("GET", "/messages", ""); status != http.StatusOK || !strings.Contains(body, `"text":"您好"`) {
		t.Errorf("the messages are %d %s", status, body)
	}
	if status, body := ask("GET", "/parts", ""); status != http.StatusOK || !strings.Contains(body, `"reference":0,"to":"+8613800138000"`) {
		t.Errorf("the parts are %d %s", status, body)
	}
	for body, want := range map[string]int{
		`{"from":"+447700900123","text":"STOP"}`:                   http.StatusNoContent,
		`{"from":"+447700900123","to":"+15550100","text":"START"}`: http.StatusNoContent,
		`{"from":"+447700900123","to":"+1999","text":"no"}`:        http.StatusUnprocessableEntity,
		`{"from":"","text":"no"}`:                                  http.StatusUnprocessableEntity,
	} {
		if status, answer := ask("POST", "/messages", body); status != want {
			t.Errorf("%s gives %d %s", body, status, answer)
		}
	}
	const faults = `{"faults":[{"kind":"late","command":"+CSQ","delay":"1.5s"},{"kind":"error","code":28,"times":2}]}`
	if status, answer := ask("PUT", "/faults", faults); status != http.StatusOK || strings.TrimSpace(answer) != faults {
		t.Errorf("setting faults gives %d %s", status, answer)
	}
	for _, bad := range []string{`{"faults":[{"kind":"x"}]}`, `{"faults":[{"wrong":1}]}`, `{"faults":[{"kind":"late","delay":"soon"}]}`} {
		if status, answer := ask("PUT", "/faults", bad); status != http.StatusUnprocessableEntity {
			t.Errorf("%s gives %d %s", bad, status, answer)
		}
	}
	var s Status
	if status, body := ask("GET", "/modem", ""); status != http.StatusOK || json.Unmarshal([]byte(body), &s) != nil {
		t.Errorf("the modem is %d %s", status, body)
	}
	if s.Path != m.Path() || s.PIN != "READY" || s.Network != 1 || s.Memories["SM"] != 2 || s.Number != "+15550100" {
		t.Errorf("the modem is %+v", s)
	}
}

func TestStartAndClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Config{Link: file}).Start(t.Context()); err == nil {
		t.Error("a file gives way to a link")
	}
	if err := New(Config{Link: filepath.Join(dir, "none", "link")}).Start(t.Context()); err == nil {
		t.Error("a link in no folder is made")
	}
	name := filepath.Join(dir, "link")
	if err := os.Symlink("/nowhere", name); err != nil {
		t.Fatal(err)
	}
	m := New(Config{Link: name})
	if m.Path() != "" {
		t.Errorf("before the start it is at %s", m.Path())
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err == nil {
		t.Error("it starts twice")
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(name); !os.IsNotExist(err) {
		t.Errorf("the link is left: %v", err)
	}
	if err := m.Start(t.Context()); err == nil {
		t.Error("it starts after its end")
	}
}

// TestNobodyReads has a program ask and never read the answers: what does not
// fit on the line is lost, and the modem goes on.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	l := dial(t, m)
	for range 50 {
		l.say("AT+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI;+CGMI\r")
	}
	l.say("AT+CNMI=1,1\r")
	shortly(t, "it to have heard all", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.state.notify[1] == 1
	})
	deliver(t, m, "+447700900123", "x")
	if n := m.Status().Memories["SM"]; n != 1 {
		t.Errorf("%d messages are stored", n)
	}
}
