package sip_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sim/phone"
	"herald/hardware/sim/simtest"
	"herald/hardware/sip"
	"herald/hardware/sip/media"
	"herald/hardware/sip/siptest"
)

// phones starts phones until the test ends.
func phones(t *testing.T, cfg phone.Config, faults ...phone.Fault) *phone.Phone {
	t.Helper()
	p := simtest.Start(t, phone.New(cfg))
	if err := p.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	return p
}

// trunk opens one until the test ends.
func trunk(t *testing.T, cfg sip.Config) *sip.Trunk {
	t.Helper()
	cfg.From = "15550100"
	line, err := sip.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := line.Close(); err != nil {
			t.Error(err)
		}
	})
	return line
}

func last(t *testing.T, p *phone.Phone, n int64) phone.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	defer cancel()
	if err := p.Calls().WaitFor(ctx, func(_ []phone.Call, total int64) bool { return total >= n }); err != nil {
		t.Fatal(err)
	}
	all := p.Calls().All()
	return all[len(all)-1]
}

func TestACallByEachTransport(t *testing.T) {
	t.Parallel()
	server, client := siptest.Certificate(t)
	p := phones(t, phone.Config{TLS: server}, phone.Fault{Kind: phone.Quiet, Early: true, AnswerAfter: phone.Duration(300 * time.Millisecond), Press: []phone.Press{{Digits: "11#"}}})
	var made int64
	for transport, address := range map[sip.Transport]string{sip.UDP: p.Addr(), sip.TCP: p.Addr(), sip.TLS: p.TLSAddr()} {
		line := trunk(t, sip.Config{Server: address, Transport: transport, TLS: client, Username: "herald", Register: true})
		if err := line.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		call, err := line.Call(t.Context(), "+15550142", sip.CallOptions{ID: "of-" + string(transport)})
		if err != nil {
			t.Fatalf("%s: %v", transport, err)
		}
		var pressed []rune
		for range 3 {
			pressed = append(pressed, <-call.Digits())
		}
		if err := call.Press(t.Context(), "90"); err != nil {
			t.Errorf("%s: %v", transport, err)
		}
		if err := call.Transfer(t.Context(), "15550155"); err != nil {
			t.Errorf("%s: passing on: %v", transport, err)
		}
		if string(pressed) != "11#" {
			t.Errorf("%s: pressed was %q", transport, string(pressed))
		}
		made++
		if c := last(t, p, made); c.CallID != "of-"+string(transport) || c.Digits != "90" || c.Transferred != "15550155" || c.To != "+15550142" || c.From != "15550100" {
			t.Errorf("%s: the call was %+v", transport, c)
		}
		if steps := call.Timeline(); !slices.ContainsFunc(steps, func(s sip.Step) bool { return s.Kind == sip.EarlySound }) {
			t.Errorf("%s: the timeline is %+v", transport, steps)
		}
	}
}

func TestAPhoneThatNobodyAnswersIsCancelled(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{}, phone.Fault{Kind: phone.NoAnswer})
	_, err := trunk(t, sip.Config{Server: p.Addr()}).Call(t.Context(), "15550142", sip.CallOptions{Ring: 300 * time.Millisecond})
	if sip.ClassOf(err) != sip.NoAnswer {
		t.Errorf("it is %v", err)
	}
	if c := last(t, p, 1); c.Answered || c.HungUp != "caller" {
		t.Errorf("the call was %+v", c)
	}
}

func TestAPhoneThatVanishesIsHungUpOn(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{}, phone.Fault{Kind: phone.Person, HangUpAfter: phone.Duration(100 * time.Millisecond), Vanish: true})
	call, err := trunk(t, sip.Config{Server: p.Addr(), Quiet: 500 * time.Millisecond, Local: "0.0.0.0"}).Call(t.Context(), "15550142", sip.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	<-call.Done()
	steps := call.Timeline()
	if end := steps[len(steps)-1]; end.Kind != sip.HungUp || end.By != sip.Silence {
		t.Errorf("it ends with %+v", end)
	}
	if c := last(t, p, 1); c.HungUp != "caller" {
		t.Errorf("the call was %+v", c)
	}
}

