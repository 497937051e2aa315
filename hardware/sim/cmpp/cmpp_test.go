package cmpp

import (
	"bytes"
	"encoding/hex"
	"fmt"
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

// The octets in this file are those of bigwhite/gocmpp's tests: what another
// implementation says.

func octets(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// connect21 is a CONNECT of company 900001 with the secret 888888, version 2.1;
// submit20 a SUBMIT of version 2.0 up to its length and content, which content20
// is.
var (
	connect21 = `00 00 00 27 00 00 00 01 00 00 00 17 39 30 30 30 30 31
		90 d0 0c 1d 51 7a bd 0b 4f 65 f6 bc f8 53 5d 16 21 3c dc 73 be`
	submit20 = "000000bd 00000004 00000017 0000000000000000 01010101 74657374000000000000 02 3133353030303032363936" + strings.Repeat("00", 10) +
		"000008 393030303031 3032 313000000000 3135313130353133313535353130312b00" + strings.Repeat("00", 17) + "393030303031" + strings.Repeat("00", 15) +
		"01 3133353030303032363936" + strings.Repeat("00", 10)
	content20 = "1e 6d4b8bd5 00670 06f0063006d00700070 0020 007300750062006d00690074"
)

// submitting is the SUBMIT with a length and content.
func submitting(t testing.TB, content string) []byte {
	whole := octets(t, submit20+content+strings.Repeat("00", 8))
	whole[3] = byte(len(whole))
	return whole
}

func start(t *testing.T, cfg Config) *Gateway {
	t.Helper()
	return simtest.Start(t, New(cfg))
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
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t, conn}
}

// say says octets and gives what comes back; false: the connection ended.
func (c *client) say(b []byte) (wire.PDU, bool) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		return wire.PDU{}, false
	}
	return c.hear()
}

func (c *client) hear() (wire.PDU, bool) {
	u, err := protocol.Read(c.conn)
	return u, err == nil
}

func (c *client) expect(u wire.PDU, ok bool, command uint32, body string) {
	c.t.Helper()
	if !ok || u.Command != command || !bytes.Equal(u.Body, octets(c.t, body)) {
		c.t.Errorf("heard was %v %x %x, want %x %s", ok, u.Command, u.Body, command, body)
	}
}

// TestAnotherImplementationConnects, submits, and hears what becomes of it.
func TestAnotherImplementationConnects(t *testing.T) {
	at := time.Date(2026, 11, 5, 5, 45, 46, 0, time.UTC)
	g := start(t, Config{Accounts: map[string]string{"900001": "888888"}, Now: func() time.Time { return at }})
	c := dial(t, g)
	u, ok := c.say(octets(t, connect21))
	// The digest is that of gocmpp's CONNECT_RESP; the version the gateway's own.
	c.expect(u, ok, connect|answer, "00 6c0b846e25bab6daa4ed1c466e0f4bd8 30")
	text := "测试gocmpp submit"
	whole := submitting(t, content20)
	u, ok = c.say(whole)
	if !ok || u.Command != submit|answer || len(u.Body) != 9 || u.Body[8] != resultOK || !strings.HasPrefix(fmt.Sprintf("%x", u.Body), "b2b6db81a0510001") {
		t.Fatalf("the answer is %x", u.Body)
	}
	if texts := g.Texts().All(); len(texts) != 1 || texts[0].Text != text || texts[0].From != "900001" || texts[0].To != "13500002696" || texts[0].Encoding != "UCS-2" {
		t.Errorf("the phone has %+v", texts)
	}
	report, ok := c.hear()
	if !ok || report.Command != deliver || !bytes.Contains(report.Body, append(append([]byte{}, u.Body[:8]...), "DELIVRD2611051345261105134513500002696"...)) {
		t.Errorf("the report is %x", report.Body)
	}
	again, ok := c.say(whole)
	if !ok || again.Body[8] != resultDuplicate || g.Count() != 1 {
		t.Errorf("the same sequence is answered %x", again.Body)
	}
	u, ok = c.say(octets(t, "0000000c 00000008 00000018"))
	c.expect(u, ok, activeTest|answer, "00")
	u, ok = c.say(octets(t, "0000000c 00000002 00000019"))
	c.expect(u, ok, terminate|answer, "")
}

