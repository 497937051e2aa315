package sgip

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/wire"
)

var testSequence = wire.Sequence{3001012345, 1105134546, 7}

// TestBind: 61 octets; name and password have sixteen each (SGIP 1.2, Bind).
func TestBind(t *testing.T) {
	got := protocol.Append(nil, wire.PDU{Command: bind, Sequence: testSequence, Body: login{weSignIn, "herald", "secret"}.body()})
	want := linktest.Octets(t, "0000003d 00000001 b2dfd079 41df03d2 00000007 01 686572616c64"+strings.Repeat("00", 10)+"736563726574"+strings.Repeat("00", 10)+strings.Repeat("00", 8))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("BIND:\n%s", diff)
	}
}

// TestSequence: the second word is the time in Beijing, as figures; November
// 20, 20:32:25 is 1120203225 (the example of the specification).
func TestSequence(t *testing.T) {
	if got := stamp(time.Date(2026, 11, 20, 12, 32, 25, 0, time.UTC)); got != 1120203225 {
		t.Errorf("the time is %d", got)
	}
	if got := stamp(time.Date(2026, 1, 2, 3, 4, 5, 0, wire.Beijing)); got != 102030405 {
		t.Errorf("the time is %d", got)
	}
	if got := sequenceText(wire.Sequence{3001012345, 102030405, 4294967295}); got != "3001012345-0102030405-4294967295" {
		t.Errorf("the sequence is %s", got)
	}
}

// TestSubmit holds each field against the place where other implementations
// have it: the offsets, header included, are those that a C program of another
// hand writes to (SPNumber at 20 … MessageContent at 156, and a length of 164
// and the content's).
func TestSubmit(t *testing.T) {
	a := Account{
		NodeID: 3001012345, CorpID: "12345", SPNumber: "10655012345", ServiceType: "ALERT",
		Fee: Fee{Payer: "number", Number: "13012345678", Type: 2, Value: "10"},
	}
	s := submission{format: wire.UCS2, hasUDH: true, content: linktest.Octets(t, "050003070201 964d4ef7"), to: "8613800138000", until: time.Date(2026, 11, 6, 1, 2, 3, 0, wire.Beijing)}
	u := protocol.Append(nil, wire.PDU{Command: submit, Sequence: testSequence, Body: a.submitBody(s)})
	if len(u) != 164+len(s.content) || int(binary.BigEndian.Uint32(u)) != len(u) {
		t.Fatalf("it has %d octets and says %d", len(u), binary.BigEndian.Uint32(u))
	}
	for _, f := range []struct {
		name       string
		at, length int
		want       string
	}{
		{"SPNumber", 20, 21, "10655012345"},
		{"ChargeNumber", 41, 21, "8613012345678"},
		{"UserCount", 62, 1, "\x01"},
		{"UserNumber", 63, 21, "8613800138000"},
		{"CorpId", 84, 5, "12345"},
		{"ServiceType", 89, 10, "ALERT"},
		{"FeeType", 99, 1, "\x02"},
		{"FeeValue", 100, 6, "10"},
		{"GivenValue", 106, 6, "0"},
		{"AgentFlag", 112, 1, "\x00"},
		{"MorelatetoMTFlag", 113, 1, "\x02"},
		{"Priority", 114, 1, "\x00"},
		{"ExpireTime", 115, 16, "261106010203032+"},
		{"ScheduleTime", 131, 16, ""},
		{"ReportFlag", 147, 1, "\x01"},
		{"TP_pid", 148, 1, "\x00"},
		{"TP_udhi", 149, 1, "\x01"},
		{"MessageCoding", 150, 1, "\x08"},
		{"MessageType", 151, 1, "\x00"},
		{"MessageLength", 152, 4, "\x00\x00\x00\x0a"},
		{"MessageContent", 156, 10, string(s.content)},
		{"Reserve", 166, 8, ""},
	} {
		if want := f.want + strings.Repeat("\x00", f.length-len(f.want)); string(u[f.at:f.at+f.length]) != want {
			t.Errorf("%s is %q, want %q", f.name, u[f.at:f.at+f.length], want)
		}
	}
	a.Fee = Fee{Payer: "sp"}
	a.NoReports = true
	u = a.submitBody(s)
	if string(u[21:42]) != strings.Repeat("0", 21) || u[127] != reportNever {
		t.Errorf("we pay as %q, and ask for reports by %d", u[21:42], u[127])
	}
}

func read(d delivery) string {
	text, _ := wire.Read(d.format, d.content) // empty: it is for no reader
	return text
}

func TestDeliverAndReport(t *testing.T) {
	number := "38363133383030313338303030" + strings.Repeat("00", 8)
	d, err := parseDelivery(linktest.Octets(t, number+"3130363535303132333435"+strings.Repeat("00", 10)+"00 00 08 00000004 90008ba2"+strings.Repeat("00", 8)))
	if err != nil || d.from != "8613800138000" || d.to != "10655012345" || read(d) != "退订" {
		t.Errorf("DELIVER is %+v, %v", d, err)
	}
	n, err := parseNews(linktest.Octets(t, "b2dfd079 41df03d2 00000007 00"+number+"02 1d"+strings.Repeat("00", 8)))
	if err != nil || sequenceText(n.about) != "3001012345-1105134546-7" || n.state != 2 || n.code != unknownUser {
		t.Errorf("REPORT is %+v, %v", n, err)
	}
	if r := n.report(); !r.AddressDead || r.Event != "bounced" || r.Code != "29" {
		t.Errorf("it means %+v", r)
	}
}

// FuzzGateway: whatever a gateway says, it is read or refused.
func FuzzGateway(f *testing.F) {
	f.Add([]byte{0})
	f.Add(login{gatewaySignIn, "smg", "unicom"}.body())
	f.Add(append(bytes.Repeat([]byte{'1'}, 45), 0, 0, 0, 3, 'a', 'b', 'c'))
	f.Add(append(bytes.Repeat([]byte{'1'}, 45), 0xFF, 0xFF, 0xFF, 0xFF, 'a', 'b', 'c'))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = parseResult(body) // it may be refused
		if l, err := parseLogin(body); err == nil && (len(l.name) > 16 || len(l.password) > 16) {
			t.Errorf("%+v is longer than its fields", l)
		}
		if d, err := parseDelivery(body); err == nil {
			if len(d.from) > 21 || len(d.to) > 21 || len(d.content) > len(body) {
				t.Errorf("%+v is longer than its fields", d)
			}
			_ = read(d)
		}
		if n, err := parseNews(body); err == nil && n.report().Event == "" {
			t.Errorf("%+v means nothing", n)
		}
	})
}
