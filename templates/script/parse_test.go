package script

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"herald/problem"
)

// full has every verb.
const full = `machine: leave        # after the beep
steps:
  - say: "Good day {{ member.name }}. {{ event.name }} now costs {{ event.price | money: event.currency }}."
  - pause: 500ms
  - play: chime.wav
  - record: {ask: "May we record this call? Press 1 for yes.", yes: 1}
  - gather:
      say: |
        Press 1 to confirm, 2 to hear it again,
        0 to speak with a person, 9 to stop these calls.
      wait: 6s
      tries: 3
      choices:
        9: [{stop: true}, {say: You will get no more of these calls.}, {hang_up: true}]
        1: [{confirm: true}, {say: Thank you.}]
        2: [{repeat: true}]
        0: [{say: One moment.}, {transfer: "{{ event.shop_phone }}"}]
        "*":
          - gather:
              play: sure.wav
              choices: {"#": [{transfer: ""}]}
              otherwise: [{say: As you like.}]
      otherwise: [{say: Goodbye.}]
  - hang_up: true
message:
  - say: Please call us.
  - pause: 1s
  - play: chime.wav
`

func mustParse(t *testing.T, source string) *Script {
	t.Helper()
	s, err := Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(s string) *string { return &s }

func TestEveryVerbIsRead(t *testing.T) {
	want := &Script{
		Machine: Leave,
		Steps: []Step{
			{Say: "Good day {{ member.name }}. {{ event.name }} now costs {{ event.price | money: event.currency }}."},
			{Pause: 500 * time.Millisecond},
			{Play: "chime.wav"},
			{Record: &Record{Ask: "May we record this call? Press 1 for yes.", Yes: '1'}},
			{Gather: &Gather{
				Say:  "Press 1 to confirm, 2 to hear it again,\n0 to speak with a person, 9 to stop these calls.",
				Wait: 6 * time.Second, Tries: 3,
				Choices: []Choice{
					{'*', []Step{{Gather: &Gather{
						Play: "sure.wav", Wait: 5 * time.Second, Tries: 2,
						Choices:   []Choice{{'#', []Step{{Transfer: text("")}}}},
						Otherwise: []Step{{Say: "As you like."}},
					}}}},
					{'0', []Step{{Say: "One moment."}, {Transfer: text("{{ event.shop_phone }}")}}},
					{'1', []Step{{Confirm: true}, {Say: "Thank you."}}},
					{'2', []Step{{Repeat: true}}},
					{'9', []Step{{Stop: true}, {Say: "You will get no more of these calls."}, {HangUp: true}}},
				},
				Otherwise: []Step{{Say: "Goodbye."}},
			}},
			{HangUp: true},
		},
		Message: []Step{{Say: "Please call us."}, {Pause: time.Second}, {Play: "chime.wav"}},
	}
	if diff := cmp.Diff(want, mustParse(t, full), cmpopts.IgnoreUnexported(Script{})); diff != "" {
		t.Errorf("the script is (-want +got)\n%s", diff)
	}
}

func TestLineEndsOfAFormMakeNoDifference(t *testing.T) {
	want := mustParse(t, full)
	for _, end := range []string{"\r\n", "\r"} {
		if diff := cmp.Diff(want, mustParse(t, strings.ReplaceAll(full, "\n", end)), cmp.AllowUnexported(Script{})); diff != "" {
			t.Errorf("with %q it is another script (-want +got)\n%s", end, diff)
		}
	}
}

func TestTextsHaveTheirPlaces(t *testing.T) {
	s := mustParse(t, full)
	want := []Place{
		{"steps[0].say", 3},
		{"steps[3].record.ask", 6},
		{"steps[4].gather.say", 9},
		{"steps[4].gather.choices.*[0].gather.choices.#[0].transfer", 21},
		{"steps[4].gather.choices.*[0].gather.otherwise[0].say", 22},
		{"steps[4].gather.choices.0[0].say", 17},
		{"steps[4].gather.choices.0[1].transfer", 17},
		{"steps[4].gather.choices.1[1].say", 15},
		{"steps[4].gather.choices.9[1].say", 14},
		{"steps[4].gather.otherwise[0].say", 23},
		{"message[0].say", 26},
	}
	if diff := cmp.Diff(want, s.Places()); diff != "" {
		t.Errorf("the places are (-want +got)\n%s", diff)
	}
	if len(s.Texts()) != len(want) {
		t.Errorf("%d texts and %d places", len(s.Texts()), len(want))
	}
}

func TestACloneIsFilledAlone(t *testing.T) {
	s := mustParse(t, full)
	clone := s.Clone()
	for i, text := range clone.Texts() {
		*text = fmt.Sprint(i)
	}
	if diff := cmp.Diff(s.Places(), clone.Places()); diff != "" {
		t.Errorf("a clone's places differ:\n%s", diff)
	}
	clone.Steps[4].Gather.Choices[0].Digit = '5'
	clone.Steps[4].Gather.Tries = 1
	if diff := cmp.Diff(mustParse(t, full), s, cmpopts.IgnoreUnexported(Script{})); diff != "" {
		t.Errorf("filling a clone changed the script (-want +got)\n%s", diff)
	}
	if got := *clone.Steps[4].Gather.Choices[1].Steps[1].Transfer; got != "6" {
		t.Errorf("the number to transfer to is %q, want 6", got)
	}
}

// TestMistakesSayWhereAndWhatToWrite gives each mistake's path, line, rule and
// a part of its words.
func TestMistakesSayWhereAndWhatToWrite(t *testing.T) {
	long := strings.Repeat("x", 4001)
	for name, c := range map[string]struct {
		source, path string
		line         int
		rule, words  string
	}{
		"nothing":                     {"", "steps", 1, "required", "steps: [{say: Good day.}]"},
		"only a comment":              {"# later\n", "steps", 1, "required", "steps"},
		"a text":                      {"Good day", "", 1, "type", "machine, steps and message"},
		"no steps":                    {"machine: leave", "steps", 1, "required", "what the call says"},
		"no YAML":                     {"steps:\n  - say: Good: day", "", 2, "syntax", "double quotes"},
		"Liquid without quotes":       {"steps:\n  - say: {{ member.name }}", "", 2, "syntax", "double quotes"},
		"two documents":               {"steps: [{say: a}]\n---\nsteps: []", "", 2, "syntax", "one document"},
		"too long":                    {strings.Repeat("#", 64<<10) + "\n", "", 1, "max_len", "65537 bytes"},
		"too many lines":              {"steps:\n  - say: |\n" + strings.Repeat("\n", 60_000), "", 1, "max_len", "60002 lines"},
		"too many brackets":           {"machine: leave\nsteps: " + strings.Repeat("[", 60_000), "", 2, "depth", "close what is open"},
		"too many words":              {"steps:\n" + strings.Repeat("- ", 30_000), "", 2, "depth", "fewer steps"},
		"an unknown key":              {"steps: [{say: a}]\nstep: []", "step", 2, "unknown", "machine, steps and message"},
		"a key twice":                 {"steps: [{say: a}]\nsteps: [{say: a}]", "steps", 2, "twice", "keep one"},
		"another machine":             {"machine: beep\nsteps: [{say: a}]", "machine", 1, "one_of", "leave"},
		"machine as a list":           {"machine: [leave]\nsteps: [{say: a}]", "machine", 1, "type", "text"},
		"a list of no steps":          {"steps: []", "steps", 1, "required", "list of steps"},
		"one step without a list":     {"steps: {say: a}", "steps", 1, "required", "list of steps"},
		"a step that is a text":       {"steps: [a]", "steps[0]", 1, "type", "one of say, play"},
		"an empty step":               {"steps:\n  - say: a\n  -\n", "steps[1]", 3, "type", "one of say, play"},
		"a step without a verb":       {"steps: [{}]", "steps[0]", 1, "one_verb", "one of say"},
		"two verbs in a step":         {"steps:\n  - say: a\n    pause: 1s", "steps[0]", 2, "one_verb", "a - of its own"},
		"an unknown verb":             {"steps:\n  - speak: a", "steps[0].speak", 2, "unknown", "say, play"},
		"an empty say":                {"steps:\n  - say: \" \"", "steps[0].say", 2, "required", "what is said"},
		"say nothing":                 {"steps:\n  - say:", "steps[0].say", 2, "type", "a text"},
		"say a list":                  {"steps:\n  - say: [a]", "steps[0].say", 2, "type", "a text"},
		"an anchor":                   {"steps:\n  - say: &a b", "steps[0].say", 2, "type", "a text"},
		"a tag":                       {"steps:\n  - say: !!str b", "steps[0].say", 2, "type", "a text"},
		"an alias":                    {"steps:\n  - say: *a", "steps[0].say", 2, "type", "a text"},
		"a merge":                     {"steps: [{say: a}]\n<<: {a: b}", "", 2, "type", "plain words"},
		"a say of 4,001 characters":   {"steps: [{say: " + long + "}]", "steps[0].say", 1, "max_len", "at most 4000"},
		"a recording elsewhere":       {"steps: [{play: ../a.wav}]", "steps[0].play", 1, "format", "chime.wav"},
		"a recording of another kind": {"steps: [{play: a.mp3}]", "steps[0].play", 1, "format", "chime.wav"},
		"a pause without a unit":      {"steps: [{say: a}, {pause: 2}]", "steps[1].pause", 1, "duration", "500ms or 2s"},
		"a pause of 11 s":             {"steps: [{say: a}, {pause: 11s}]", "steps[1].pause", 1, "duration", "at most 10s"},
		"a pause backwards":           {"steps: [{say: a}, {pause: -1s}]", "steps[1].pause", 1, "duration", "at most 10s"},
		"hang_up: false":              {"steps: [{say: a}, {hang_up: false}]", "steps[1].hang_up", 1, "true", "write true"},
		"hang_up: yes":                {"steps: [{say: a}, {hang_up: \"true\"}]", "steps[1].hang_up", 1, "true", "write true"},
		"something after hang_up":     {"steps: [{hang_up: true}, {say: a}]", "steps[0]", 1, "last", "last of its list"},
		"something after repeat":      {"steps: [{gather: {say: b, choices: {1: [{repeat: true}, {say: a}]}}}]", "steps[0].gather.choices.1[0]", 1, "last", "last of its list"},
		"stop without a digit":        {"steps: [{say: a}, {stop: true}]", "steps[1].stop", 1, "choice", "pressed a digit"},
		"confirm without a digit":     {"steps: [{say: a}, {confirm: true}]", "steps[1].confirm", 1, "choice", "pressed a digit"},
		"repeat without a digit":      {"steps: [{gather: {say: a, choices: {1: [{say: b}]}, otherwise: [{repeat: true}]}}]", "steps[0].gather.otherwise[0].repeat", 1, "choice", "pressed a digit"},
		"a gather without choices":    {"steps:\n  - say: a\n  - gather:\n      say: b", "steps[1].gather.choices", 4, "required", "each digit"},
		"a gather with no choices":    {"steps: [{gather: {say: a, choices: {}}}]", "steps[0].gather.choices", 1, "required", "each digit"},
		"a gather that is a list":     {"steps: [{gather: [1]}]", "steps[0].gather", 1, "type", "say, play, wait"},
		"choices as a list":           {"steps: [{gather: {say: a, choices: [1]}}]", "steps[0].gather.choices", 1, "type", "digits"},
		"an unknown key of gather":    {"steps: [{gather: {ask: b, choices: {1: [{say: a}]}}}]", "steps[0].gather.ask", 1, "unknown", "tries"},
		"a digit that is none":        {"steps: [{gather: {say: b, choices: {10: [{say: a}]}}}]", "steps[0].gather.choices.10", 1, "digit", "0 to 9"},
		"a digit in full width":       {"steps: [{gather: {say: b, choices: {１: [{say: a}]}}}]", "steps[0].gather.choices.１", 1, "digit", "0 to 9"},
		"a digit twice":               {"steps: [{gather: {say: b, choices: {1: [{say: a}], \"1\": [{say: b}]}}}]", "steps[0].gather.choices.1", 1, "twice", "keep one"},
		"a choice without steps":      {"steps:\n  - gather:\n      choices:\n        1:\n", "steps[0].gather.choices.1", 4, "required", "list of steps"},
		"no tries":                    {"steps: [{gather: {tries: 0, choices: {1: [{say: a}]}}}]", "steps[0].gather.tries", 1, "range", "1 to 5"},
		"a wait of a minute":          {"steps: [{gather: {wait: 1m, choices: {1: [{say: a}]}}}]", "steps[0].gather.wait", 1, "duration", "at most 30s"},
		"consent without a question":  {"steps: [{say: a}, {record: {yes: 1}}]", "steps[1].record", 1, "required", "the question"},
		"consent without a digit":     {"steps: [{say: a}, {record: {ask: May we?}}]", "steps[1].record", 1, "required", "the digit"},
		"consent by no digit":         {"steps: [{say: a}, {record: {ask: May we?, yes: y}}]", "steps[1].record.yes", 1, "digit", "0 to 9"},
		"an unknown key of record":    {"steps: [{say: a}, {record: {ask: a, yes: 1, no: 2}}]", "steps[1].record.no", 1, "unknown", "ask and yes"},
		"a question for a machine":    {"steps: [{say: a}]\nmessage: [{hang_up: true}]", "message[0].hang_up", 2, "machine", "nobody is there"},
		"a message for no machine":    {"machine: hang_up\nsteps: [{say: a}]\nmessage: [{say: b}]", "message", 3, "unused", "remove one"},
		"a silent call":               {"steps: [{pause: 1s}]", "steps", 1, "required", "saying or playing"},
		"silence for a machine":       {"steps:\n  - gather: {say: b, choices: {1: [{say: a}]}}", "message", 1, "required", "machine: hang_up"},
		"101 steps":                   {"steps: [" + strings.Repeat("{say: a},", 101) + "]", "steps", 1, "max", "at most 100"},
		"five lists deep":             {"steps: " + nested(5), "steps" + strings.Repeat("[0].gather.choices.1", 4), 1, "depth", "5 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(c.source)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.Invalid {
				t.Fatalf("Parse gives %v and %v, want an Invalid", s, err)
			}
			for _, f := range p.Fields {
				if f.Path == c.path && f.Rule == c.rule && f.Args["line"] == c.line && strings.Contains(f.Message, c.words) {
					return
				}
			}
			t.Errorf("the mistakes are %+v, want %s %s at line %d with %q", p.Fields, c.path, c.rule, c.line, c.words)
		})
	}
}

