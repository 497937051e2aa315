package cmpp

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/wire"
	sim "herald/hardware/sim/cmpp"
	"herald/hardware/sim/ismg"
)

func TestTextsArriveAsTheyWereWritten(t *testing.T) {
	for _, version := range []string{"2.0", "3.0"} {
		g := startSim(t, sim.Config{Highest: version})
		for _, c := range []struct {
			name, text, encoding string
			parts                int
			writing              wire.Writing
		}{
			{"ASCII", "Your order 7 is on its way.", "ASCII", 1, wire.Writing{}},
			{"Chinese", "降价了", "UCS-2", 1, wire.Writing{}},
			{"GBK", "降价了 now", "GBK", 1, wire.Writing{Encoding: "gbk"}},
			{"nothing but UCS-2", "plain", "UCS-2", 1, wire.Writing{Encoding: "ucs2"}},
			{"transliterated", "naïve", "ASCII", 1, wire.Writing{Transliterate: true}},
			{"GSM-7, but not ASCII", "10 £", "UCS-2", 1, wire.Writing{}},
			{"a pair of surrogates where a part ends", strings.Repeat("价", 66) + "😀😀😀", "UCS-2", 2, wire.Writing{}},
			{"three parts", linktest.Long, "UCS-2", 3, wire.Writing{}},
			{"long ASCII", strings.Repeat("0123456789", 20), "UCS-2", 3, wire.Writing{}},
			{"long ASCII where it may be", strings.Repeat("0123456789", 20), "ASCII", 2, wire.Writing{LongASCII: true}},
			{"a long text in GBK is in UCS-2", linktest.Long, "UCS-2", 3, wire.Writing{Encoding: "gbk"}},
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
			want := c.text
			if c.writing.Transliterate {
				want = "naive"
			}
			if got.Text != want || got.Encoding != c.encoding || got.Parts != c.parts || got.From != "10657012345" || got.To != "13800130001" {
				t.Errorf("%s, %s: it arrived as %+v", version, c.name, got)
			}
			if receipt.ProviderID != got.IDs[0] || receipt.Code != "0" || !strings.Contains(receipt.Detail, "-106577-") {
				t.Errorf("%s: the receipt is %+v, the first part %s", c.name, receipt, got.IDs[0])
			}
		}
	}
}

func TestVersionIsAgreed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		highest, version string
		fails            bool
	}{
		"both have 3.0":                        {"3.0", "", false},
		"the gateway has 2.0 only":             {"2.0", "", false},
		"the account is for 2.0":               {"3.0", "2.0", false},
		"the account is for 3.0, and it isn't": {"2.0", "3.0", true},
	} {
		g := startSim(t, sim.Config{Highest: c.highest})
		account := accountAt(t, g.Addr())
		account.Version = c.version
		s, err := newGateway(t, account, linktest.NewStore()).Open(linktest.Within(t))
		if failure := (*dispatch.SendError)(nil); (err != nil) != c.fails || c.fails && (!errors.As(err, &failure) || failure.Class != dispatch.Configuration) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if _, err := s.Send(linktest.Within(t), linktest.Message(1, "降价")); err != nil || g.Count() != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Close(linktest.Within(t)); err != nil {
			t.Error(err)
		}
	}
}

// TestLoginRefused tells refusals apart: what an operator must mend, and what
// passes, such as a connection of ours that the gateway still holds.
func TestLoginRefused(t *testing.T) {
	g := startSim(t, sim.Config{MostConnections: 1})
	d := newGateway(t, accountAt(t, g.Addr()), linktest.NewStore())
	for status, class := range map[uint32]dispatch.Class{
		1: dispatch.Configuration, 2: dispatch.Configuration, 3: dispatch.Configuration,
		5: dispatch.Transient, 9: dispatch.Transient,
	} {
		linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.RefuseLogin, Result: status})
		_, err := d.Open(linktest.Within(t))
		failure := (*dispatch.SendError)(nil)
		if !errors.As(err, &failure) || failure.Class != class || failure.Code != code(status) || failure.Account != "mobile" {
			t.Errorf("status %d gives %v, want %v", status, err, class)
		}
	}
	linktest.SetFaults(t, g)
	openSession(t, d)
	if _, err := d.Open(linktest.Within(t)); err == nil || !strings.Contains(err.Error(), "transient 5") {
		t.Errorf("one connection too many gives %v", err)
	}
}

