package smsc

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/dispatch/sms/smpp/pdu"
	"herald/e2e/peers"
	"herald/hardware/sim/simtest"
	"herald/hardware/sim/texts"
	"herald/problem"
)

// client speaks unit by unit.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *pdu.Reader
	next uint32
}

func connect(t *testing.T, s *SMSC) *client {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(peers.Patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn, in: pdu.NewReader(conn)}
}

// bound is a client that has bound.
func bound(t *testing.T, s *SMSC, kind pdu.Command) *client {
	t.Helper()
	c := connect(t, s)
	if h := c.bind(kind, "herald", "secret"); h.Status != pdu.OK {
		t.Fatalf("the bind is answered by %v", h.Status)
	}
	return c
}

func (c *client) write(unit []byte, err error) {
	c.t.Helper()
	if err == nil {
		_, err = c.conn.Write(unit)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// hear is the next unit.
func (c *client) hear() (pdu.Header, []byte) {
	c.t.Helper()
	h, body, err := c.in.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return h, slices.Clone(body)
}

func (c *client) bind(kind pdu.Command, name, password string) pdu.Header {
	c.t.Helper()
	c.next++
	c.write(pdu.AppendBind(nil, kind, c.next, pdu.Bind{SystemID: name, Password: password}))
	h, _ := c.hear()
	return h
}

// submit hands a text over and is its answer.
func (c *client) submit(to, text string) (pdu.Header, string) {
	c.t.Helper()
	c.give(to, text)
	h, body := c.hear()
	id, err := pdu.ParseMessageResp(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return h, id
}

func (c *client) give(to, text string) {
	c.t.Helper()
	c.next++
	m := pdu.Message{Source: pdu.Address{Number: "SHOP"}, Destination: pdu.Address{Number: to}, RegisteredDelivery: 1, ShortMessage: []byte(text)}
	c.write(pdu.AppendMessage(nil, pdu.SubmitSM, c.next, &m))
}

// delivered is the next deliver_sm, answered by a status.
func (c *client) delivered(answer pdu.Status) pdu.Message {
	c.t.Helper()
	h, body := c.hear()
	m, err := pdu.ParseMessage(body)
	if h.Command != pdu.DeliverSM || err != nil {
		c.t.Fatalf("it says %+v, %v", h, err)
	}
	c.write(pdu.AppendBare(nil, h.Command.Response(), answer, h.Sequence), nil)
	return m
}

// isGone waits for the end of the connection.
func (c *client) isGone() {
	c.t.Helper()
	for {
		if _, _, err := c.in.Next(); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				c.t.Error("the connection is not broken")
			}
			return
		}
	}
}

func TestWhoMayBind(t *testing.T) {
	s := start(t, Config{Accounts: map[string]string{"herald": "secret"}, MostSessions: 1})
	c := connect(t, s)
	for _, try := range []struct {
		name, password string
		want           pdu.Status
	}{
		{"", "", pdu.RINVSYSID}, {"nobody", "secret", pdu.RINVSYSID}, {"herald", "wrong", pdu.RINVPASWD}, {"herald", "secret", pdu.OK}, {"herald", "secret", pdu.RALYBND},
	} {
		if h := c.bind(pdu.BindTransmitter, try.name, try.password); h.Status != try.want {
			t.Errorf("%s with %s is answered by %v, want %v", try.name, try.password, h.Status, try.want)
		}
	}
	if h := connect(t, s).bind(pdu.BindTransmitter, "herald", "secret"); h.Status != pdu.RALYBND {
		t.Errorf("a second session is answered by %v", h.Status)
	}
	setFaults(t, s, Fault{Kind: RefuseBind, Times: 1}, Fault{Kind: Close, Times: 1})
	connect(t, s).isGone()
	if h := connect(t, s).bind(pdu.BindTransmitter, "herald", "secret"); h.Status != pdu.RBINDFAIL {
		t.Errorf("the fault is answered by %v", h.Status)
	}
}

func TestFaultsBefallUnits(t *testing.T) {
	s := start(t, Config{})
	setFaults(t, s,
		Fault{Number: "86138*", Kind: Refuse, Times: 1},
		Fault{Number: "86139*", Kind: Refuse, Status: pdu.RTHROTTLED, After: 1, Times: 2},
		Fault{Number: "86137*", Kind: Delay, Delay: Duration(30 * time.Millisecond)})
	c := bound(t, s, pdu.BindTransmitter)
	for i, step := range []struct {
		to   string
		want pdu.Status
	}{
		{"86138", pdu.RINVDSTADR}, {"86138", pdu.OK}, {"86139", pdu.OK}, {"86139", pdu.RTHROTTLED}, {"86139", pdu.RTHROTTLED}, {"86139", pdu.OK}, {"", pdu.RINVDSTADR}, {"86137", pdu.OK},
	} {
		if h, id := c.submit(step.to, "hello"); h.Status != step.want || (id == "") == (h.Status == pdu.OK) {
			t.Errorf("step %d: %v with the id %q", i, h.Status, id)
		}
	}
	if s.Count() != 4 || len(s.Faults()) != 1 {
		t.Errorf("%d were taken, left are %+v", s.Count(), s.Faults())
	}
	setFaults(t, s, Fault{Kind: DropBefore, Times: 1}, Fault{Kind: DropAfter, Times: 1})
	for want := range int64(2) {
		c := bound(t, s, pdu.BindTransmitter)
		c.give("86138", "hello")
		c.isGone()
		if s.Count() != 4+want {
			t.Errorf("%d were taken", s.Count())
		}
	}
	setFaults(t, s, Fault{Kind: Lose, Times: 1}, Fault{Kind: EndSession, Times: 1})
	c = bound(t, s, pdu.BindTransmitter)
	c.give("86138", "never answered")
	if h, _ := c.submit("86138", "hello"); h.Status != pdu.RINVBNDSTS || h.Sequence != 3 {
		t.Errorf("the end of the session is %+v", h)
	}
	if h, _ := c.hear(); h.Command != pdu.Unbind {
		t.Errorf("it says %v", h.Command)
	}
}

func TestThePaceIsLimited(t *testing.T) {
	now := time.Unix(1000, 0)
	s := start(t, Config{PerSecond: 2, Now: func() time.Time { return now }})
	c := bound(t, s, pdu.BindTransmitter)
	for i, want := range []pdu.Status{pdu.OK, pdu.OK, pdu.RTHROTTLED} {
		if h, _ := c.submit("86138", "hello"); h.Status != want {
			t.Errorf("unit %d: %v", i, h.Status)
		}
	}
	now = now.Add(time.Second)
	if h, _ := c.submit("86138", "hello"); h.Status != pdu.OK {
		t.Errorf("a second later: %v", h.Status)
	}
}

// TestWhatIsNotAcknowledgedComesAgain, on this session or on another.
func TestWhatIsNotAcknowledgedComesAgain(t *testing.T) {
	s := start(t, Config{RetryAfter: 10 * time.Millisecond})
	if err := s.Say("86138", "SHOP", "hello"); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("with nobody there: %v", err)
	}
	c := bound(t, s, pdu.BindReceiver)
	if h, _ := c.submit("86138", "hello"); h.Status != pdu.RINVBNDSTS {
		t.Errorf("a receiver submits: %v", h.Status)
	}
	if err := s.Say("+86138", "SHOP", "hello"); err != nil {
		t.Fatal(err)
	}
	c.delivered(pdu.RXTAPPN)
	if h, _ := c.hear(); h.Command != pdu.DeliverSM { // and never answered
		t.Fatalf("it says %+v", h)
	}
	c.conn.Close()
	if m := bound(t, s, pdu.BindReceiver).delivered(pdu.RXPAPPN); string(m.ShortMessage) != "hello" || m.Source.Number != "86138" {
		t.Errorf("it brings %+v", m)
	}
	if err := s.Say("", "1234567890123456789012", strings.Repeat("long ", 9000)); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("nonsense gives %v", err)
	}
}