// nested is a list of steps with lists in it, as many in all as deep.
func nested(deep int) string {
	if deep == 1 {
		return "[{say: a}]"
	}
	return "[{gather: {choices: {1: " + nested(deep-1) + "}}}]"
}

func TestWhatIsJustAllowed(t *testing.T) {
	for name, source := range map[string]string{
		"100 steps":               "steps: [" + strings.Repeat("{say: a},", 100) + "]",
		"four lists deep":         "machine: hang_up\nsteps: [{say: a}, " + nested(4)[1:],
		"4,000 characters":        "steps: [{say: " + strings.Repeat("问", 4000) + "}]",
		"a pause of 10 s":         "steps: [{say: a}, {pause: 10s}]",
		"a number is said":        "steps: [{say: 100}]",
		"a question alone":        "machine: hang_up\nsteps: [{gather: {say: a, choices: {1: [{confirm: true}]}}}]",
		"what is after a failure": "steps: [{say: a}, {transfer: \"\"}, {say: Nobody is there.}]",
		"silence that repeats":    "machine: hang_up\nsteps: [{gather: {say: a, choices: {1: [{gather: {say: b, choices: {1: [{say: c}]}, otherwise: [{repeat: true}]}}]}}}]",
	} {
		if _, err := Parse(source); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMistakesAreToldUpToTwenty(t *testing.T) {
	_, err := Parse("steps: [" + strings.Repeat("{speak: a},", 50) + "]")
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields) != 20 {
		t.Errorf("the mistakes are %v, want twenty", err)
	}
}

func TestAllMistakesAreTold(t *testing.T) {
	_, err := Parse("steps:\n  - pause: 1\n  - speak: a\n  - gather: {say: b}\n")
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields) != 3 {
		t.Errorf("the mistakes are %v, want three", err)
	}
}
