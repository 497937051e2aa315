package voice

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herald/hardware/sip"
	"herald/templates/script"
)

const offer = `
steps:
  - say: greeting          # 800 ms
  - pause: 200ms
  - play: chime.wav        # 900 ms
  - gather:
      say: question        # 800 ms
      wait: 2s
      tries: 2
      choices:
        0: [{say: wait}, {transfer: ""}, {say: back}]
        1: [{confirm: true}, {say: thanks}]
        2: [{repeat: true}]
        5: [{gather: {say: sure, choices: {1: [{stop: true}]}, otherwise: [{say: kept}]}}]
        7: [{transfer: "+166"}]
        8: [{hang_up: true}]
        9: [{stop: true}, {say: ended}]
      otherwise: [{say: nothing}]
  - say: bye
`

// aPlainOffer says something and asks nothing.
const aPlainOffer = "steps: [{say: greeting}, {say: details}]"

func TestAScriptIsPerformed(t *testing.T) {
	refuse := func(class sip.Class) func(*rehearsal) {
		return func(r *rehearsal) { r.line.refuses = &sip.Error{Class: class, Code: 486} }
	}
	unlisted := func(r *rehearsal) { r.play.rules.person = "" }
	for name, c := range map[string]struct {
		script  string
		change  func(*rehearsal)
		happens []string
		heard   []string
		came    string
	}{
		"it is said to its end, and hung up": {
			script: aPlainOffer, heard: []string{"greeting", "details", "(hang up)"}, came: "person 1.5s/1.5s reached",
		},
		"nothing is pressed: it is asked as often as it says, then what is otherwise, and on": {
			script: offer, heard: []string{"greeting", "chime.wav", "question", "question", "nothing", "bye", "(hang up)"}, came: "person 2s/2s unconfirmed",
		},
		"a digit ends the question": {
			script: offer, happens: []string{"2.2s 1"},
			heard: []string{"greeting", "chime.wav", "question 300ms", "thanks", "bye", "(hang up)"}, came: "person 2s/2s confirmed reached",
		},
		"a digit after the question counts until its time is over": {
			script: offer, happens: []string{"4.6s 1"},
			heard: []string{"greeting", "chime.wav", "question", "thanks", "bye", "(hang up)"}, came: "person 2s/2s confirmed reached",
		},
		"a digit in what is said before is kept for the question": {
			script: offer, happens: []string{"300ms 1"},
			heard: []string{"greeting", "chime.wav", "thanks", "bye", "(hang up)"}, came: "person 2s/2s confirmed reached",
		},
		"a digit that is no choice is asked about again": {
			script: offer, happens: []string{"2.2s 4", "2.8s 1"},
			heard: []string{"greeting", "chime.wav", "question 300ms", "question 600ms", "thanks", "bye", "(hang up)"}, came: "person 2s/2s confirmed reached",
		},
		"digits that are no choice use up the tries": {
			script: offer, happens: []string{"2.2s 4", "2.8s 4"},
			heard: []string{"greeting", "chime.wav", "question 300ms", "question 600ms", "nothing", "bye", "(hang up)"}, came: "person 2s/2s unconfirmed",
		},
		"it begins again": {
			script: offer, happens: []string{"2s 2", "4.2s 1"},
			heard: []string{"greeting", "chime.wav", "question 100ms", "greeting", "chime.wav", "question 300ms", "thanks", "bye", "(hang up)"},
			came:  "person 2s/2s confirmed reached",
		},
		"it does not begin again for ever": {
			script: "steps: [{say: a}, {gather: {wait: 1s, choices: {2: [{repeat: true}]}}}, {say: z}]", happens: []string{"50ms 22222222"},
			heard: []string{"a", "a", "a", "a", "z", "(hang up)"}, came: "person 200ms/200ms reached",
		},
		"stop is a choice": {
			script: offer, happens: []string{"2s 9"},
			heard: []string{"greeting", "chime.wav", "question 100ms", "ended", "bye", "(hang up)"}, came: "person 2s/2s stopped",
		},
		"who presses stop and hangs up has stopped": {
			script: offer, happens: []string{"2s 9 bye"}, came: "person 1.7s/2s stopped",
		},
		"a question within a choice": {
			script: offer, happens: []string{"2s 5", "2.2s 1"},
			heard: []string{"greeting", "chime.wav", "question 100ms", "sure 200ms", "bye", "(hang up)"}, came: "person 2s/2s stopped",
		},
		"a question within a choice that is not answered": {
			script: offer, happens: []string{"2s 5"},
			heard: []string{"greeting", "chime.wav", "question 100ms", "sure", "sure", "kept", "bye", "(hang up)"}, came: "person 2s/2s unconfirmed",
		},
		"a transfer to whom the script names": {
			script: offer, happens: []string{"2s 7"},
			heard: []string{"greeting", "chime.wav", "question 100ms", "(transfer +166)", "(hang up)"}, came: "person 1.7s/2s transferred",
		},
		"a transfer to the account's person": {
			script: offer, happens: []string{"2s 0"},
			heard: []string{"greeting", "chime.wav", "question 100ms", "wait", "(transfer +155)", "(hang up)"}, came: "person 1.7s/2s transferred",
		},
		"a transfer that fails is told, and the script goes on": {
			script: offer, happens: []string{"2s 0"}, change: refuse(sip.Busy),
			heard: []string{"greeting", "chime.wav", "question 100ms", "wait", "nobody", "back", "bye", "(hang up)"}, came: "person 2s/2s unconfirmed",
		},
		"a transfer to nobody": {
			script: offer, happens: []string{"2s 0"}, change: unlisted,
			heard: []string{"greeting", "chime.wav", "question 100ms", "wait", "nobody", "back", "bye", "(hang up)"}, came: "person 2s/2s unconfirmed",
		},
		"a transfer that ends the call": {
			script: offer, happens: []string{"2s 7"}, change: refuse(sip.Over),
			heard: []string{"greeting", "chime.wav", "question 100ms", "(hang up)"}, came: "person 1.7s/2s unconfirmed",
		},
		"they hang up during a transfer": {
			script: offer, happens: []string{"2s 7", "2.5s bye"},
			heard: []string{"greeting", "chime.wav", "question 100ms"}, came: "person 1.7s/2s unconfirmed",
		},
		"who is passed on has been reached": {
			script: "steps: [{say: a}, {transfer: \"+166\"}, {say: b}]", heard: []string{"a", "(transfer +166)", "(hang up)"}, came: "person 100ms/200ms reached transferred",
		},
		"a choice hangs up": {
			script: offer, happens: []string{"2s 8"}, heard: []string{"greeting", "chime.wav", "question 100ms", "(hang up)"}, came: "person 1.7s/2s unconfirmed",
		},
		"they hang up in what is said":       {script: aPlainOffer, happens: []string{"1s bye"}, heard: []string{"greeting", "details 200ms"}, came: "person 1s/1.5s"},
		"they hang up after the last word":   {script: aPlainOffer, happens: []string{"1.6s bye"}, heard: []string{"greeting", "details"}, came: "person 1.5s/1.5s reached"},
		"they hang up in a pause":            {script: offer, happens: []string{"900ms bye"}, heard: []string{"greeting"}, came: "person 800ms/2s unconfirmed"},
		"they hang up in a question":         {script: offer, happens: []string{"2.1s bye"}, heard: []string{"greeting", "chime.wav", "question 200ms"}, came: "person 1.7s/2s unconfirmed"},
		"they hang up while it is waited":    {script: offer, happens: []string{"4s bye"}, heard: []string{"greeting", "chime.wav", "question"}, came: "person 1.7s/2s unconfirmed"},
		"they hang up in what a digit does":  {script: offer, happens: []string{"2s 1", "2.1s bye"}, heard: []string{"greeting", "chime.wav", "question 100ms", "thanks 100ms"}, came: "person 1.7s/2s confirmed reached"},
		"the time is over in what is said":   {script: aPlainOffer, happens: []string{"1s end"}, heard: []string{"greeting", "details 200ms", "(hang up)"}, came: "person 1s/1.5s"},
		"the time is over in a pause":        {script: offer, happens: []string{"900ms end"}, heard: []string{"greeting", "(hang up)"}, came: "person 800ms/2s unconfirmed"},
		"the time is over in a question":     {script: offer, happens: []string{"2.1s end"}, heard: []string{"greeting", "chime.wav", "question 200ms", "(hang up)"}, came: "person 1.7s/2s unconfirmed"},
		"the time is over while it is asked": {script: offer, happens: []string{"4s end"}, heard: []string{"greeting", "chime.wav", "question", "(hang up)"}, came: "person 1.7s/2s unconfirmed"},
		"the time is over in a transfer":     {script: offer, happens: []string{"2s 7", "2.5s end"}, heard: []string{"greeting", "chime.wav", "question 100ms", "(hang up)"}, came: "person 1.7s/2s unconfirmed"},
		"a question is all there is, and heard": {
			script: "machine: hang_up\nsteps: [{gather: {say: question, wait: 1s, tries: 1, choices: {1: [{say: ok}]}}}]",
			heard:  []string{"question", "(hang up)"}, came: "person 800ms/800ms reached",
		},
		"a question is all there is, and answered early": {
			script: "machine: hang_up\nsteps: [{gather: {say: question, choices: {1: [{say: ok}]}}}]", happens: []string{"200ms 1"},
			heard: []string{"question 200ms", "ok", "(hang up)"}, came: "person 800ms/800ms reached",
		},
		"a recording asks before the text": {
			script: "steps: [{say: a}, {gather: {play: b.wav, say: c, wait: 1s, tries: 1, choices: {1: [{say: ok}]}}}]",
			heard:  []string{"a", "b.wav+c", "(hang up)"}, came: "person 100ms/100ms reached",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rehearse(t, c.script, c.change, c.happens...)
				if c.heard != nil && !slices.Equal(r.line.heard, c.heard) {
					t.Errorf("it is heard\n%q, want\n%q", r.line.heard, c.heard)
				}
				if r.came() != c.came {
					t.Errorf("it comes to %q, want %q", r.came(), c.came)
				}
			})
		})
	}
}

