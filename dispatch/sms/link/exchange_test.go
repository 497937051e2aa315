package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"herald/dispatch/sms/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A protocol and times of a test's own; there is a clock for each test.
var (
	protocol = wire.Protocol{Words: 1, Longest: 4096, Probe: 8, Leave: 2}
	timing   = Timing{Window: 4, Answer: time.Minute, Tries: 3}
)

const (
	request = 4
	reply   = 0x80000004
)

// farEnd is a gateway that does what a test says with each request.
type farEnd struct {
	conn    net.Conn
	running sync.WaitGroup

	mu    sync.Mutex
	heard []wire.PDU // guarded by mu: every one, repetitions too
	says  sync.Mutex // held while something is written
}

// all is what was heard.
func (f *farEnd) all() []wire.PDU {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.heard)
}

// connect gives a connection and its far end, which calls do for each request
// and answers with what that returns.
func connect(t Timing, do func(f *farEnd, u wire.PDU) []wire.PDU) (*Conn, *farEnd) {
	near, far := net.Pipe()
	f := &farEnd{conn: far}
	f.running.Go(func() {
		defer far.Close()
		for {
			u, err := protocol.Read(far)
			if err != nil {
				return
			}
			f.mu.Lock()
			f.heard = append(f.heard, u)
			f.mu.Unlock()
			f.later(0, do(f, u))
		}
	})
	var last atomic.Uint32
	return NewConn(near, protocol, t, func() wire.Sequence { return wire.Sequence{2: last.Add(1)} }, func(*Conn, wire.PDU) {}), f
}

// later says something after a while.
func (f *farEnd) later(after time.Duration, all []wire.PDU) {
	if len(all) == 0 {
		return
	}
	f.running.Go(func() {
		time.Sleep(after)
		f.says.Lock()
		defer f.says.Unlock()
		for _, u := range all {
			_, _ = f.conn.Write(protocol.Append(nil, u)) // nobody may hear it any more
		}
	})
}

func (f *farEnd) close(c *Conn) {
	c.Close()
	f.running.Wait()
}

// answer answers a request with a body.
func answer(u wire.PDU, body string) []wire.PDU {
	return []wire.PDU{{Command: u.Command | 0x80000000, Sequence: u.Sequence, Body: []byte(body)}}
}

// requests gives n requests whose bodies are their numbers.
func requests(n int) func() *Request {
	i := 0
	return func() *Request {
		if i == n {
			return nil
		}
		i++
		return &Request{Of: i - 1, Command: request, Body: fmt.Append(nil, i-1)}
	}
}

func TestExchangeKeepsOrderAndWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waiting []wire.PDU
		most := 0
		c, f := connect(timing, func(_ *farEnd, u wire.PDU) []wire.PDU {
			waiting = append(waiting, u)
			most = max(most, len(waiting))
			if len(waiting) < 3 && string(u.Body) != "19" { // several are open at a time
				return nil
			}
			var all []wire.PDU
			for _, w := range slices.Backward(waiting) { // and are answered in another order
				all = append(all, answer(w, "ok "+string(w.Body))...)
			}
			waiting = nil
			return all
		})
		defer f.close(c)
		said := map[int]string{}
		c.Exchange(t.Context(), requests(20), func(r *Request, a wire.PDU, err error) time.Duration {
			if err != nil || said[r.Of] != "" {
				t.Errorf("request %d: %v", r.Of, err)
			}
			said[r.Of] = string(a.Body)
			return 0
		})
		for i := range 20 {
			if said[i] != fmt.Sprintf("ok %d", i) || string(f.all()[i].Body) != fmt.Sprint(i) {
				t.Errorf("request %d was heard as %s and answered %q", i, f.all()[i].Body, said[i])
			}
		}
		if most > timing.Window {
			t.Errorf("%d were open at a time", most)
		}
	})
}

