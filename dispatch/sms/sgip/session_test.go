package sgip

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/wire"
	"herald/hardware/sim/ismg"
	sim "herald/hardware/sim/sgip"
)

func TestTextsArriveAsTheyWereWritten(t *testing.T) {
	g := startSim(t, sim.Config{})
	for _, c := range []struct {
		name, text, encoding string
		parts                int
		writing              wire.Writing
	}{
		{"ASCII", "Your order 7 is on its way.", "ASCII", 1, wire.Writing{}},
		{"Chinese", "降价了", "UCS-2", 1, wire.Writing{}},
		{"GBK", "降价了 now", "GBK", 1, wire.Writing{Encoding: "gbk"}},
		{"three parts", linktest.Long, "UCS-2", 3, wire.Writing{}},
	} {
		account := accountAt(t, g.Addr())
		account.Writing = c.writing
		d := newGateway(t, account, linktest.NewStore())
		s := openSession(t, d)
		m := linktest.Message(1, c.text)
		if n := d.Parts(m); n != c.parts {
			t.Errorf("%s takes %d parts, want %d", c.name, n, c.parts)
		}
		receipt, err := s.Send(linktest.Within(t), m)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		kept := g.Texts().All()
		got := kept[len(kept)-1]
		if got.Text != c.text || got.Encoding != c.encoding || got.Parts != c.parts || got.From != "10655012345" || got.To != "8613800130001" {
			t.Errorf("%s: it arrived as %+v", c.name, got)
		}
		if receipt.ProviderID != got.IDs[0] || !strings.HasPrefix(receipt.ProviderID, "3001012345-") || receipt.Code != "0" {
			t.Errorf("%s: the receipt is %+v, the first part %s", c.name, receipt, got.IDs[0])
		}
	}
}

// TestLostAnswerIsAskedForAgain: the same sequence is not sent twice to the
// phone, whatever connection it comes on.
func TestLostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	d := newGateway(t, impatientAt(t, g.Addr()), linktest.NewStore())
	s := openSession(t, d)
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Lose, Times: 1})
	if _, err := s.Send(linktest.Within(t), linktest.Message(1, "降价")); err != nil || g.Count() != 1 {
		t.Fatalf("a lost answer gives %v, and %d messages", err, g.Count())
	}
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.DropAfter, Times: 1})
	m := linktest.Message(2, linktest.Long)
	if _, err := s.Send(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Doubt || !s.Broken() {
		t.Fatalf("a lost connection gives %v", err)
	}
	before := g.Submitted()
	receipt, err := openSession(t, d).Send(linktest.Within(t), m)
	if err != nil {
		t.Fatalf("its next attempt gives %v", err)
	}
	if receipt.ProviderID != before[1].ID || g.Count() != 4 {
		t.Errorf("it has the id %s, want %s; %d messages were taken, want 4", receipt.ProviderID, before[1].ID, g.Count())
	}
	if texts := g.Texts().All(); len(texts) != 2 || texts[1].Text != linktest.Long {
		t.Errorf("arrived are %+v", texts)
	}
	// What is known is no repetition: somebody wants it sent once more.
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.DropAfter, Times: 1})
	m = linktest.Message(3, "降价")
	s = openSession(t, d)
	if _, err := s.Send(linktest.Within(t), m); linktest.ClassOf(err) != dispatch.Doubt {
		t.Fatal(err)
	}
	s = openSession(t, d)
	for i := range int64(2) {
		if _, err := s.Send(linktest.Within(t), m); err != nil || g.Count() != 5+i {
			t.Errorf("sent again, it gives %v, and %d messages", err, g.Count())
		}
	}
}

// TestRepetitionTakenForAMistake stays doubt: nobody says what became of the
// first.
func TestRepetitionTakenForAMistake(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{RefuseRepeats: true})
	s := openSession(t, newGateway(t, impatientAt(t, g.Addr()), linktest.NewStore()))
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Lose, Times: 1})
	if _, err := s.Send(linktest.Within(t), linktest.Message(1, "降价")); linktest.ClassOf(err) != dispatch.Doubt || g.Count() != 1 {
		t.Errorf("it gives %v, and %d messages", err, g.Count())
	}
}