func TestARecordingNeedsConsent(t *testing.T) {
	const source = `
steps:
  - say: greeting
  - record: {ask: may we, yes: 1}
  - say: tell us
`
	for name, c := range map[string]struct {
		account bool
		happens []string
		heard   []string
	}{
		"given":                    {true, []string{"1s 1"}, []string{"greeting", "may we 200ms", "(records)", "tell us", "(hang up)"}},
		"given after the question": {true, []string{"5s 1"}, []string{"greeting", "may we", "(records)", "tell us", "(hang up)"}},
		"not given":                {true, nil, []string{"greeting", "may we", "tell us", "(hang up)"}},
		"refused by another digit": {true, []string{"1s 2"}, []string{"greeting", "may we 200ms", "tell us", "(hang up)"}},
		"a digit before the question is no consent": {true, []string{"100ms 1"}, []string{"greeting", "may we", "tell us", "(hang up)"}},
		"not asked by an account that does not":     {false, []string{"1s 1"}, []string{"greeting", "tell us", "(hang up)"}},
		"hung up":                                   {true, []string{"1s bye"}, []string{"greeting", "may we 200ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rehearse(t, source, func(r *rehearsal) { r.play.rules.record = c.account }, c.happens...)
				if !slices.Equal(r.line.heard, c.heard) {
					t.Errorf("it is heard %q, want %q", r.line.heard, c.heard)
				}
				if records := slices.Contains(c.heard, "(records)"); (r.play.stopRecording != nil) != records {
					t.Errorf("it is recorded: %v", !records)
				}
			})
		})
	}
}

