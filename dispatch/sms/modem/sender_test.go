package modem

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	sim "herald/hardware/sim/modem"
)

// open is a session.
func open(t *testing.T, s *Sender) dispatch.Session {
	t.Helper()
	session, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func class(err error) dispatch.Class {
	var failure *dispatch.SendError
	if !errors.As(err, &failure) {
		return ""
	}
	return failure.Class
}

// heard keeps what Reports and Receive give.
type heard struct {
	mu      sync.Mutex
	reports []dispatch.Report
	inbound []dispatch.Inbound
	failure error
	more    chan struct{}
}

// listen runs Reports and Receive until the test ends.
func listen(t *testing.T, s *Sender) *heard {
	h := &heard{more: make(chan struct{}, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		_ = s.Reports(ctx, func(_ context.Context, reports []dispatch.Report) error {
			return h.take(func() { h.reports = append(h.reports, reports...) })
		})
	})
	running.Go(func() {
		_ = s.Receive(ctx, func(_ context.Context, inbound []dispatch.Inbound) error {
			return h.take(func() { h.inbound = append(h.inbound, inbound...) })
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return h
}

func (h *heard) take(keep func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.more <- struct{}{}
	if h.failure == nil {
		keep()
	}
	return h.failure
}

// until waits for enough.
func (h *heard) until(t *testing.T, enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		h.mu.Lock()
		ok := enough()
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-h.more:
		case <-ctx.Done():
			t.Fatalf("it does not come: %+v, %+v", h.reports, h.inbound)
		}
	}
}

func TestMessagesArriveAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	h := listen(t, b.Sender)
	session := open(t, b.Sender)
	all := map[string]int{
		"Price drop: 49 €!":                     1,
		strings.Repeat("abcdefgh ", 60):         4,
		"价格下降 👍":                                1,
		strings.Repeat("生日快乐👍", 40):             4,
		"[^{}|~\\] " + strings.Repeat("é", 150): 2,
	}
	i := 0
	for text, parts := range all {
		i++
		m := message(i, text)
		if n := b.Parts(m); n != parts {
			t.Errorf("%q counts as %d parts, want %d", text, n, parts)
		}
		receipt, err := session.Send(t.Context(), m)
		if err != nil || receipt.Account != "modem" || receipt.ProviderID == "" {
			t.Fatalf("%q: %+v, %v", text, receipt, err)
		}
	}
	for _, text := range b.sim.Texts().All() {
		if parts, written := all[text.Text]; !written || text.Parts != parts || text.Problem != "" {
			t.Errorf("what arrived is %+v", text)
		}
	}
	if n := b.sim.Texts().Count(); n != int64(len(all)) {
		t.Errorf("%d arrived", n)
	}
	// One report for each message, whatever its parts.
	h.until(t, func() bool { return len(h.reports) >= len(all) })
	for _, r := range h.reports {
		if r.Event != dispatch.ReportDelivered || r.Account != "modem" || r.Channel != "sms" || r.Code != "00" && r.Code != "" {
			t.Errorf("reported is %+v", r)
		}
	}
}

// Pitfall 21: a bad number is its message's matter.
func TestABadNumberBlocksNothing(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	session := open(t, b.Sender)
	bad, good := message(1, "hello"), message(2, "hello")
	b.setFaults(t, sim.Fault{Kind: sim.Error, Command: "+CMGS", Recipient: bad.Address, Code: 1})
	for range 3 {
		_, err := session.Send(t.Context(), bad)
		var failure *dispatch.SendError
		if !errors.As(err, &failure) || failure.Class != dispatch.Permanent || !failure.AddressDead || strings.Contains(err.Error(), "138") {
			t.Errorf("the bad number: %v", err)
		}
		if _, err = session.Send(t.Context(), good); err != nil || session.Broken() {
			t.Errorf("the next: %v", err)
		}
	}
	for _, address := range []string{"", "+", "somebody@shop.example", "+1234567890123456789012"} {
		odd := message(3, "hello")
		odd.Address = address
		if _, err := session.Send(t.Context(), odd); class(err) != dispatch.Permanent {
			t.Errorf("to %q: %v", address, err)
		}
	}
}

// Pitfalls 5 and 22: only the missing parts are sent again, under the same
// reference; the next message to the number has another.
func TestOnlyMissingPartsAreSentAgain(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	m := message(1, strings.Repeat("abcdefgh ", 60))
	b.setFaults(t, sim.Fault{Kind: sim.Error, Command: "+CMGS", Code: 41, Times: 1})
	session := open(t, b.Sender)
	if _, err := session.Send(t.Context(), m); class(err) != dispatch.Transient {
		t.Fatalf("the first part is refused: %v", err)
	}
	if today, _ := b.usedNow(t); today != 0 {
		t.Errorf("what was not sent counts: %d", today)
	}
	// The third part of the next attempt is, too.
	b.setFaults(t, sim.Fault{Kind: sim.Within, Command: "+CMGS", Times: 2}, sim.Fault{Kind: sim.Error, Command: "+CMGS", Code: 41, Times: 1})
	if _, err := session.Send(t.Context(), m); class(err) != dispatch.Transient {
		t.Fatalf("the third part is refused: %v", err)
	}
	if n := len(b.sim.Parts()); n != 2 {
		t.Fatalf("%d parts were sent", n)
	}
	again := b.another(t, func(a *Account) { a.Name = "modem" }) // after a restart; one at a time has the line
	b.Sender.Close()
	if _, err := open(t, again).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	sent := b.sim.Parts()
	var numbers []int
	for _, p := range sent {
		numbers = append(numbers, p.Number)
		if p.Message != sent[0].Message {
			t.Errorf("part %d has reference %d, the first %d", p.Number, p.Message, sent[0].Message)
		}
	}
	if !slices.Equal(numbers, []int{1, 2, 3, 4}) || b.sim.Texts().Count() != 1 {
		t.Errorf("sent were the parts %v, which were %d messages", numbers, b.sim.Texts().Count())
	}
	if today, month := b.usedNow(t); today != 4 || month != 4 {
		t.Errorf("counted are %d and %d", today, month)
	}
	if _, err := open(t, again).Send(t.Context(), message(1, m.Content.Text)); err != nil {
		t.Fatal(err)
	}
	if sent = b.sim.Parts(); sent[4].Message == sent[0].Message {
		t.Error("two messages to a number have one reference")
	}
}

func (b *bench) usedNow(t *testing.T) (today, month int) {
	t.Helper()
	u, err := b.store.usage(t.Context(), b.modem.Health().SIM, Quotas{Zone: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return u.Today, u.ThisMonth
}

// Doubt is resolved by the same TP-MR with TP-RD: CMS 197 says that it was sent.
func TestDoubtIsResolvedByTheSameReference(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, impatient)
	session := open(t, b.Sender)
	if _, err := session.Send(t.Context(), message(1, "first")); err != nil { // the modem keeps our references
		t.Fatal(err)
	}
	for name, fault := range map[string]sim.Fault{
		"it was sent":     {Kind: sim.Lost, Command: "+CMGS", Times: 1},
		"it was not sent": {Kind: sim.Ignored, Command: "+CMGS", Times: 1},
	} {
		m := message(2, name)
		b.setFaults(t, fault)
		if _, err := open(t, b.Sender).Send(t.Context(), m); class(err) != dispatch.Doubt {
			t.Fatalf("%s: %v", name, err)
		}
		before := len(b.sim.Parts())
		receipt, err := b.Resolve(t.Context(), m)
		if err != nil || receipt.ProviderID == "" {
			t.Fatalf("%s: %+v, %v", name, receipt, err)
		}
		sent := b.sim.Parts()
		last := sent[len(sent)-1]
		if len(sent) != before+1 || !last.RejectDuplicates || last.Refused != (name == "it was sent") {
			t.Errorf("%s: resolved by %+v", name, last)
		}
		taken := 0
		for _, text := range b.sim.Texts().All() {
			if text.Text == name {
				taken++
			}
		}
		if taken != 1 {
			t.Errorf("%s: it arrived %d times", name, taken)
		}
		if again, err := b.Resolve(t.Context(), m); err != nil || again.ProviderID != receipt.ProviderID {
			t.Errorf("%s: asked again it says %+v, %v", name, again, err)
		}
	}
	if today, _ := b.usedNow(t); today != 3 {
		t.Errorf("counted are %d parts", today)
	}
	if _, err := b.Resolve(t.Context(), message(9, "never sent")); class(err) != dispatch.Transient {
		t.Errorf("what was never sent: %v", err)
	}
	old := message(9, "long ago")
	old.DeliveryID = uuid.MustParse("018f0000-0000-7000-8000-000000000001") // April 2024
	if _, err := b.Resolve(t.Context(), old); class(err) != dispatch.Doubt {
		t.Errorf("what was forgotten: %v", err)
	}
	m := message(8, "before")
	b.setFaults(t, sim.Fault{Kind: sim.Lost, Command: "+CMGS", Times: 1})
	if _, err := open(t, b.Sender).Send(t.Context(), m); class(err) != dispatch.Doubt {
		t.Fatal(err)
	}
	m.Content.Text = "after"
	if _, err := b.Resolve(t.Context(), m); class(err) != dispatch.Doubt {
		t.Errorf("another text: %v", err)
	}
}

// However many messages go in between: references come again.
func TestADoubtIsResolvedAfterAllReferencesWereGiven(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{Keep: 1000, ReportAfter: time.Hour}, impatient)
	inDoubt := map[string]dispatch.Message{}
	for i, fault := range []sim.FaultKind{sim.Lost, sim.Ignored} {
		m := message(i, "in doubt: "+string(fault))
		inDoubt[m.Content.Text] = m
		b.setFaults(t, sim.Fault{Kind: fault, Command: "+CMGS", Times: 1})
		if _, err := open(t, b.Sender).Send(t.Context(), m); class(err) != dispatch.Doubt {
			t.Fatalf("it is %v", err)
		}
	}
	session := open(t, b.Sender)
	for i := range 300 {
		if _, err := session.Send(t.Context(), message(i%5, "meanwhile")); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range inDoubt {
		if receipt, err := b.Resolve(t.Context(), m); err != nil || receipt.ProviderID == "" {
			t.Errorf("%s: %+v, %v", m.Content.Text, receipt, err)
		}
	}
	arrived := map[string]int{}
	for _, text := range b.sim.Texts().All() {
		arrived[text.Text]++
	}
	for text := range inDoubt {
		if arrived[text] != 1 {
			t.Errorf("%s: it arrived %d times", text, arrived[text])
		}
	}
}

// What is known to be taken is not sent again, whether the SIM is not known
// yet or another by now.
func TestWhatWasTakenStaysTaken(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{ReportAfter: time.Hour}, impatient)
	one, several := message(1, "taken"), message(2, strings.Repeat("abcdefgh ", 60))
	for _, m := range []dispatch.Message{one, several} {
		if _, err := open(t, b.Sender).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	inDoubt := message(3, "in doubt")
	b.setFaults(t, sim.Fault{Kind: sim.Lost, Command: "+CMGS", Times: 1})
	if _, err := open(t, b.Sender).Send(t.Context(), inDoubt); class(err) != dispatch.Doubt {
		t.Fatalf("it is %v", err)
	}
	taken := len(b.sim.Parts())
	idle, err := New(b.cfg, b.store, b.parts, b.logger) // as after a restart, before it knows the SIM
	if err != nil {
		t.Fatal(err)
	}
	far := startSim(t, sim.Config{ReportAfter: time.Hour, SIM: sim.SIM{IMSI: "001019876543210"}})
	other := b.another(t, func(a *Account) { a.Device = far.Path() })
	if _, err := open(t, other).Send(t.Context(), message(4, "first of its SIM")); err != nil { // which keeps our references
		t.Fatal(err)
	}
	for when, s := range map[string]*Sender{"the SIM is not known": idle, "the SIM is another": other} {
		for _, m := range []dispatch.Message{one, several} {
			if receipt, err := s.Resolve(t.Context(), m); err != nil || receipt.ProviderID == "" {
				t.Errorf("%s: what was taken is %+v, %v", when, receipt, err)
			}
		}
		if _, err := s.Resolve(t.Context(), inDoubt); class(err) != dispatch.Doubt {
			t.Errorf("%s: what is in doubt is %v", when, err)
		}
	}
	for _, m := range []dispatch.Message{one, several} {
		if receipt, err := open(t, other).Send(t.Context(), m); err != nil || receipt.ProviderID == "" {
			t.Errorf("what was taken is %+v, %v", receipt, err)
		}
	}
	if n, m := len(b.sim.Parts()), len(far.Parts()); n != taken || m != 1 {
		t.Errorf("%d and %d parts were sent again", n-taken, m-1)
	}
	if _, err := open(t, other).Send(t.Context(), inDoubt); err != nil { // as somebody wants it
		t.Error(err)
	}
	if sent := far.Parts(); len(sent) != 2 || sent[1].RejectDuplicates {
		t.Errorf("sent again were %+v", sent[1:])
	}
}

// The centre's CMS 197 may be of another message to the number.
func TestASharedReferenceTellsNothing(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{ReportAfter: time.Hour}, impatient)
	if _, err := open(t, b.Sender).Send(t.Context(), message(2, "before")); err != nil {
		t.Fatal(err)
	}
	m := message(2, "in doubt, and never taken")
	b.setFaults(t, sim.Fault{Kind: sim.Ignored, Command: "+CMGS", Times: 1})
	if _, err := open(t, b.Sender).Send(t.Context(), m); class(err) != dispatch.Doubt {
		t.Fatalf("it is %v", err)
	}
	if _, err := b.store.db.Exec(t.Context(), `UPDATE modem_parts SET reference = 1`); err != nil {
		t.Fatal(err)
	}
	if receipt, err := b.Resolve(t.Context(), m); class(err) != dispatch.Doubt {
		t.Errorf("the provider says %+v, %v", receipt, err)
	}
	// Whoever wants it sent again gets it sent.
	if _, err := open(t, b.Sender).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	sent := b.sim.Parts()
	if last := sent[len(sent)-1]; len(sent) != 2 || last.RejectDuplicates || last.Refused || last.Text != m.Content.Text {
		t.Errorf("sent were %+v", sent)
	}
	if receipt, err := b.Resolve(t.Context(), m); err != nil || receipt.ProviderID == "" || len(b.sim.Parts()) != 2 {
		t.Errorf("then it is %+v, %v", receipt, err)
	}
}

// Pitfalls 1, 2 and 11: an answer that nobody waits for any more is still the
// answer, and nothing is sent twice for the want of it.
func TestAnAnswerAfterTheTimeOutIsStillTheAnswer(t *testing.T) {
	t.Parallel()
	const ends, within = 1500 * time.Millisecond, 4 * time.Second // ctx, and the driver's patience
	b := start(t, sim.Config{OwnReferences: true, ReportAfter: time.Hour}, func(a *Account) { a.SubmitTimeout = within })
	for name, fault := range map[string]sim.Fault{
		"taken":   {Kind: sim.Late, Command: "+CMGS", Delay: sim.Duration((ends + within) / 2), Times: 1},
		"in step": {Kind: sim.Late, Command: "+CMGS", Delay: sim.Duration(within + time.Second), Times: 1},
	} {
		m := message(2, name)
		b.setFaults(t, fault)
		session := open(t, b.Sender)
		ctx, cancel := context.WithTimeout(t.Context(), ends)
		_, err := session.Send(ctx, m)
		cancel()
		if class(err) != dispatch.Doubt {
			t.Errorf("%s: %v", name, err)
		}
		b.until(t, func() bool {
			receipt, err := b.Resolve(t.Context(), m)
			return err == nil && receipt.ProviderID != ""
		})
	}
	if n := len(b.sim.Parts()); n != 2 {
		t.Errorf("%d parts were sent", n)
	}
}

func TestAModemWithItsOwnReferencesLeavesDoubt(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{OwnReferences: true, ReportAfter: time.Hour}, impatient)
	session := open(t, b.Sender)
	if _, err := session.Send(t.Context(), message(1, "first")); err != nil {
		t.Fatal(err)
	}
	m := message(2, "second")
	b.setFaults(t, sim.Fault{Kind: sim.Lost, Command: "+CMGS", Times: 1})
	if _, err := session.Send(t.Context(), m); class(err) != dispatch.Doubt {
		t.Fatalf("it is %v", err)
	}
	if _, err := b.Resolve(t.Context(), m); class(err) != dispatch.Doubt || b.sim.Texts().Count() != 2 {
		t.Errorf("it is %v, and %d arrived", err, b.sim.Texts().Count())
	}
	// The centre would take it for a message that had the reference before.
	if _, err := open(t, b.Sender).Send(t.Context(), m); err != nil {
		t.Errorf("whoever wants it sent again gets %v", err)
	}
	if sent := b.sim.Parts(); len(sent) != 3 || sent[2].RejectDuplicates {
		t.Errorf("sent were %+v", sent)
	}
}

func TestAReportEndsDoubt(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		b := start(t, sim.Config{OwnReferences: own, ReportAfter: 300 * time.Millisecond}, impatient)
		h := listen(t, b.Sender)
		m := message(2, "in doubt, and it arrives")
		b.setFaults(t, sim.Fault{Kind: sim.Lost, Command: "+CMGS", Times: 1})
		if _, err := open(t, b.Sender).Send(t.Context(), m); class(err) != dispatch.Doubt {
			t.Fatalf("it is %v", err)
		}
		h.until(t, func() bool { return len(h.reports) > 0 })
		if r := h.reports[0]; r.DeliveryID != m.DeliveryID || r.Event != dispatch.ReportDelivered {
			t.Errorf("reported is %+v", r)
		}
		if receipt, err := b.Resolve(t.Context(), m); err != nil || receipt.ProviderID == "" {
			t.Errorf("then it is %+v, %v", receipt, err)
		}
	}
}

