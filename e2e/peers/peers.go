// Package peers starts programs that we did not write, for tests that speak
// with them. A program that is missing fails the test, with what to install.
package peers

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Program is the path of a program of a Debian package.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/bin"} { // not in everybody's PATH
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	t.Fatalf("this test needs %s: apt-get install %s, or make test-deps", name, debian)
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// NPM is the folder with the node_modules that scripts of tests use.
func NPM(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "npm")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatalf("this test needs packages of npm: make test-deps, or npm ci in %s", dir)
	}
	return dir
}

// Node is node with a script that may use the packages of NPM.
func Node(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t, "node", "nodejs npm"), append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(NPM(t), "node_modules"))
	return cmd
}

// Process is a program that runs until its test ends.
type Process struct {
	t     testing.TB
	name  string
	ended chan struct{}

	mu   sync.Mutex
	said bytes.Buffer
}

// Start starts a program and kills it when the test ends. What it says is kept.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, name: filepath.Base(cmd.Path), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // "signal: killed", mostly
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// Write keeps what the program says.
func (p *Process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(text)
}

// Said is what the program has said so far.
func (p *Process) Said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// Patience is how long a program may take for what a test waits for.
const Patience = 30 * time.Second

// Until waits for something that the program brings about, and fails the test
// when it ends before that or takes too long.
func (p *Process) Until(what string, is func() bool) {
	p.t.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-p.ended:
			if !is() {
				p.t.Fatalf("%s ended before %s:\n%s", p.name, what, p.Said())
			}
		case <-limit.C:
			p.t.Fatalf("waited %v for %s:\n%s", Patience, what, p.Said())
		}
	}
}

// UntilSaid waits for a text among what the program says.
func (p *Process) UntilSaid(text string) {
	p.t.Helper()
	p.Until("it says "+text, func() bool { return strings.Contains(p.Said(), text) })
}

// UntilListening waits until the program takes connections at address.
func (p *Process) UntilListening(address string) {
	p.t.Helper()
	p.Until("it listens at "+address, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = conn.Close() // it was only to see
		return true
	})
}

// Address is an address of this machine that nobody listens at, and that is
// this test's until it ends. Its port is below those that the system gives out
// by itself (Linux: from 32768), so that nobody has it before the program that
// is to; other tests are told by a socket of its name.
func Address(t testing.TB) string {
	t.Helper()
	return Addresses(t, 1)[0]
}

// Addresses are some such, whose ports follow one another.
func Addresses(t testing.TB, many int) []string {
	t.Helper()
	const first, most, tries = 20_000, 12_000, 100
	for range tries {
		var all []string
		for port := first + rand.IntN(most); len(all) < many; port++ {
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
			if !take(t, address) {
				break
			}
			all = append(all, address)
		}
		if len(all) == many {
			return all
		}
	}
	t.Fatalf("%d ports were tried, and none is free", tries)
	return nil
}

// take makes an address this test's; it is false when it is somebody else's.
func take(t testing.TB, address string) bool {
	t.Helper()
	ours, err := net.Listen("unix", "@herald test "+address)
	if err != nil {
		return false // another test has it
	}
	t.Cleanup(func() { _ = ours.Close() }) // nobody speaks to it
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

// SMTPSink starts Postfix's smtp-sink and gives its address.
func SMTPSink(t testing.TB, args ...string) string {
	t.Helper()
	address := Address(t)
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command(Program(t, "smtp-sink", "postfix"), append(args, "inet:"+address, "1024")...)
	Start(t, cmd).UntilListening(address)
	return address
}