func TestMachinesGetWhatTheScriptSays(t *testing.T) {
	const withMessage = "steps: [{say: greeting}, {gather: {say: question, wait: 1s, tries: 1, choices: {1: [{confirm: true}]}}}]\nmessage: [{say: message}]"
	for name, c := range map[string]struct {
		script  string
		happens []string
		heard   []string
		came    string
		steps   string
	}{
		"a person is spoken to when they have said hello": {
			aPlainOffer, []string{"1s person"}, []string{"greeting", "details", "(hang up)"}, "person 1.5s/1.5s reached", "answered heard",
		},
		"a person who presses a digit": {
			aPlainOffer, []string{"1s 5"}, []string{"greeting", "details", "(hang up)"}, "person 1.5s/1.5s reached", "answered heard",
		},
		"a machine gets the message after its beep": {
			withMessage, []string{"2s machine", "5s beep"}, []string{"message", "(hang up)"}, "machine 700ms/700ms", "answered heard",
		},
		"a machine gets what the steps say before they ask": {
			"steps: [{say: greeting}, {gather: {say: question, choices: {1: [{confirm: true}]}}}]",
			[]string{"2s machine", "5s beep"},
			[]string{"greeting", "(hang up)"},
			"machine 800ms/800ms", "answered heard",
		},
		"a machine that beeps at once": {
			withMessage, []string{"1s beep"}, []string{"message", "(hang up)"}, "machine 700ms/700ms", "answered heard",
		},
		"a machine that never beeps": {
			withMessage, []string{"2s machine"}, []string{"message", "(hang up)"}, "machine 700ms/700ms", "answered heard",
		},
		"a machine that hangs up before": {
			withMessage, []string{"2s machine", "3s bye"}, nil, "machine 0s/800ms", "answered",
		},
		"a machine that hangs up within": {
			withMessage, []string{"2s machine", "3s beep", "3.2s bye"}, []string{"message 200ms"}, "machine 200ms/700ms", "answered heard",
		},
		"the time is over before the beep": {
			withMessage, []string{"2s machine", "3s end"}, []string{"(hang up)"}, "machine 0s/800ms", "answered",
		},
		"a person picks up in the greeting": {
			withMessage, []string{"2s machine", "3s 1"}, []string{"greeting", "question", "(hang up)"}, "person 800ms/800ms unconfirmed", "answered answered heard unconfirmed",
		},
		"a person picks up in the message": {
			withMessage,
			[]string{"2s machine", "3s beep", "3.3s 1", "4.5s 1"},
			[]string{"message 300ms", "greeting", "question 400ms", "(hang up)"},
			"person 800ms/800ms confirmed reached", "answered answered confirmed heard",
		},
		"a machine gets nothing": {
			"machine: hang_up\n" + aPlainOffer, []string{"2s machine"}, []string{"(hang up)"}, "machine 0s/1.5s dismissed", "answered",
		},
		"nobody can tell: it is spoken": {
			aPlainOffer, nil, []string{"greeting", "details", "(hang up)"}, "unknown 1.5s/1.5s reached", "answered heard",
		},
		"nobody could tell, and it beeps: the message from its start": {
			withMessage, []string{"3.5s beep"}, []string{"greeting 400ms", "message", "(hang up)"}, "machine 700ms/700ms", "answered answered heard",
		},
		"nobody could tell, a digit was pressed, and it beeps": {
			withMessage, []string{"3.5s 1", "4s beep"}, []string{"greeting", "(hang up)"}, "unknown 800ms/800ms confirmed reached", "answered confirmed heard",
		},
		"they hang up before anybody can tell": {
			aPlainOffer, []string{"1s bye"}, nil, "unknown 0s/1.5s", "answered heard",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rehearse(t, c.script, func(r *rehearsal) { r.play.ears = scriptedEars{} }, c.happens...)
				if !slices.Equal(r.line.heard, c.heard) {
					t.Errorf("it is heard %q, want %q", r.line.heard, c.heard)
				}
				if r.came() != c.came {
					t.Errorf("it comes to %q, want %q", r.came(), c.came)
				}
				if steps := strings.Join(r.steps, " "); steps != c.steps {
					t.Errorf("the steps are %q, want %q", steps, c.steps)
				}
			})
		})
	}
}

