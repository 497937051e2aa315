package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herald/e2e/peers"
	"herald/hardware/sim/simtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	return simtest.Start(t, New(cfg))
}

func setFaults(t *testing.T, s *Server, faults ...Fault) {
	t.Helper()
	if err := s.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// within bounds a wait for what must come.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

const twoParts = "From: Shop <shop@sim.example>\r\nTo: wei@example.com\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?6ZmN5Lu3?=\r\nMessage-Id: <one@shop.example>\r\n" +
	"X-Twice: a\r\nX-Twice: b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=B\r\n\r\n" +
	"--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"=E9=99=8D=E4=BB=B7\r\n..\r\n\r\n" +
	"--B\r\nContent-Type: text/html; charset=gb2312\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+vbW82zwvcD4=\r\n--B--\r\n"

// TestCurlDelivers proves the server with a client that is not ours.
func TestCurlDelivers(t *testing.T) {
	s := start(t, Config{Now: func() time.Time { return time.Unix(1, 0) }})
	if out, err := curl(t, s.Addr(), twoParts, "wei@example.com", "li@example.com"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := s.WaitForCount(within(t, peers.Patience), 1); err != nil {
		t.Fatal(err)
	}
	m := s.Messages()[0]
	if m.From != "shop@sim.example" || strings.Join(m.To, " ") != "wei@example.com li@example.com" {
		t.Errorf("the envelope is %s → %v", m.From, m.To)
	}
	if m.Subject != "Grüße降价" || m.MessageID != "one@shop.example" || m.Problem != "" || m.ID != 1 || !m.ReceivedAt.Equal(time.Unix(1, 0)) {
		t.Errorf("the mail is %+v", m)
	}
	if m.Text != "降价\r\n..\r\n" || m.HTML != "<p>降价</p>" || m.Bytes != len(twoParts) || string(m.Raw) != twoParts {
		t.Errorf("the parts are %q and %q, %d bytes", m.Text, m.HTML, m.Bytes)
	}
	if m.Get("x-twice") != "a" || m.Get("none") != "" {
		t.Errorf("the header is %+v", m.Header)
	}
}

func TestCurlMeetsFaults(t *testing.T) {
	s := start(t, Config{})
	setFaults(t, s,
		Fault{Recipient: "*@gone.example", Kind: Refuse},
		Fault{Recipient: "Full@example.com", Kind: Temporary, Code: 452, Text: "4.2.2 mailbox full", Times: 1},
		Fault{Recipient: "spam@example.com", Kind: RefuseData},
	)
	for _, c := range []struct{ to, said string }{
		{"wei@gone.example", "550 5.1.1 no such user here"},
		{"full@EXAMPLE.com", "452 4.2.2 mailbox full"},
		{"full@example.com", ""},
		{"spam@example.com", "554 5.6.0 not accepted"},
		{"spam@example.com", "554 5.6.0 not accepted"},
		{"wei@example.com", ""},
	} {
		out, err := curl(t, s.Addr(), twoParts, c.to)
		if (err == nil) != (c.said == "") || !strings.Contains(out, c.said) {
			t.Errorf("%s gives %v, want %q:\n%s", c.to, err, c.said, out)
		}
	}
	if s.Count() != 2 {
		t.Errorf("%d mails were kept, want 2", s.Count())
	}
	if left := s.Faults(); len(left) != 2 {
		t.Errorf("left are %+v", left)
	}
}

// curl sends a mail and gives what was said on the wire.
func curl(t *testing.T, addr, mail string, to ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: apt-get install curl, or make deps")
	}
	args := []string{"--verbose", "--silent", "--max-time", "10", "--crlf", "--url", "smtp://" + addr, "--mail-from", "shop@sim.example", "--upload-file", "-"}
	for _, recipient := range to {
		args = append(args, "--mail-rcpt", recipient)
	}
	cmd := exec.CommandContext(t.Context(), "curl", args...)
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(mail, "\r\n", "\n"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// talk sends a mail line by line and gives the last answer.
func talk(addr, to string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text := textproto.NewConn(conn)
	answer := ""
	for _, line := range []string{"", "EHLO test", "MAIL FROM:<a@b.example>", "RCPT TO:<" + to + ">", "DATA", "Subject: x\r\n\r\ny\r\n."} {
		if line != "" {
			if err := text.PrintfLine("%s", line); err != nil {
				return answer, err
			}
		}
		code, said, err := text.ReadResponse(0)
		if err != nil {
			return answer, err
		}
		answer = fmt.Sprint(code, " ", said)
	}
	return answer, nil
}

func TestDrops(t *testing.T) {
	for _, c := range []struct {
		kind FaultKind
		last string // the last answer before the connection breaks
		kept int64
	}{
		{Close, "", 0},
		{DropBeforeData, "250 2.0.0 Roger", 0},
		{DropInData, "354 ", 0},
		{DropAfterData, "354 ", 0},
		{Doubt, "354 ", 1},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			s := start(t, Config{})
			setFaults(t, s, Fault{Kind: c.kind, Times: 1})
			answer, err := talk(s.Addr(), "wei@example.com")
			if err == nil || !strings.HasPrefix(answer, c.last) || c.last == "" && answer != "" {
				t.Errorf("ends with %q and %v, want %q and a broken connection", answer, err, c.last)
			}
			if s.Count() != c.kept {
				t.Errorf("%d mails were kept, want %d", s.Count(), c.kept)
			}
			if answer, err := talk(s.Addr(), "wei@example.com"); err != nil || !strings.HasPrefix(answer, "250") {
				t.Errorf("the next one gives %q and %v", answer, err)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	s := start(t, Config{})
	setFaults(t, s, Fault{Kind: Delay, Delay: Duration(50 * time.Millisecond)})
	began := time.Now()
	if answer, err := talk(s.Addr(), "wei@example.com"); err != nil || !strings.HasPrefix(answer, "250") {
		t.Errorf("gives %q and %v", answer, err)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestCloseEndsDelaysAndConnections(t *testing.T) {
	s := start(t, Config{})
	setFaults(t, s, Fault{Kind: Delay, Delay: Duration(time.Hour)})
	idle, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := textproto.NewConn(idle).ReadLine(); err != nil {
		t.Fatal(err)
	}
	addr, sent := s.Addr(), make(chan error, 1)
	go func() {
		_, err := talk(addr, "wei@example.com")
		sent <- err
	}()
	if err := s.WaitForCount(within(t, peers.Patience), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err == nil {
		t.Error("the delayed mail was answered")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again gives %v", err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens")
	}
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	s := New(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitForCount(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("gives %v", err)
	}
}

func TestStartFails(t *testing.T) {
	s := start(t, Config{})
	if err := s.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	if err := New(Config{Addr: s.Addr()}).Start(t.Context()); err == nil {
		t.Error("started on a taken port")
	}
	if err := New(Config{}).Close(); err != nil {
		t.Errorf("closing what never started gives %v", err)
	}
}

func TestLargeMailIsRefused(t *testing.T) {
	s := start(t, Config{MaxMessageBytes: 100})
	out, err := curl(t, s.Addr(), twoParts, "wei@example.com")
	if err == nil || !strings.Contains(out, "552 5.3.4") || s.Count() != 0 {
		t.Errorf("gives %v and keeps %d:\n%s", err, s.Count(), out)
	}
}

func TestMailThatIsNoneIsKept(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":                "",
		"no header":              "hello\r\n",
		"a part without its end": "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\nhalf",
		"an unknown charset":     "Content-Type: text/plain; charset=klingon\r\n\r\nhello",
		"an unknown encoding":    "Content-Transfer-Encoding: rot13\r\n\r\nhello",
		"a type that is none":    "Content-Type: ;;;\r\n\r\nhello",
	} {
		if m := parse("a@b.example", []string{"c@d.example"}, []byte(raw), time.Now()); string(m.Raw) != raw || m.From != "a@b.example" {
			t.Errorf("%s becomes %+v", name, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(twoParts))
	f.Add([]byte("Subject: =?x?q?=\r\n\r\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) { parse("a", nil, raw, time.Time{}) })
}
