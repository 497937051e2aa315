package pages

import (
	"errors"
	"strings"
	"testing"
)

// FuzzRender: whatever a message says, it makes pages, or is too long.
func FuzzRender(f *testing.F) {
	for _, locale := range []string{"en", "zh"} {
		f.Add(example(f, locale).Body)
	}
	for _, seed := range []string{
		"", "\x00\xff", strings.Repeat("> ", 500) + "deep", strings.Repeat("- ", 300) + "x", strings.Repeat("*", 3000), strings.Repeat("[", 2000),
		"| a |\n|---|\n" + strings.Repeat("| b ", 50), "||\n|--|\n||", "|a|b|\n|-|-|\n|c|\n|d|e|f|", "- \n-\n1.\n", "# \n## [x]()\n![i](j \"t\")", "<b>x</b>\n\n<div>\n</div>",
		"&#x1F600; &#0; &#99999999; &nosuch; \\", "a\\\nb  \nc", "[a]: b\n\n[a]", "- a\n\n  | t |\n  |---|\n  | c |\n", "1. x\n999999999. y",
	} {
		f.Add(seed)
	}
	font := openFont(f)
	f.Fuzz(func(t *testing.T, body string) {
		w := newWriter(font)
		all, err := w.write(Fax{Body: body, Subject: body, From: body, ToNumber: body, Cover: len(body)%2 == 0})
		if err != nil {
			if !errors.Is(err, ErrTooLong) {
				t.Fatal(err)
			}
			return
		}
		if len(all) < 1 || len(all) > mostPages {
			t.Errorf("it has %d pages", len(all))
		}
		for _, p := range all {
			for _, m := range p.marks {
				if m.y > pageHeight || m.y < 0 || m.x < left-1 || m.x > right+1 {
					t.Errorf("%q stands at %v, %v", m.text, m.x, m.y)
				}
				for _, c := range m.text {
					if _, found := w.em(c); !found && c != ' ' {
						t.Errorf("%q has a character that the font has not", m.text)
					}
				}
			}
		}
		if len(body)%16 == 0 { // the PDF takes far longer than the pages
			if _, err := font.draw(all, epoch); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzFont: no file makes OpenFont panic, and a font that it takes can write.
func FuzzFont(f *testing.F) {
	for _, seed := range []string{"", "ttcf", "\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00head\x00\x00\x00\x00\x00\x00\x00\x0c\x00\x00\x00\x01"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		font, err := newFont(file)
		if err != nil {
			return
		}
		if _, err := font.Render(Fax{Body: "a"}, 1); err != nil {
			t.Error(err)
		}
	})
}