// TestGatewayThatDoesNotKnowTheSecret is found out where that is wanted.
func TestGatewayThatDoesNotKnowTheSecret(t *testing.T) {
	g := sim.New(sim.Config{}) // takes everybody in
	linktest.Start(t, g)
	account := accountAt(t, g.Addr())
	if _, err := newGateway(t, account, linktest.NewStore()).Open(linktest.Within(t)); err == nil || !strings.Contains(err.Error(), "configuration") {
		t.Errorf("it gives %v", err)
	}
	account.CheckGateway = false
	openSession(t, newGateway(t, account, linktest.NewStore()))
}

// TestThrottledPartsKeepTheirOrder: when the gateway finds us too fast, the
// part goes again before all that stand behind it.
func TestThrottledPartsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	account.Window = 1
	s := openSession(t, newGateway(t, account, linktest.NewStore()))
	linktest.KeepsOrder(t, s, g, ismg.Fault{Kind: ismg.Refuse, Result: 8, Number: "13800130001", Times: 1})
}

// TestPartsGoInTurn: none overtakes another, though there is room for all.
func TestPartsGoInTurn(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	s := openSession(t, newGateway(t, accountAt(t, g.Addr()), linktest.NewStore()))
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Refuse, Result: 8, Number: "13800130000", Times: 1})
	ms := []dispatch.Message{linktest.Message(0, linktest.Long), linktest.Message(1, "one"), linktest.Message(2, linktest.Long), linktest.Message(3, "three")}
	s.SendBatch(linktest.Within(t), ms, func(i int, _ dispatch.Receipt, err error) {
		if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	})
	next := map[string]byte{}
	for _, m := range g.Submitted() {
		if !m.HasUDH {
			continue
		}
		if next[m.To]++; m.Content[5] != next[m.To] {
			t.Errorf("part %d comes where part %d should", m.Content[5], next[m.To])
		}
	}
	if texts := g.Texts().All(); len(texts) != 4 || len(g.Submitted()) != 8 {
		t.Errorf("arrived are %d texts of %d parts", len(texts), len(g.Submitted()))
	}
}

// TestMissingPartsGoAgainWithTheirReference, and only they.
func TestMissingPartsGoAgainWithTheirReference(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	account := accountAt(t, g.Addr())
	account.Window = 1
	s := openSession(t, newGateway(t, account, linktest.NewStore()))
	m := linktest.Message(1, linktest.Long)
	// The first part is taken; the second is refused three times, and so is the message.
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.NoReport, Times: 1}, ismg.Fault{Kind: ismg.Refuse, Result: 8, Times: 3})
	_, err := s.Send(linktest.Within(t), m)
	if failure := (*dispatch.SendError)(nil); !errors.As(err, &failure) || failure.Class != dispatch.Throttled || s.Broken() {
		t.Fatalf("it gives %v", err)
	}
	first := g.Submitted()
	if len(first) != 1 {
		t.Fatalf("%d parts were taken", len(first))
	}
	receipt, err := s.Send(linktest.Within(t), m)
	if err != nil || receipt.ProviderID != first[0].ID {
		t.Fatalf("the receipt is %+v, %v", receipt, err)
	}
	parts := g.Submitted()
	if len(parts) != 3 {
		t.Fatalf("%d parts were taken, want 3", len(parts))
	}
	for i, p := range parts {
		if want := []byte{5, 0, 3, parts[0].Content[3], 3, byte(i + 1)}; !slices.Equal(p.Content[:6], want) {
			t.Errorf("the header of part %d is %x", i, p.Content[:6])
		}
	}
	if text := g.Texts().All()[0].Text; text != linktest.Long {
		t.Errorf("it arrived as %s", text)
	}
	if _, err := s.Send(linktest.Within(t), m); err != nil || g.Count() != 3 {
		t.Errorf("a message that was taken whole goes again: %v", err)
	}
}

// TestStoreThatFails: what is known of the parts cannot be asked, so none is
// sent; and what was taken of a message that then failed cannot be noted.
func TestStoreThatFails(t *testing.T) {
	g := startSim(t, sim.Config{})
	store := linktest.NewStore()
	s := openSession(t, newGateway(t, accountAt(t, g.Addr()), store))
	store.Fail(errors.New("the database is away"))
	_, err := s.Send(linktest.Within(t), linktest.Message(1, linktest.Long))
	if failure := (*dispatch.SendError)(nil); !errors.As(err, &failure) || failure.Class != dispatch.Transient || g.Count() != 0 {
		t.Errorf("it gives %v, and %d parts", err, g.Count())
	}
	if _, err := s.Send(linktest.Within(t), linktest.Message(2, "one part")); err != nil {
		t.Errorf("a message of one part gives %v", err)
	}
}