// TestExchangeRepeats: after Answer, with the same sequence, Tries times in all.
func TestExchangeRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, f := connect(timing, func(f *farEnd, u wire.PDU) []wire.PDU {
			if string(u.Body) == "0" && len(f.all()) < 6 { // the third time
				return nil
			}
			return answer(u, "ok")
		})
		defer f.close(c)
		c.Exchange(t.Context(), requests(4), func(r *Request, _ wire.PDU, err error) time.Duration {
			if err != nil || r.Repeated() != (r.Of == 0) {
				t.Errorf("request %d: %v", r.Of, err)
			}
			return 0
		})
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		heard := f.all()
		if len(heard) != 6 || heard[0].Sequence != heard[4].Sequence || heard[0].Sequence != heard[5].Sequence || c.Broken() {
			t.Errorf("heard were %+v", heard)
		}
	})
}

// TestExchangeWithoutAnswer: one is given up, nothing new is begun, and what is
// open is waited for.
func TestExchangeWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		late := timing
		late.Window = 3
		c, f := connect(late, func(f *farEnd, u wire.PDU) []wire.PDU {
			switch string(u.Body) {
			case "0":
				return nil
			case "1":
				f.later(3*time.Minute-time.Second, answer(u, "ok"))
				return nil
			}
			return answer(u, "ok")
		})
		defer f.close(c)
		var said []string
		c.Exchange(t.Context(), requests(9), func(r *Request, _ wire.PDU, err error) time.Duration {
			said = append(said, fmt.Sprint(r.Of, errors.Is(err, ErrUnanswered)))
			return 0
		})
		if !c.Broken() || !errors.Is(c.Why(), ErrSilent) {
			t.Errorf("the connection is not broken: %v", c.Why())
		}
		if took := time.Since(began); took > 4*time.Minute {
			t.Errorf("it took %v", took)
		}
		if !slices.Contains(said, "0 true") || !slices.Contains(said, "1 false") || len(said) != 9 {
			t.Errorf("said was %v", said)
		}
	})
}

// TestExchangeHolds: what was refused for now goes again, with a new sequence,
// before all that stand behind it.
func TestExchangeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		one := timing
		one.Window = 2
		refused := map[string]int{}
		c, f := connect(one, func(_ *farEnd, u wire.PDU) []wire.PDU {
			refused[string(u.Body)]++
			if refused[string(u.Body)] <= 2 && string(u.Body) < "2" {
				return answer(u, "slow")
			}
			return answer(u, "ok")
		})
		defer f.close(c)
		var order []string // in which they were taken
		c.Exchange(t.Context(), requests(4), func(r *Request, a wire.PDU, err error) time.Duration {
			if err != nil {
				t.Error(err)
			}
			if string(a.Body) == "slow" {
				return time.Second << r.Again
			}
			return 0
		})
		for _, u := range f.all()[4:] { // each was refused twice before
			order = append(order, string(u.Body))
		}
		if !slices.Equal(order, []string{"0", "1", "2", "3"}) || time.Since(began) != 3*time.Second {
			t.Errorf("the order is %v, after %v", order, time.Since(began))
		}
		seen := map[wire.Sequence]bool{}
		for _, u := range f.all() {
			if seen[u.Sequence] {
				t.Errorf("%v was used twice", u.Sequence)
			}
			seen[u.Sequence] = true
		}
	})
}

func TestExchangeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := connect(timing, func(*farEnd, wire.PDU) []wire.PDU { return nil })
		defer f.close(c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		said := 0
		more := requests(9)
		c.Exchange(ctx, more, func(r *Request, _ wire.PDU, err error) time.Duration {
			if said++; !errors.Is(err, ErrUnanswered) {
				t.Errorf("request %d: %v", r.Of, err)
			}
			return 0
		})
		if said != timing.Window || !c.Broken() || more().Of != timing.Window {
			t.Errorf("%d were open", said)
		}
		c.Exchange(t.Context(), more, func(*Request, wire.PDU, error) time.Duration { t.Error("a broken connection is used"); return 0 })
	})
}

