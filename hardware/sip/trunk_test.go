package sip

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sip/siptest"
)

// open opens a trunk until the test ends.
func open(t *testing.T, cfg Config) *Trunk {
	t.Helper()
	if cfg.From == "" {
		cfg.From = "15550100"
	}
	trunk, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trunk.Close(); err != nil {
			t.Error(err)
		}
	})
	return trunk
}

// kinds are the steps of a call, by their kinds.
func kinds(steps []Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, string(s.Kind))
	}
	return strings.Join(all, " ")
}

func TestSIPpIsCalledAndSendsBackWhatItHears(t *testing.T) {
	for _, transport := range []Transport{UDP, TCP} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			args := map[Transport][]string{UDP: {"-t", "u1"}, TCP: {"-t", "t1"}}[transport]
			far := siptest.Answering(t, args...)
			trunk := open(t, Config{Server: far.Addr, Transport: transport, AskEvery: -1})
			call, err := trunk.Call(t.Context(), "+15550199", CallOptions{})
			if err != nil {
				t.Fatalf("%v\n%s", err, far.Said())
			}
			stop := call.Record(time.Minute)
			prompt := siptest.Prompt(t, "Your parcel is here.")
			if heard, err := call.Play(t.Context(), append(prompt, make([]int16, 2000)...)); err != nil || heard < time.Second {
				t.Errorf("%v is heard, %v", heard, err)
			}
			if like := siptest.Likeness(prompt, stop()); like < siptest.Like {
				t.Errorf("it comes back with a likeness of %.3f", like)
			}
			if err := call.Hangup(t.Context()); err != nil {
				t.Errorf("hanging up: %v", err)
			}
			if steps := kinds(call.Timeline()); steps != "dialled ringing answered played hung_up" {
				t.Errorf("the timeline is %s", steps)
			}
			if _, err := call.Play(t.Context(), prompt); ClassOf(err) != Over {
				t.Errorf("after the end: %v", err)
			}
			if n := trunk.Health().Calls; n != 0 {
				t.Errorf("%d calls are left", n)
			}
		})
	}
}

func TestOutcomesAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   Error
	}{
		"busy":         {"486 Busy Here", Error{Class: Busy, Code: 486}},
		"congestion":   {"503 Service Unavailable", Error{Class: Congestion, Code: 503, RetryAfter: 7 * time.Second}},
		"declined":     {"603 Decline", Error{Class: Rejected, Code: 603}},
		"bad number":   {"404 Not Found", Error{Class: BadNumber, Code: 404}},
		"redirected":   {"302 Moved Temporarily", Error{Class: Rejected, Code: 302}},
		"switched off": {"480 Temporarily Unavailable", Error{Class: NoAnswer, Code: 480}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := siptest.Playing(t, siptest.Answer(c.answer, "", "Retry-After: 7;duration=60 (busy day)")+`<recv request="ACK"></recv>`)
			_, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
			var e *Error
			if !errors.As(err, &e) || e.Class != c.want.Class || e.Code != c.want.Code || c.want.RetryAfter != 0 && e.RetryAfter != c.want.RetryAfter || e.Rang {
				t.Errorf("it is %#v (%v)", e, err)
			}
		})
	}
}

// TestAPhoneThatRingsForEverIsCancelled, and though it rings again and again
// it is not taken for one that has answered.
func TestAPhoneThatRingsForEverIsCancelled(t *testing.T) {
	t.Parallel()
	ringing := strings.Repeat(siptest.Answer("180 Ringing", ""), 12)
	far := siptest.Playing(t, ringing+`<recv request="CANCEL"></recv>`+siptest.Answer("200 OK", "")+
		strings.NewReplacer("[last_CSeq:]", "CSeq: 1 INVITE").Replace(siptest.Answer("487 Request Terminated", ""))+`<recv request="ACK"></recv>`, "-m", "1")
	trunk := open(t, Config{Server: far.Addr, AskEvery: -1})
	begun := time.Now()
	_, err := trunk.Call(t.Context(), "15550199", CallOptions{Ring: time.Second})
	var e *Error
	if !errors.As(err, &e) || e.Class != NoAnswer || !e.Rang || !e.Temporary() {
		t.Errorf("it is %#v (%v)", e, err)
	}
	if took := time.Since(begun); took > peers.Patience/2 {
		t.Errorf("it took %v", took)
	}
	far.Succeeded()
}

