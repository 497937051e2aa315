package smpp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
	"herald/e2e/peers"
	"herald/hardware/sim/smsc"
	"herald/hardware/sim/texts"
	"herald/postgres/pgtest"
)

// at waits for a text for a number, as its phone has it.
func at(t *testing.T, s *smsc.SMSC, address string) (found texts.Text) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	defer cancel()
	err := s.Texts().WaitFor(ctx, func(kept []texts.Text, _ int64) bool {
		i := slices.IndexFunc(kept, func(text texts.Text) bool { return "+"+text.To == address })
		if i >= 0 {
			found = kept[i]
		}
		return i >= 0
	})
	if err != nil {
		t.Fatalf("%s got nothing: %+v", address, s.Texts().All())
	}
	return found
}

// TestTextsArriveAsTheyWereWritten in every form that a centre may want them
// in.
func TestTextsArriveAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	store := parts.NewStore(pgtest.New(t))
	words := map[string]string{ // and how each is written where data_coding 0 is GSM-7, Latin-1, ASCII
		"hello @ {world} Straße":  "GSM-7 Latin-1 UCS-2",
		"plain words":             "GSM-7 Latin-1 Latin-1", // the simulator has no name of its own for ASCII
		"seven @":                 "GSM-7 Latin-1 Latin-1",
		"İyi günler, şimdi ığdır": "UCS-2 UCS-2 UCS-2 GSM-7",
		"İyi günler, " + strings.Repeat("şimdi ", 40): "UCS-2 UCS-2 UCS-2 GSM-7",
		"Ω costs 3 €":                        "GSM-7 UCS-2 UCS-2",
		"您关注的商品降价了":                          "UCS-2 UCS-2 UCS-2",
		strings.Repeat("[brackets] ", 40):    "GSM-7 Latin-1 Latin-1",
		strings.Repeat("降价了, hello 😀. ", 20): "UCS-2 UCS-2 UCS-2",
	}
	for name, c := range map[string]struct {
		account Account
		centre  smsc.Alphabet
		column  int
	}{
		"udh":          {Account{}, smsc.GSM7, 0},
		"wide udh":     {Account{WideReference: true}, smsc.GSM7, 0},
		"udh, packed":  {Account{Alphabet: alphabetPacked}, smsc.GSM7Packed, 0},
		"udh, Turkish": {Account{Languages: []sms.Language{sms.Turkish}, Alphabet: alphabetPacked}, smsc.GSM7Packed, 3},
		"udh, latin1":  {Account{Alphabet: alphabetLatin1}, smsc.Latin1, 1},
		"udh, ascii":   {Account{Alphabet: alphabetASCII}, smsc.Latin1, 2},
		"sar":          {Account{LongMessages: longSAR}, smsc.GSM7, 0},
		"sar, packed":  {Account{LongMessages: longSAR, Alphabet: alphabetPacked}, smsc.GSM7Packed, 0},
		"payload":      {Account{LongMessages: longPayload}, smsc.GSM7, 0},
		"payload, big": {Account{LongMessages: longPayload, Alphabet: alphabetLatin1}, smsc.Latin1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSMSC(t, smsc.Config{Alphabet: c.centre})
			account := accountAt(t, s.Addr())
			account.Name = name
			account.Alphabet, account.LongMessages, account.WideReference, account.Languages = c.account.Alphabet, c.account.LongMessages, c.account.WideReference, c.account.Languages
			client := newClient(t, account, store)
			session := open(t, client)
			var ms []dispatch.Message
			for text := range words {
				ms = append(ms, to(fmt.Sprintf("+8613800000%03d", len(ms)), text))
			}
			_, errs := send(t, session, ms)
			for i, m := range ms {
				got := at(t, s, m.Address)
				want := column(words[m.Content.Text], c.column)
				if errs[i] != nil || strings.TrimSuffix(got.Text, "\r") != m.Content.Text || got.Encoding != want || got.Problem != "" {
					t.Errorf("%q arrived as %+v, want %s: %v", m.Content.Text, got, want, errs[i])
				}
				if n := client.Parts(m); n != got.Parts && account.LongMessages != longPayload || n < got.Parts {
					t.Errorf("%q is counted as %d parts, and went as %d", m.Content.Text, n, got.Parts)
				}
			}
		})
	}
}

// column is a word; where there is none for what is written in Turkish, it is
// the first.
func column(words string, n int) string {
	all := strings.Fields(words)
	if n >= len(all) {
		n = 0
	}
	return all[n]
}

