package pages

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// broken breaks a text into lines of so many ems.
func broken(w *writer, text string, ems float64) []string {
	var all []string
	for _, l := range w.lines([]span{{text: w.clean(text)}}, 12, ems*12+0.01) {
		var b strings.Builder
		for _, r := range l.runs {
			b.WriteString(r.text)
		}
		all = append(all, b.String())
	}
	return all
}

func TestWhereLinesBreak(t *testing.T) {
	w := newWriter(openFont(t))
	for name, c := range map[string]struct {
		text string
		ems  float64
		want []string
	}{
		"between any two Han characters":     {"您的订单已经发货", 3, []string{"您的订", "单已经", "发货"}},
		"no comma begins a line":             {"您的订，单已经", 3, []string{"您的", "订，单", "已经"}},
		"no closing bracket begins a line":   {"您（订单）已", 4, []string{"您（订", "单）已"}},
		"no opening bracket ends a line":     {"您的（订单）", 3, []string{"您的", "（订", "单）"}},
		"words stay whole":                   {"the price fell", 3, []string{"the", "price", "fell"}},
		"a word stays whole among Han":       {"价格Aurora降了", 3.5, []string{"价格", "Aurora", "降了"}},
		"numbers and their signs stay whole": {"价格¥1,299.00元", 5.5, []string{"价格", "¥1,299.00", "元"}},
		"what is wider than a line":          {"mmmmmmmm", 3, []string{"mmm", "mmm", "mm"}},
		"nothing is a line, too":             {"", 5, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, broken(w, c.text, c.ems)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLinesLoseNothing(t *testing.T) {
	w := newWriter(openFont(t))
	rapid.Check(t, func(t *rapid.T) {
		const size = 12
		var spans []span
		var whole strings.Builder
		for _, text := range rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("ab 中文，。（）1-/é"))), 1, 8).Draw(t, "texts") {
			s := span{text: w.clean(text), bold: rapid.Bool().Draw(t, "bold")}
			whole.WriteString(s.text)
			spans = append(spans, s)
		}
		width := rapid.Float64Range(1, 300).Draw(t, "width")
		var got strings.Builder
		for _, l := range w.lines(spans, size, width) {
			x := 0.0
			for _, r := range l.runs {
				if math.Abs(r.x-x) > 0.001 {
					t.Fatalf("a run begins at %v, and the one before it ends at %v", r.x, x)
				}
				x = r.x + r.width
				got.WriteString(r.text)
				if l.width > width+0.001 && utf8.RuneCountInString(r.text) > 1 && len(l.runs) > 1 {
					t.Fatalf("a line of %v has %v", width, l.width)
				}
			}
		}
		bare := strings.NewReplacer(" ", "").Replace
		if bare(got.String()) != bare(whole.String()) {
			t.Fatalf("%q became %q", whole.String(), got.String())
		}
	})
}