// TestACallIsNotCancelledBeforeItIsHeardOf: the provider would not know which
// one is meant (RFC 3261, section 9.1). It is as soon as it rings, though nobody
// waits for it any more.
func TestACallIsNotCancelledBeforeItIsHeardOf(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func() (context.Context, CallOptions){
		"it rang for too long": func() (context.Context, CallOptions) {
			return t.Context(), CallOptions{Ring: 200 * time.Millisecond}
		},
		"it was given up": func() (context.Context, CallOptions) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			t.Cleanup(cancel)
			return ctx, CallOptions{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What comes during the pause is not expected, and fails the scenario.
			far := siptest.Playing(t, `<pause milliseconds="450"/>`+siptest.Answer("180 Ringing", "")+`<recv request="CANCEL"></recv>`+siptest.Answer("200 OK", "")+
				strings.NewReplacer("[last_CSeq:]", "CSeq: 1 INVITE").Replace(siptest.Answer("487 Request Terminated", ""))+`<recv request="ACK"></recv>`, "-m", "1")
			trunk := open(t, Config{Server: far.Addr, AskEvery: -1})
			ctx, options := give()
			if call, err := trunk.Call(ctx, "15550199", options); err == nil {
				t.Errorf("%s is answered", call.id)
			}
			far.Succeeded()
		})
	}
}

func TestAnAnswerThatCrossesTheCancelIsHungUp(t *testing.T) {
	t.Parallel()
	answer := strings.NewReplacer("[last_CSeq:]", "CSeq: 1 INVITE").Replace(siptest.Answer("200 OK", siptest.Sound))
	far := siptest.Playing(t, siptest.Answer("180 Ringing", "")+`<recv request="CANCEL"></recv>`+siptest.Answer("481 Unknown", "")+answer+
		`<recv request="ACK"></recv><recv request="BYE"></recv>`+siptest.Answer("200 OK", ""), "-m", "1")
	trunk := open(t, Config{Server: far.Addr, AskEvery: -1})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := trunk.Call(ctx, "15550199", CallOptions{Watch: func(s Step) {
		if s.Kind == Ringing {
			cancel()
		}
	}})
	if ClassOf(err) != GivenUp || !errors.Is(err, context.Canceled) {
		t.Errorf("it is %v", err)
	}
	far.Succeeded()
}

// TestWhoAnswersAsItIsGivenUpIsSpokenTo, rather than hung up on and called
// again.
func TestWhoAnswersAsItIsGivenUpIsSpokenTo(t *testing.T) {
	t.Parallel()
	far := siptest.Playing(t, siptest.Answer("180 Ringing", "")+`<recv request="CANCEL"></recv>`+siptest.Answer("481 Unknown", "")+
		strings.NewReplacer("[last_CSeq:]", "CSeq: 1 INVITE").Replace(siptest.Answer("200 OK", siptest.Sound))+
		siptest.Gets("ACK")+siptest.Gets("BYE")+siptest.Answer("200 OK", ""), "-m", "1")
	call, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{Ring: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Play(t.Context(), make([]int16, 800)); err != nil {
		t.Error(err)
	}
	if err := call.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	if steps := kinds(call.Timeline()); steps != "dialled ringing answered played hung_up" {
		t.Errorf("the timeline is %s", steps)
	}
	far.Succeeded()
}

func TestASilentProviderIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	address, _ := siptest.Free(t)
	trunk := open(t, Config{Server: address, Response: 300 * time.Millisecond, AskEvery: time.Hour})
	_, err := trunk.Call(t.Context(), "15550199", CallOptions{})
	if ClassOf(err) != Unreachable {
		t.Errorf("it is %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := trunk.Ready(ctx); err == nil || trunk.Health().Reachable {
		t.Errorf("it is ready: %+v, %v", trunk.Health(), err)
	}
}

// TestACallThatWasGivenUpIsNotAskedForAgain: the provider is silent until the
// call has been given up, and comes back then.
func TestACallThatWasGivenUpIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	trunk := open(t, Config{Server: far.LocalAddr().String(), Response: 300 * time.Millisecond, AskEvery: -1})
	if _, err := trunk.Call(t.Context(), "15550199", CallOptions{}); ClassOf(err) != Unreachable {
		t.Errorf("it is %v", err)
	}
	read := func(within time.Duration) (string, net.Addr) {
		buf := make([]byte, 4096)
		if err := far.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		n, from, err := far.ReadFrom(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		return string(buf[:n]), from
	}
	invite, caller := read(30 * time.Second)
	if !strings.HasPrefix(invite, "INVITE ") {
		t.Fatalf("it is asked %q", invite)
	}
	asked := 1 // RFC 3261, section 17.1.1.2: it would be asked after 0.5, 1.5 and 3.5 s
	for again, _ := read(3 * time.Second); again != ""; again, _ = read(3 * time.Second) {
		asked++
	}
	if asked > 3 {
		t.Errorf("it is asked %d times", asked)
	}
	ringing := "SIP/2.0 180 Ringing\r\n"
	for line := range strings.Lines(invite) {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Via", "From", "Call-ID", "CSeq":
			ringing += line
		case "To":
			ringing += strings.TrimSpace(line) + ";tag=far\r\n"
		}
	}
	if _, err := far.WriteTo([]byte(ringing+"Content-Length: 0\r\n\r\n"), caller); err != nil {
		t.Fatal(err)
	}
	if request, _ := read(30 * time.Second); !strings.HasPrefix(request, "CANCEL ") {
		t.Errorf("it rings all the same, and is asked %q", request)
	}
}

