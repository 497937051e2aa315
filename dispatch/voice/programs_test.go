package voice

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/e2e/peers"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/siptest"
	"herald/hardware/sip/tones"
)

const (
	offered  = "Good day Ann. The kettle now costs thirty nine dollars."
	question = "Press one to confirm, nine to stop these calls."
	// another prompt, about as long as offered.
	unsaid = "The library remains closed on Friday, because of a holiday."
)

// never asks whether the provider is there: these programs are but one call's.
func never(a *Account) { a.AskEvery, a.RingFor = -1, 5*time.Second }

// callee makes baresip answer, say something and then listen for a while.
func callee(t *testing.T, says ...[]int16) siptest.Baresip {
	t.Helper()
	return siptest.Phone(t, append(slices.Concat(says...), make([]int16, 30*g711.Rate)...), "")
}

// isHeard checks a recording for what was said, and for what was not.
func isHeard(t *testing.T, text string, heard []int16) {
	t.Helper()
	said := siptest.Prompt(t, text)
	if like := siptest.Likeness(said, heard); like < siptest.Like {
		t.Errorf("it is heard with a likeness of %.3f", like)
	}
	if like := siptest.Likeness(siptest.Prompt(t, unsaid), heard); like > siptest.Unlike {
		t.Errorf("another prompt has a likeness of %.3f", like)
	}
	if a, b := siptest.Sounding(said), siptest.Sounding(heard); (a - b).Abs() > 200*time.Millisecond {
		t.Errorf("%v sound for %v", a, b)
	}
}

func TestBaresipHearsTheMessageAndItsDigitsTakeEffect(t *testing.T) {
	t.Parallel()
	source := "steps: [{say: \"" + offered + "\"}, {gather: {say: \"" + question + "\", wait: 10s, choices: {1: [{confirm: true}], 9: [{stop: true}]}}}]"
	for name, c := range map[string]struct{ digit, told, reported string }{
		"confirmed": {"1", "pressed 1, confirmed", "delivered"},
		"stopped":   {"9", "pressed 9, stopped", "unsubscribed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := callee(t)
			b := start(t, far.Addr, never, reader{t})
			m := b.message(t, "callee", source)
			wait := b.sending(t, patience(t), m)
			far.UntilSaid("Call established")
			far.Command(t, "sndcode", c.digit) // while the message is said: it waits for the question
			receipt, call, err := wait()
			if err != nil || call.AnsweredBy != person || call.Heard != call.Of {
				t.Fatalf("it comes to %+v, %v, %+v\n%s", receipt, err, call, far.Said())
			}
			isHeard(t, offered, far.Heard(t))
			told := b.told(t, m)
			for _, want := range strings.Split(c.told, ", ") {
				if !strings.Contains(told, want) {
					t.Errorf("it is told %q, want %s", told, want)
				}
			}
			if reports := b.reported(t, 1); len(reports) != 1 || reports[0] != m.DeliveryID.String()+" "+c.reported {
				t.Errorf("reported is %q", reports)
			}
		})
	}
}

func TestBaresipAsAMachineIsLeftTheMessageAfterItsBeep(t *testing.T) {
	t.Parallel()
	greeting := slices.Concat(
		siptest.Prompt(t, "Hello. This is the answering machine of Ann. Please leave a message."),
		make([]int16, g711.Rate/2), tones.Sine(1000, 400*time.Millisecond, 8000),
	)
	far := callee(t, greeting)
	b := start(t, far.Addr, func(a *Account) { never(a); a.Machines.Ignore = false }, reader{t})
	m := b.message(t, "callee", "steps: [{say: \""+offered+"\"}]")
	receipt, call, err := b.send(t, m)
	if err != nil || call.AnsweredBy != machine || call.Outcome != left {
		t.Fatalf("it comes to %+v, %v, %+v", receipt, err, call)
	}
	isHeard(t, offered, far.Heard(t))
	at := map[string]time.Time{}
	for _, s := range call.Steps {
		at[s.Code] = s.At
	}
	// What was heard is noted at the end of the message.
	if early := at[codeAnswered].Add(lasts(greeting) + call.Of).Sub(at[codeHeard]); early > 0 {
		t.Errorf("%v of the message are said into the greeting", early)
	}
	if calls, err := b.deps.Store.untold(t.Context(), "trunk", time.Now()); err != nil || len(calls) != 0 {
		t.Errorf("to be reported are %+v, %v", calls, err)
	}
}

