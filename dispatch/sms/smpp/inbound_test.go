package smpp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim/smsc"
	"herald/postgres/pgtest"
)

func say(t *testing.T, s *smsc.SMSC, text string) {
	t.Helper()
	if err := s.Say("8613900000000", "SHOP", text); err != nil {
		t.Fatal(err)
	}
}

// texts are what came, in order.
func (l *listener) texts() (all []string) {
	for _, m := range l.inbound {
		all = append(all, m.Text)
	}
	return all
}

// TestWhatPeopleWriteComesIn in each form, short and long.
func TestWhatPeopleWriteComesIn(t *testing.T) {
	t.Parallel()
	store := parts.NewStore(pgtest.New(t))
	for _, form := range []string{"udh", "sar", "payload"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := startSMSC(t, smsc.Config{LongTexts: form})
			account := accountAt(t, s.Addr())
			account.Name = form
			c := newClient(t, account, store)
			heard := listen(t, c)
			open(t, c)
			want := []string{"TD", "@ {€}", "退订", strings.Repeat("please call me. ", 30), strings.Repeat("请给我打电话😀", 30)}
			for i, text := range want {
				say(t, s, text)
				heard.until(text, func() bool { return len(heard.inbound) == i+1 })
			}
			if diff := cmp.Diff(want, heard.texts()); diff != "" {
				t.Error(diff)
			}
			if m := heard.inbound[0]; m.From != "+8613900000000" || m.To != "SHOP" || m.Channel != "sms" || m.Account != form || m.Key == "" {
				t.Errorf("the message is %+v", m)
			}
		})
	}
}

// TestNothingIsAcknowledgedThatWasNotTaken: the centre brings it again, and it
// has the same key.
func TestNothingIsAcknowledgedThatWasNotTaken(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{RetryAfter: 20 * time.Millisecond})
	c := newClient(t, accountAt(t, s.Addr()), parts.NewStore(pgtest.New(t)))
	open(t, c)
	say(t, s, "STOP") // nobody listens yet
	tries, keys := 0, map[string]bool{}
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Receive(ctx, func(_ context.Context, ms []dispatch.Inbound) error {
		for _, m := range ms {
			keys[m.Key] = true
		}
		switch tries++; tries {
		case 1:
			return errors.New("the disk is full")
		case 2: // it was taken, but the answer does not arrive
			s.DropAll()
			open(t, c)
		case 3:
			cancel()
		}
		return nil
	})
	if len(keys) != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("one message had the keys %v: %v", keys, err)
	}
}

// TestWhatIsWrittenTwiceIsTwo messages, when the first was acknowledged.
func TestWhatIsWrittenTwiceIsTwo(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{})
	c := newClient(t, accountAt(t, s.Addr()), parts.NewStore(pgtest.New(t)))
	heard := listen(t, c)
	session := open(t, c)
	for i := range 3 {
		say(t, s, "1")
		heard.until("it", func() bool { return len(heard.inbound) == i+1 })
		if err := session.Alive(t.Context()); err != nil { // the centre has our answer
			t.Fatal(err)
		}
	}
	keys := map[string]bool{}
	for _, m := range heard.inbound {
		keys[m.Key] = true
	}
	if len(keys) != 3 {
		t.Errorf("three messages had the keys %v", keys)
	}
}

