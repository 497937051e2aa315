package sms

import (
	"strings"
	"testing"
)

func TestTextsAreCutAtTheExactBorders(t *testing.T) {
	for _, c := range []struct {
		name    string
		text    string
		options Options
		e       Encoding
		parts   []int // septets or sixteen bits
	}{
		{"nothing is one part", "", Options{}, GSM7, []int{0}},
		{"160 septets are one part", strings.Repeat("a", 160), Options{}, GSM7, []int{160}},
		{"161 are two of 153", strings.Repeat("a", 161), Options{}, GSM7, []int{153, 8}},
		{"306 are two", strings.Repeat("a", 306), Options{}, GSM7, []int{153, 153}},
		{"307 are three", strings.Repeat("a", 307), Options{}, GSM7, []int{153, 153, 1}},
		{"80 escapes are one part", strings.Repeat("€", 80), Options{}, GSM7, []int{160}},
		{"an escape is not cut", strings.Repeat("€", 81), Options{}, GSM7, []int{152, 10}},
		{"a wide reference leaves 152", strings.Repeat("a", 161), Options{WideReference: true}, GSM7, []int{152, 9}},
		{"70 of UCS-2 are one part", strings.Repeat("中", 70), Options{}, UCS2, []int{70}},
		{"71 are two of 67", strings.Repeat("中", 71), Options{}, UCS2, []int{67, 4}},
		{"a wide reference leaves 66", strings.Repeat("中", 71), Options{WideReference: true}, UCS2, []int{66, 5}},
		{"35 pairs are one part", strings.Repeat("😀", 35), Options{}, UCS2, []int{70}},
		{"a pair is not cut", strings.Repeat("😀", 36), Options{}, UCS2, []int{66, 6}},
		{"a shift table leaves 155", strings.Repeat("ş", 77), Options{Languages: []Language{Turkish}}, GSM7, []int{154}},
		{"one language's letter", "Ağ", Options{Languages: []Language{Turkish}}, GSM7, []int{3}},
		{"UCS-2 because it was asked for", "a", Options{UCS2Only: true}, UCS2, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Compose(c.text, c.options)
			if err != nil {
				t.Fatal(err)
			}
			if m.Encoding != c.e || len(m.Parts) != len(c.parts) {
				t.Fatalf("%v in %d parts, want %v in %v", m.Encoding, len(m.Parts), c.e, c.parts)
			}
			for i, p := range m.Parts {
				n := len(p)
				if m.Encoding == UCS2 {
					n /= 2
				}
				if n != c.parts[i] {
					t.Errorf("part %d has %d, want %d", i, n, c.parts[i])
				}
				if octets := m.Octets(0xABCD, i); len(octets) > 140 {
					t.Errorf("part %d has %d octets", i, len(octets))
				}
			}
		})
	}
}