func TestReceiptsAndQueries(t *testing.T) {
	s := start(t, Config{})
	c := bound(t, s, pdu.BindTransceiver)
	ask := func(id string) (pdu.Header, pdu.QueryResp) {
		c.next++
		c.write(pdu.AppendQuery(nil, c.next, pdu.Query{MessageID: id}))
		h, body := c.hear()
		r, _ := pdu.ParseQueryResp(body)
		return h, r
	}
	_, id := c.submit("86138", "hello")
	m := c.delivered(pdu.OK)
	if m.ESMClass != pdu.ESMReceipt || !strings.Contains(string(m.ShortMessage), "id:"+id+" ") || !strings.Contains(string(m.ShortMessage), "stat:DELIVRD") ||
		m.Options.Text(pdu.ReceiptedMessageID) != id || m.Source.Number != "86138" || m.Destination.Number != "SHOP" {
		t.Errorf("the receipt is %+v", m)
	}
	if _, r := ask(id); r.State != pdu.Delivered || r.FinalDate == "" {
		t.Errorf("it is %+v", r)
	}
	if h, _ := ask("nobody's"); h.Status != pdu.RINVMSGID {
		t.Errorf("an unknown id is answered by %v", h.Status)
	}
	setFaults(t, s, Fault{Kind: NoReceipt, Times: 1}, Fault{Kind: Undelivered, State: "EXPIRED"})
	c.submit("86138", "no receipt")
	c.submit("86138", "another")
	if m := c.delivered(pdu.OK); !strings.Contains(string(m.ShortMessage), "stat:EXPIRED err:001") {
		t.Errorf("the receipt is %s", m.ShortMessage)
	}
}

