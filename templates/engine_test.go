package templates

import (
	"errors"
	"strings"
	"testing"
	"time"

	"herald/problem"
)

// fillField fills one HTML or plain field in a locale.
func fillField(t *testing.T, source, locale string, m markup, data map[string]any) (string, error) {
	t.Helper()
	p, err := compile(source, locale, m)
	if err != nil {
		return "", err
	}
	return p.render(t.Context(), data)
}

// What goes wrong is logged and shown to operators; the data it went wrong
// with is the member's.
func TestMistakesDoNotQuoteTheData(t *testing.T) {
	data := map[string]any{"code": "482913", "name": "Wei (wei@example.com)\nto type x", "list": []any{"Wei"}, "object": map[string]any{"Wei": "Wei"}}
	for _, source := range []string{
		`{{ name | truncate: name }}`,
		`{{ code | slice: name }}`,
		`{{ name | sort: "x" }}`,
		`{{ name | map: "x" }}`,
		`{{ name | times: 2 }}`,
		`{{ list | times: 2 }}`,
		`{{ object | plus: 2 }}`,
		`{{ 2 | divided_by: name }}`,
		`{{ name | date: "%Y" }}`,
		`{{ name | money: "EUR" }}`,
		`{{ code | split: "" | first | modulo: name }}`,
		`{% for x in (1..name) %}{{ x }}{% endfor %}`,
		`{% for x in list limit: name %}{{ x }}{% endfor %}`,
	} {
		_, err := fillField(t, source, "en", plain, data)
		if err == nil {
			continue
		}
		for _, secret := range []string{"482913", "Wei", "wei@"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", source, err)
				break
			}
		}
	}
}

func TestPrinting(t *testing.T) {
	data := map[string]any{
		"name":  `<b>"O'Neil" & sons</b>`,
		"price": 1299.5, "many": 12500000.0, "paid": true, "nothing": nil,
		"list": []any{"<a>", 2.0}, "object": map[string]any{"k": "<v>"},
	}
	for name, c := range map[string]struct {
		markup           markup
		source, expected string
	}{
		"html is escaped":                    {escapeHTML, "{{ name }}", "&lt;b&gt;&#34;O&#39;Neil&#34; &amp; sons&lt;/b&gt;"},
		"html is escaped behind a filter":    {escapeHTML, "{{ name | upcase }}", "&lt;B&gt;&#34;O&#39;NEIL&#34; &amp; SONS&lt;/B&gt;"},
		"html of a list is escaped":          {escapeHTML, "{{ list | join: '<' }}", "&lt;a&gt;&lt;2"},
		"a whole list is escaped":            {escapeHTML, "{{ list }}", "[&#34;\\u003ca\\u003e&#34;,2]"},
		"a whole object is escaped":          {escapeHTML, "{{ object }}", "{&#34;k&#34;:&#34;\\u003cv\\u003e&#34;}"},
		"raw is not escaped":                 {escapeHTML, "{{ name | raw }}", `<b>"O'Neil" & sons</b>`},
		"a filter behind raw escapes again":  {escapeHTML, "{{ '<' | raw | append: '>' }}", "&lt;&gt;"},
		"captured text is escaped once":      {escapeHTML, "{% capture x %}{{ name | truncate: 3, '' }}{% endcapture %}<i>{{ x }}</i>", "<i>&lt;b&gt;</i>"},
		"assigned text is escaped":           {escapeHTML, "{% assign x = name %}{{ x }}", "&lt;b&gt;&#34;O&#39;Neil&#34; &amp; sons&lt;/b&gt;"},
		"plain text is not escaped":          {plain, "{{ name }}", `<b>"O'Neil" & sons</b>`},
		"numbers have no exponent":           {plain, "{{ many }} {{ price }}", "12500000 1299.5"},
		"a comparison prints true or false":  {escapeHTML, "{{ price > 1000 }} {{ paid == false }}", "true false"},
		"nothing prints nothing":             {escapeHTML, "[{{ nothing }}{{ missing.deep }}]", "[]"},
		"a raw block is left as it is":       {escapeHTML, "{% raw %}{{ name }}{% for %}{% endraw %}", "{{ name }}{% for %}"},
		"a comment is left out":              {escapeHTML, "a{% comment %}{{ name | nonsense }}{% endcomment %}b", "ab"},
		"trim marks still trim":              {escapeHTML, "a  {{- price -}}  b", "a1299.5b"},
		"a range stands in a loop":           {escapeHTML, "{% for i in (1..3) %}{{ i }}{% endfor %}", "123"},
		"two dots may stand in a text":       {escapeHTML, "{{ 'wait..' }}", "wait.."},
		"a loop knows the state of its list": {escapeHTML, "{% for x in list %}{{ forloop.index }}{{ x }}{% endfor %}", "1&lt;a&gt;22"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fillField(t, c.source, "en", c.markup, data)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.expected {
				t.Errorf("%s gives %q, want %q", c.source, got, c.expected)
			}
		})
	}
}

