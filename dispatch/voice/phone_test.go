package voice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/e2e/peers"
	"herald/hardware/sim/phone"
	"herald/hardware/sip"
	"herald/hardware/sip/siptest"
	"herald/problem"
	"herald/templates/script"
)

const asks = `
steps:
  - say: Good day.
  - gather:
      say: Press 1 to confirm, 9 to stop these calls.
      wait: 10s
      tries: 1
      choices:
        0: [{transfer: ""}, {say: Back again.}]
        1: [{confirm: true}, {say: Thank you.}]
        9: [{stop: true}]
`

func pressing(digits string, after time.Duration) []phone.Press {
	return []phone.Press{{After: phone.Duration(after), Digits: digits}}
}

// reported collects reports until there are so many, or a while has passed.
func (b *bench) reported(t *testing.T, n int) (told []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	defer cancel()
	refused := false
	for ctx.Err() == nil && len(told) < n {
		err := b.Reports(ctx, func(_ context.Context, reports []dispatch.Report) error {
			if !refused { // it is asked again
				refused = true
				return errors.New("the database is away")
			}
			for _, r := range reports {
				told = append(told, fmt.Sprintf("%s %s", r.DeliveryID, r.Event))
			}
			if len(told) >= n {
				cancel()
			}
			return nil
		})
		if err == nil {
			t.Error("the reports end without a reason")
		}
	}
	return told
}

func TestACallIsConfirmedAndReportedOnce(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{AnswerAfter: 100 * time.Millisecond}, phone.Fault{Number: "*01", Kind: phone.Person, Press: pressing("1", time.Second)})
	b := start(t, p.Addr(), nil, whistler{})
	m := b.message(t, "+15550201", asks)
	receipt, call, err := b.send(t, m)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.ProviderID != call.CallID || receipt.Account != "trunk" || receipt.Detail != "heard 0.1 of 0.1 s" {
		t.Errorf("the receipt is %+v", receipt)
	}
	if call.Outcome != spoken || call.AnsweredBy != person || !call.Confirmed || call.Stopped || !call.Reached || call.EndedAt == nil || call.Attempt != 1 {
		t.Errorf("the call is %+v", call)
	}
	if told, want := b.told(t, m), "dialled, ringing, answered person, pressed 1, confirmed, heard person, hung_up us"; told != want {
		t.Errorf("it is told %q, want %q", told, want)
	}
	kept := p.Calls().All()[0]
	if kept.CallID != call.CallID || kept.To != "+15550201" || kept.From != "15550100" {
		t.Errorf("the phone knows of %+v", kept)
	}
	if told := b.reported(t, 1); len(told) != 1 || told[0] != m.DeliveryID.String()+" delivered" {
		t.Errorf("reported is %q", told)
	}
	if calls, err := b.deps.Store.untold(t.Context(), "trunk", time.Now()); err != nil || len(calls) != 0 {
		t.Errorf("to be reported again are %v, %v", calls, err)
	}
}

func TestStoppedCallsAreReported(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{}, phone.Fault{Kind: phone.Person, Press: pressing("9", time.Second)})
	b := start(t, p.Addr(), nil, whistler{})
	m := b.message(t, "+15550201", asks)
	if _, _, err := b.send(t, m); err != nil {
		t.Fatal(err)
	}
	if told := b.reported(t, 1); len(told) != 1 || told[0] != m.DeliveryID.String()+" unsubscribed" {
		t.Errorf("reported is %q", told) // and no delivery: it was not confirmed
	}
}