// Pitfall 10: each part is reported by itself, and the message is as bad as
// its worst part.
func TestReportsAreOfTheWholeMessage(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	h := listen(t, b.Sender)
	session := open(t, b.Sender)
	m := message(1, strings.Repeat("abcdefgh ", 60))
	b.setFaults(t, sim.Fault{Kind: sim.Report, Code: 0x41, Times: 1})
	if _, err := session.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	bounced := func(id uuid.UUID) func() bool {
		return func() bool {
			return slices.ContainsFunc(h.reports, func(r dispatch.Report) bool { return r.DeliveryID == id && r.Event == dispatch.ReportBounced })
		}
	}
	h.until(t, bounced(m.DeliveryID))
	// Whoever wants what bounced sent again means anew.
	one := message(2, "bounces")
	b.setFaults(t, sim.Fault{Kind: sim.Report, Code: 0x41, Times: 1})
	if _, err := session.Send(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	h.until(t, bounced(one.DeliveryID))
	for _, r := range h.reports {
		if r.Event != dispatch.ReportBounced {
			t.Errorf("reported is %+v", r)
		}
	}
	sent := len(b.sim.Parts())
	b.until(t, func() bool {
		_, err := session.Send(t.Context(), one)
		return err == nil && len(b.sim.Parts()) == sent+1
	})
}

// until asks again until it is so.
func (b *bench) until(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to that")
		}
	}
}