func TestFilters(t *testing.T) {
	data := map[string]any{
		"price": 1299.0, "debt": -8.2, "text": "49.5", "at": "2026-03-01T18:30:00Z", "n": 12500.25,
		"when": time.Date(2026, 3, 1, 18, 30, 0, 0, time.UTC), "seconds": 1772389800.0,
	}
	for source, expected := range map[string]string{
		`{{ price | money: "USD" }}`:                              "$1,299.00",
		`{{ price | money: "JPY" }}`:                              "¥1,299",
		`{{ price | money: "EUR", "de" }}`:                        "1.299,00\u00a0€",
		`{{ price | money: "CHF" }}`:                              "CHF\u00a01,299.00",
		`{{ debt | money: "EUR" }}`:                               "-€8.20",
		`{{ text | money: "CNY", "zh-CN" }}`:                      "¥49.50",
		`{{ price | money: "points" }}`:                           "1,299.00 points",
		`{{ price | money }}`:                                     "1,299.00",
		`[{{ missing | money: "USD" }}]`:                          "[]",
		`{{ n | number }}`:                                        "12,500.25",
		`{{ n | number: "de" }}`:                                  "12.500,25",
		`{{ at | date: "%-d %B %Y %H:%M", "Asia/Shanghai" }}`:     "2 March 2026 02:30",
		`{{ when | date: "%H:%M" }}`:                              "18:30",
		`{{ seconds | date: "%Y-%m-%d %H:%M", "Europe/Berlin" }}`: "2026-03-01 19:30",
		`{{ "2026-03-01" | date }}`:                               "2026-03-01",
		`[{{ missing | date: "%Y" }}]`:                            "[]",
		`{{ "a-b" | replace: "-", "+" | append: "!" }}`:           "a+b!",
		`{{ "b" | prepend: "a" | json }}`:                         `"ab"`,
	} {
		got, err := fillField(t, source, "en", plain, data)
		if err != nil || got != expected {
			t.Errorf("%s gives %q and %v, want %q", source, got, err, expected)
		}
	}
	for source, reason := range map[string]string{
		`{{ "dear" | money: "USD" }}`:                  "not a number",
		`{{ at | date: "%Y", "Mars/Olympus" }}`:        "there is no time zone",
		`{{ "yesterday" | date }}`:                     "not a time",
		`{{ "now" | date }}`:                           "now is not available",
		`{{ 1 | divided_by: 0 }}`:                      "division by zero",
		`{{ "abc" | slice: 1, -5 }}`:                   "slice bounds out of range",
		`{{ "abcabcabc" | truncate: 2000 }}`:           "cannot be filled",
		`{% cycle "a", "b" %}`:                         "cycle must be within a forloop",
		`{% for i in (1..3) limit: "x" %}{% endfor %}`: "must be an integer",
	} {
		if _, err := fillField(t, source, "en", plain, data); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s gives %v, want %q", source, err, reason)
		}
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		line   int
		reason string
	}{
		"an expression that is none":     {"one\n{{ a | }}", 2, "syntax error"},
		"a tag that is none":             {"one\ntwo\n{% loop %}", 3, `undefined tag "loop"`},
		"a filter that is none":          {"\n{{ a | shout }}", 2, `no filter "shout"`},
		"a filter that is none in a tag": {"{% assign b = a | shout %}", 1, `no filter "shout"`},
		"an if without its end":          {"\n{% if a %}\nb", 2, "unterminated"},
		"an end without its if":          {"a\n{% endif %}", 2, "endif"},
		"an expression without its end":  {"a\n\nb {{ a }", 3, "{{ is not closed"},
		"a tag without its end":          {"a\n{% if a", 2, "{% is not closed"},
		"a file":                         {"\n{% include '/etc/passwd' %}", 2, "include is not available"},
		"a range as a list":              {"{{ (1..1000000000) | join }}", 1, "a range"},
		"a range as a variable":          {"\n{% assign r = (1..1000000000) %}", 2, "a range"},
		"a range behind a filter":        {"{% for i in (1..1000000000) | reverse %}{% endfor %}", 1, "a range"},
		"a range as a limit's list":      {"{% for i in x limit: (1..9) %}{% endfor %}", 1, "a range"},
		"our own tag":                    {"\n\n{% __step %}", 3, `undefined tag "__step"`},
		"our own block":                  {"{% __capture x %}{% end__capture %}", 1, `undefined tag "__capture"`},
		"our own filter":                 {"{{ a | __print }}", 1, `no filter "__print"`},
		"too much source":                {strings.Repeat("x", maxSource+1), 1, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compile(c.source, "en", escapeHTML)
			var mistake *syntaxError
			if !errors.As(err, &mistake) {
				t.Fatalf("%q gives %v, want a mistake", c.source, err)
			}
			if mistake.line != c.line || !strings.Contains(mistake.message, c.reason) {
				t.Errorf("%q gives %v, want line %d and %q", c.source, err, c.line, c.reason)
			}
		})
	}
}

