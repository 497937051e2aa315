package templates

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A merge must read as the library's does, whatever is merged.
func TestAMergeReadsAsTheLibraryWould(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"Dear ", "<b>", "\n", "{{ member.name }}", "{{member.name}}", "{{ price }}", "{{ none }}", "{{ none.more }}", "{{ paid }}", "{{ list }}",
		"{{ list.size }}", "{{ member }}", "{{ member.size }}", "{{- price -}}", "{{ price | plus: 1 }}", "{{ nil }}", "{{ true }}",
		"{% if paid %}yes{% endif %}", "{% comment %}x{% endcomment %}", "{{ 'x' }}", "{{ member.first }}", "{{ deep.er.still }}", " {{ many }} ",
	})
	value := rapid.SampledFrom([]any{nil, "Wei", `<"O'Neil" & sons>`, 1.5, 12500000.0, 1e21, 7, true, []any{"a"}, map[string]any{"name": "x"}})
	rapid.Check(t, func(t *rapid.T) {
		source := strings.Join(rapid.SliceOf(piece).Draw(t, "source"), "")
		data := map[string]any{
			"member": map[string]any{"name": value.Draw(t, "name"), "first": "f"},
			"price":  value.Draw(t, "price"), "many": value.Draw(t, "many"), "paid": true, "list": []any{"a", "b"},
			"deep": map[string]any{"er": value.Draw(t, "deep")},
		}
		for _, how := range []markup{plain, escapeHTML, escapeMarkdown} {
			p, err := compile(source, "en", how)
			if err != nil {
				return // it is no template
			}
			got, gotErr := p.render(t.Context(), data)
			want, wantErr := p.byLibrary(t.Context(), data)
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%q gives %q, %v; the library %q, %v", source, got, gotErr, want, wantErr)
			}
		}
	})
}

// byLibrary fills p without its merge.
func (p *part) byLibrary(ctx context.Context, data map[string]any) (string, error) {
	b, cancel := newBudget(ctx)
	defer cancel()
	return p.renderTree(b, data)
}

func TestAMergeIsMadeOfVariablesAlone(t *testing.T) {
	for source, merges := range map[string]bool{
		"Dear {{ member.name }},\n{{ links.alerts }}": true,
		"plain text":                         true,
		"{{ member.name | upcase }}":         false,
		"{% if paid %}yes{% endif %}":        false,
		"{{- name }}":                        false,
		"{{ list.size }}":                    false,
		"{{ list[0] }}":                      false,
		"{% raw %}{{ name }}{% endraw %}":    false,
		"{{ true }}":                         false,
		"{{ name }}{{ member.family_name }}": true,
	} {
		p, err := compile(source, "en", plain)
		if err != nil {
			t.Fatal(err)
		}
		if (p.merge != nil) != merges {
			t.Errorf("%q: a merge of %d pieces", source, len(p.merge))
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	p, err := compile("<p>Dear {{ member.name }},</p>"+strings.Repeat("<p>Some of the things of this week.</p>", 20)+"{{ links.unsubscribe }}", "en", escapeHTML)
	if err != nil {
		b.Fatal(err)
	}
	data := map[string]any{"member": map[string]any{"name": "Wei"}, "links": map[string]any{"unsubscribe": "https://shop.example/u/1?a=b&c=d"}}
	for name, render := range map[string]func() (string, error){
		"merge":   func() (string, error) { return p.render(b.Context(), data) },
		"library": func() (string, error) { return p.byLibrary(b.Context(), data) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := render(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