func TestBusyGatewayKeepsTheOrder(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	account.Window = 1
	s := openSession(t, newGateway(t, account, linktest.NewStore()))
	linktest.KeepsOrder(t, s, g, ismg.Fault{Kind: ismg.Refuse, Result: 11, Number: "8613800130001", Times: 1})
}

func TestSilentConnectionIsLeft(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	account.Idle = 20 * time.Millisecond
	s := openSession(t, newGateway(t, account, linktest.NewStore()))
	select {
	case <-s.Conn.Ended():
	case <-linktest.Within(t).Done():
		t.Fatal("a silent connection is kept")
	}
	if _, err := s.Send(linktest.Within(t), linktest.Message(1, "降价")); linktest.ClassOf(err) != dispatch.SessionFatal || g.Count() != 0 {
		t.Errorf("it gives %v", err)
	}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{MostConnections: 1})
	d := newGateway(t, accountAt(t, g.Addr()), linktest.NewStore())
	for result, class := range map[uint32]dispatch.Class{
		1: dispatch.Configuration, 4: dispatch.Configuration, 2: dispatch.Transient, 3: dispatch.Transient, 11: dispatch.Transient, 99: dispatch.Transient,
	} {
		linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.RefuseLogin, Result: result})
		_, err := d.Open(linktest.Within(t))
		if failure := (*dispatch.SendError)(nil); !errors.As(err, &failure) || failure.Class != class || failure.Code == "" || failure.Account != "unicom" {
			t.Errorf("result %d gives %v, want %v", result, err, class)
		}
	}
	linktest.SetFaults(t, g)
	openSession(t, d)
	if _, err := d.Open(linktest.Within(t)); linktest.ClassOf(err) != dispatch.Transient {
		t.Errorf("one connection too many gives %v", err)
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name  string
		body  []byte
		class dispatch.Class
		dead  bool
	}{
		{"taken", resultBody(0), "", false},
		{"without a reserve", []byte{0}, "", false},
		{"busy", resultBody(11), dispatch.Throttled, false},
		{"a sequence sent once", resultBody(9), dispatch.Transient, false},
		{"not a number of theirs", resultBody(6), dispatch.Permanent, false},
		{"nobody's number", resultBody(29), dispatch.Permanent, true},
		{"the payer", resultBody(24), dispatch.Configuration, false},
		{"of no table", resultBody(77), dispatch.Transient, false},
		{"nothing", nil, dispatch.Doubt, false},
	} {
		v := judge(&link.Request{}, wire.PDU{Command: submit | answer, Body: c.body})
		if v.Class != c.class || v.AddressDead != c.dead || (v.Class == "") != (v.Err == nil) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestIncompleteAccounts(t *testing.T) {
	_, err := New(Account{
		Host: "a b", Port: -1, LoginName: "much too long a name", Password: "and much too long a password", NodeID: 1, CorpID: "x", SPNumber: "x",
		ServiceType: "much too long", Timing: link.Timing{Window: 33, Tries: -1, Answer: 1, Idle: 1},
		Fee: Fee{Payer: "nobody", Number: "1", Type: 9, Value: "x"}, Writing: wire.Writing{Encoding: "morse"},
		Reception: Reception{Listen: ":8801"},
	}, linktest.NewStore(), slog.New(slog.DiscardHandler))
	want := "name host port login_name password node_id corp_id sp_number service_type fee.payer fee.number fee.type fee.value writing.encoding " +
		"reception.networks reception.login_name window tries answer idle"
	if wrong := linktest.Mistakes(t, err); wrong != want {
		t.Errorf("wrong are %v", wrong)
	}
	if _, err := New(Account{Reception: Reception{Listen: "8801", Networks: []string{"ten"}}}, linktest.NewStore(), slog.New(slog.DiscardHandler)); !strings.Contains(err.Error(), "10.1.2.0/24") || !strings.Contains(err.Error(), ":8801") {
		t.Errorf("it gives %v", err)
	}
}
