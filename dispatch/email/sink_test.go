package email

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch"
)

// smtpSink starts Postfix's smtp-sink, a server that is not ours, and gives
// its address. It says nothing when it is ready, so it is asked until it greets.
func smtpSink(t testing.TB, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("smtp-sink")
	if err != nil {
		program = "/usr/sbin/smtp-sink" // not in everybody's PATH
		if _, err := os.Stat(program); err != nil {
			t.Fatal("this test needs smtp-sink: apt-get install postfix, or make deps")
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command(program, append(args, "inet:"+addr, "1024")...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			return addr
		}
		select {
		case <-again.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("smtp-sink ended: %v\n%s", err, &said)
		case <-limit.C:
			t.Fatalf("smtp-sink does not listen: %v\n%s", err, &said)
		}
	}
}

// TestPostfixTakesOurMail: another program reads what we wrote.
func TestPostfixTakesOurMail(t *testing.T) {
	dir := t.TempDir()
	// TempDir is below a directory that only we may enter; smtp-sink runs as nobody.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	s := newSender(t, accountAt(t, "sink", smtpSink(t, "-d", filepath.Join(dir, "mail."))))
	m := message()
	m.Content.Text = "one\n.\n..two\n" // dots that must not end the message
	r := mustSend(t, s, m)
	if r.Code != "250 2.0.0" {
		t.Errorf("the receipt is %+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "mail.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("there are the files %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"X-Rcpt-Args: <wei@example.com>", "Message-ID: <01960000@shop.example>",
		"Subject: =?UTF-8?q?Teapot_is_now_=E2=82=AC45.00?=", "one\n.\n..two\n",
	} {
		if !strings.Contains(string(raw), line) {
			t.Errorf("%q is missing in\n%s", line, raw)
		}
	}
}

func TestPostfixRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		class dispatch.Class
	}{
		"RCPT for good":        {[]string{"-r", "rcpt"}, dispatch.Transient},
		"RCPT with 5xx":        {[]string{"-f", "rcpt"}, dispatch.Permanent},
		"DATA for now":         {[]string{"-r", "data"}, dispatch.Transient},
		"the message for now":  {[]string{"-r", "."}, dispatch.Transient},
		"the message for good": {[]string{"-f", "."}, dispatch.Permanent},
		"gone at RCPT":         {[]string{"-q", "rcpt"}, dispatch.Transient},
		"gone at the dot":      {[]string{"-q", "."}, dispatch.Doubt},
		"421 at RCPT":          {[]string{"-Q", "rcpt"}, dispatch.SessionFatal},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, accountAt(t, "sink", smtpSink(t, c.args...)))
			_, err := s.Send(t.Context(), message())
			if failure := failureOf(t, err); failure.Class != c.class {
				t.Errorf("gives %v, want %s", err, c.class)
			}
		})
	}
}

// BenchmarkSend hands two-part messages of about 2 kB to smtp-sink over ten
// kept connections.
func BenchmarkSend(b *testing.B) {
	addr := smtpSink(b)
	account := Account{Name: "sink", TLS: "none", From: "alerts@shop.example", MaxSessions: 10, Timeout: 10 * time.Second}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		b.Fatal(err)
	}
	account.Host = host
	if _, err := fmt.Sscan(port, &account.Port); err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Accounts: []Account{account}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	m := message()
	m.Content.Text = strings.Repeat("The teapot you like is cheaper today.\n", 15)
	m.Content.HTML = strings.Repeat("<p>The teapot you like is <b>cheaper</b> today.</p>\n", 18)
	b.ResetTimer()
	var all sync.WaitGroup
	for worker := range 10 {
		all.Go(func() {
			for i := worker; i < b.N; i += 10 {
				if _, err := s.Send(b.Context(), m); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
