package script

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"herald/problem"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTheTranscriptReadsWell(t *testing.T) {
	got := mustParse(t, full).Transcript() + "\n"
	path := filepath.Join("testdata", "transcript.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the transcript differs from what was read before (write it anew with -update):\n%s", got)
	}
}

func TestAMachineHearsNoQuestion(t *testing.T) {
	say := func(words ...string) (steps []Step) {
		for _, w := range words {
			steps = append(steps, Step{Say: w})
		}
		return steps
	}
	for name, c := range map[string]struct {
		source string
		want   []Step
	}{
		"its own message":           {"steps: [{say: a}]\nmessage: [{say: b}]", say("b")},
		"all that is said":          {"steps: [{say: a}, {play: b.wav}, {pause: 1s}, {say: c}]", []Step{{Say: "a"}, {Play: "b.wav"}, {Pause: time.Second}, {Say: "c"}}},
		"not from a question on":    {"steps: [{say: a}, {gather: {say: q, choices: {1: [{say: b}]}}}, {say: c}]", say("a")},
		"no question for consent":   {"steps: [{say: a}, {record: {ask: q, yes: 1}}, {say: c}]", say("a", "c")},
		"not from a transfer on":    {"steps: [{say: a}, {transfer: \"\"}, {say: c}]", say("a")},
		"not beyond the end":        {"steps: [{say: a}, {hang_up: true}]", say("a")},
		"nothing where it hangs up": {"machine: hang_up\nsteps: [{say: a}]", nil},
	} {
		if diff := cmp.Diff(c.want, mustParse(t, c.source).ForMachine()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestTheGistIsWhatTheCallIsAbout(t *testing.T) {
	for source, want := range map[string]string{
		"steps: [{say: Hello.}, {play: b.wav}, {say: The kettle is 39.}, {say: Only today.}, {gather: {say: q, choices: {1: [{say: b}]}}}, {say: c}]": "The kettle is 39. Only today.",
		"steps: [{say: The kettle is 39.}, {hang_up: true}]": "The kettle is 39.",
		"{machine: hang_up, steps: [{play: b.wav}]}":         "",
	} {
		if got := mustParse(t, source).Gist(); got != want {
			t.Errorf("the gist of %s is %q, want %q", source, got, want)
		}
	}
}

// TestAScriptIsReadAsItWasWritten writes any script as YAML and reads it.
func TestAScriptIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScript(t)
		source, err := yaml.Marshal(written(s))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(string(source))
		if err != nil {
			t.Fatalf("%v in\n%s", err, source)
		}
		if diff := cmp.Diff(s, got, cmpopts.IgnoreUnexported(Script{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got)\n%s\nfrom\n%s", diff, source)
		}
		for i, place := range got.Places() {
			if place.Line < 1 || place.Path == "" {
				t.Fatalf("text %d stands at %+v in\n%s", i, place, source)
			}
		}
		if diff := cmp.Diff(got, got.Clone(), cmp.AllowUnexported(Script{})); diff != "" {
			t.Fatalf("a clone differs\n%s", diff)
		}
	})
}

func drawScript(t *rapid.T) *Script {
	s := &Script{Machine: Leave, Steps: append([]Step{{Say: drawText(t)}}, drawSteps(t, 1, false)...)}
	switch rapid.IntRange(0, 2).Draw(t, "machine") {
	case 0:
		s.Machine = HangUp
	case 1:
		s.Message = []Step{{Say: drawText(t)}, {Pause: time.Second}}
	}
	return s
}

func drawText(t *rapid.T) string {
	return rapid.StringMatching(`[A-Za-z中文{}%|#:'"&*!>\[\],. -]{0,20}[a-z]`).Draw(t, "text")
}

// drawSteps are a few steps, with questions as deep as is allowed.
func drawSteps(t *rapid.T, depth int, pressed bool) []Step {
	var steps []Step
	for range rapid.IntRange(1, 3).Draw(t, "steps") {
		steps = append(steps, drawStep(t, depth, pressed))
	}
	if rapid.Bool().Draw(t, "ends") {
		steps = append(steps, Step{HangUp: true})
	} else if pressed {
		steps = append(steps, Step{Repeat: true})
	}
	return steps
}

func drawStep(t *rapid.T, depth int, pressed bool) Step {
	kinds := []string{"say", "play", "pause", "transfer", "record"}
	if pressed {
		kinds = append(kinds, "confirm", "stop")
	}
	if depth <= 2 {
		kinds = append(kinds, "gather")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "play":
		return Step{Play: rapid.StringMatching(`[a-z中]{1,8}\.wav`).Draw(t, "sound")}
	case "pause":
		return Step{Pause: time.Duration(rapid.IntRange(1, 10_000).Draw(t, "pause")) * time.Millisecond}
	case "transfer":
		number := rapid.StringMatching(`(\+[0-9]{5,12})?`).Draw(t, "number")
		return Step{Transfer: &number}
	case "record":
		return Step{Record: &Record{Ask: drawText(t), Yes: drawDigit(t)}}
	case "confirm":
		return Step{Confirm: true}
	case "stop":
		return Step{Stop: true}
	case "gather":
		g := &Gather{Say: drawText(t), Wait: 2 * time.Second, Tries: rapid.IntRange(1, maxTries).Draw(t, "tries")}
		first := drawDigit(t)
		g.Choices = []Choice{{first, drawSteps(t, depth+1, true)}}
		if first != '9' && rapid.Bool().Draw(t, "second") {
			g.Choices = append(g.Choices, Choice{'9', drawSteps(t, depth+1, true)})
		}
		if rapid.Bool().Draw(t, "otherwise") {
			g.Otherwise = drawSteps(t, depth+1, pressed)
		}
		return Step{Gather: g}
	}
	return Step{Say: drawText(t)}
}

func drawDigit(t *rapid.T) rune { return rapid.SampledFrom([]rune("0123456789*#")).Draw(t, "digit") }

// written is a script as people write it.
func written(s *Script) map[string]any {
	all := map[string]any{"machine": string(s.Machine), "steps": writtenSteps(s.Steps)}
	if s.Message != nil {
		all["message"] = writtenSteps(s.Message)
	}
	return all
}

func writtenSteps(steps []Step) []any {
	all := []any{}
	for _, s := range steps {
		switch {
		case s.Say != "":
			all = append(all, map[string]any{"say": s.Say})
		case s.Play != "":
			all = append(all, map[string]any{"play": s.Play})
		case s.Pause > 0:
			all = append(all, map[string]any{"pause": s.Pause.String()})
		case s.Transfer != nil:
			all = append(all, map[string]any{"transfer": *s.Transfer})
		case s.Record != nil:
			all = append(all, map[string]any{"record": map[string]any{"ask": s.Record.Ask, "yes": string(s.Record.Yes)}})
		case s.Confirm:
			all = append(all, map[string]any{"confirm": true})
		case s.Stop:
			all = append(all, map[string]any{"stop": true})
		case s.Repeat:
			all = append(all, map[string]any{"repeat": true})
		case s.HangUp:
			all = append(all, map[string]any{"hang_up": true})
		case s.Gather != nil:
			all = append(all, map[string]any{"gather": writtenGather(s.Gather)})
		}
	}
	return all
}

func writtenGather(g *Gather) map[string]any {
	choices := map[string]any{}
	for _, c := range g.Choices {
		choices[string(c.Digit)] = writtenSteps(c.Steps)
	}
	all := map[string]any{"say": g.Say, "wait": g.Wait.String(), "tries": g.Tries, "choices": choices}
	if g.Otherwise != nil {
		all["otherwise"] = writtenSteps(g.Otherwise)
	}
	return all
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add("steps: [{say: a}]")
	f.Add("steps: [{gather: {choices: {1: [{stop: true}]}}}]")
	f.Add("a: &x [*x]\n<<: 1\n---\n? [")
	f.Fuzz(func(t *testing.T, source string) {
		s, err := Parse(source)
		if err != nil {
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("%v is no Invalid", err)
			}
			return
		}
		if len(s.Texts()) != len(s.Places()) {
			t.Fatal("texts and places differ")
		}
		for _, place := range s.Places() {
			if place.Line < 1 {
				t.Fatalf("no line for %s", place.Path)
			}
		}
		if s.Machine == Leave && len(s.ForMachine()) == 0 {
			t.Fatal("nothing is left on a machine")
		}
		if fmt.Sprint(s.Clone().Transcript()) != s.Transcript() {
			t.Fatal("a clone reads otherwise")
		}
	})
}
