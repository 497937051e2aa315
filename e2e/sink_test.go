package e2e

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sink is a mail server that takes much and remembers little of each message,
// counts the sessions it has, and is as unkind as its manners say. It speaks
// what RFC 5321 demands at least, and pipelining (RFC 2920).
type sink struct {
	t       *testing.T
	addr    string
	serving sync.WaitGroup
	closing chan struct{}

	mu       sync.Mutex
	listener net.Listener          // guarded by mu; nil while it is shut
	inside   map[net.Conn]struct{} // guarded by mu
	most     int                   // guarded by mu: sessions at a time
	manners  manners               // guarded by mu
	paused   chan struct{}         // guarded by mu: nothing is answered until it is closed; nil: go on
	got      map[string]*arrival   // guarded by mu: by delivery
	count    int                   // guarded by mu
	refused  map[string]struct{}   // guarded by mu: addresses that were refused for good
}

// arrival is what a sink knows of one delivery.
type arrival struct {
	to, subject string
	messageIDs  []string // one for each time it came
}

// manners are how a sink treats its guests. The zero manners are good ones.
type manners struct {
	before  time.Duration                // waits so long before each answer
	letter  time.Duration                // waits so long before each letter of an answer
	mute    bool                         // never answers DATA
	leave   bool                         // keeps the message, and closes instead of answering it
	refusal func(verb, to string) string // what is answered instead of yes; "" is yes
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{
		t: t, addr: "127.0.0.1:0", closing: make(chan struct{}),
		inside: map[net.Conn]struct{}{}, got: map[string]*arrival{}, refused: map[string]struct{}{},
	}
	s.open()
	t.Cleanup(func() {
		close(s.closing)
		s.shut()
		s.serving.Wait()
	})
	return s
}

// open listens, where it did before if it did.
func (s *sink) open() {
	s.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.addr = listener, listener.Addr().String()
	s.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.welcome(conn)
		}
	})
}

// shut refuses new connections and cuts those there are.
func (s *sink) shut() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close() // whoever is in its queue is refused too
		s.listener = nil
	}
	s.mu.Unlock()
	s.cut()
}

// cut breaks every connection.
func (s *sink) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.inside {
		_ = conn.Close()
		delete(s.inside, conn)
	}
}

// behave changes the manners from the next answer on.
func (s *sink) behave(m manners) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manners = m
}

// pause answers nothing until the function is called.
func (s *sink) pause() (resume func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = make(chan struct{})
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.paused)
		s.paused = nil
	})
}

// sessions is the most there were at a time.
func (s *sink) sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// arrived is how many messages came, those that came again included.
func (s *sink) arrived() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// arrivals are the messages by their delivery.
func (s *sink) arrivals() map[string]arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]arrival, len(s.got))
	for id, a := range s.got {
		all[id] = arrival{a.to, a.subject, slices.Clone(a.messageIDs)}
	}
	return all
}

// turnedAway are the addresses that heard a 5xx.
func (s *sink) turnedAway() map[string]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}

// welcome counts a connection and serves it. One whose far end has gone, and
// whose goroutine has not noticed yet, is no session any more.
func (s *sink) welcome(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside[conn] = struct{}{}
	there := 0
	for one := range s.inside {
		if established(one) {
			there++
		}
	}
	s.most = max(s.most, there)
	s.serving.Go(func() {
		guest := &guest{sink: s, conn: conn, in: bufio.NewReaderSize(conn, 64<<10), out: bufio.NewWriter(conn)}
		_ = guest.converse() // a broken connection is what most of these tests are about
		_ = conn.Close()
		s.mu.Lock()
		delete(s.inside, conn)
		s.mu.Unlock()
	})
}

// tcpEstablished is TCP_ESTABLISHED of Linux's tcp_states.h.
const tcpEstablished = 1

// established asks the system whether both ends of a connection are there.
func established(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	state := uint8(0)
	err = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			state = info.State
		}
	})
	return err == nil && state == tcpEstablished
}