func TestALineThatIsClosedHangsUp(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{}, phone.Fault{Number: "1", Kind: phone.NoAnswer})
	line, err := sip.Open(t.Context(), sip.Config{Server: p.Addr(), From: "15550100"})
	if err != nil {
		t.Fatal(err)
	}
	call, err := line.Call(t.Context(), "2", sip.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rings, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := line.Call(t.Context(), "1", sip.CallOptions{Watch: func(s sip.Step) {
			if s.Kind == sip.Ringing {
				close(rings)
			}
		}})
		ended <- err
	}()
	<-rings
	if err := line.Close(); err != nil {
		t.Error(err)
	}
	<-call.Done()
	if err := <-ended; sip.ClassOf(err) != sip.GivenUp {
		t.Errorf("the one that rings ends with %v", err)
	}
	last(t, p, 2)
	for _, c := range p.Calls().All() {
		if c.HungUp != "caller" {
			t.Errorf("a call was %+v", c)
		}
	}
	if _, err := line.Call(t.Context(), "2", sip.CallOptions{}); err == nil {
		t.Error("a closed line calls")
	}
}

// evenness measures, until stop is called, how evenly packets come on this
// machine, which others use, too: of as many streams, each sent by a bare ticker
// over a socket of its own, how much the time between two deviates from 20 ms.
func evenness(t *testing.T, streams int) (stop func() []time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var deviations []time.Duration
	var measuring sync.WaitGroup
	over := make(chan struct{})
	for range streams {
		ear, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		mouth, err := net.Dial("udp4", ear.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		measuring.Go(func() {
			tick := time.NewTicker(media.FrameTime)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					_, _ = mouth.Write(make([]byte, media.FrameSamples)) // one that is lost is not measured
				case <-over:
					_ = errors.Join(mouth.Close(), ear.Close()) // the ear hears of it
					return
				}
			}
		})
		measuring.Go(func() {
			packet := make([]byte, media.FrameSamples)
			for before := (time.Time{}); ; {
				if _, _, err := ear.ReadFrom(packet); err != nil {
					return
				}
				now := time.Now()
				if !before.IsZero() {
					mu.Lock()
					deviations = append(deviations, (now.Sub(before) - media.FrameTime).Abs())
					mu.Unlock()
				}
				before = now
			}
		})
	}
	return func() []time.Duration {
		close(over)
		measuring.Wait()
		return deviations
	}
}

// p99 is what 99 of a hundred are at most.
func p99(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)*99/100]
}

// TestTenCallsAtOnce are all heard, and their packets are even: of the time
// between two, the deviation from 20 ms. Where the machine is so busy that it
// wakes nobody in time, they are compared with packets of bare tickers, and
// measured again.
func TestTenCallsAtOnce(t *testing.T) {
	const rounds, calls, most = 3, 10, 10 * time.Millisecond
	prompt := siptest.Prompt(t, "Your train leaves at ten from platform two.")
	for range rounds {
		measured := evenness(t, calls)
		deviations, like := callMany(t, calls, prompt)
		ours, bare := p99(deviations), p99(measured())
		if like < siptest.Like {
			t.Errorf("one is heard with a likeness of %.3f", like)
		}
		t.Logf("p99 of the deviations: %v, of bare tickers': %v", ours, bare)
		if ours <= max(most, 2*bare) {
			return
		}
	}
	t.Error("the packets are not even")
}