func TestEarlySoundIsNoAnswer(t *testing.T) {
	t.Parallel()
	// Its description comes with the early sound, and never again; and the
	// answer comes twice, as if our ACK had been lost.
	far := siptest.Playing(t, siptest.Answer("183 Session Progress", siptest.Sound)+siptest.Answer("200 OK", "")+siptest.Gets("ACK")+
		siptest.AnswerAgain("200 OK")+siptest.Gets("ACK")+siptest.Gets("BYE")+siptest.Answer("200 OK", ""), "-m", "1", "-nr")
	call, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if heard, err := call.Play(t.Context(), make([]int16, 1600)); heard != 200*time.Millisecond || err != nil {
		t.Errorf("%v is heard, %v", heard, err)
	}
	if err := call.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	if steps := kinds(call.Timeline()); steps != "dialled early_sound answered played hung_up" {
		t.Errorf("the timeline is %s", steps)
	}
	far.Succeeded()
}

func TestAFarEndMayHoldRefreshPressAndHangUp(t *testing.T) {
	t.Parallel()
	hold := siptest.Sound + "\na=sendonly"
	refresh := []string{"Session-Expires: 90;refresher=uac", "Supported: timer", "Content-Type: application/sdp"}
	far := siptest.Playing(t, siptest.Answer("200 OK", siptest.Sound)+siptest.Gets("ACK")+
		siptest.Ask("INVITE", 1, hold, refresh...)+`<recv response="100" optional="true"></recv><recv response="200"><action>
<ereg regexp="90;refresher=uac" search_in="hdr" header="Session-Expires:" check_it="true" assign_to="dummy"/>
<ereg regexp="a=recvonly" search_in="body" check_it="true" assign_to="dummy"/></action></recv><Reference variables="dummy"/>`+siptest.Ask("ACK", 1, "")+
		siptest.Ask("INVITE", 2, "")+`<recv response="100" optional="true"></recv>`+siptest.Gets("200")+siptest.Ask("ACK", 2, siptest.Sound, "Content-Type: application/sdp")+
		siptest.Ask("UPDATE", 3, siptest.Sound, refresh...)+siptest.Gets("200")+
		siptest.Ask("INFO", 4, "Signal=5\nDuration=160", "Content-Type: application/dtmf-relay")+siptest.Gets("200")+
		siptest.Ask("OPTIONS", 5, "")+siptest.Gets("200")+
		siptest.Ask("INVITE", 6, "v=0", "Content-Type: application/sdp")+`<recv response="100" optional="true"></recv>`+siptest.Gets("488")+siptest.Ask("ACK", 6, "")+
		siptest.Ask("BYE", 7, "")+siptest.Gets("200"), "-m", "1")
	call, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	far.HangsUp(t, call.Done())
	steps := call.Timeline()
	if got := kinds(steps); got != "dialled answered held resumed pressed hung_up" || steps[len(steps)-1].By != Them {
		t.Errorf("the timeline is %s, %+v", got, steps[len(steps)-1])
	}
	if digit := <-call.Digits(); digit != '5' {
		t.Errorf("it pressed %c", digit)
	}
	if err := call.Hangup(t.Context()); err != nil {
		t.Errorf("a call that is over: %v", err)
	}
	far.Succeeded()
}

