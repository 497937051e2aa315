package smpp

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
	"herald/e2e/peers"
	"herald/postgres/pgtest"
)

// nodeUnit is what the SMSC by npm's smpp says that it took, or refused.
type nodeUnit struct {
	To, Text, UDH, From, Validity, ID string
	Coding, Registered                int
	Reference                         int
	Refused                           bool
	Alive                             *int
}

// nodeSMSC is that SMSC.
type nodeSMSC struct {
	*peers.Process
	addr string
}

func startNode(t *testing.T) nodeSMSC {
	addr := peers.Address(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	p := peers.Start(t, peers.Node(t, "testdata/smsc.js", port))
	p.UntilListening(addr)
	return nodeSMSC{p, addr}
}

// units are the first so many that it got for a number, refused ones included.
// It may have answered before it says so.
func (n nodeSMSC) units(to string, many int) (units []nodeUnit) {
	n.Until("it got so many units for "+to, func() bool {
		units = nil
		for line := range strings.Lines(n.Said()) {
			var u nodeUnit
			if err := json.Unmarshal([]byte(line), &u); err == nil && "+"+u.To == to { // or it is being written
				units = append(units, u)
			}
		}
		return len(units) >= many
	})
	return units
}

// listener keeps what a client hears.
type listener struct {
	t *testing.T

	mu      sync.Mutex
	changed *sync.Cond // of mu
	reports []dispatch.Report
	inbound []dispatch.Inbound
	fail    error // of the next take
}

// listen runs Reports and Receive until the test ends, and gives what the
// store of parts held back.
func listen(t *testing.T, c *Client) *listener {
	l := &listener{t: t}
	l.changed = sync.NewCond(&l.mu)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	keep := func(_ context.Context, reports []dispatch.Report) error {
		return l.take(func() { l.reports = append(l.reports, reports...) })
	}
	running.Go(func() { _ = c.Reports(ctx, keep) })
	running.Go(func() { c.parts.(*parts.Store).Run(ctx, slog.New(slog.DiscardHandler), keep) })
	running.Go(func() {
		_ = c.Receive(ctx, func(_ context.Context, messages []dispatch.Inbound) error {
			return l.take(func() { l.inbound = append(l.inbound, messages...) })
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	// Who listens is there before the first message, as in the application.
	waitUntil(t, "who listens", func() bool { return !c.reports.isShut() && !c.inbound.isShut() })
	return l
}

func (d *desk[T]) isShut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open == 0
}

func (l *listener) take(keep func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail; err != nil {
		l.fail = nil
		return err
	}
	keep()
	l.changed.Broadcast()
	return nil
}

// until waits until is says so of what was heard.
func (l *listener) until(what string, is func() bool) {
	l.t.Helper()
	began := time.Now()
	late := time.AfterFunc(peers.Patience, func() {
		l.mu.Lock() // not while it looks whether it is late
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer late.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !is() {
		if time.Since(began) >= peers.Patience {
			l.t.Fatalf("waited for %s; heard were %+v and %+v", what, l.reports, l.inbound)
		}
		l.changed.Wait()
	}
}

// reported waits for a report of a provider's id.
func (l *listener) reported(id string, event dispatch.ReportEvent) (found dispatch.Report) {
	l.t.Helper()
	l.until(string(event)+" of "+id, func() bool {
		i := slices.IndexFunc(l.reports, func(r dispatch.Report) bool { return r.ProviderID == id && r.Event == event })
		if i >= 0 {
			found = l.reports[i]
		}
		return i >= 0
	})
	return found
}

func open(t *testing.T, c *Client) *session {
	t.Helper()
	s, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s.(*session)
}

// TestAgainstAnSMSCThatIsNotOurs: npm's smpp.
func TestAgainstAnSMSCThatIsNotOurs(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	account := accountAt(t, node.addr)
	account.EnquireEvery, account.Timeout = 50*time.Millisecond, 2*silence // of the seven others that are answered meanwhile
	c := newClient(t, account, parts.NewStore(pgtest.New(t)))
	heard := listen(t, c)
	s := open(t, c)
	four := strings.Repeat("Your order is on its way. {1} ", 18)
	const n = "+86138000001"
	ms := []dispatch.Message{
		to(n+"01", "hello @ Straße €"), to(n+"02", "late"), to(n+"03", "lost"), to(n+"04", "refused"), to(n+"05", "early"),
		to(n+"09", "undelivered"), to(n+"10", four), to(n+"99", "您关注的商品降价了"),
	}
	ms[0].ExpiresAt = time.Now().Add(time.Hour)
	receipts, errs := send(t, s, ms)
	for i, m := range ms {
		last := m.Address[len(m.Address)-2:]
		switch {
		case last == "03" || last == "04":
		case errs[i] != nil || receipts[i].ProviderID == "":
			t.Errorf("%s: %+v, %v", m.Address, receipts[i], errs[i])
		default:
			want := dispatch.ReportDelivered
			if last == "09" {
				want = dispatch.ReportBounced
			}
			if len(m.Content.Text) < 160 { // those of several parts name their delivery
				heard.reported(receipts[i].ProviderID, want)
			}
		}
	}
	if f := failure(t, errs[2]); f.Class != dispatch.Doubt {
		t.Errorf("an answer that never comes gives %v", f)
	}
	if f := failure(t, errs[3]); f.Class != dispatch.Permanent || f.Code != pdu.RINVDSTADR.String() || f.AddressDead {
		t.Errorf("RINVDSTADR gives %+v", f)
	}
	if s.Broken() {
		t.Error("the session is broken, though the centre answers all others")
	}
	heard.until("the receipt of four parts", func() bool {
		return slices.ContainsFunc(heard.reports, func(r dispatch.Report) bool {
			return r.DeliveryID == ms[6].DeliveryID && r.Event == dispatch.ReportDelivered
		})
	})
	heard.until("what the phone wrote", func() bool {
		return len(heard.inbound) == 1 && heard.inbound[0].Text == "不要再给我发短信了" && heard.inbound[0].From == n+"99"
	})
	node.saidOf(t, ms, four)
}

// TestTheFormOfIDsIsFoundOut: this SMSC has them in hexadecimal in its answers,
// and in decimal in some receipts.
func TestTheFormOfIDsIsFoundOut(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	c := newClient(t, accountAt(t, node.addr), parts.NewStore(pgtest.New(t)))
	heard, s := listen(t, c), open(t, c)
	for range 3 {
		r, err := s.Send(t.Context(), to("+8613800000206", "decimal"))
		if err != nil {
			t.Fatal(err)
		}
		heard.reported(r.ProviderID, dispatch.ReportDelivered)
	}
}

// saidOf checks what the SMSC understood.
func (n nodeSMSC) saidOf(t *testing.T, ms []dispatch.Message, four string) {
	t.Helper()
	first := n.units(ms[0].Address, 1)[0]
	if first.Text != ms[0].Content.Text || first.Registered != 1 || first.From != "SHOP" || first.Coding != 0 || len(first.Validity) == 0 || first.Reference == 0 {
		t.Errorf("it understood %+v", first)
	}
	if chinese := n.units(ms[7].Address, 1)[0]; chinese.Text != ms[7].Content.Text || chinese.Coding != 8 {
		t.Errorf("it understood %+v", chinese)
	}
	var joined string
	of := n.units(ms[6].Address, 4)
	for i, u := range of {
		if !strings.HasPrefix(u.UDH, "0003") || !strings.HasSuffix(u.UDH, "040"+string(rune('1'+i))) {
			t.Errorf("part %d has the header %s", i, u.UDH)
		}
		joined += u.Text
	}
	if joined != four || len(of) != 4 {
		t.Errorf("it understood %d parts: %q", len(of), joined)
	}
	n.UntilSaid(`{"alive":0}`) // our answer to its question whether we are there
}

// TestThrottlingReordersNothing: what is refused is neither lost nor overtaken
// by what belongs behind it.
func TestThrottlingReordersNothing(t *testing.T) {
	t.Parallel()
	node := startNode(t)
	account := accountAt(t, node.addr)
	account.Window = 2
	c := newClient(t, account, parts.NewStore(pgtest.New(t)))
	s := open(t, c)
	for _, number := range []string{"+8613800000158", "+8613800000114"} {
		m := to(number, strings.Repeat("Your order is on its way. {1} ", 18))
		for tries := 0; ; tries++ {
			_, err := s.Send(t.Context(), m)
			if err == nil {
				break
			}
			if f := failure(t, err); f.Class != dispatch.Throttled || tries == 4 {
				t.Fatalf("try %d gives %v", tries, err)
			}
		}
		var order string
		for _, u := range node.units(number, 8) {
			sign := u.UDH[len(u.UDH)-1:]
			if u.Refused {
				sign = "-" + sign
			}
			order += sign
		}
		if order != "-11-22-33-44" {
			t.Errorf("the parts went as %s", order)
		}
	}
}

// send hands messages over and gives what was said of each.
func send(t *testing.T, s *session, ms []dispatch.Message) ([]dispatch.Receipt, []error) {
	t.Helper()
	receipts, errs, said := make([]dispatch.Receipt, len(ms)), make([]error, len(ms)), make([]int, len(ms))
	s.SendBatch(t.Context(), ms, func(i int, r dispatch.Receipt, err error) {
		receipts[i], errs[i] = r, err
		said[i]++
	})
	for i, n := range said {
		if n != 1 {
			t.Errorf("of message %d something was said %d times", i, n)
		}
	}
	return receipts, errs
}

func failure(t *testing.T, err error) *dispatch.SendError {
	t.Helper()
	f, ok := err.(*dispatch.SendError)
	if !ok {
		t.Fatalf("the error is %v, want one of dispatch", err)
	}
	return f
}
