package eventform

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What is read in one pass is what is read with care.
func FuzzPlainReadsWhatTheRestReads(f *testing.F) {
	for _, seed := range []string{
		`{"specversion":"1.0","id":"e-1","source":"/shop","type":"t","subject":"s","time":"2026-01-02T03:04:05Z","data":{"a":1,"b":[true,null,"é",{"c":-0.5e+3}]}}`,
		` { "specversion" : "1.0" , "id":"1","source":"s","type":"t","traceparent":"00-1" } `,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{},"data_base64":"e30="}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","ID":"2"}`,
		`{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":1,"a":2}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":01}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":-0,"b":1e999}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":[[[[[[[[[[]]]]]]]]]]}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":null}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":"\\u0000"}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"application/x+json","time":""}x`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","time":"0000-12-31T23:59:59Z"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":-0.0,"b":123456789012345.5,"c":0.1,"d":-99999999999999,"e":9007199254740993}}`,
		"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"data\":{\"a\":\"eight or more \x80\",\"b\":\"\x7f\",\"c\":\"\x1f\"}}",
	} {
		f.Add([]byte(seed))
	}
	l := Defaults()
	l.Depth = 8
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := readPlain(body, l)
		if !ok {
			return
		}
		want, err := structured(body, l)
		if err != nil || want.Err != nil {
			t.Fatalf("%s: read, but %v, %v", body, err, want.Err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	})
}

func TestPlainReadsWhatIsUsual(t *testing.T) {
	t.Parallel()
	body := `{"specversion":"1.0","id":"e-1","source":"/shop","type":"t","time":"2026-01-02T03:04:05.5+08:00",
		"datacontenttype":"application/json","traceparent":"00-1","data":{"product":"茶壶","price":49.5,"sale":true,"tags":["a",{}]}}`
	if _, ok := readPlain([]byte(body), Defaults()); !ok {
		t.Error("it is left to the rest")
	}
}

func TestWhereAStringEnds(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{`"`, `\`, "\x00", "\x1f", " ", "!", "#", "[", "]", "\x7f", "\x80", "\xa2", "\xff", "a", "水", "abcdefgh"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces"), "")
		from := rapid.IntRange(0, len(text)).Draw(t, "from")
		want, ascii := from, true
		for ; want < len(text) && text[want] >= ' ' && text[want] != '"' && text[want] != '\\'; want++ {
			ascii = ascii && text[want] < 0x80
		}
		if end, is := stringEnd(text, from); end != want || is != ascii {
			t.Errorf("%q from %d: %d, %v; want %d, %v", text, from, end, is, want, ascii)
		}
	})
}

func TestDecimalsAreRoundedOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,16})(\.[0-9]{1,16})?`).Draw(t, "number")
		want, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := decimal(text)
		if short := len(strings.TrimPrefix(text, "-")) <= 15; ok != short {
			t.Errorf("%s is read: %v", text, ok)
		}
		if ok && math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	})
}

func BenchmarkStructured(b *testing.B) {
	body := []byte(`{"data":{"price":99.75,"product":"p10000423"},"datacontenttype":"application/json","id":"event-77","source":"/bench/shop","specversion":"1.0","time":"2026-01-02T03:04:05Z","type":"price.changed"}`)
	for name, read := range map[string]func([]byte, Limits) (Item, error){"plain": Structured, "with care": structured} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if item, err := read(body, Defaults()); err != nil || item.Err != nil {
					b.Fatal(err, item.Err)
				}
			}
		})
	}
}