func TestWhatNobodyAnswers(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{},
		phone.Fault{Number: "*01", Kind: phone.Busy}, phone.Fault{Number: "*02", Kind: phone.NoAnswer}, phone.Fault{Number: "*03", Kind: phone.Decline},
		phone.Fault{Number: "*04", Kind: phone.NoNumber}, phone.Fault{Number: "*05", Kind: phone.Unavailable, RetryAfter: phone.Duration(time.Hour)},
		phone.Fault{Number: "*06", Kind: phone.Silent}, phone.Fault{Number: "*07", Kind: phone.NoAnswer, Early: true})
	b := start(t, p.Addr(), func(a *Account) {
		a.Plus, a.Tries, a.Response, a.RingFor = "00", 2, 500*time.Millisecond, 1500*time.Millisecond
	}, whistler{})
	for name, c := range map[string]struct {
		number string
		want   dispatch.SendError // of the first try
		then   dispatch.Class     // of the second
		told   string
	}{
		"busy":         {"01", dispatch.SendError{Class: dispatch.Transient, Code: "SIP 486", After: 5 * time.Minute}, dispatch.Permanent, "dialled, failed busy"},
		"no answer":    {"02", dispatch.SendError{Class: dispatch.Transient, After: 30 * time.Minute}, dispatch.Permanent, "dialled, ringing, failed no_answer"},
		"declined":     {"03", dispatch.SendError{Class: dispatch.Permanent, Code: "SIP 603"}, dispatch.Permanent, "dialled, failed rejected"},
		"no number":    {"04", dispatch.SendError{Class: dispatch.Permanent, Code: "SIP 404", AddressDead: true}, dispatch.Permanent, "dialled, failed bad_number"},
		"congestion":   {"05", dispatch.SendError{Class: dispatch.Transient, Code: "SIP 503", After: time.Hour}, dispatch.Permanent, "dialled, failed congestion"},
		"unreachable":  {"06", dispatch.SendError{Class: dispatch.Transient, After: 5 * time.Minute}, dispatch.Permanent, "dialled, failed unreachable"},
		"early media":  {"07", dispatch.SendError{Class: dispatch.Transient, After: 30 * time.Minute}, dispatch.Permanent, "dialled, failed no_answer"},
		"not a number": {"x@y", dispatch.SendError{Class: dispatch.Permanent}, dispatch.Permanent, "failed bad_number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := b.message(t, "+155502"+c.number, asks)
			for i, class := range []dispatch.Class{c.want.Class, c.then} {
				m.Attempt = i + 1
				_, call, err := b.send(t, m)
				var failure *dispatch.SendError
				if !errors.As(err, &failure) || failure.Class != class || failure.Account != "trunk" || failure.Code != c.want.Code || failure.AddressDead != c.want.AddressDead {
					t.Fatalf("try %d is %#v", i, failure)
				}
				if i == 0 && failure.After != c.want.After {
					t.Errorf("it is tried again after %v", failure.After)
				}
				if strings.Contains(err.Error(), "155502") {
					t.Errorf("the error has the number: %v", err)
				}
				if call.EndedAt == nil || call.Outcome == "" || call.Reached {
					t.Errorf("the call is %+v", call)
				}
				_, resolved := b.Resolve(t.Context(), m)
				var again *dispatch.SendError
				if !errors.As(resolved, &again) || again.Class != class || again.AddressDead != failure.AddressDead {
					t.Errorf("it is resolved to %v", resolved)
				}
			}
			if told := b.told(t, m); told != c.told+", "+c.told {
				t.Errorf("it is told %q, want twice %q", told, c.told)
			}
		})
	}
}

func TestACallThatBreaksIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	const long = "steps: [{say: Good day.}, {pause: 8s}, {say: The end.}]"
	p := phones(t, phone.Config{},
		phone.Fault{Number: "*01", Kind: phone.Quiet, HangUpAfter: phone.Duration(time.Second)},
		phone.Fault{Number: "*02", Kind: phone.Person, HangUpAfter: phone.Duration(time.Second), Vanish: true})
	for name, c := range map[string]struct {
		number string
		told   string
		change func(*Account)
		ends   bool // our time, once it is answered
	}{
		"they hang up":      {"01", "dialled, answered person, heard person, hung_up them", nil, false},
		"they fall silent":  {"02", "dialled, answered person, heard person, hung_up silence", func(a *Account) { a.Quiet = time.Second }, false},
		"it takes too long": {"03", "dialled, answered person, heard person, hung_up us", func(a *Account) { a.LongestCall = time.Second }, false},
		"ctx ends":          {"04", "dialled, answered person, heard person, hung_up us", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, p.Addr(), c.change, whistler{})
			m := b.message(t, "+155502"+c.number, long)
			ctx, stop := context.WithCancel(patience(t))
			defer stop()
			wait := b.sending(t, ctx, m)
			if c.ends {
				b.untilTold(t, m, codeAnswered)
				timer := time.AfterFunc(time.Second, stop)
				defer timer.Stop()
			}
			receipt, call, err := wait()
			if err != nil || receipt.Detail != "heard 0.1 of 0.2 s" {
				t.Fatalf("it comes to %+v, %v", receipt, err)
			}
			if told := b.told(t, m); told != c.told {
				t.Errorf("it is told %q, want %q", told, c.told)
			}
			if call.Outcome != spoken || call.Reached {
				t.Errorf("the call is %+v", call)
			}
			if resolved, err := b.Resolve(t.Context(), m); err != nil || resolved != receipt {
				t.Errorf("it is resolved to %+v, %v", resolved, err)
			}
		})
	}
}

func TestCtxEndsBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{}, phone.Fault{Kind: phone.NoAnswer})
	b := start(t, p.Addr(), func(a *Account) { a.RingFor = time.Minute }, whistler{})
	m := b.message(t, "+15550201", asks)
	ctx, stop := context.WithCancel(patience(t))
	defer stop()
	wait := b.sending(t, ctx, m)
	b.untilTold(t, m, codeRinging)
	stop()
	_, call, err := wait()
	if failure := asSendError(t, err); failure.Class != dispatch.Transient {
		t.Errorf("it fails as %v", err)
	}
	if call.Outcome != outcome(sip.GivenUp) || call.EndedAt == nil {
		t.Errorf("the call is %+v", call)
	}
	if err := p.Calls().WaitFor(patience(t), func(_ []phone.Call, n int64) bool { return n == 1 }); err != nil || p.Calls().All()[0].HungUp != "caller" {
		t.Errorf("the phone rings on: %v", err)
	}
	if calls, err := b.deps.Store.calls(t.Context(), m.DeliveryID, "trunk"); err != nil || tries(calls) != 0 { // it was us
		t.Errorf("it counts as %d tries, %v", tries(calls), err)
	}
}

func TestMachinesAreLeftTheMessage(t *testing.T) {
	t.Parallel()
	greeting := siptest.Prompt(t, "Hello. Nobody is at home now. Please leave a message.")
	p := phones(t, phone.Config{Greeting: greeting}, phone.Fault{Number: "*01", Kind: phone.Machine}, phone.Fault{Number: "*02", Kind: phone.Machine})
	b := start(t, p.Addr(), func(a *Account) { a.Machines.Ignore = false }, reader{t})
	const text = "The price of your kettle has fallen. Have a look at the shop."
	for name, c := range map[string]struct{ number, source string }{
		"left":    {"+15550201", "steps: [{say: " + text + "}]"},
		"nothing": {"+15550202", "machine: hang_up\nsteps: [{say: " + text + "}]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := b.message(t, c.number, c.source)
			receipt, call, err := b.send(t, m)
			if call.AnsweredBy != machine || call.Reached {
				t.Errorf("the call is %+v", call)
			}
			if name == "nothing" {
				var failure *dispatch.SendError
				if !errors.As(err, &failure) || failure.Class != dispatch.Transient || failure.After != 30*time.Minute || call.Outcome != hungUp {
					t.Errorf("it comes to %v, %+v", err, call)
				}
				return
			}
			if err != nil || call.Outcome != left || !strings.HasPrefix(receipt.Detail, "left with a machine") {
				t.Errorf("it comes to %+v, %v, %+v", receipt, err, call)
			}
			heard := heardBy(t, p, call)
			prompt := siptest.Prompt(t, text)
			if like := siptest.Likeness(prompt, heard); like < siptest.Like {
				t.Errorf("the message is heard with a likeness of %.3f", like)
			}
			if a, b := siptest.Sounding(prompt), siptest.Sounding(heard); (a - b).Abs() > 200*time.Millisecond {
				t.Errorf("%v sound for %v: nothing is said into the greeting", a, b)
			}
			if told := b.told(t, m); told != "dialled, answered machine, heard machine, hung_up us" {
				t.Errorf("it is told %q", told)
			}
		})
	}
}

