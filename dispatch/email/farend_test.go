package email

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/conformance"
)

// farEnd is a mail server whose every answer is chosen by the test. It keeps
// to RFC 5321 and 2920 otherwise.
type farEnd struct {
	pipelining bool // offered
	eager      bool // it answers 354 to DATA though the recipient was refused
	late       bool // it refuses after the content, not at RCPT

	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	arrived  *sync.Cond        // of mu
	fault    conformance.Fault // guarded by mu
	victim   string            // whom it befalls; guarded by mu
	taken    map[string]int    // by recipient; guarded by mu
	inside   map[net.Conn]bool // guarded by mu
	senders  []string          // of what was taken; guarded by mu
	commands []string          // that were heard; guarded by mu
}

func startFarEnd(t testing.TB, f *farEnd) *farEnd {
	t.Helper()
	var err error
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.arrived = sync.NewCond(&f.mu)
	f.taken, f.inside = map[string]int{}, map[net.Conn]bool{}
	f.serving.Go(f.accept)
	t.Cleanup(func() {
		f.listener.Close()
		f.dropAll()
		f.serving.Wait()
	})
	return f
}

// stop lets nobody in any more and waits for those inside to leave.
func (f *farEnd) stop() {
	f.listener.Close()
	f.serving.Wait()
}

func (f *farEnd) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		away := f.fault == conformance.Away
		f.inside[conn] = !away
		f.mu.Unlock()
		if away {
			conn.Close()
			continue
		}
		f.serving.Go(func() {
			defer conn.Close()
			_ = f.converse(conn) // the client sees how it ends
		})
	}
}

func (f *farEnd) dropAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.inside {
		conn.Close()
	}
	clear(f.inside)
}

// faultFor is the fault that befalls a recipient.
func (f *farEnd) faultFor(recipient string) conformance.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if recipient == f.victim {
		return f.fault
	}
	return ""
}

var refusals = map[conformance.Fault]string{
	conformance.Refusal:        "550 5.7.1 we do not like it",
	conformance.AddressUnknown: "550 5.1.1 <%s> is unknown",
	conformance.Busy:           "450-4.2.0 the mailbox of\r\n450 4.2.0 %s is busy",
	conformance.Throttle:       "451 4.7.28 too many messages for %s",
	conformance.EndsSession:    "421 4.3.2 enough for today",
}

var errOver = errors.New("the conversation is over")

// heard is what one connection has heard of a message.
type heard struct {
	from, to string
	fault    conformance.Fault
}

func (f *farEnd) converse(conn net.Conn) error {
	in := bufio.NewReader(conn)
	say := func(format string, args ...any) error {
		_, err := fmt.Fprintf(conn, format+"\r\n", args...)
		return err
	}
	if err := say("220 far.example"); err != nil {
		return err
	}
	var h heard
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		f.mu.Lock()
		f.commands = append(f.commands, line)
		f.mu.Unlock()
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			err = f.hello(say)
		case "AUTH":
			err = f.signIn(say, rest)
		case "MAIL":
			h = heard{from: pathIn(rest)}
			err = say("250 2.1.0 ok")
		case "RCPT":
			err = f.recipient(say, &h, pathIn(rest))
		case "DATA":
			err = f.data(say, in, &h)
		case "RSET":
			h = heard{}
			err = say("250 2.0.0 ok")
		case "QUIT":
			return say("221 2.0.0 bye")
		default:
			err = say("500 5.5.1 what?")
		}
		if err != nil {
			return err
		}
	}
}

func pathIn(text string) string {
	_, text, _ = strings.Cut(text, "<")
	text, _, _ = strings.Cut(text, ">")
	return text
}

type sayer func(format string, args ...any) error

func (f *farEnd) hello(say sayer) error {
	if f.pipelining {
		return say("250-far.example\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 AUTH PLAIN")
	}
	return say("250-far.example\r\n250-SMTPUTF8\r\n250 AUTH PLAIN")
}

