package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"herald/hardware/sim/smtp"
	"herald/postgres/pgtest"
)

// binary is the program under test, built by TestMain as `make build` does.
const binary = "../bin/herald"

func TestMain(m *testing.M) {
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../cmd/herald")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build herald: %v\n%s", err, out)
		os.Exit(1)
	}
	// They wait for each other's programs more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// patience is how long a test waits for what should come in a second or two.
const patience = 60 * time.Second

// herald is a running node and what it talks to.
type herald struct {
	t    *testing.T
	url  string
	key  string // an API key with every scope
	env  []string
	mail *smtp.Server
	proc *process

	database string // its connection string
}

// start runs a node on a database and an SMTP server of its own.
func start(t *testing.T, settings ...string) *herald {
	t.Helper()
	mail := smtp.New(smtp.Config{Keep: 100_000})
	if err := mail.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mail.Close() })
	host, port, _ := strings.Cut(mail.Addr(), ":")
	database := pgtest.URL(t)
	h := &herald{t: t, mail: mail, database: database, env: append([]string{
		"HERALD_DATABASE_URL=" + database,
		"HERALD_SECRET_KEY=a key of at least thirty-two characters",
		"HERALD_HTTP_LISTEN=127.0.0.1:0",
		"HERALD_DISPATCH_FIRST_RETRY=200ms",
		"HERALD_API_REQUESTS_PER_SECOND=100000",
		"HERALD_API_BURST=100000",
		fmt.Sprintf("HERALD_EMAIL_ACCOUNTS=[{name: sim, host: %q, port: %s, tls: none, from: shop@example.com, from_name: The Shop}]", host, port),
	}, settings...)}
	h.key = strings.TrimSpace(h.run("admin", "key", "e2e"))
	h.boot()
	return h
}

// run runs a command of the binary to its end and gives what it printed.
func (h *herald) run(args ...string) string {
	h.t.Helper()
	out, err := h.try("", args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// try runs a command with stdin; the error carries what it said.
func (h *herald) try(stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(h.t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), h.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("herald %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// boot starts `herald serve` and waits until it says where it listens.
func (h *herald) boot() {
	h.t.Helper()
	h.proc = launch(h.t, h.env, "serve")
	h.url = h.proc.waitFor(h.t, "herald is running")["url"].(string)
}

// kill ends the node as a power cut would.
func (h *herald) kill() {
	h.t.Helper()
	h.proc.signal(h.t, syscall.SIGKILL)
	<-h.proc.ended
}

// process is a running herald; its log is read line by line.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	lines chan map[string]any

	mu  sync.Mutex
	log bytes.Buffer
	err error
}

func launch(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), ended: make(chan struct{}), lines: make(chan map[string]any, 1000)}
	p.cmd.Env = append(os.Environ(), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stderr)
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(patience):
			_ = p.cmd.Process.Kill()
			t.Error("herald did not stop when told to")
		}
		if t.Failed() {
			t.Logf("log of herald %s:\n%s", strings.Join(args, " "), p.text())
		}
	})
	return p
}

func (p *process) read(stderr io.Reader) {
	defer close(p.ended)
	scanner := bufio.NewScanner(stderr)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		p.log.Write(scanner.Bytes())
		p.log.WriteByte('\n')
		p.mu.Unlock()
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) == nil {
			select {
			case p.lines <- line:
			default: // nobody waits for what is said after so much
			}
		}
	}
	p.err = p.cmd.Wait()
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// waitFor gives the log line with a message.
func (p *process) waitFor(t *testing.T, message string) map[string]any {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case line := <-p.lines:
			if line["msg"] == message {
				return line
			}
		case <-p.ended:
			t.Fatalf("herald ended before it said %q:\n%s", message, p.text())
		case <-limit:
			t.Fatalf("herald did not say %q:\n%s", message, p.text())
		}
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// signalUntilEnded sends a signal again and again, as an impatient user does.
func (p *process) signalUntilEnded(t *testing.T, s os.Signal) {
	t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	over := time.After(patience)
	for {
		select {
		case <-p.ended:
			return
		case <-again.C:
			_ = p.cmd.Process.Signal(s) // it may have ended between the two
		case <-over:
			t.Fatal("herald did not stop when told to")
		}
	}
}

// call sends a request to the API and decodes the answer into answer, when
// not nil. It fails the test on any status but want.
func (h *herald) call(want int, method, path, contentType string, body, answer any) {
	h.t.Helper()
	status, text, err := h.request(h.t.Context(), method, path, contentType, body)
	if err != nil {
		h.t.Fatal(err)
	}
	if status != want {
		h.t.Fatalf("%s %s = %d, want %d: %.1000s", method, path, status, want, text)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(text, answer); err != nil {
		h.t.Fatalf("%s %s: %v: %.1000s", method, path, err, text)
	}
}

// request sends body as JSON, or as it is when it is a string.
func (h *herald) request(ctx context.Context, method, path, contentType string, body any) (status int, text []byte, err error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, reader)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	return res.StatusCode, text, err
}
