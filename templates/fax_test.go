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
	content, err := Preview(context.Background(), Template{Channel: "fax", Locale: "en", Subject: "{{ event.name }}", Body: offer}, map[string]any{
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
		"a*b_c`d|e<f>&amp;":     "a*b_c`d|e<f>&amp;",
		"two\n\nparagraphs":     "two paragraphs",
		"   indented":           "indented",
		"中文，标点。":                "中文，标点。",
		"1. first":              "1. first",
		"https://shop.example/": "https://shop.example/",
	} {
		content, err := Preview(context.Background(), Template{Channel: "fax", Locale: "en", Body: "{{ x }}"}, map[string]any{"x": value})
		if err != nil {
			t.Fatal(err)
		}
		if _, said := outline(content.Text); strings.ReplaceAll(said, `\`, "") != want {
			t.Errorf("%q reads %q", value, said)
		}
	}
}

func TestAFaxMayTrustAValue(t *testing.T) {
	content, err := Preview(t.Context(), Template{Channel: "fax", Locale: "en", Subject: "To {{ x }}", Body: "{{ x | raw }} and {% capture y %}*{{ x }}*{% endcapture %}{{ y }}"},
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
