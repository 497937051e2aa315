package gsm

import (
	"strings"
	"testing"
)

// FuzzLines: whatever comes over the line, in whatever pieces, the driver
// keeps to its bounds, and reads the same however it is cut.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		"\r\nOK\r\n", "\r\n> ", "\r\n+CMGL: 1,0,,4\r\n0011223344\r\n\r\nOK\r\n", "+CUSD: 0,\"a\r\nb\",15\r\n", "+CMT: ,9\r\n+CMTI: \"SM\",1\r\n0004",
		"+CMS ERROR: 500\r\n", "+CMGS: 3\r\n\r\nOK\r\n", "+CPMS: (\"SM\",\"ME\"),3\r\n", "\x00\x00AT\r", "+CUSD:\"\r\nERROR\r\n", "+CMGR: 0,,300\r\nFF\r\n",
	} {
		f.Add([]byte(s), 3, true)
	}
	f.Fuzz(func(t *testing.T, wire []byte, piece int, asks bool) {
		read := func(piece int) string {
			var l lexer
			k := talk{unanswered: true, owed: []string{"+CSQ:"}}
			if asks {
				k.command = &command{text: "AT+CMGL=4", own: prefixed("+CMGL:", "+CPMS:")}
			}
			var seen strings.Builder
			for begin := 0; begin < len(wire); begin += piece {
				l.feed(wire[begin:min(begin+piece, len(wire))], func() bool { return asks }, func(line string, isPrompt bool) {
					if len(line) > maxLine || strings.ContainsAny(line, "\r\n\x00") {
						t.Fatalf("a line of %d bytes: %q", len(line), line)
					}
					seen.WriteString(line + "\n")
					if isPrompt {
						return
					}
					for _, o := range k.take(line) {
						if o.note != nil {
							seen.WriteString("note " + o.note.line + string(o.note.unit) + "\n")
							fields(o.note.line)
						}
						if o.late || o.final {
							seen.WriteString("answer\n")
						}
						if o.err != nil {
							seen.WriteString(o.err.Error())
						}
					}
				})
				arrivals("SM", k.lines)
				if len(l.buf) > maxLine || len(k.lines) > maxLines+1 || len(k.heads) > 4 || len(k.quoted) > quotedMax+maxLine {
					t.Fatalf("it keeps %d, %d, %d, %d", len(l.buf), len(k.lines), len(k.heads), len(k.quoted))
				}
			}
			return seen.String()
		}
		if whole, cut := read(len(wire)+1), read(min(max(piece, 1), 64)); whole != cut {
			t.Fatalf("read at once:\n%s\nin pieces:\n%s", whole, cut)
		}
	})
}

func TestALineWithoutAnEndIsDropped(t *testing.T) {
	var l lexer
	var lines []string
	feed := func(s string) {
		l.feed([]byte(s), func() bool { return false }, func(line string, _ bool) { lines = append(lines, line) })
	}
	feed(strings.Repeat("x", 3*maxLine))
	feed("\r\nOK\r\n")
	if len(lines) != 1 || lines[0] != "OK" {
		t.Errorf("read %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}