// heardBy is what a phone heard in a call.
func heardBy(t *testing.T, p *phone.Phone, call row) (heard []int16) {
	t.Helper()
	if err := p.Calls().WaitFor(patience(t), func(kept []phone.Call, _ int64) bool {
		for _, k := range kept {
			if k.CallID == call.CallID {
				heard = k.Heard
				return true
			}
		}
		return false
	}); err != nil {
		t.Fatal(err)
	}
	return heard
}

func TestAPersonIsNotSpokenToBeforeTheyListen(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{Hello: siptest.Prompt(t, "Hello?")})
	b := start(t, p.Addr(), func(a *Account) { a.Machines.Ignore = false }, reader{t})
	const text = "Your appointment is tomorrow at nine."
	_, call, err := b.send(t, b.message(t, "+15550201", "steps: [{say: "+text+"}]"))
	if err != nil || call.AnsweredBy != person || !call.Reached {
		t.Fatalf("it comes to %v, %+v", err, call)
	}
	if like := siptest.Likeness(siptest.Prompt(t, text), heardBy(t, p, call)); like < siptest.Like {
		t.Errorf("it is heard with a likeness of %.3f", like)
	}
}

func TestATransfer(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{},
		phone.Fault{Number: "*01", Kind: phone.Person, Press: pressing("0", time.Second)},
		phone.Fault{Number: "*02", Kind: phone.Person, Press: pressing("0", time.Second)},
		phone.Fault{Number: "*77", Kind: phone.Busy})
	for name, c := range map[string]struct{ number, person, told string }{
		"goes through": {"+15550201", "15550166", "dialled, answered person, pressed 0, transferred, heard person, hung_up us"},
		"fails":        {"+15550202", "15550177", "dialled, answered person, pressed 0, heard person, unconfirmed, hung_up us"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, p.Addr(), func(a *Account) { a.Person = c.person }, whistler{})
			m := b.message(t, c.number, asks)
			if _, _, err := b.send(t, m); err != nil {
				t.Fatal(err)
			}
			if told := b.told(t, m); told != c.told {
				t.Errorf("it is told %q, want %q", told, c.told)
			}
			heardBy(t, p, b.written(t, m))
			for _, k := range p.Calls().All() {
				if k.To == c.number && (k.Transferred == c.person) != (name == "goes through") {
					t.Errorf("the phone was passed on to %q", k.Transferred)
				}
			}
		})
	}
}