func TestWhoMayConnect(t *testing.T) {
	g := start(t, Config{Accounts: map[string]string{"900001": "888888", "900002": "other"}, Highest: "2.0", MostConnections: 1})
	right := octets(t, connect21)
	for name, c := range map[string]struct {
		at     int // the octet that is changed
		to     byte
		status byte
	}{
		"another company":              {17, '9', statusNobody},
		"another company's secret":     {17, '2', statusSecret},
		"a wrong digest":               {18, 0, statusSecret},
		"another time than in the sum": {38, 0, statusSecret},
		"3.0":                          {34, 0x30, statusVersion},
		"2.1 is more than 2.0, too":    {34, 0x21, statusVersion},
	} {
		changed := bytes.Clone(right)
		changed[c.at] = c.to
		if u, ok := dial(t, g).say(changed); !ok || u.Body[0] != c.status {
			t.Errorf("%s is answered %x, want %d", name, u.Body, c.status)
		}
	}
	right[34] = 0x20
	first := dial(t, g)
	if u, ok := first.say(right); !ok || u.Body[0] != resultOK {
		t.Errorf("the account is answered %x", u.Body)
	}
	if u, ok := dial(t, g).say(right); !ok || u.Body[0] != statusOther {
		t.Errorf("its second connection is answered %x", u.Body)
	}
	if _, ok := dial(t, g).say(octets(t, "0000000c 00000008 00000018")); ok {
		t.Error("somebody is heard who does not connect")
	}
	if u, ok := dial(t, g).say(octets(t, "0000000e 00000001 00000018 0000")); !ok || u.Body[0] != resultStructure {
		t.Errorf("half a CONNECT is answered %x", u.Body)
	}
	if _, ok := dial(t, g).say(octets(t, "7fffffff 00000001 00000018")); ok {
		t.Error("a unit of two gigabytes is waited for")
	}
}

func TestMalformedAndTooFast(t *testing.T) {
	g := start(t, Config{PerSecond: 1})
	c := dial(t, g)
	if _, ok := c.say(octets(t, connect21)); !ok {
		t.Fatal("nobody is let in")
	}
	whole := submitting(t, "01 61")
	for i, want := range []byte{resultOK, resultTooFast} {
		whole[11] = byte(i + 1)
		if u, ok := c.say(whole); !ok {
			t.Fatal("it ended")
		} else if u.Command == submit|answer && u.Body[8] != want {
			t.Errorf("message %d is answered %x", i, u.Body)
		} else if u.Command == deliver { // the report came first
			if u, ok = c.hear(); !ok || u.Body[8] != want {
				t.Errorf("message %d is answered %x", i, u.Body)
			}
		}
	}
}

func TestSayAndPage(t *testing.T) {
	g := start(t, Config{})
	if err := g.Say("13800138000", "900001", "TD"); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("with nobody there it gives %v", err)
	}
	c := dial(t, g)
	if _, ok := c.say(octets(t, connect21)); !ok {
		t.Fatal("nobody is let in")
	}
	if err := g.Say("1", "2", strings.Repeat("价", 70*256)); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("a text too long gives %v", err)
	}
	ask := simtest.Asker(t, g.Handler())
	if code, answer := ask("POST", "/messages", `{"from":"13412340000","to":"900001","text":"This is a test MO."}`); code != http.StatusNoContent {
		t.Fatalf("the page gives %d %s", code, answer)
	}
	u, ok := c.hear()
	// But for its id, this is the DELIVER of version 2.0 of gocmpp's tests.
	want := octets(t, "393030303031"+strings.Repeat("00", 28)+"3133343132333430303030"+strings.Repeat("00", 11)+"12 546869732069732061207465737420 4d4f2e"+strings.Repeat("00", 8))
	if !ok || u.Command != deliver || !bytes.Equal(u.Body[8:], want) {
		t.Errorf("the client is told %x, want %x", u.Body[8:], want)
	}
	if g.Untold() != 1 || g.Connections() != 1 {
		t.Errorf("%d are untold at %d connections", g.Untold(), g.Connections())
	}
	if code, answer := ask("PUT", "/faults", `{"faults":[{"kind":"drop_before"}]}`); code != http.StatusOK {
		t.Errorf("the faults give %d %s", code, answer)
	}
	if _, ok := c.say(submitting(t, content20)); ok || g.Count() != 0 {
		t.Error("the connection does not break")
	}
}

func TestFaultNames(t *testing.T) {
	g := New(Config{})
	if err := g.SetFaults(ismg.Fault{Kind: "what"}); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("it gives %v", err)
	}
	if g.Addr() != "" || g.Close() != nil {
		t.Error("it listens before its start")
	}
}

func FuzzSubmission(f *testing.F) {
	f.Add(submitting(f, content20)[12:], false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, body []byte, wide bool) {
		version := byte(0x20)
		if wide {
			version = 0x30
		}
		s, err := parseSubmission(body, version)
		if err == nil && (len(s.to) == 0 || len(s.to) > 99 || len(s.content) > 255) {
			t.Errorf("%+v cannot be", s)
		}
		_, _ = parseLogin(body) // it may be refused
		_ = toldResult(body, version)
	})
}