// TestReceiptsWaitForWhoTakesThem.
func TestReceiptsWaitForWhoTakesThem(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{RetryAfter: 20 * time.Millisecond})
	c := newClient(t, accountAt(t, s.Addr()), parts.NewStore(pgtest.New(t)))
	session := open(t, c)
	r, err := session.Send(t.Context(), to("+8613800000001", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	heard := listen(t, c)
	heard.reported(r.ProviderID, dispatch.ReportDelivered)
	for _, id := range []string{"7", "8"} { // more than the desk of one run
		c.reports.put(dispatch.Report{ProviderID: id, Event: dispatch.ReportDelivered}, func(pdu.Status) {})
		heard.reported(id, dispatch.ReportDelivered)
	}
}

func TestDeskRefusesWhatNobodyTakes(t *testing.T) {
	var d desk[int]
	answered := []pdu.Status{}
	note := func(s pdu.Status) { answered = append(answered, s) }
	if d.put(1, note) {
		t.Error("a desk that nobody sits at takes something")
	}
	d.open = 1
	for i := range mostOnDesk {
		if !d.put(i, note) {
			t.Fatalf("it is full with %d", i)
		}
	}
	if d.put(0, note) {
		t.Error("it takes more than it holds")
	}
	d.shut()
	if len(answered) != mostOnDesk || slices.ContainsFunc(answered, func(s pdu.Status) bool { return s != pdu.RXTAPPN }) {
		t.Errorf("%d were refused when it was shut", len(answered))
	}
}

func TestWrittenTextsAreRead(t *testing.T) {
	option := func(tag pdu.Tag, v ...byte) pdu.Options { return pdu.AppendOption(nil, tag, v) }
	for name, c := range map[string]struct {
		alphabet string
		m        pdu.Message
		text     string // empty: it is no text
	}{
		"septets":              {"", pdu.Message{ShortMessage: []byte{0, 0x1B, 0x65, 0x11}}, "@€_"},
		"with a message class": {"", pdu.Message{DataCoding: 0xF1, ShortMessage: []byte("STOP")}, "STOP"},
		"packed":               {alphabetPacked, pdu.Message{ShortMessage: sms.Pack([]byte("hello"), 0)}, "hello"},
		"latin":                {alphabetLatin1, pdu.Message{ShortMessage: []byte("Stra\xdfe")}, "Straße"},
		"latin, said so":       {"", pdu.Message{DataCoding: 3, ShortMessage: []byte("Stra\xdfe")}, "Straße"},
		"ASCII, said so":       {"", pdu.Message{DataCoding: 1, ShortMessage: []byte("a@b")}, "a@b"},
		"UCS-2":                {"", pdu.Message{DataCoding: 8, ShortMessage: []byte{0x90, 0, 0x8b, 0xa2}}, "退订"},
		"UCS-2, with a class":  {"", pdu.Message{DataCoding: 0x18, ShortMessage: []byte{0x90, 0}}, "退"},
		"payload":              {"", pdu.Message{Options: option(pdu.MessagePayload, 'T', 'D')}, "TD"},
		"binary":               {"", pdu.Message{DataCoding: 4, ShortMessage: []byte{1}}, ""},
		"for a program":        {"", pdu.Message{ESMClass: pdu.ESMHeader, ShortMessage: []byte{6, 5, 4, 0x0B, 0x84, 0x23, 0xF0, 1}}, ""},
		"a header that lies":   {"", pdu.Message{ESMClass: pdu.ESMHeader, ShortMessage: []byte{0x40, 'a'}}, "¡a"}, // 64 octets of it, of which there is one
	} {
		client := newClient(t, Account{Name: "a", Host: "h", SystemID: "s", Alphabet: c.alphabet}, nil)
		p, ok := client.written(&c.m, time.Now())
		if !ok && c.text == "" {
			continue
		}
		if got := sms.Join([]sms.Piece{p}).Text; !ok || got != c.text {
			t.Errorf("%s: it is %q, %v, want %q", name, got, ok, c.text)
		}
	}
}

func TestNumbersAreInternational(t *testing.T) {
	for _, c := range []struct {
		address pdu.Address
		want    string
	}{
		{pdu.Address{TON: pdu.International, Number: "8613900000000"}, "+8613900000000"},
		{pdu.Address{Number: "+8613900000000"}, "+8613900000000"},
		{pdu.Address{Number: "008613900000000"}, "+8613900000000"},
		{pdu.Address{Number: "8613900000000"}, "+8613900000000"},
		{pdu.Address{Number: "013900000000"}, "013900000000"},
		{pdu.Address{TON: pdu.National, Number: "13900000000"}, "13900000000"},
		{pdu.Address{Number: "10086"}, "10086"},
		{pdu.Address{TON: pdu.Alphanumeric, Number: "BANK"}, "BANK"},
	} {
		if got := international(c.address); got != c.want {
			t.Errorf("%+v is %s, want %s", c.address, got, c.want)
		}
	}
}

func FuzzDeliver(f *testing.F) {
	client := newClient(f, Account{Name: "a", Host: "h", SystemID: "s"}, nil)
	f.Add([]byte("id:1 sub:001 dlvrd:001 stat:DELIVRD err:000 text:"), []byte{}, byte(4), byte(0))
	f.Add([]byte{5, 0, 3, 1, 2, 1, 'a'}, []byte(pdu.AppendOption16(nil, pdu.SARReference, 1)), byte(0x40), byte(8))
	f.Fuzz(func(_ *testing.T, text, options []byte, esm, coding byte) {
		m := pdu.Message{ESMClass: esm, DataCoding: coding, ShortMessage: text, Options: options}
		if isReceipt(&m) {
			client.report(&m)
			return
		}
		if p, ok := client.written(&m, time.Now()); ok {
			sms.Join([]sms.Piece{p})
		}
		client.repeats.key(&m, time.Now())
	})
}
