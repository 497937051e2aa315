package link

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herald/dispatch/sms/wire"
)

// TestSilentGatewayIsAsked after Idle, and given up after Tries questions.
func TestSilentGatewayIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := timing
		idle.Idle = 3 * time.Minute
		var gone atomic.Bool
		c, f := connect(idle, func(_ *farEnd, u wire.PDU) []wire.PDU {
			if !gone.Load() && u.Command == protocol.Probe {
				return answer(u, "")
			}
			return nil
		})
		defer f.close(c)
		time.Sleep(time.Hour + time.Second)
		if c.Broken() || len(f.all()) != 20 {
			t.Errorf("it was asked %d times in an hour: %v", len(f.all()), c.Why())
		}
		gone.Store(true)
		began := time.Now()
		<-c.Ended()
		if took := time.Since(began); took > 6*time.Minute || !errors.Is(c.Why(), ErrSilent) || len(f.all()) != 23 {
			t.Errorf("after %v and %d questions: %v", took, len(f.all()), c.Why())
		}
		if err := c.Probe(t.Context()); err == nil {
			t.Error("it is there")
		}
	})
}

// TestWhoNeverAsksLeaves a silent connection, with a word.
func TestWhoNeverAsksLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		silent := protocol
		silent.Probe = 0
		c := NewConn(near, silent, Timing{Window: 1, Answer: time.Second, Tries: 1, Idle: time.Minute}, func() wire.Sequence { return wire.Sequence{} }, nil)
		defer c.Close()
		u, err := protocol.Read(far)
		if err != nil || u.Command != protocol.Leave {
			t.Errorf("it says %+v, %v", u, err)
		}
		<-c.Ended()
		if !errors.Is(c.Why(), ErrIdle) {
			t.Errorf("it ended with %v", c.Why())
		}
	})
}

func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := connect(timing, func(_ *farEnd, u wire.PDU) []wire.PDU {
			if u.Command == 7 {
				return nil
			}
			return append(answer(wire.PDU{Command: u.Command, Sequence: wire.Sequence{2: 99}}, "of nobody"), answer(u, "ok")...)
		})
		defer f.close(c)
		if a, err := c.Ask(t.Context(), request, nil); err != nil || string(a.Body) != "ok" {
			t.Errorf("the answer is %+v, %v", a, err)
		}
		if _, err := c.Ask(t.Context(), 7, nil); !errors.Is(err, ErrSilent) || !c.Broken() {
			t.Errorf("no answer gives %v", err)
		}
		if _, err := c.Ask(t.Context(), request, nil); err == nil {
			t.Error("a broken connection answers")
		}
	})
}

func TestAskEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := connect(timing, func(*farEnd, wire.PDU) []wire.PDU { return nil })
		defer f.close(c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Ask(ctx, request, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it gives %v", err)
		}
	})
}

// TestLeave waits for a gateway that does not say goodbye, but not long.
func TestLeave(t *testing.T) {
	for answers, waits := range map[bool]time.Duration{true: 0, false: goodbye} {
		synctest.Test(t, func(t *testing.T) {
			c, f := connect(timing, func(_ *farEnd, u wire.PDU) []wire.PDU {
				if answers {
					return answer(u, "")
				}
				return nil
			})
			defer f.close(c)
			began := time.Now()
			c.Leave(t.Context())
			if all := f.all(); time.Since(began) != waits || len(all) != 1 || all[0].Command != protocol.Leave || !c.Broken() {
				t.Errorf("after %v, heard was %+v", time.Since(began), all)
			}
			c.Leave(t.Context())
			if len(f.all()) != 1 {
				t.Error("it is left twice")
			}
		})
	}
}

// TestGatewayThatReadsNothing breaks the connection, and holds nobody up.
func TestGatewayThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe() // takes nothing that is not read
		defer far.Close()
		c := NewConn(near, protocol, timing, func() wire.Sequence { return wire.Sequence{} }, nil)
		defer c.Close()
		began := time.Now()
		if err := c.Tell(wire.PDU{Command: request}); err == nil || time.Since(began) != timing.Answer || !c.Broken() {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestGreet(t *testing.T) {
	for name, c := range map[string]struct {
		says []wire.PDU
		fine bool
	}{
		"an answer":              {[]wire.PDU{{Command: reply, Sequence: wire.Sequence{2: 1}}}, true},
		"an answer to another":   {[]wire.PDU{{Command: reply, Sequence: wire.Sequence{2: 2}}}, false},
		"a request":              {[]wire.PDU{{Command: request, Sequence: wire.Sequence{2: 1}}}, false},
		"nothing before it ends": {nil, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				defer far.Close()
				if _, err := protocol.Read(far); err != nil {
					t.Error(err)
				}
				for _, u := range c.says {
					_, _ = far.Write(protocol.Append(nil, u)) // it may have left
				}
			}()
			_, err := Greet(t.Context(), near, protocol, wire.PDU{Command: request, Sequence: wire.Sequence{2: 1}})
			if (err == nil) != c.fine {
				t.Errorf("%s gives %v", name, err)
			}
			synctest.Wait()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := Greet(ctx, near, protocol, wire.PDU{Command: request}); err == nil || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[int](3)
		var taken []int
		put := func(key string, n int) bool { return q.put(key, n, func() { taken = append(taken, n) }) }
		if !put("a", 1) || !put("b", 2) || !put("a", 3) || !put("c", 4) || put("d", 5) {
			t.Error("it does not keep three")
		}
		failing := errors.New("away")
		var given []int
		if err := q.run(t.Context(), func(_ context.Context, all []int) error { given = all; return failing }); !errors.Is(err, failing) {
			t.Errorf("it gives %v", err)
		}
		if len(taken) != 0 || !slices.Equal(given, []int{1, 2, 4}) {
			t.Errorf("given was %v, acknowledged %v", given, taken)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			if !put("e", 6) {
				t.Error("there is no room")
			}
			time.Sleep(time.Second)
			cancel()
		}()
		var all []int
		if err := q.run(ctx, func(_ context.Context, some []int) error { all = append(all, some...); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("it gives %v", err)
		}
		// "a" was told again, so its second telling is acknowledged.
		if !slices.Equal(all, []int{1, 2, 4, 6}) || !slices.Equal(taken, []int{3, 2, 4, 6}) {
			t.Errorf("given was %v, acknowledged %v", all, taken)
		}
	})
}
