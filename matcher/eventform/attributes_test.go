package eventform

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// The short ways of checking attributes say what the long ones say.
func FuzzShortChecksSayWhatLongOnesSay(f *testing.F) {
	for _, seed := range []string{"", "/bench/shop", "urn:x:1", "//[::1", "a:b", ":", "%zz", "http://h:port/", "a b", "~_-./9Az", "\x7f", "\u0085", "茶", "\xff", "//a_b", "///", "1:2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := url.Parse(s); isReference(s) != (err == nil) {
			t.Errorf("%q: a reference: %t, but %v", s, isReference(s), err)
		}
		if want := utf8.ValidString(s) && !strings.ContainsFunc(s, isControl); isText(s) != want {
			t.Errorf("%q: a text: %t", s, !want)
		}
	})
}
