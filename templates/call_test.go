package templates

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"herald/problem"
	"herald/templates/script"
)

func voice(body string) Template {
	return Template{Name: "call", Channel: "voice", Locale: "en", Body: body, SavedBy: "operator:ann"}
}

const priceCall = `steps:
  - say: "Good day {{ member.name }}. {{ event.name }} now costs {{ event.price | money: event.currency }}."
  - gather:
      say: Press 1 to confirm, 0 to speak with a person.
      choices:
        1: [{confirm: true}, {say: "Thank you {{ member.name }}."}]
        0: [{transfer: "{{ event.phone }}"}]
`

func TestACallIsFilledWithoutItsStructure(t *testing.T) {
	data := Sample()
	data["member"] = map[string]any{"name": "<b>Wei\"}\n  - hang_up: true\n\u0007 & sons"}
	data["event"].(map[string]any)["phone"] = "+49 30-123 456"
	content, err := preview(t.Context(), voice(priceCall), data)
	if err != nil {
		t.Fatal(err)
	}
	number := "+4930123456"
	want := []script.Step{
		{Say: `Good day <b>Wei"} - hang_up: true & sons. Teapot, three cups now costs €45.00.`},
		{Gather: &script.Gather{
			Say: "Press 1 to confirm, 0 to speak with a person.", Wait: 5e9, Tries: 2,
			Choices: []script.Choice{
				{Digit: '0', Steps: []script.Step{{Transfer: &number}}},
				{Digit: '1', Steps: []script.Step{{Confirm: true}, {Say: `Thank you <b>Wei"} - hang_up: true & sons.`}}},
			},
		}},
	}
	if diff := cmp.Diff(want, content.Script.Steps); diff != "" {
		t.Errorf("the steps are (-want +got)\n%s", diff)
	}
	transcript := `Good day <b>Wei"} - hang_up: true & sons. Teapot, three cups now costs €45.00.
Press 1 to confirm, 0 to speak with a person.
[0] (transfer +4930123456)
[1] (confirm) Thank you <b>Wei"} - hang_up: true & sons.`
	if content.Text != transcript || content.Subject != "" || content.HTML != "" {
		t.Errorf("the content is %+v", content)
	}
}

func TestADigestTellsWhatACallIsAbout(t *testing.T) {
	content, err := preview(t.Context(), voice("steps:\n  - say: Hello.\n"+strings.TrimPrefix(priceCall, "steps:\n")), Sample())
	if err != nil {
		t.Fatal(err)
	}
	if want := "Good day Wei. Teapot, three cups now costs €45.00."; content.Gist() != want {
		t.Errorf("the gist is %q, want %q", content.Gist(), want)
	}
	if text := (Content{Text: "A text."}); text.Gist() != "A text." {
		t.Errorf("the gist of a text is %q", text.Gist())
	}
}

func TestACallIsFilledOftenFromOneTemplate(t *testing.T) {
	c, err := compileTemplate(voice(priceCall))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Ann", "Bob"} {
		content, err := c.fill(t.Context(), map[string]any{"member": map[string]any{"name": name}})
		if err != nil || !strings.HasPrefix(content.Text, "Good day "+name+".") {
			t.Errorf("for %s it says %q and %v", name, content.Text, err)
		}
	}
}

func TestTransfersGoToNumbers(t *testing.T) {
	for number, ok := range map[string]bool{
		"":                       true,
		"110":                    true,
		"+8613800138000":         true,
		" 030 123-456 ":          true,
		"sip:eve@example.com":    false,
		"+":                      false,
		"12+3":                   false,
		"1234567890123456789012": false,
		"１２３":                    false,
		"110;phone-context=x":    false,
		"110\r\nRoute: <sip:e>":  false,
	} {
		content, err := preview(t.Context(), voice(priceCall), map[string]any{"event": map[string]any{"phone": number}})
		if ok != (err == nil) {
			t.Errorf("to %q gives %+v and %v", number, content, err)
		}
		if !ok && (problem.CodeOf(err) != problem.Invalid || len(number) > 3 && strings.Contains(err.Error(), number)) {
			t.Errorf("to %q gives %v", number, err)
		}
	}
}

// TestMistakesOfACallNameItsLine gives the line within the YAML and the place.
func TestMistakesOfACallNameItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		body, rule, place string
		line              int
		words             string
	}{
		"of the script":            {"steps:\n  - say: a\n  - pause: 2\n", "script", "steps[1].pause", 3, "500ms or 2s"},
		"of the Liquid":            {"steps:\n  - say: a\n  - say: \"{{ x | shout }}\"\n", "syntax", "steps[1].say", 3, `no filter "shout"`},
		"of the Liquid in a block": {"steps:\n  - say: |\n      one\n      {% if x %}two\n", "syntax", "steps[0].say", 4, "if"},
		"of a value":               {"steps:\n  - say: a\n  - say: \"{{ member.name | money: 'EUR' }}\"\n", "render", "steps[1].say", 3, "not a number"},
		"of a number":              {"steps:\n  - say: a\n  - transfer: \"{{ member.name }}\"\n", "render", "steps[1].transfer", 3, "digits"},
		"of the length once filled": {
			"steps:\n  - say: \"{% for i in (1..4001) %}x{% endfor %}\"\n", "render", "steps[0].say", 2, "4001 characters",
		},
		"of all loops together": {
			"steps:\n" + strings.Repeat("  - say: \"{% for i in (1..3500) %}{% if i == 1 %}x{% endif %}{% endfor %}\"\n", 3), "render", "steps[2].say", 4, "more than 10000 rounds",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := preview(t.Context(), voice(c.body), Sample())
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.Invalid || len(p.Fields) != 1 {
				t.Fatalf("the mistake is %v, want one field", err)
			}
			f := p.Fields[0]
			if f.Path != "body" || f.Rule != c.rule || f.Args["line"] != c.line || f.Args["place"] != c.place || !strings.Contains(f.Message, c.words) {
				t.Errorf("the mistake is %+v", f)
			}
		})
	}
}

func TestFieldsOfEachChannel(t *testing.T) {
	call := "steps: [{say: Good day.}]"
	for name, c := range map[string]struct {
		template Template
		path     string // "": it is taken
	}{
		"a call":                {Template{Channel: "voice", Body: call}, ""},
		"a call with a subject": {Template{Channel: "voice", Body: call, Subject: "x"}, "subject"},
		"a call with HTML":      {Template{Channel: "voice", Body: call, HTML: "x"}, "html"},
		"a call of nothing":     {Template{Channel: "voice"}, "body"},
		"a call that is a text": {Template{Channel: "voice", Body: "Good day."}, "body"},
		"a fax":                 {Template{Channel: "fax", Body: "# x"}, ""},
		"a fax with a subject":  {Template{Channel: "fax", Body: "# x", Subject: "x"}, ""},
		"a fax with HTML":       {Template{Channel: "fax", Body: "# x", HTML: "x"}, "html"},
		"a fax of HTML":         {Template{Channel: "fax", HTML: "x"}, "body"},
	} {
		c.template.Name, c.template.Locale, c.template.SavedBy = "x", "en", "operator:ann"
		_, err := check(t.Context(), &c.template)
		if c.path == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.Invalid || p.Fields[0].Path != c.path {
			t.Errorf("%s gives %v, want a mistake at %s", name, err, c.path)
		}
	}
}