// TestReceiptsFindTheirMessages however the centre writes them and their ids.
func TestReceiptsFindTheirMessages(t *testing.T) {
	t.Parallel()
	store := parts.NewStore(pgtest.New(t))
	for name, c := range map[string]struct {
		receipts smsc.Receipts
		ids      string
	}{
		"both forms":                    {smsc.Receipts{}, idsSame},
		"words only, hex and decimal":   {smsc.Receipts{Form: smsc.TextOnly, IDs: smsc.HexDecimal}, idsHexDecimal},
		"options only, decimal and hex": {smsc.Receipts{Form: smsc.TLVOnly, IDs: smsc.DecimalHex}, idsDecimalHex},
		"before the answer":             {smsc.Receipts{First: true, IDs: smsc.HexDecimal}, idsHexDecimal},
		"found out, same":               {smsc.Receipts{Delay: 10 * time.Millisecond}, idsAuto},
		"found out, hex and decimal":    {smsc.Receipts{Delay: 10 * time.Millisecond, IDs: smsc.HexDecimal}, idsAuto},
		"found out, decimal and hex":    {smsc.Receipts{Delay: 10 * time.Millisecond, IDs: smsc.DecimalHex}, idsAuto},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSMSC(t, smsc.Config{Receipts: c.receipts})
			account := accountAt(t, s.Addr())
			account.Name, account.ReceiptIDs, account.UnknownNumber = name, c.ids, []string{"027"}
			client := newClient(t, account, store)
			heard, session := listen(t, client), open(t, client)
			setFaults(t, s,
				smsc.Fault{Kind: smsc.Undelivered, Number: "8613800000001", State: "EXPIRED"},
				smsc.Fault{Kind: smsc.Undelivered, Number: "8613800000002", State: "UNDELIV", Error: "001"},
				smsc.Fault{Kind: smsc.Undelivered, Number: "8613800000003", State: "REJECTD", Error: "027"},
				smsc.Fault{Kind: smsc.Undelivered, Number: "8613800000004", State: "UNKNOWN", Error: "005"})
			events := []dispatch.ReportEvent{dispatch.ReportDelivered, dispatch.ReportExpired, dispatch.ReportBounced, dispatch.ReportBounced, dispatch.ReportDelayed}
			for i, event := range events {
				r, err := session.Send(t.Context(), to(fmt.Sprintf("+861380000000%d", i), "hello"))
				if err != nil {
					t.Fatal(err)
				}
				got := heard.reported(r.ProviderID, event)
				// 001 is the network's "unknown subscriber", in the options; 027 the operator's.
				dead := i == 2 && c.receipts.Form != smsc.TextOnly || i == 3 && c.receipts.Form != smsc.TLVOnly
				if got.AddressDead != dead || got.Account != name || got.Channel != "sms" {
					t.Errorf("the report is %+v, want a dead address: %v", got, dead)
				}
			}
		})
	}
}

// TestEachPartHasItsReceipt: the delivery arrived when all parts have.
func TestEachPartHasItsReceipt(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{Receipts: smsc.Receipts{Delay: 20 * time.Millisecond}})
	client := newClient(t, accountAt(t, s.Addr()), parts.NewStore(pgtest.New(t)))
	heard, session := listen(t, client), open(t, client)
	good, bad := to("+8613800000001", strings.Repeat("0123456789", 40)), to("+8613800000002", strings.Repeat("0123456789", 40))
	setFaults(t, s, smsc.Fault{Kind: smsc.Undelivered, Number: "8613800000002", After: 1, Times: 1})
	_, errs := send(t, session, []dispatch.Message{good, bad})
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	of := func(m dispatch.Message, e dispatch.ReportEvent) func() bool {
		return func() bool {
			return slices.ContainsFunc(heard.reports, func(r dispatch.Report) bool { return r.DeliveryID == m.DeliveryID && r.Event == e })
		}
	}
	heard.until("the first to arrive", of(good, dispatch.ReportDelivered))
	heard.until("the second to bounce", of(bad, dispatch.ReportBounced))
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if of(bad, dispatch.ReportDelivered)() {
		t.Error("a message arrived of which a part did not")
	}
}

