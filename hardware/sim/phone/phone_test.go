package phone

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sim/simtest"
	"herald/hardware/sip/siptest"
	"herald/hardware/sip/wav"
	"herald/problem"
)

// start starts phones until the test ends.
func start(t *testing.T, cfg Config, faults ...Fault) *Phone {
	t.Helper()
	p := simtest.Start(t, New(cfg))
	if err := p.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	return p
}

// calls waits for so many calls to be over.
func calls(t *testing.T, p *Phone, n int64) []Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	defer cancel()
	if err := p.Calls().WaitFor(ctx, func(_ []Call, total int64) bool { return total >= n }); err != nil {
		t.Fatalf("of %d calls only %d are over", n, p.Calls().Count())
	}
	return p.Calls().All()
}

// dial has SIPp call a number, and gives what it says in the end; a failure
// unless it went as the scenario says.
func dial(t *testing.T, p *Phone, number string, args ...string) error {
	t.Helper()
	_, port := siptest.Free(t)
	_, sound := siptest.Free(t)
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "sipp", "sip-tester"), append([]string{
		p.Addr(), "-sn", "uac", "-s", number, "-i", "127.0.0.1", "-p", port, "-mi", "127.0.0.1", "-mp", sound, "-m", "1", "-d", "700", "-nostdin", "-timeout", "30",
		"-trace_err", "-error_file", "/dev/stderr",
	}, args...)...)
	cmd.Dir = t.TempDir()
	said, err := cmd.CombinedOutput()
	t.Logf("sipp: %v", err)
	if err == nil && !strings.Contains(string(said), "Successful call        |        0                  |        1") {
		t.Fatalf("%s", said)
	}
	return err
}

func TestSIPpCalls(t *testing.T) {
	t.Parallel()
	p := start(t, Config{}, Fault{Number: "*66", Kind: Busy}, Fault{Number: "*03", Kind: Unavailable, RetryAfter: Duration(time.Minute)}, Fault{Number: "*1", Kind: Person, AnswerAfter: Duration(200 * time.Millisecond)})
	for _, transport := range []string{"u1", "t1"} {
		if err := dial(t, p, "15550101", "-t", transport); err != nil {
			t.Errorf("%s: a person does not answer: %v", transport, err)
		}
	}
	for _, number := range []string{"15550166", "15550103"} {
		if err := dial(t, p, number); err == nil {
			t.Errorf("%s answers", number)
		}
	}
	all := calls(t, p, 4)
	for i, c := range all[:2] {
		if !c.Answered || c.HungUp != "caller" || c.To != "15550101" || c.From != "sipp" || c.Law != "PCMU" || time.Duration(c.Rang) < 200*time.Millisecond || time.Duration(c.Lasted) < 500*time.Millisecond {
			t.Errorf("call %d was %+v", i, c)
		}
	}
	if all[2].Kind != Busy || all[2].Answered || all[3].Kind != Unavailable || all[3].HungUp != "phone" {
		t.Errorf("the calls were %+v", all[2:])
	}
}

func TestBaresipCallsAMachineAndSpeaks(t *testing.T) {
	t.Parallel()
	greeting := siptest.Prompt(t, "Hello. Nobody is at home now. Please leave a message.")
	p := start(t, Config{Greeting: greeting}, Fault{Kind: Machine, Press: []Press{{After: Duration(time.Second), Digits: "1"}}})
	says := siptest.Prompt(t, "This is a message for you. It has two sentences.")
	far := siptest.Phone(t, append(says, make([]int16, 24_000)...), "")
	far.Command(t, "dial", "sip:15550142@"+p.Addr())
	c := calls(t, p, 1)[0] // baresip hangs up when it has said all
	if c.Kind != Machine || !c.Answered || c.To != "15550142" || c.HungUp != "caller" || c.Pressed != "1" || c.Problem != "" {
		t.Errorf("the call was %+v", c)
	}
	if like := siptest.Likeness(says, c.Heard); like < siptest.Like {
		t.Errorf("baresip is heard with a likeness of %.3f", like)
	}
	heard := far.Heard(t)
	if like := siptest.Likeness(greeting, heard); like < 0.9 { // a key was pressed in it
		t.Errorf("baresip hears the greeting with a likeness of %.3f", like)
	}
}

