package folder

import (
	"errors"
	"io"
	"strings"
	"testing"

	"herald/collectors/mapping"
	"herald/xmlform"
)

// FuzzRecords holds every reader against what must be true of any file: it
// ends, and a record that is no event says why.
func FuzzRecords(f *testing.F) {
	f.Add("a.csv", "product,price\na,1\n\"b\n\",x\nc\n\"d")
	f.Add("a.ndjson", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}\n{\n[]\n")
	f.Add("a.xml", "<batch><event specversion=\"1.0\"><id>1</id></event><event>")
	c := Config{Path: ".", Mapping: mapping.Mapping{Type: "t", Source: "/s", Time: "price"}}
	types := func(string) xmlform.Members { return xmlform.Members{"price": xmlform.Number} }
	f.Fuzz(func(t *testing.T, name, text string) {
		folder, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		in, err := folder.records(strings.NewReader(text), name, types)
		var end unreadable
		for n := 0; err == nil; n++ {
			var r record
			if r, err = in.next(); err != nil {
				break
			}
			if r.err == nil && len(r.text) == 0 {
				t.Errorf("record %d has no text", n)
			}
			if n > len(text) {
				t.Fatal("there are more records than bytes")
			}
			if again, err := folder.reread(r.text, types); r.given && r.err == nil && (err != nil || again.err != nil) {
				t.Errorf("record %d read again: %v, %v from %q", n, err, again.err, r.text)
			}
		}
		if !errors.Is(err, io.EOF) && !errors.As(err, &end) {
			t.Errorf("%v ends a file that is there", err)
		}
	})
}