// TestAnAnswerToAReinviteIsSentUntilItIsAcknowledged (RFC 3261, section
// 13.3.1.4), and no more after that.
func TestAnAnswerToAReinviteIsSentUntilItIsAcknowledged(t *testing.T) {
	t.Parallel()
	far := siptest.Playing(t, siptest.Answer("200 OK", siptest.Sound)+siptest.Gets("ACK")+
		siptest.Ask("INVITE", 1, siptest.Sound, "Content-Type: application/sdp")+`<recv response="100" optional="true"></recv>`+
		siptest.Gets("200")+siptest.Gets("200")+siptest.Ask("ACK", 1, "")+
		`<recv response="200" timeout="1300" ontimeout="1"></recv><recv request="REGISTER"></recv><label id="1"/>`+ // which never comes
		siptest.Ask("BYE", 2, "")+siptest.Gets("200"), "-m", "1", "-nr")
	call, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	far.HangsUp(t, call.Done())
	far.Succeeded()
}

// TestASecondPhoneThatAnswersIsHungUp: a provider may ring several (RFC 3261,
// section 13.2.2.4), and who was first is spoken to.
func TestASecondPhoneThatAnswersIsHungUp(t *testing.T) {
	t.Parallel()
	second := strings.NewReplacer("tag=far", "tag=second").Replace(siptest.AnswerAgain("200 OK"))
	far := siptest.Playing(t, siptest.Answer("200 OK", siptest.Sound)+siptest.Gets("ACK")+
		second+siptest.Gets("ACK")+`<recv request="BYE"><action>
<ereg regexp="tag=second" search_in="hdr" header="To:" check_it="true" assign_to="dummy"/></action></recv><Reference variables="dummy"/>`+
		strings.NewReplacer(";tag=far[call_number]", "").Replace(siptest.Answer("200 OK", ""))+
		siptest.Ask("BYE", 1, "")+siptest.Gets("200"), "-m", "1", "-nr")
	call, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-call.Done(): // by the first
	case <-time.After(peers.Patience):
		t.Fatalf("the second is not hung up:\n%s", far.Said())
	}
	far.Succeeded()
}

func TestACallerIsPassedOn(t *testing.T) {
	notice := func(number int, line string) string {
		return siptest.Ask("NOTIFY", number, line, "Event: refer", "Subscription-State: active", "Content-Type: message/sipfrag") + siptest.Gets("200")
	}
	for name, c := range map[string]struct {
		after string
		want  Class
		steps string
	}{
		"to somebody who answers": {
			siptest.Answer("202 Accepted", "") + notice(1, "SIP/2.0 100 Trying") + notice(2, "SIP/2.0 200 OK") + siptest.Gets("BYE") + siptest.Answer("200 OK", ""),
			"", "dialled answered transferred hung_up",
		},
		"and they hang up at once": {
			siptest.Answer("202 Accepted", "") + siptest.Ask("BYE", 1, "") + siptest.Gets("200"),
			"", "dialled answered hung_up transferred",
		},
		"to somebody who is busy": {
			siptest.Answer("202 Accepted", "") + notice(1, "SIP/2.0 486 Busy Here") + siptest.Gets("BYE") + siptest.Answer("200 OK", ""),
			Busy, "dialled answered hung_up",
		},
		"by who cannot": {
			siptest.Answer("501 Not Implemented", "") + siptest.Gets("BYE") + siptest.Answer("200 OK", ""),
			Congestion, "dialled answered hung_up",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := siptest.Playing(t, siptest.Answer("200 OK", siptest.Sound)+siptest.Gets("ACK")+siptest.Gets("REFER")+c.after, "-m", "1")
			call, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := call.Transfer(t.Context(), "+15550111"); ClassOf(err) != c.want {
				t.Errorf("it is %v", err)
			}
			if err := call.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
			if steps := kinds(call.Timeline()); steps != c.steps {
				t.Errorf("the timeline is %s", steps)
			}
			far.Succeeded()
		})
	}
}