func (s *sink) keep(delivery, to, subject, messageID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.got[delivery]
	if a == nil {
		a = &arrival{to: to, subject: subject}
		s.got[delivery] = a
	}
	a.messageIDs = append(a.messageIDs, messageID)
	s.count++
}

// guest is one connection; it belongs to the goroutine that serves it.
type guest struct {
	sink *sink
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	to   string
}

var errLeft = errors.New("the sink left")

func (g *guest) converse() error {
	if err := g.say("220 sink ESMTP"); err != nil {
		return err
	}
	for {
		line, err := g.in.ReadString('\n')
		if err != nil {
			return err
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		switch verb {
		case "EHLO":
			err = g.say("250-sink\r\n250-PIPELINING\r\n250 8BITMIME")
		case "RCPT":
			_, rest, _ := strings.Cut(line, "<")
			g.to, _, _ = strings.Cut(rest, ">")
			err = g.answer(verb)
		case "DATA":
			err = g.data()
		case "QUIT":
			return g.say("221 bye")
		default: // MAIL, RSET, NOOP
			err = g.answer(verb)
		}
		if err != nil {
			return err
		}
	}
}

// data takes a message, unless its recipient was refused.
func (g *guest) data() error {
	if g.to == "" {
		return g.say("503 whom for")
	}
	if g.mood().mute {
		_, _ = io.Copy(io.Discard, g.in) // until the far end has had enough
		return errLeft
	}
	if err := g.say("354 go"); err != nil {
		return err
	}
	header := map[string]string{}
	for inHeader := true; ; {
		line, err := g.in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "." {
			break
		}
		inHeader = inHeader && line != ""
		if name, value, found := strings.Cut(line, ": "); inHeader && found {
			header[strings.ToLower(name)] = value
		}
	}
	to := g.to
	m := g.mood()
	if text := g.refusal(m, "."); text != "" {
		g.to = ""
		return g.say(text)
	}
	g.to = ""
	g.sink.keep(header["x-herald-delivery"], to, header["subject"], header["message-id"])
	if m.leave {
		return errLeft
	}
	return g.say("250 OK")
}

// answer says yes, or what the manners say instead; 421 is the last word.
func (g *guest) answer(verb string) error {
	text := g.refusal(g.mood(), verb)
	if text == "" {
		return g.say("250 OK")
	}
	g.to = ""
	err := g.say(text)
	if strings.HasPrefix(text, "421") {
		return errors.Join(err, g.out.Flush(), errLeft)
	}
	return err
}

func (g *guest) refusal(m manners, verb string) string {
	if m.refusal == nil {
		return ""
	}
	text := m.refusal(verb, g.to)
	if strings.HasPrefix(text, "5") {
		g.sink.mu.Lock()
		g.sink.refused[g.to] = struct{}{}
		g.sink.mu.Unlock()
	}
	return text
}

func (g *guest) mood() manners {
	g.sink.mu.Lock()
	defer g.sink.mu.Unlock()
	return g.sink.manners
}

// say writes an answer with the sink's manners. What is pipelined is answered
// in one piece.
func (g *guest) say(text string) error {
	g.sink.mu.Lock()
	m, paused := g.sink.manners, g.sink.paused
	g.sink.mu.Unlock()
	if paused != nil {
		select {
		case <-paused:
		case <-g.sink.closing:
			return errLeft
		}
	}
	if !g.wait(m.before) {
		return errLeft
	}
	for _, letter := range []byte(text + "\r\n") {
		if err := g.out.WriteByte(letter); err != nil {
			return err
		}
		if m.letter == 0 {
			continue
		}
		if err := g.out.Flush(); err != nil {
			return err
		}
		if !g.wait(m.letter) {
			return errLeft
		}
	}
	if g.in.Buffered() > 0 && m.before == 0 {
		return nil
	}
	return g.out.Flush()
}

// wait is false when the sink closes first.
func (g *guest) wait(d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.sink.closing:
		return false
	}
}
