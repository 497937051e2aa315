package email

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// anyText draws text of which much is awkward.
var anyText = rapid.OneOf(
	rapid.String(),
	rapid.StringOf(rapid.SampledFrom([]rune(" \t\r\n.=?_\"\\<>aB9é中\u00a0\u2028\u0085\x00😀"))),
	rapid.StringMatching(`( ?[a-zA-Z0-9.,:-]{1,20}){0,40}`),
	rapid.StringN(800, 1200, -1),
	rapid.SampledFrom([]string{"=?utf-8?q?hello?=", strings.Repeat("中", 500), strings.Repeat("x", 2000), "a  b", " a", "a "}),
)

// unfolded is a field's value as its reader sees it.
func unfolded(field []byte) string { return strings.ReplaceAll(string(field), "\r\n", "") }

func checkLines(t *rapid.T, text []byte, most int) {
	t.Helper()
	for line := range strings.SplitSeq(string(text), "\r\n") {
		if len(line) > most || strings.ContainsAny(line, "\r\n") || !isASCII(line) {
			t.Fatalf("a line is %q", line)
		}
	}
}

func TestSubjectsAndNamesReadAsTheyWereMeant(t *testing.T) {
	var words mime.WordDecoder
	rapid.Check(t, func(t *rapid.T) {
		meant := oneLine(anyText.Draw(t, "text"))
		field := appendText(nil, meant, len("Subject: "))
		checkLines(t, field, 989)
		if read, err := words.DecodeHeader(unfolded(field)); err != nil || read != meant {
			t.Fatalf("%q is written %q and reads %q, %v", meant, field, read, err)
		}
		if meant == "" {
			return
		}
		field = append(appendPhrase(nil, meant, len("To: ")), " <a@b.example>"...)
		checkLines(t, field, 994)
		if read, err := netmail.ParseAddress(unfolded(field)); err != nil || read.Name != meant {
			t.Fatalf("%q is written %q and reads %v, %v", meant, field, read, err)
		}
	})
}

func TestOneLineHasNothingToDoWhereItSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyText.Draw(t, "text")
		thorough := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(s, ""))), " ")
		if got := oneLine(s); got != thorough || !isOneLine(got) {
			t.Fatalf("%q gives %q, want %q", s, got, thorough)
		}
	})
}

// canonical is text with CRLF for LF and CRLF.
func canonical(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
}

func TestBodiesReadAsTheyWereMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meant := anyText.Draw(t, "text")
		quoted := append(appendQuotedPrintable(nil, meant), "\r\n.\r\n"...)
		checkLines(t, quoted, 77) // with a dot that is taken away on the way
		read, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(strings.TrimSuffix(unstuffed(t, quoted), "\r\n"))))
		if err != nil || string(read) != canonical(meant) {
			t.Fatalf("%q is written %q and reads %q, %v", meant, quoted, read, err)
		}
		encoded := appendBase64(nil, meant)
		checkLines(t, encoded, 76)
		read, err = base64.StdEncoding.DecodeString(string(encoded))
		if err != nil || string(read) != canonical(meant) {
			t.Fatalf("%q is written %q and reads %q, %v", meant, encoded, read, err)
		}
	})
}

// TestTheQuickLookIsNotLaxer than the thorough one.
func TestTheQuickLookIsNotLaxer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.StringMatching(`[a-z.!+@"<>= -]{0,8}@[a-z.@-]{0,8}`).Draw(t, "address")
		if isPlainAddress(address) {
			if parsed, err := netmail.ParseAddress("<" + address + ">"); err != nil || parsed.Address != address {
				t.Fatalf("%q is taken for an address", address)
			}
		}
		link := "https://" + rapid.StringMatching(`[a-z.:/?=&%@<>, \[\]-]{0,12}`).Draw(t, "link")
		if isPlainURL(link) {
			if u, err := url.Parse(link); err != nil || u.Host == "" || u.Scheme != "https" {
				t.Fatalf("%q is taken for an address of the web", link)
			}
		}
	})
}

func TestLongSubjectsAreFolded(t *testing.T) {
	subject := strings.TrimSpace(strings.Repeat("The teapot is cheaper. ", 10))
	field := string(appendText([]byte("Subject: "), subject, len("Subject: ")))
	for line := range strings.SplitSeq(field, "\r\n") {
		if len(line) > 76 {
			t.Errorf("a line has %d characters: %q", len(line), line)
		}
	}
	if unfolded([]byte(field)) != "Subject: "+subject {
		t.Errorf("the field is %q", field)
	}
}