func TestAllIsSpokenBeforeAnybodyIsDialled(t *testing.T) {
	parsed, err := script.Parse(offer + "message: [{say: message}, {play: other.wav}]\n")
	if err != nil {
		t.Fatal(err)
	}
	voice := &chanter{}
	if _, err := speakAll(t.Context(), voice, parsed, "zh"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(voice.texts)
	want := []string{"back", "bye", "chime.wav", "ended", "greeting", "kept", "message", "nobody", "nothing", "other.wav", "question", "sure", "thanks", "wait"}
	if !slices.Equal(voice.texts, want) {
		t.Errorf("spoken are %q, want %q", voice.texts, want)
	}
	private := &chanter{}
	if _, err := speakAll(t.Context(), privately{private}, parsed, "zh"); err != nil {
		t.Fatal(err)
	}
	if recordings := []string{"chime.wav", "other.wav"}; !slices.Equal(slices.Sorted(slices.Values(private.texts)), want) || !slices.Equal(private.kept, recordings) {
		t.Errorf("of what is private %q is spoken, and kept are %q", private.texts, private.kept)
	}
	voice.fails = errors.New("no voice")
	if _, err := speakAll(t.Context(), voice, parsed, "en"); !errors.Is(err, voice.fails) {
		t.Errorf("without a voice it gives %v", err)
	}
	silent := &script.Script{Steps: []script.Step{{}, {Pause: time.Second}}}
	if _, err := speakAll(t.Context(), &chanter{}, silent, "en"); !errors.Is(err, errSaysNothing) {
		t.Errorf("a script without a word gives %v", err)
	}
}