func TestSessionsAreWatched(t *testing.T) {
	s := start(t, Config{EnquireEvery: time.Second}) // it is three of them patient
	c := bound(t, s, pdu.BindTransceiver)
	if h, _ := c.hear(); h.Command != pdu.EnquireLink {
		t.Errorf("it says %v", h.Command)
	}
	c.write(pdu.AppendBare(nil, pdu.EnquireLink, pdu.OK, 77), nil)
	for {
		h, _ := c.hear()
		if h.Command == pdu.EnquireLink.Response() {
			break
		}
	}
	c.isGone() // for we answer nothing
	s = start(t, Config{})
	c = bound(t, s, pdu.BindTransceiver)
	c.write(pdu.AppendBare(nil, pdu.Command(0x77), pdu.OK, 5), nil)
	if h, _ := c.hear(); h.Command != pdu.GenericNack || h.Status != pdu.RINVCMDID {
		t.Errorf("an unknown command is answered by %+v", h)
	}
	c.write(make([]byte, 16), nil)
	if h, _ := c.hear(); h.Command != pdu.GenericNack || h.Status != pdu.RINVCMDLEN {
		t.Errorf("nonsense is answered by %+v", h)
	}
	c.isGone()
	c = bound(t, s, pdu.BindTransceiver)
	c.write(pdu.AppendBare(nil, pdu.Unbind, pdu.OK, 6), nil)
	if h, _ := c.hear(); h.Command != pdu.Unbind.Response() {
		t.Errorf("unbind is answered by %+v", h)
	}
	c.isGone()
}

func TestMistakesInFaultsAreNamed(t *testing.T) {
	s := New(Config{})
	err := s.SetFaults(Fault{Kind: "burn"}, Fault{Kind: Delay}, Fault{Kind: Close, Number: "86*"}, Fault{Kind: Refuse, Number: "[", Times: -1}, Fault{Kind: Undelivered, State: "GONE", Error: "1"})
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields) != 7 {
		t.Errorf("it gives %v", err)
	}
}

// TestPartsAreJoined in any order; one that is missing is waited for.
func TestPartsAreJoined(t *testing.T) {
	s := start(t, Config{})
	c := bound(t, s, pdu.BindTransmitter)
	for _, part := range []string{"\x05\x00\x03\x07\x02\x02world", "\x05\x00\x03\x08\x02\x01alone", "\x05\x00\x03\x07\x02\x01hello "} {
		c.next++
		m := pdu.Message{ESMClass: pdu.ESMHeader, Destination: pdu.Address{Number: "86138"}, ShortMessage: []byte(part)}
		c.write(pdu.AppendMessage(nil, pdu.SubmitSM, c.next, &m))
		c.hear()
	}
	got := s.Texts().All()
	if len(got) != 1 || got[0].Text != "hello world" || got[0].Parts != 2 || got[0].IDs[0] <= got[0].IDs[1] {
		t.Errorf("the phone has %+v", got)
	}
	c.submit("86138", "\x30")
	c.next++
	broken := pdu.Message{ESMClass: pdu.ESMHeader, Destination: pdu.Address{Number: "86138"}, ShortMessage: []byte{9, 1}}
	c.write(pdu.AppendMessage(nil, pdu.SubmitSM, c.next, &broken))
	c.hear()
	if got := s.Texts().All(); got[2].Problem == "" {
		t.Errorf("the phone has %+v", got[2])
	}
}

func TestThePageAnswersAndTakesFaults(t *testing.T) {
	s := start(t, Config{})
	c := bound(t, s, pdu.BindReceiver)
	ask := simtest.Asker(t, s.Handler())
	if code, _ := ask("POST", "/messages", `{"from":"86138","to":"SHOP","text":"TD"}`); code != 204 {
		t.Errorf("a phone's answer gives %d", code)
	}
	if m := c.delivered(pdu.OK); string(m.ShortMessage) != "TD" {
		t.Errorf("it brings %+v", m)
	}
	err := s.Texts().WaitFor(within(t, peers.Patience), func(kept []texts.Text, _ int64) bool { return len(kept) == 1 && kept[0].Reply })
	if err != nil {
		t.Error(err)
	}
	if code, _ := ask("PUT", "/faults", `{"faults":[{"kind":"delay","delay":"1.5s","number":"86*"}]}`); code != 200 || s.Faults()[0].Delay != Duration(1500*time.Millisecond) {
		t.Errorf("faults give %d: %+v", code, s.Faults())
	}
	for _, list := range []string{`[{"kind":"burn"}]`, `[{"what":1}]`, `[{"kind":"delay","delay":"soon"}]`} {
		if code, _ := ask("PUT", "/faults", `{"faults":`+list+`}`); code != 422 {
			t.Errorf("%s gives %d", list, code)
		}
	}
}

// TestUnitsAreBounded.
func TestUnitsAreBounded(t *testing.T) {
	s := start(t, Config{Keep: 5})
	c := bound(t, s, pdu.BindTransmitter)
	for range 23 {
		c.submit("86138", "hello")
	}
	if n := len(s.Units()); n != 5 || s.Count() != 23 || s.Texts().Count() != 23 || len(s.Texts().All()) != 5 {
		t.Errorf("%d of %d are kept", n, s.Count())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitFor(ctx, func([]Unit) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting gives %v", err)
	}
	j := joining{waiting: map[message]*pieces{{of: 1}: {since: time.Unix(2, 0)}, {of: 2}: {since: time.Unix(1, 0)}}}
	if j.forgetOldest(); len(j.waiting) != 1 || j.waiting[message{of: 1}] == nil {
		t.Errorf("left are %v", j.waiting)
	}
}
