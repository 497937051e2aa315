package templates

import (
	"context"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"pgregory.net/rapid"
)

const offer = "# Dear {{ member.name }}\n\n{{ event.text }} It is *yours*.\n\n" +
	"| | |\n|---|---|\n| Product | {{ event.name }} |\n| Price | {{ event.name | upcase }} |\n\n{{ event.text }}\n"

func fillFax(t interface{ Fatal(...any) }, value string) string {
	content, err := preview(context.Background(), Template{Channel: "fax", Locale: "en", Subject: "{{ event.name }}", Body: offer}, map[string]any{
		"member": map[string]any{"name": value}, "event": map[string]any{"name": value, "text": value},
	})
	if err != nil {
		t.Fatal(err)
	}
	return content.Text
}

// outline is how Markdown is built, and plain all that it says.
func outline(source string) (built, plain string) {
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader([]byte(source)))
	var b, said strings.Builder
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				said.Write(n.Segment.Value([]byte(source)))
			}
		default:
			if entering {
				b.WriteString("(" + n.Kind().String())
			} else {
				b.WriteString(")")
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String(), said.String()
}

// TestValuesAreNeverMarkup fills a fax from anything and compares how it is
// built with one filled from a word.
func TestValuesAreNeverMarkup(t *testing.T) {
	want, _ := outline(fillFax(t, "word"))
	hostile := rapid.SliceOfN(rapid.SampledFrom([]string{
		"#", " ", "    ", "\n", "\n\n", "\r", "\t", "*", "_", "`", "~", "|", "-", "---", "===", "+", "1.", "1)", ">", "<b>", "<!--", "&amp;", "&#35;",
		"[a](b)", "![", "https://example.com", "www.example.com", "a@example.com", "\\", "\\|", "~~", "x", "中", "\u2028", "\u0000", "\u00a0", "{{", "$", ":", "\xff",
	}), 1, 12)
	rapid.Check(t, func(t *rapid.T) {
		value := strings.Join(hostile.Draw(t, "value"), "") + "x" // a value of blanks alone leaves an empty heading
		filled := fillFax(t, value)
		if got, _ := outline(filled); got != want {
			t.Fatalf("%q makes\n%s\nthat is built as\n%s\nwant\n%s", value, filled, got, want)
		}
	})
}

func TestAFaxSaysItsValues(t *testing.T) {
	for value, want := range map[string]string{
		"€45.00 (-20 %)":        "€45.00 (-20 %)",
		"A-1042 at 18:00":       "A-1042 at 18:00",
		"a*b_c`d|e<f>&amp;":     "a*b_c`d|e<f>&amp;",
		"two\n\nparagraphs":     "two paragraphs",
		"   indented":           "indented",
		"中文，标点。":                "中文，标点。",
		"1. first":              "1. first",
		"https://shop.example/": "https://shop.example/",
	} {
		content, err := preview(context.Background(), Template{Channel: "fax", Locale: "en", Body: "{{ x }}"}, map[string]any{"x": value})
		if err != nil {
			t.Fatal(err)
		}
		if _, said := outline(content.Text); strings.ReplaceAll(said, `\`, "") != want {
			t.Errorf("%q reads %q", value, said)
		}
	}
}

// TestAFaxReadsAsMarkdownToo gives values that need no or few escapes.
func TestAFaxReadsAsMarkdownToo(t *testing.T) {
	for value, want := range map[string]string{
		"A-1042, €45.00 at 18:00": "A-1042, €45.00 at 18:00",
		"https://shop.example/d":  `https\://shop.example/d`,
		"www.shop.example":        `www\.shop.example`,
		"1. first":                `1\. first`,
		"- [a](b)":                `\- \[a\]\(b\)`,
		"Tom & Ann":               `Tom \& Ann`,
		"a\u00a0b":                "a\u00a0b",
	} {
		if got := markdownText(value); got != want {
			t.Errorf("%q is written %q, want %q", value, got, want)
		}
	}
}

// TestValuesAreNoMarkupTogetherWithTheTemplates puts them where markup has
// begun already.
func TestValuesAreNoMarkupTogetherWithTheTemplates(t *testing.T) {
	for _, c := range []struct{ body, value string }{
		{"[see]{{ x }}", "(https://example.com)"},
		{"{{ x }}[see](https://example.com)", "!"},
		{"1{{ x }} first", "."},
		{"1{{ x }} first", ")"},
		{"{{ x }}{{ x }} first", "1."},
		{"ww{{ x }}", "w.example.com"},
		{"https{{ x }}", "://example.com"},
		{"title\n{{ x }}", "==="},
		{"title\n{{ x }}{{ x }}", "-"},
		{"a{{ x }}example.com", "@"},
	} {
		fill := func(value string) string {
			content, err := preview(t.Context(), Template{Channel: "fax", Locale: "en", Body: c.body}, map[string]any{"x": value})
			if err != nil {
				t.Fatal(err)
			}
			built, _ := outline(content.Text)
			return built
		}
		if got, want := fill(c.value), fill("x"); got != want {
			t.Errorf("%q in %q is built as %s, want %s", c.value, c.body, got, want)
		}
	}
}

func TestAFaxMayTrustAValue(t *testing.T) {
	content, err := preview(t.Context(), Template{Channel: "fax", Locale: "en", Subject: "To {{ x }}", Body: "{{ x | raw }} and {% capture y %}*{{ x }}*{% endcapture %}{{ y }}"},
		map[string]any{"x": "**a**"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `**a** and *\*\*a\*\**`; content.Text != want {
		t.Errorf("the fax is %q, want %q", content.Text, want)
	}
	if content.Subject != "To **a**" {
		t.Errorf("the subject is %q", content.Subject)
	}
}