func TestBaresipIsRecordedWithConsent(t *testing.T) {
	t.Parallel()
	const wish = "I want the kettle in red, please."
	far := callee(t, make([]int16, 4*g711.Rate), siptest.Prompt(t, wish))
	b := start(t, far.Addr, func(a *Account) { never(a); a.Record = true }, whistler{})
	m := b.message(t, "callee", "steps: [{say: Good day.}, {record: {ask: May we record this call?, yes: 1}}, {pause: 6s}]")
	wait := b.sending(t, patience(t), m)
	far.UntilSaid("Call established")
	again := time.NewTicker(300 * time.Millisecond) // what is pressed before the question is no answer to it
	defer again.Stop()
	for !b.written(t, m).has(codeConsented) {
		far.Command(t, "sndcode", "1")
		<-again.C
	}
	if _, call, err := wait(); err != nil {
		t.Fatalf("it comes to %v, %+v", err, call)
	}
	entries, err := b.deps.Store.Entries(t.Context(), []uuid.UUID{m.DeliveryID})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(entries, func(e dispatch.Entry) bool { return e.Code == codeRecorded })
	if at < 0 {
		t.Fatalf("nothing is recorded: %v\n%s", b.told(t, m), far.Said())
	}
	recording, err := b.deps.Store.Recording(t.Context(), entries[at].Detail["recording"].(uuid.UUID))
	if err != nil {
		t.Fatal(err)
	}
	sound := g711.Mu.Decode(recording.WAV[bytes.Index(recording.WAV, []byte("data"))+8:])
	if like := siptest.Likeness(siptest.Prompt(t, wish), sound); like < siptest.Like {
		t.Errorf("it is recorded with a likeness of %.3f", like)
	}
}

func TestSIPpDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scenario string
		code     string
		after    time.Duration
		told     string
	}{
		"busy": {siptest.Answer("486 Busy Here", "") + siptest.Gets("ACK"), "SIP 486", 5 * time.Minute, "dialled, failed busy"},
		"no answer": {
			siptest.Answer("180 Ringing", "") + siptest.Gets("CANCEL") + siptest.Answer("200 OK", "") + siptest.AnswerAgain("487 Request Terminated") + siptest.Gets("ACK"),
			"", 30 * time.Minute, "dialled, ringing, failed no_answer",
		},
		"no line": {
			siptest.Answer("503 Service Unavailable", "", "Retry-After: 1800") + siptest.Gets("ACK"), "SIP 503", 30 * time.Minute, "dialled, failed congestion",
		},
		"an announcement, and busy": {
			siptest.Answer("183 Session Progress", siptest.Sound) + siptest.Answer("486 Busy Here", "") + siptest.Gets("ACK"), "SIP 486", 5 * time.Minute, "dialled, failed busy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := siptest.Playing(t, c.scenario, "-m", "1")
			b := start(t, far.Addr, func(a *Account) { never(a); a.RingFor = 3 * time.Second }, whistler{})
			m := b.message(t, "+15550201", asks)
			_, call, err := b.send(t, m)
			var failure *dispatch.SendError
			if !errors.As(err, &failure) || failure.Class != dispatch.Transient || failure.Code != c.code || failure.After != c.after {
				t.Errorf("it comes to %#v\n%s", failure, far.Said())
			}
			if told := b.told(t, m); told != c.told || call.EndedAt == nil {
				t.Errorf("it is told %q of %+v", told, call)
			}
			far.Succeeded()
		})
	}
}

func TestKamailioDoesNotKnowUs(t *testing.T) {
	t.Parallel()
	proxy := siptest.Kamailio(t, "127.0.0.1:9")
	b := start(t, proxy.Addr, func(a *Account) {
		never(a)
		a.Domain, a.Username, a.Password = "herald.example", "herald", "guess"
	}, whistler{})
	_, call, err := b.send(t, b.message(t, "+15550201", asks)) // it is found out by the call
	if failure := asSendError(t, err); failure.Class != dispatch.Configuration || call.Outcome != "credentials" {
		t.Errorf("a call comes to %v, %+v", err, call)
	}
	again := b.another(t, func(a *Account) {
		never(a)
		a.Domain, a.Username, a.Password, a.Register = "herald.example", "herald", "guess", true
	}, whistler{})
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	defer cancel()
	if _, err := again.Open(ctx); asSendError(t, err).Class != dispatch.Configuration {
		t.Errorf("a session opens with %v", err)
	}
	if took := time.Since(begun); took > peers.Patience/2 {
		t.Errorf("it is found out after %v", took)
	}
}
