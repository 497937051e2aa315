package bounces

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"herald/dispatch"
)

func TestALargeMessageIsRefusedAndALongOneUnderstood(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.MaxBytes = 1 << 20 })
	long := string(sample(t, "postfix-unknown")) + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 10_000)
	if err := d.send(t, d.address(), long); err != nil {
		t.Errorf("720 kB: %v", err)
	}
	wantCode(t, d.send(t, d.address(), long+long), 552)
	if got := d.all(); len(got) != 1 || got[0].Event != dispatch.ReportBounced {
		t.Errorf("the reports are %+v", got)
	}
}

func TestTooManyRecipients(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.MaxRecipients = 2 })
	c := d.dial(t)
	if err := c.Mail("", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		err := c.Rcpt(d.addressOf(uuid.New()), nil)
		if i < 2 && err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			wantCode(t, err, 452)
		}
	}
}

func TestOneHostHoldsOnlySoManyConnections(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.MaxConnectionsPerHost = 2 })
	first, second := d.dial(t), d.dial(t)
	for _, c := range []*smtp.Client{first, second} {
		if err := c.Hello("one.example"); err != nil {
			t.Fatal(err)
		}
	}
	third, err := smtp.Dial(d.Addr())
	if err == nil {
		err = third.Hello("three.example")
		_ = third.Close()
	}
	wantCode(t, err, 421)
	if err := first.Quit(); err != nil {
		t.Fatal(err)
	}
	// The place is free once the server has seen the connection end.
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		again := d.dial(t)
		if err = again.Hello("four.example"); err == nil {
			return
		}
	}
	t.Errorf("no place became free: %v", err)
}

func TestASilentClientIsHungUpOn(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.MaxSession = time.Second })
	conn, err := net.Dial("tcp", d.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	buffer := make([]byte, 512)
	for {
		n, err := conn.Read(buffer)
		said.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	if !strings.Contains(said.String(), "\r\n421 ") {
		t.Errorf("it said %q", &said)
	}
}

func TestAnAnswerThatIsDueIsGivenAtTheEnd(t *testing.T) {
	d := newDesk(t, nil)
	taking, finish := make(chan struct{}), make(chan struct{})
	l, err := Listen(t.Context(), Config{Addr: "127.0.0.1:0", ReturnPaths: []string{testPath}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, d.tokens)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- l.Reports(ctx, func(ctx context.Context, _ []dispatch.Report) error {
			close(taking)
			<-finish
			return ctx.Err()
		})
	}()
	sent := make(chan error, 1)
	sender := &desk{Listener: l, tokens: d.tokens}
	go func() { sent <- sender.send(t, sender.address(), string(sample(t, "postfix-unknown"))) }()
	<-taking
	cancel()
	close(finish)
	if err := <-sent; err != nil {
		t.Errorf("the client heard %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
