package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// demonstration is a running `herald demo` and what it says on its start.
type demonstration struct {
	shop, portal, console, key string
}

// The sign-ins that the demonstration tells.
const (
	demoPassword = "price and prejudice"
	demoOperator = "anna"
)

// demonstrate starts `herald demo` on free ports and reads where everything is.
func demonstrate(t *testing.T, flags ...string) demonstration {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"demo", "--listen", "127.0.0.1:0", "--shop", "127.0.0.1:0"}, flags...)...)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said transcript
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { said.follow(out, "Stop with Ctrl-C.", ready) }()
	go func() {
		ended <- cmd.Wait()
		in.Close()
	}()
	t.Cleanup(func() { stopDemonstration(t, cmd, ended, &said) })
	select {
	case text := <-ready:
		return readWelcome(t, text)
	case err := <-ended:
		ended <- err
		t.Fatalf("herald demo ended: %v\n%s", err, said.text())
	case <-time.After(patience):
		t.Fatalf("herald demo did not say where it is:\n%s", said.text())
	}
	return demonstration{}
}

func stopDemonstration(t *testing.T, cmd *exec.Cmd, ended chan error, said *transcript) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("herald demo ended with %v:\n%s", err, said.text())
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		t.Errorf("herald demo did not stop when told to:\n%s", said.text())
	}
}

func readWelcome(t *testing.T, text string) demonstration {
	t.Helper()
	find := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("the welcome has no %s:\n%s", pattern, text)
		}
		return found[1]
	}
	return demonstration{
		shop: find(`The shop +(http://[^/ ]+)`), portal: find(`Customers +(http://[^/ ]+)`),
		console: find(`Operators +(http://\S+)`), key: find(`API .*key (\S+)`),
	}
}

// transcript keeps what a process says.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

// follow reads lines until r ends; when the last line of the welcome has come
// it gives what was said so far.
func (s *transcript) follow(r io.Reader, last string, ready chan<- string) {
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		s.mu.Lock()
		s.lines = append(s.lines, scanner.Text())
		s.mu.Unlock()
		if scanner.Text() == last {
			ready <- s.text()
		}
	}
}

func (s *transcript) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func TestShop(t *testing.T) {
	t.Parallel()
	d := demonstrate(t)
	v := visit(t, d.shop, desktop)
	v.open("/")
	v.sees("Change a price and watch the messages arrive", "Nothing yet.")
	v.fill("price", "440") // of the first product, the stroller
	v.press("Change")
	v.reads("Stroller Lite now costs ¥440. Herald tells 4 members.")
	v.awaits("the messages to show by themselves", arrivals("4 messages have arrived"))
	v.picture("shop.png")
	v.press("Open the mailbox")
	v.awaits("the mailbox to show them", `document.querySelectorAll("#list button").length === 3`)
	v.unfold("linus@example.com")
	v.reads("alerts@shop.example → linus@example.com")
	lookAtACall(t, d)
}

// lookAtACall sees how the one was told who presses 1 when she is called.
func lookAtACall(t *testing.T, d demonstration) {
	o := visit(t, d.portal, desktop)
	o.open("/console")
	o.fill("name", demoOperator)
	o.fill("password", demoPassword)
	o.press("Sign in to the console")
	o.open("/console/deliveries?channel=voice&member=grace")
	o.clickOn("tbody tr td:last-child")
	o.sees("answered by a person", "pressed 1", "confirmed")
	o.picture("console-call.png")
}

// arrivals is true when the shop's list of messages says this.
func arrivals(text string) string {
	return fmt.Sprintf(`document.querySelector("#arrivals").innerText.includes(%q)`, text)
}
