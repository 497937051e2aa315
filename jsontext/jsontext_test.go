package jsontext_test

import (
	"encoding/json"
	"strings"
	"testing"

	"herald/jsontext"
	"herald/problem"
)

func TestCheckNamesThePlace(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, says string }{
		{"a comma too many", "{\n\"a\": 1,\n}", "line 3, byte 11"},
		{"trailing garbage", "{} x", "line 1, byte 4"},
		{"cut off", `{"a":`, "line 1, byte 5"},
		{"too deep", strings.Repeat("[", 1<<20), "deeper than 3"},
		{"another encoding", "\"\xc3\"", "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := jsontext.Check([]byte(tt.text), 3)
			if problem.CodeOf(err) != problem.Malformed || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
	if err := jsontext.Check([]byte(`{"a":["]]]\"[[[["]}`), 2); err != nil {
		t.Errorf("brackets in strings do not nest: %v", err)
	}
}

func FuzzHoldsNUL(f *testing.F) {
	f.Add([]byte(`"\\\u0000"`))
	f.Add([]byte(`"\\u0000"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s string
		if json.Unmarshal(text, &s) == nil && jsontext.HoldsNUL(text) != strings.ContainsRune(s, 0) {
			t.Errorf("%s: %v", text, jsontext.HoldsNUL(text))
		}
	})
}