// TestRunawayTemplatesFailAlone: each would take all memory or all time.
func TestRunawayTemplatesFailAlone(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, c := range map[string]struct{ source, reason string }{
		"a loop without an end":          {"{% for i in (1..1000000000) %}{% endfor %}", "rounds"},
		"loops in loops":                 {"{% for i in (1..1000) %}{% for j in (1..1000) %}{% for k in (1..1000) %}{% endfor %}{% endfor %}{% endfor %}", "rounds"},
		"a table without an end":         {"{% tablerow i in (1..1000000000) %}{% endtablerow %}", "rounds"},
		"a long text":                    {"{% for i in (1..9999) %}" + long + "{% endfor %}", "prints more than"},
		"a long capture":                 {"{% capture x %}{% for i in (1..9999) %}" + long + "{% endfor %}{% endcapture %}", "prints more than"},
		"a variable that doubles":        {"{% assign x = 'ab' %}{% for i in (1..60) %}{% assign x = x | append: x %}{% endfor %}", "bytes"},
		"a replacement that squares":     {"{% assign x = 'aaaaaaaaaa' %}{% for i in (1..9) %}{% assign x = x | replace: 'a', x %}{% endfor %}", "bytes"},
		"quotes that double":             {`{% assign x = '"""' %}{% for i in (1..60) %}{% assign x = x | json %}{% endfor %}`, "bytes"},
		"a list that doubles":            {"{% assign x = 'a b' | split: ' ' %}{% for i in (1..60) %}{% assign x = x | concat: x %}{% endfor %}", "elements"},
		"a list glued with a long text":  {"{% assign x = 'a' %}{% for i in (1..13) %}{% assign x = x | append: x %}{% endfor %}{% assign y = x | split: '' | join: x %}", "bytes"},
		"a year of ten thousand figures": {`{{ "2026-01-01" | date: "%100000Y" }}`, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := fillField(t, c.source, "en", escapeHTML, map[string]any{})
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("gives %v, want %q", err, c.reason)
			}
			if took := time.Since(began); took > maxTime {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestFillingDoesNotChangeTheData(t *testing.T) {
	data := map[string]any{"name": "Wei"}
	if _, err := fillField(t, "{% assign name = 'other' %}{% assign more = 1 %}{{ name }}", "en", plain, data); err != nil {
		t.Fatal(err)
	}
	if len(data) != 1 || data["name"] != "Wei" {
		t.Errorf("the data became %v", data)
	}
}

func TestSubjectIsOneLine(t *testing.T) {
	content, err := preview(t.Context(),
		Template{Name: "x", Channel: "email", Locale: "en", Subject: "Hello\r\nBcc: {{ name }}\u2028\x00 \t you ", Body: "b"},
		map[string]any{"name": "<a>\nX: y"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "Hello Bcc: <a> X: y you"; content.Subject != want {
		t.Errorf("the subject is %q, want %q", content.Subject, want)
	}
}

func TestMistakesOfAllFieldsComeTogether(t *testing.T) {
	_, err := preview(t.Context(), Template{Subject: "{{ a |", HTML: "<p>\n{% if %}", Body: "\n\n{{ x | shout }}"}, nil)
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid || len(p.Fields) != 3 {
		t.Fatalf("gives %v, want three mistakes", err)
	}
	for i, want := range []struct {
		path string
		line int
	}{{"subject", 1}, {"html", 2}, {"body", 3}} {
		if f := p.Fields[i]; f.Path != want.path || f.Args["line"] != want.line {
			t.Errorf("mistake %d is %+v, want %+v", i, f, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"{{ a.b[0] | upcase }}", "{% for i in (1..3) %}{{ i }}{% else %}-{% endfor %}", "{% if a == 1 and b %}x{% elsif c %}y{% endif %}",
		"{% case a %}{% when 1, 2 %}x{% endcase %}", "{%- raw -%}{{{% endraw %}", "{{ 'x' | replace: 'x', \"y\" }}", "{% capture a %}{{ b }}{% endcapture %}{{ a }}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := compile(source, "en", escapeHTML)
		if err != nil {
			return
		}
		if text, err := p.render(t.Context(), Sample()); err == nil && len(text) > maxOutput {
			t.Errorf("printed %d bytes", len(text))
		}
	})
}

func BenchmarkFill(b *testing.B) {
	starters, _, err := starterTemplates()
	if err != nil {
		b.Fatal(err)
	}
	c, err := compileTemplate(starters[len(starters)/2-2])
	if err != nil {
		b.Fatal(err)
	}
	data := Sample()
	for b.Loop() {
		if _, err := c.fill(b.Context(), data); err != nil {
			b.Fatal(err)
		}
	}
}