// shortConn takes only so many octets, and breaks then.
type shortConn struct {
	net.Conn
	left int
}

func (s *shortConn) Write(b []byte) (int, error) {
	n := min(s.left, len(b))
	s.left -= n
	if n < len(b) {
		return n, errors.New("broken pipe")
	}
	return n, nil
}

// TestRequestsThatDidNotLeave are not in doubt: the gateway cannot have heard
// what it has not whole.
func TestRequestsThatDidNotLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := NewConn(&shortConn{near, 2*13 + 5}, protocol, timing, func() wire.Sequence { return wire.Sequence{2: 1} }, nil)
		defer c.Close()
		var said []string
		c.Exchange(t.Context(), requests(9), func(r *Request, _ wire.PDU, err error) time.Duration {
			said = append(said, fmt.Sprint(r.Of, errors.Is(err, ErrUnsent), errors.Is(err, ErrUnanswered)))
			return 0
		})
		slices.Sort(said)
		if want := []string{"0 false true", "1 false true", "2 true false", "3 true false"}; !slices.Equal(said, want) {
			t.Errorf("said was %v, want %v", said, want)
		}
	})
}

// TestExchangeIsTrue: whatever the far end does, what is said of a request is
// true. One that was not sent was not heard; an answer is its own; each is
// settled once.
func TestExchangeIsTrue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(rt, "n")
		script := rapid.SliceOfN(rapid.SampledFrom([]string{"ok", "ok", "ok", "slow", "lose", "late", "end"}), 60, 60).Draw(rt, "script")
		window := timing
		window.Window = rapid.IntRange(1, 8).Draw(rt, "window")
		var lies []string
		synctest.Test(t, func(t *testing.T) { lies = exchangeBy(t.Context(), window, n, script) })
		if len(lies) > 0 {
			rt.Fatal(lies)
		}
	})
}

// exchangeBy has n requests exchanged with a far end that goes by a script, and
// gives what is said wrongly.
func exchangeBy(ctx context.Context, window Timing, n int, script []string) (lies []string) {
	lie := func(format string, args ...any) { lies = append(lies, fmt.Sprintf(format, args...)) }
	step := 0
	c, f := connect(window, func(f *farEnd, u wire.PDU) []wire.PDU {
		what := script[step%len(script)]
		step++
		switch {
		case what == "lose":
			return nil
		case what == "late":
			f.later(90*time.Second, answer(u, what+" "+string(u.Body)))
			return nil
		case what == "end" && step > 20:
			_ = f.conn.Close() // its reader notices
			return nil
		}
		return answer(u, what+" "+string(u.Body))
	})
	settled := map[int]bool{}
	more := requests(n)
	c.Exchange(ctx, more, func(r *Request, a wire.PDU, err error) time.Duration {
		if settled[r.Of] {
			lie("request %d is settled twice", r.Of)
		}
		heard := slices.ContainsFunc(f.all(), func(u wire.PDU) bool { return u.Sequence == r.Sequence })
		if errors.Is(err, ErrUnsent) && heard && r.Again == 0 {
			lie("request %d was heard", r.Of)
		}
		if err == nil {
			var what, body string
			if _, err := fmt.Sscan(string(a.Body), &what, &body); err != nil || body != fmt.Sprint(r.Of) || !heard {
				lie("request %d has the answer %q", r.Of, a.Body)
			}
			if what == "slow" && r.Again < 2 {
				return time.Second
			}
		}
		settled[r.Of] = true
		return 0
	})
	left := 0
	for more() != nil {
		left++
	}
	if len(settled)+left != n || left > 0 && !c.Broken() {
		lie("of %d requests %d are settled, and %d not begun", n, len(settled), left)
	}
	f.close(c)
	return lies
}