func TestARecordingIsKeptWithConsentForItsTime(t *testing.T) {
	t.Parallel()
	const source = "steps: [{record: {ask: May we record you?, yes: 1}}, {pause: 600ms}, {say: Thank you.}]"
	p := phones(t, phone.Config{}, phone.Fault{Number: "*01", Kind: phone.Person, Press: pressing("1", time.Second)}, phone.Fault{Number: "*02", Kind: phone.Person, Press: pressing("2", time.Second)})
	b := start(t, p.Addr(), func(a *Account) { a.Record, a.RecordFor = true, time.Hour }, whistler{})
	store := b.deps.Store
	find := func(m dispatch.Message) (id uuid.UUID) {
		entries, err := store.Entries(t.Context(), []uuid.UUID{m.DeliveryID})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Code == codeRecorded {
				id = e.Detail["recording"].(uuid.UUID)
			}
		}
		return id
	}
	refused := b.message(t, "+15550202", source)
	if _, _, err := b.send(t, refused); err != nil || find(refused) != uuid.Nil {
		t.Errorf("who refuses is recorded: %v", err)
	}
	m := b.message(t, "+15550201", source)
	if _, _, err := b.send(t, m); err != nil {
		t.Fatal(err)
	}
	kept, err := store.Recording(t.Context(), find(m))
	if err != nil || kept.DeliveryID != m.DeliveryID {
		t.Fatalf("the recording is %v, %v", kept.ID, err)
	}
	if format := binary.LittleEndian.Uint16(kept.WAV[20:]); format != 7 || kept.Lasts < 600*time.Millisecond || len(kept.WAV) < int(kept.Lasts.Milliseconds()*8) {
		t.Errorf("it has the format %d, lasts %v and has %d octets", format, kept.Lasts, len(kept.WAV))
	}
	private := b.message(t, "+15550201", source)
	private.Private = true
	if _, _, err := b.send(t, private); err != nil || find(private) != uuid.Nil {
		t.Errorf("what is private is recorded: %v", err)
	}
	store.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if _, err := store.Recording(t.Context(), kept.ID); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("after its time it gives %v", err)
	}
	if n, err := store.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept are %d, %v", n, err)
	}
	if n, err := store.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept again are %d, %v", n, err)
	}
}

func TestTenCallsAtOnce(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{})
	b := start(t, p.Addr(), nil, reader{t})
	const text = "The price of your kettle has fallen."
	prompt := siptest.Prompt(t, text)
	var calling sync.WaitGroup
	for i := range 10 {
		m, s := b.message(t, fmt.Sprintf("+155502%02d", i), "steps: [{say: "+text+"}]"), b.open(t)
		calling.Go(func() {
			if _, err := s.Send(patience(t), m); err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			const many = 0.9 // of one alone more is asked
			if like := siptest.Likeness(prompt, heardBy(t, p, b.written(t, m))); like < many {
				t.Errorf("call %d is heard with a likeness of %.3f", i, like)
			}
		})
	}
	calling.Wait()
}

func TestAScriptThatCannotBeSpokenIsNotDialled(t *testing.T) {
	t.Parallel()
	p := phones(t, phone.Config{})
	broken := &chanter{fails: errors.New("the program failed")}
	b := start(t, p.Addr(), nil, broken)
	say := b.message(t, "+15550201", "steps: [{say: hello}]")
	play := b.message(t, "+15550201", "steps: [{say: hello}, {play: missing.wav}]")
	blank := b.message(t, "+15550201", "steps: [{say: hello}]")
	blank.Content.Script = &script.Script{Steps: []script.Step{{}}}
	for _, c := range []struct {
		m     dispatch.Message
		fails error
		class dispatch.Class
	}{{say, broken.fails, dispatch.Transient}, {play, nil, dispatch.Permanent}, {blank, nil, dispatch.Permanent}} {
		broken.fails = c.fails
		_, call, err := b.send(t, c.m)
		var failure *dispatch.SendError
		if !errors.As(err, &failure) || failure.Class != c.class || call.ID != uuid.Nil {
			t.Errorf("it comes to %v, with the call %v", err, call.ID)
		}
	}
	broken.fails = nil
	plain := b.message(t, "+15550201", "steps: [{say: hello}]")
	plain.Content.Script = nil // as of a template without one: its text is said
	if receipt, _, err := b.send(t, plain); err != nil || receipt.Detail != "heard 0.5 of 0.5 s" {
		t.Errorf("a text without a script comes to %+v, %v", receipt, err)
	}
}