func (f *farEnd) signIn(say sayer, rest string) error {
	_, encoded, _ := strings.Cut(rest, " ")
	plain, _ := base64.StdEncoding.DecodeString(encoded)
	f.mu.Lock()
	wrong := f.fault == conformance.WrongCredentials
	f.mu.Unlock()
	if wrong || string(plain) != "\x00herald\x00secret" {
		return say("535 5.7.8 who are you?")
	}
	return say("235 2.7.0 welcome")
}

func (f *farEnd) recipient(say sayer, h *heard, to string) error {
	if h.from == "" {
		return say("503 5.5.1 MAIL first")
	}
	fault := f.faultFor(to)
	if fault == conformance.LostBefore {
		return errOver
	}
	if refusal, found := refusals[fault]; found && !f.late {
		return f.refuse(say, refusal, fault, to)
	}
	h.to, h.fault = to, fault
	return say("250 2.1.5 ok")
}

func (f *farEnd) refuse(say sayer, refusal string, fault conformance.Fault, to string) error {
	if strings.Contains(refusal, "%s") {
		refusal = fmt.Sprintf(refusal, to)
	}
	if err := say("%s", refusal); err != nil || fault == conformance.EndsSession {
		return errors.Join(errOver, err)
	}
	return nil
}

func (f *farEnd) data(say sayer, in *bufio.Reader, h *heard) error {
	defer func() { *h = heard{} }()
	if h.to == "" && !f.eager {
		return say("503 5.5.1 RCPT first")
	}
	if err := say("354 go on"); err != nil {
		return err
	}
	if h.fault == conformance.LostDuring {
		_, err := in.Peek(20)
		return errors.Join(errOver, err)
	}
	content, err := io.ReadAll(textproto.NewReader(in).DotReader())
	if err != nil {
		return err
	}
	if h.to == "" {
		if len(content) > 0 {
			return errors.New("content without a recipient") // and nobody can take it
		}
		return say("554 5.5.1 no valid recipients")
	}
	if refusal, found := refusals[h.fault]; found {
		return f.refuse(say, refusal, h.fault, h.to)
	}
	f.take(h)
	switch h.fault {
	case conformance.LostAfter:
		return errOver
	case conformance.Silence:
		_, err := io.Copy(io.Discard, in)
		return errors.Join(errOver, err)
	}
	return say("250 2.0.0 Ok: queued as %s", "4XyZ1234ab")
}

func (f *farEnd) take(h *heard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken[h.to]++
	f.senders = append(f.senders, h.from)
	f.arrived.Broadcast()
}

// farEndPeer lets the suite of dispatch try the driver against a farEnd.
type farEndPeer struct {
	*farEnd
	mailer *Mailer
}

func newFarEndPeer(t *testing.T, answerWithin time.Duration, f *farEnd) *farEndPeer {
	startFarEnd(t, f)
	account := accountAt(t, "far", f.listener.Addr().String())
	account.Timeout, account.Username, account.Password = answerWithin, "herald", "secret"
	m, err := NewMailer(account, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &farEndPeer{f, m}
}

func (p *farEndPeer) Open(ctx context.Context) (dispatch.Session, error) { return p.mailer.Open(ctx) }

func (p *farEndPeer) Message(i int) dispatch.Message {
	return to(fmt.Sprintf("m%d@example.com", i))
}

func (p *farEndPeer) Inject(_ *testing.T, f conformance.Fault, m dispatch.Message) bool {
	p.mu.Lock()
	p.fault, p.victim = f, m.Address
	p.mu.Unlock()
	if f == conformance.Gone {
		p.dropAll()
	}
	return true
}

func (p *farEndPeer) Heal(t *testing.T) { p.Inject(t, "", dispatch.Message{}) }

func (p *farEndPeer) Taken(m dispatch.Message) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken[m.Address]
}

func (p *farEndPeer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	defer context.AfterFunc(ctx, p.arrived.Broadcast)()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.taken[m.Address] == 0 && ctx.Err() == nil {
		p.arrived.Wait()
	}
	return ctx.Err()
}