// callMany makes calls at once, and gives by how much the time between two
// packets of theirs deviated, and the likeness of what was heard least well.
func callMany(t *testing.T, many int, prompt []int16) (deviations []time.Duration, like float64) {
	t.Helper()
	var wheel media.Wheel
	p := phones(t, phone.Config{Wheel: &wheel}, phone.Fault{Kind: phone.Quiet})
	line := trunk(t, sip.Config{Server: p.Addr(), Wheel: &wheel})
	var calling sync.WaitGroup
	var mu sync.Mutex
	for range many {
		calling.Go(func() {
			call, err := line.Call(t.Context(), "15550142", sip.CallOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			var before time.Time
			const first = 5 // they came while the answer was on its way
			heard := 0
			stop := call.Listen(func([]int16) {
				now := time.Now()
				mu.Lock()
				defer mu.Unlock()
				if heard++; heard > first {
					deviations = append(deviations, (now.Sub(before) - media.FrameTime).Abs())
				}
				before = now
			})
			if _, err := call.Play(t.Context(), prompt); err != nil {
				t.Error(err)
			}
			stop()
			if err := call.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	calling.Wait()
	last(t, p, int64(many))
	like = 1
	for _, c := range p.Calls().All() {
		like = min(like, siptest.Likeness(prompt, c.Heard))
	}
	mu.Lock()
	defer mu.Unlock()
	return deviations, like
}

// TestManyCallsShareAConnection of TCP or TLS, and one of them outlasts the
// others.
func TestManyCallsShareAConnection(t *testing.T) {
	t.Parallel()
	server, client := siptest.Certificate(t)
	for _, transport := range []sip.Transport{sip.TCP, sip.TLS} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			p := phones(t, phone.Config{TLS: server}, phone.Fault{Kind: phone.Quiet})
			at := map[sip.Transport]string{sip.TCP: p.Addr(), sip.TLS: p.TLSAddr()}[transport]
			line := trunk(t, sip.Config{Server: at, Transport: transport, TLS: client, AskEvery: 50 * time.Millisecond, Local: "0.0.0.0"})
			long, err := line.Call(t.Context(), "1", sip.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for range 30 {
				call, err := line.Call(t.Context(), "2", sip.CallOptions{})
				if err == nil {
					err = call.Hangup(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := long.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
			if err := line.Ready(t.Context()); err != nil {
				t.Error(err)
			}
			if h := line.Health(); !h.Reachable || h.Calls != 0 {
				t.Errorf("the line stands %+v", h)
			}
		})
	}
}

// TestAConnectionThatBrokeIsMadeAnew, when the provider is there again.
func TestAConnectionThatBrokeIsMadeAnew(t *testing.T) {
	t.Parallel()
	server, client := siptest.Certificate(t)
	for _, transport := range []sip.Transport{sip.TCP, sip.TLS} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			before := phones(t, phone.Config{TLS: server})
			at := map[sip.Transport]string{sip.TCP: before.Addr(), sip.TLS: before.TLSAddr()}[transport]
			line := trunk(t, sip.Config{Server: at, Transport: transport, TLS: client, AskEvery: -1})
			call, err := line.Call(t.Context(), "1", sip.CallOptions{})
			if err == nil {
				err = call.Hangup(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			cfg := phone.Config{TLS: server, Addr: before.Addr(), TLSAddr: before.TLSAddr()}
			if err := before.Close(); err != nil {
				t.Fatal(err)
			}
			phones(t, cfg, phone.Fault{Kind: phone.Person, HangUpAfter: phone.Duration(100 * time.Millisecond)})
			call, err = line.Call(t.Context(), "1", sip.CallOptions{})
			if sip.ClassOf(err) == sip.Unreachable { // it had not heard yet that the other is gone
				call, err = line.Call(t.Context(), "1", sip.CallOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
			<-call.Done()
			steps := call.Timeline()
			if end := steps[len(steps)-1]; end.By != sip.Them {
				t.Errorf("it ends with %+v", end)
			}
		})
	}
}

// TestWhoGivesUpAConnectionGivesUpForItselfOnly: whether the provider is there
// is asked by a connection that never comes about, and given up soon. The call
// that waited for it has another.
func TestWhoGivesUpAConnectionGivesUpForItselfOnly(t *testing.T) {
	t.Parallel()
	server, client := siptest.Certificate(t)
	p := phones(t, phone.Config{TLS: server}, phone.Fault{Kind: phone.Quiet})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = l.Close() }) // the last
	serving.Go(func() {
		for first := true; ; first = false {
			near, err := l.Accept()
			if err != nil {
				return
			}
			if first { // it is heard, and nobody answers
				close(asked)
				serving.Go(func() { _, _ = io.Copy(io.Discard, near); _ = near.Close() })
				continue
			}
			far, err := net.Dial("tcp", p.TLSAddr())
			if err != nil {
				t.Error(err)
				return
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				serving.Go(func() { _, _ = io.Copy(way[0], way[1]); _ = way[0].Close() })
			}
		}
	})
	line := trunk(t, sip.Config{Server: l.Addr().String(), Transport: sip.TLS, TLS: client, AskEvery: 300 * time.Millisecond})
	<-asked
	call, err := line.Call(t.Context(), "1", sip.CallOptions{})
	if err == nil {
		err = call.Hangup(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}