// TestMissingPartsAreSentAgain, and no others, with the same reference.
func TestMissingPartsAreSentAgain(t *testing.T) {
	t.Parallel()
	store := parts.NewStore(pgtest.New(t))
	for kind, c := range map[string]struct {
		fault smsc.Fault
		class dispatch.Class
		order string // of the parts that the centre took
	}{
		"a part is refused":              {smsc.Fault{Kind: smsc.Refuse, Status: pdu.RSYSERR}, dispatch.Transient, "1234"},
		"a part is throttled":            {smsc.Fault{Kind: smsc.Refuse, Status: pdu.RTHROTTLED}, dispatch.Throttled, "1234"},
		"the connection breaks":          {smsc.Fault{Kind: smsc.DropBefore}, dispatch.Doubt, "1234"},
		"it breaks before the answer":    {smsc.Fault{Kind: smsc.DropAfter}, dispatch.Doubt, "12334"},
		"the answer is lost":             {smsc.Fault{Kind: smsc.Lose}, dispatch.Doubt, "12334"},
		"the centre ends the session":    {smsc.Fault{Kind: smsc.EndSession}, dispatch.SessionFatal, "1234"},
		"the message is refused forever": {smsc.Fault{Kind: smsc.Refuse, Status: pdu.RSUBMITFAIL}, dispatch.Permanent, "12"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := startSMSC(t, smsc.Config{})
			account := accountAt(t, s.Addr())
			if account.Name = kind; c.fault.Kind == smsc.Lose {
				account.Timeout = silence
			}
			client := newClient(t, account, store)
			c.fault.After, c.fault.Times = 2, 1
			setFaults(t, s, c.fault)
			m := to("+8613800000001", strings.Repeat("0123456789", 50))
			_, err := open(t, client).Send(t.Context(), m)
			if f := failure(t, err); f.Class != c.class {
				t.Errorf("it gives %v, want %s", err, c.class)
			}
			if c.class != dispatch.Permanent {
				r, err := open(t, client).Send(t.Context(), m)
				if err != nil || r.ProviderID == "" {
					t.Fatalf("the second attempt gives %+v, %v", r, err)
				}
				if first := s.Units()[0]; r.ProviderID != first.ID {
					t.Errorf("the message has the id %s, want its first part's, %s", r.ProviderID, first.ID)
				}
			}
			order, references := "", map[byte]bool{}
			for _, u := range s.Units() {
				header := u.Message.ShortMessage
				references[header[3]] = true
				order += fmt.Sprint(header[5])
			}
			if order != c.order || len(references) != 1 {
				t.Errorf("the centre took %s with %d references, want %s with one", order, len(references), c.order)
			}
		})
	}
}

// TestABatchThatBreaksSaysTheTruth of each message.
func TestABatchThatBreaksSaysTheTruth(t *testing.T) {
	t.Parallel()
	for _, fault := range []smsc.FaultKind{smsc.DropBefore, smsc.DropAfter, smsc.EndSession} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			s := startSMSC(t, smsc.Config{})
			client := newClient(t, accountAt(t, s.Addr()), nil)
			setFaults(t, s, smsc.Fault{Kind: fault, After: 150, Times: 1})
			ms := make([]dispatch.Message, 400)
			for i := range ms {
				ms[i] = to(fmt.Sprintf("+8613800000%03d", i), "hello")
			}
			receipts, errs := send(t, open(t, client), ms)
			taken := map[string]int{}
			for _, u := range s.Units() {
				taken["+"+u.Message.Destination.Number]++
			}
			said := map[dispatch.Class]int{}
			for i, m := range ms {
				n, class := taken[m.Address], dispatch.Class("")
				if errs[i] != nil {
					class = failure(t, errs[i]).Class
				}
				said[class]++
				switch {
				case class == "" && (n != 1 || receipts[i].ProviderID == ""), class == dispatch.SessionFatal && n != 0,
					class != "" && class != dispatch.SessionFatal && class != dispatch.Doubt:
					t.Errorf("a message that was taken %d times gives %v", n, errs[i])
				}
			}
			if said[dispatch.Doubt] > client.cfg.Window || said[""] < 100 || fault == smsc.EndSession && said[dispatch.Doubt] > 0 {
				t.Errorf("said was %v", said)
			}
		})
	}
}

// TestTheCentreIsAnsweredWhileTheWindowIsFull: its questions, and what it brings.
func TestTheCentreIsAnsweredWhileTheWindowIsFull(t *testing.T) {
	t.Parallel()
	const every = time.Second
	s := startSMSC(t, smsc.Config{EnquireEvery: every})
	account := accountAt(t, s.Addr())
	account.Timeout = 4 * every // longer than the centre waits for an answer
	client := newClient(t, account, parts.NewStore(pgtest.New(t)))
	heard, session := listen(t, client), open(t, client)
	setFaults(t, s, smsc.Fault{Kind: smsc.Lose, Number: "86138*", Times: client.cfg.Window})
	ms := make([]dispatch.Message, 2*client.cfg.Window)
	for i := range ms {
		ms[i] = to(fmt.Sprintf("+8613800000%03d", i), "hello")
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		heard.until("a message", func() bool { return len(heard.inbound) == 1 })
	}()
	if err := s.Say("8613900000000", "SHOP", "are you there?"); err != nil {
		t.Fatal(err)
	}
	_, errs := send(t, session, ms)
	<-told
	for i, err := range errs {
		if i < client.cfg.Window && (err == nil || failure(t, err).Class != dispatch.Doubt) || i >= client.cfg.Window && err != nil {
			t.Errorf("message %d gives %v", i, err)
		}
	}
	if session.Broken() {
		t.Error("the session broke, though the centre spoke")
	}
}
