package sms

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPreviewSaysWhatATextTakes(t *testing.T) {
	long := strings.Repeat("a", 170)
	for _, c := range []struct {
		name, text string
		o          Options
		want       Preview
	}{
		{"nothing", "", Options{}, Preview{Parts: 1, Left: 160, Cost: 0.5}},
		{"one part", "5 €", Options{}, Preview{Text: "5 €", Parts: 1, Used: 4, Left: 156, Cost: 0.5}},
		{"two parts", long, Options{}, Preview{Text: long, Parts: 2, Used: 17, Left: 136, Cost: 1}},
		{"what forces UCS-2", "“中” 中é👍🏽", Options{}, Preview{
			Encoding: UCS2, Text: "“中” 中é👍🏽", Parts: 1, Used: 10, Left: 60, Cost: 0.5,
			Forcing: []Forcing{{"“", 1, `"`}, {"中", 2, ""}, {"”", 1, `"`}, {"👍🏽", 1, ""}},
		}},
		{"nobody is blamed for what was asked", "“a”", Options{UCS2Only: true}, Preview{
			Encoding: UCS2, Text: "“a”", Parts: 1, Used: 3, Left: 67, Cost: 0.5,
		}},
		{"what will be read", "“a”", Options{Transliterate: true}, Preview{Text: `"a"`, Parts: 1, Used: 3, Left: 157, Cost: 0.5}},
		{"the tables", "ğ", Options{Languages: []Language{Turkish}}, Preview{Shift: Turkish, Text: "ğ", Parts: 1, Used: 2, Left: 153, Cost: 0.5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, NewPreview(c.text, c.o, 0.5)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
