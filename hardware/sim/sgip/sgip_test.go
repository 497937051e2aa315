package sgip

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herald/dispatch/sms/wire"
	"herald/e2e/peers"
	"herald/hardware/sim/ismg"
	"herald/hardware/sim/simtest"
	"herald/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = peers.Patience

func start(t *testing.T, cfg Config) *Gateway {
	t.Helper()
	return simtest.Start(t, New(cfg))
}

// unit is a PDU of that many octets with fields written to where the programs
// of others write them, header included.
func unit(length int, command uint32, number uint32, fields map[int]string) []byte {
	b := make([]byte, length)
	binary.BigEndian.PutUint32(b, uint32(length))
	binary.BigEndian.PutUint32(b[4:], command)
	binary.BigEndian.PutUint32(b[8:], 3001012345)
	binary.BigEndian.PutUint32(b[12:], 1105134546)
	binary.BigEndian.PutUint32(b[16:], number)
	for at, text := range fields {
		copy(b[at:], text)
	}
	return b
}

func binding(kind byte, name, password string) []byte {
	return unit(61, bind, 1, map[int]string{20: string(kind), 21: name, 37: password})
}

func submitting(number uint32, to, text string) []byte {
	b := unit(164+len(text), submit, number, map[int]string{
		20: "10655012345", 62: "\x01", 63: to, 84: "12345", 147: "\x01", 150: "\x00", 156: text,
	})
	binary.BigEndian.PutUint32(b[152:], uint32(len(text)))
	return b
}

// client is a client that says octets.
type client struct {
	t    *testing.T
	conn net.Conn
}

func dial(t *testing.T, g *Gateway) *client {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t, conn}
}

// ask gives the result of what is said; 255: the connection ended.
func (c *client) ask(b []byte) byte {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		return 255
	}
	u, err := protocol.Read(c.conn)
	if err != nil {
		return 255
	}
	f := wire.Fields{Rest: b[4:]}
	if command := f.Uint32(); u.Command != command|answer || u.Sequence != (wire.Sequence{f.Uint32(), f.Uint32(), f.Uint32()}) {
		c.t.Fatalf("%x is answered %+v", b, u)
	}
	if u.Command == unbind|answer && len(u.Body) == 0 {
		return resultOK
	}
	if len(u.Body) != 9 {
		c.t.Fatalf("the answer has %d octets, want a result and eight of reserve", len(u.Body))
	}
	return u.Body[0]
}

func (c *client) expect(want byte, what string, b []byte) {
	c.t.Helper()
	if got := c.ask(b); got != want {
		c.t.Errorf("%s is answered %d, want %d", what, got, want)
	}
}