// TestLostAnswerIsDoubt: the message is repeated with its sequence; that the
// gateway knows the sequence says that it heard the message, not what it made
// of it.
func TestLostAnswerIsDoubt(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	s := openSession(t, newGateway(t, impatientAt(t, g.Addr()), linktest.NewStore()))
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Lose, Times: 1})
	_, err := s.Send(linktest.Within(t), linktest.Message(1, "once"))
	failure := (*dispatch.SendError)(nil)
	if !errors.As(err, &failure) || failure.Class != dispatch.Doubt || failure.Code != "3" || g.Count() != 1 {
		t.Errorf("it gives %v, and was taken %d times", err, g.Count())
	}
}

// TestLateAnswerIsAnAnswer: a repetition is no second message.
func TestLateAnswerIsAnAnswer(t *testing.T) {
	t.Parallel()
	g := startSim(t, sim.Config{})
	s := openSession(t, newGateway(t, impatientAt(t, g.Addr()), linktest.NewStore()))
	// The answer to the first comes after the repetition was sent, and before
	// the gateway says that it knows the sequence.
	linktest.SetFaults(t, g, ismg.Fault{Kind: ismg.Lose, Number: "13800130009"}, ismg.Fault{Kind: ismg.Delay, Delay: ismg.Duration(silence / 2), Times: 1})
	if _, err := s.Send(linktest.Within(t), linktest.Message(1, "slow")); err != nil || g.Count() != 1 {
		t.Errorf("it gives %v, and was taken %d times", err, g.Count())
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name    string
		body    []byte
		version byte
		class   dispatch.Class
	}{
		{"taken", []byte{0, 0, 0, 0, 0, 0, 0, 7, 0}, v20, ""},
		{"a sequence that was sent once and is known: not this message", []byte{0, 0, 0, 0, 0, 0, 0, 0, 3}, v20, dispatch.Transient},
		{"too fast", []byte{0, 0, 0, 0, 0, 0, 0, 0, 8}, v20, dispatch.Throttled},
		{"in 2.0, nine is any other", []byte{0, 0, 0, 0, 0, 0, 0, 0, 9}, v20, dispatch.Transient},
		{"in 3.0, it is the payer", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, v30, dispatch.Configuration},
		{"the source number", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10}, v30, dispatch.Configuration},
		{"the recipient", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13}, v30, dispatch.Permanent},
		{"a number that nobody wrote down", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 13}, v30, dispatch.Transient},
		{"nonsense", []byte{0, 0, 0}, v30, dispatch.Doubt},
	} {
		v := judge(&link.Request{}, wire.PDU{Command: submit | answer, Body: c.body}, c.version)
		if v.Class != c.class || (v.Class == "") != (v.Err == nil) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestRecipientsElsewhere(t *testing.T) {
	g := startSim(t, sim.Config{})
	s := openSession(t, newGateway(t, accountAt(t, g.Addr()), linktest.NewStore()))
	for address, text := range map[string]string{"+15550100": "hello", "+86": "hello", "+8613800138000": strings.Repeat("价", 70*256)} {
		m := linktest.Message(1, text)
		m.Address = address
		_, err := s.Send(linktest.Within(t), m)
		if failure := (*dispatch.SendError)(nil); !errors.As(err, &failure) || failure.Class != dispatch.Permanent || s.Broken() {
			t.Errorf("%s gives %v", address, err)
		}
	}
	account := accountAt(t, g.Addr())
	account.CountryCode = true
	s = openSession(t, newGateway(t, account, linktest.NewStore()))
	if _, err := s.Send(linktest.Within(t), linktest.Message(1, "hello")); err != nil || g.Submitted()[0].To != "8613800130001" {
		t.Errorf("with the country's code: %v, %+v", err, g.Submitted())
	}
}

func TestIncompleteAccounts(t *testing.T) {
	_, err := New(Account{
		Host: "a b", Port: -1, SPID: "1", Version: "4.0", SourceNumber: "x", ServiceID: "much too long", Timing: link.Timing{Window: -1, Tries: -1, Answer: 1, Idle: 1},
		Fee: Fee{Payer: "nobody", Number: "1", Type: "09", Code: "x"}, Writing: wire.Writing{Encoding: "morse"},
	}, linktest.NewStore(), slog.New(slog.DiscardHandler))
	want := "name host port sp_id secret version source_number service_id fee.payer fee.number fee.type fee.code writing.encoding window tries answer idle"
	if wrong := linktest.Mistakes(t, err); wrong != want {
		t.Errorf("wrong are %v", wrong)
	}
}
