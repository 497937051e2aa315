package hfaxd

import (
	"maps"
	"testing"
)

func FuzzFormat(f *testing.F) {
	for _, seed := range []string{"%-4j %3i %1a %6.6o %-12.12e %5P %5D %7z %.25s", "%", "%-", "%.", "%9999999999j", "job|%j|%s"} {
		f.Add(seed)
	}
	j := &job{id: "7", state: done, values: maps.Clone(usual), text: "Busy signal detected"}
	f.Fuzz(func(t *testing.T, text string) {
		if got := format(text, j.field); len(got) > 1000*len(text) {
			t.Errorf("%q gives %d bytes", text, len(got))
		}
	})
}

func FuzzParameter(f *testing.F) {
	f.Add("RETRYTIME", "0130")
	f.Add("MAXDIALS", "-1")
	f.Add("STATE", "DONE")
	f.Fuzz(func(t *testing.T, name, value string) {
		j := &job{values: maps.Clone(usual)}
		if j.write(name, value) == "" {
			if got, found := j.read(name); !found || got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
		if j.retry < 0 || j.number("MAXDIALS") < 0 {
			t.Errorf("%s %q gives %v, %d", name, value, j.retry, j.number("MAXDIALS"))
		}
	})
}