func TestClientsAreLetInAndHeard(t *testing.T) {
	g := start(t, Config{Logins: map[string]string{"herald": "secret"}, MostConnections: 1})
	dial(t, g).expect(resultLogin, "a wrong password", binding(1, "herald", "wrong"))
	dial(t, g).expect(resultLogin, "a wrong name", binding(1, "heralds", "secret"))
	dial(t, g).expect(resultKind, "another gateway", binding(3, "herald", "secret"))
	dial(t, g).expect(resultLogin, "a message before the login", submitting(2, "8613800138000", "hello"))
	c := dial(t, g)
	c.expect(resultOK, "the client", binding(1, "herald", "secret"))
	dial(t, g).expect(resultTooMany, "its second connection", binding(1, "herald", "secret"))
	c.expect(resultOK, "a message", submitting(2, "8613800138000", "hello"))
	c.expect(resultOK, "the same again", submitting(2, "8613800138000", "hello"))
	c.expect(resultNumber, "a number without its country", submitting(3, "13800138000", "hello"))
	c.expect(resultFormat, "half a message", unit(60, submit, 4, nil))
	long := submitting(5, "8613800138000", "hello")
	binary.BigEndian.PutUint32(long[152:], 1<<31)
	c.expect(resultFormat, "a message that says it is longer", long)
	c.expect(resultFormat, "what it does not know", unit(20, 0x1000, 6, nil))
	c.expect(resultOK, "leave", unit(20, unbind, 7, nil))
	if _, err := protocol.Read(c.conn); err == nil {
		t.Error("it goes on after UNBIND")
	}
	if texts := g.Texts().All(); len(texts) != 1 || g.Count() != 1 || texts[0].Text != "hello" || texts[0].To != "8613800138000" || texts[0].From != "10655012345" || texts[0].IDs[0] != "3001012345-1105134546-2" {
		t.Errorf("the phone has %+v", texts)
	}
	c = dial(t, g)
	if _, err := c.conn.Write([]byte{0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.Read(c.conn); err == nil {
		t.Error("a unit of two gigabytes is waited for")
	}
}

func TestFaults(t *testing.T) {
	g := start(t, Config{RefuseRepeats: true, PerSecond: 2, IdleAfter: patience, Now: func() time.Time { return time.Unix(1, 0) }})
	faults := func(list ...ismg.Fault) {
		if err := g.SetFaults(list...); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, g)
	c.expect(resultOK, "the client", binding(1, "a", "b"))
	c.expect(resultOK, "a message", submitting(2, "8613800138000", "hello"))
	c.expect(resultRepeated, "the same again", submitting(2, "8613800138000", "hello"))
	faults(ismg.Fault{Kind: ismg.Refuse, Number: "86139*", Result: 24})
	c.expect(24, "a message that is refused", submitting(3, "8613900139000", "hello"))
	faults(ismg.Fault{Kind: ismg.Delay, Delay: ismg.Duration(time.Millisecond), Times: 1})
	c.expect(resultOK, "a slow message", submitting(4, "8613800138000", "hello"))
	c.expect(resultBusy, "one too many", submitting(5, "8613800138000", "hello"))
	faults(ismg.Fault{Kind: ismg.DropBefore})
	c.expect(255, "a message that breaks the connection", submitting(6, "8613800138000", "hello"))
	faults(ismg.Fault{Kind: ismg.RefuseLogin, Result: 11, Times: 1})
	dial(t, g).expect(11, "a login that is refused", binding(1, "a", "b"))
	if g.Count() != 2 {
		t.Errorf("%d messages were taken, want 2", g.Count())
	}
	g.DropAll()
}

// TestGatewayCallsBack, tells what became of a message and what a phone wrote,
// again until it is taken, and leaves when there is nothing to say.
func TestGatewayCallsBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := start(t, Config{Client: l.Addr().String(), ClientName: "smg", ClientPassword: "unicom", RetryAfter: 200 * time.Millisecond, IdleAfter: time.Second})
	c := dial(t, g)
	c.expect(resultOK, "the client", binding(1, "a", "b"))
	if err := g.SetFaults(ismg.Fault{Kind: ismg.Undelivered, State: "29"}); err != nil {
		t.Fatal(err)
	}
	c.expect(resultOK, "a message", submitting(2, "8613800138000", "hello"))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	host := newClient(t, conn)
	hear := func(result byte) wire.PDU {
		t.Helper()
		u, err := protocol.Read(host.conn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := host.conn.Write(protocol.Append(nil, wire.PDU{Command: u.Command | answer, Sequence: u.Sequence, Body: resultBody(result)})); err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := hear(resultOK); u.Command != bind || len(u.Body) != 41 || u.Body[0] != 2 || string(u.Body[1:4]) != "smg" || string(u.Body[17:23]) != "unicom" {
		t.Errorf("it signs in with %+v", u)
	}
	if code, answer := simtest.Asker(t, g.Handler())("POST", "/messages", `{"from":"13800138000","to":"10655012345","text":"TD"}`); code != http.StatusNoContent {
		t.Fatalf("the page gives %d %s", code, answer)
	}
	first := hear(resultBusy)
	told := map[uint32]wire.PDU{}
	for range 2 {
		u := hear(resultOK)
		told[u.Command] = u
	}
	want := append(submitting(2, "", "")[8:20], append([]byte("\x008613800138000"+strings.Repeat("\x00", 8)), append([]byte{2, 29}, make([]byte, 8)...)...)...)
	if u := told[report]; first.Command != report || u.Sequence != first.Sequence || !bytes.Equal(u.Body, want) {
		t.Errorf("the report is %x, want %x", u.Body, want)
	}
	want = append([]byte("8613800138000"+strings.Repeat("\x00", 8)+"10655012345"+strings.Repeat("\x00", 10)), append([]byte("\x00\x00\x00\x00\x00\x00\x02TD"), make([]byte, 8)...)...)
	if u := told[deliver]; !bytes.Equal(u.Body, want) {
		t.Errorf("what a phone wrote is %x, want %x", u.Body, want)
	}
	if u, err := protocol.Read(host.conn); err != nil || u.Command != unbind {
		t.Errorf("a silent connection says %+v, %v", u, err)
	}
	if g.Untold() != 0 {
		t.Errorf("%d are untold", g.Untold())
	}
}

// TestClientThatIsAway is tried again, and holds up nobody.
func TestClientThatIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, Config{Client: l.Addr().String(), RetryAfter: time.Millisecond})
	if err := g.Say("13800138000", "10655012345", "TD"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // it is shown out
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil || g.Untold() != 1 {
		t.Errorf("it ends with %v, and %d untold", err, g.Untold())
	}
}

func TestSayWithoutClient(t *testing.T) {
	g := New(Config{})
	if err := g.Say("1", "2", "3"); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("it gives %v", err)
	}
	if err := New(Config{Client: "127.0.0.1:1"}).Say("1", "2", strings.Repeat("价", 70*256)); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("a text too long gives %v", err)
	}
	if g.Addr() != "" || g.Close() != nil || len(g.Submitted()) != 0 {
		t.Error("it listens before its start")
	}
}

func FuzzSubmission(f *testing.F) {
	f.Add(submitting(1, "8613800138000", "hello")[20:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSubmission(body)
		if err == nil && (len(s.to) == 0 || len(s.to) > 100 || len(s.content) > 160) {
			t.Errorf("%+v cannot be", s)
		}
		_, _ = parseLogin(body) // it may be refused
	})
}