func TestBaresipCallsEncrypted(t *testing.T) {
	t.Parallel()
	server, _ := siptest.Certificate(t)
	p := start(t, Config{}, Fault{Kind: Quiet})
	says := siptest.Prompt(t, "This is a message for you. It has two sentences.")
	far, _ := siptest.EncryptedPhone(t, append(says, make([]int16, 8_000)...), server)
	far.Command(t, "dial", "sip:15550142@"+p.Addr())
	c := calls(t, p, 1)[0]
	if like := siptest.Likeness(says, c.Heard); !c.Encrypted || like < siptest.Like {
		t.Errorf("encrypted %t, baresip is heard with a likeness of %.3f", c.Encrypted, like)
	}
}

func TestBaresipPressesKeysAndIsHungUpOn(t *testing.T) {
	t.Parallel()
	p := start(t, Config{}, Fault{Kind: Quiet, Early: true, AnswerAfter: Duration(200 * time.Millisecond), HangUpAfter: Duration(2500 * time.Millisecond)})
	far := siptest.Phone(t, make([]int16, 160_000), "")
	far.Command(t, "dial", "sip:15550142@"+p.Addr())
	far.UntilSaid("Call established")
	for _, digit := range "77#" {
		far.Command(t, "sndcode", string(digit))
		far.Command(t, "sndcode", "\x04") // it is let go
	}
	c := calls(t, p, 1)[0]
	if c.Digits != "77#" || c.HungUp != "phone" || !c.Answered {
		t.Errorf("the call was %+v", c)
	}
	far.UntilSaid("session closed")
}

func TestWhatWasHeardIsListenedTo(t *testing.T) {
	p := New(Config{})
	p.box.Add(Call{To: "15550142", Kind: Person, Answered: true, Heard: []int16{1, 2, 3}})
	p.box.Add(Call{To: "15550142", Kind: Busy})
	ask := simtest.Asker(t, p.Handler())
	status, file := ask("GET", "/messages/1/audio", "")
	if samples, rate, err := wav.Decode([]byte(file)); status != http.StatusOK || len(samples) != 3 || rate != 8000 || err != nil {
		t.Errorf("the sound is %d, %v at %d, %v", status, samples, rate, err)
	}
	for _, id := range []string{"2", "3", "x"} {
		if status, _ := ask("GET", "/messages/"+id+"/audio", ""); status != http.StatusNotFound {
			t.Errorf("the sound of %s is %d", id, status)
		}
	}
	var list struct{ Messages []Call }
	status, body := ask("GET", "/messages", "")
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || len(list.Messages) != 2 || strings.Contains(body, "Heard") {
		t.Errorf("the calls are %d, %v: %s", status, err, body)
	}
	if status, page := ask("GET", "/", ""); status != http.StatusOK || !strings.Contains(page, "audio") || strings.Contains(page, "innerHTML") {
		t.Errorf("the page is %d:\n%s", status, page)
	}
	if status, body := ask("PUT", "/faults", `{"faults":[{"kind":"machine","press":[{"after":"1s","digits":"1#"}],"times":2}]}`); status != http.StatusOK || !strings.Contains(body, `"after":"1s"`) {
		t.Errorf("setting faults is %d: %s", status, body)
	}
}

func TestFaultsAreChecked(t *testing.T) {
	for path, fault := range map[string]Fault{
		"faults[0].kind":         {},
		"faults[0].number":       {Kind: Busy, Number: "[1"},
		"faults[0].answer_after": {Kind: Person, AnswerAfter: -1},
		"faults[0].press":        {Kind: Person, Press: []Press{{Digits: "1x"}}},
		"faults[0].vanish":       {Kind: Person, Vanish: true},
		"faults[0].times":        {Kind: Person, Times: -1},
	} {
		err := New(Config{}).SetFaults(fault)
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), path+":") {
			t.Errorf("%+v gives %v, want %s", fault, err, path)
		}
	}
	if err := New(Config{}).SetFaults(Fault{Kind: Busy, HangUpAfter: 1}); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("a busy phone that hangs up gives %v", err)
	}
}

func TestPhonesStartOnce(t *testing.T) {
	p := start(t, Config{})
	if err := p.Start(t.Context()); err == nil {
		t.Error("they start twice")
	}
	if err := New(Config{Addr: p.Addr()}).Start(t.Context()); err == nil {
		t.Error("others start at the same address")
	}
}
