package bounces

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch"
)

var update = flag.Bool("update", false, "write testdata/findings.golden again")

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestWhatServersSay reads every sample: bounces that Postfix 3.7 and Exim 4.96
// wrote (postfix-*, exim-* but for exim-old-*), the examples of RFC 3464,
// appendix E, and RFC 5965, appendix B, and the forms of others.
func TestWhatServersSay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) < 30 {
		t.Fatalf("there are %d samples, %v", len(files), err)
	}
	var got strings.Builder
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		f := read(sample(t, name), name != "reply")
		fmt.Fprintf(&got, "%s\n  %s, %s\n", name, f.kind, orNothing(string(f.event)))
		if f.event != "" {
			fmt.Fprintf(&got, "  code %q, address dead %v, at %s\n  %s\n", f.code, f.addressDead, f.at.Format(time.RFC3339), orNothing(f.detail))
		}
	}
	golden := "testdata/findings.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("what was read differs (-want +got):\n%s", diff)
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		rule, words, code string
		event             dispatch.ReportEvent
		dead              bool
	}{
		{"nobody there", "550 5.1.1 no such user", "5.1.1", dispatch.ReportBounced, true},
		{"the domain takes no mail", "556 5.1.10 null MX", "5.1.10", dispatch.ReportBounced, true},
		{"full can pass", "552 5.2.2 mailbox full", "5.2.2", dispatch.ReportBounced, false},
		{"disabled can pass", "550 5.2.1 disabled", "5.2.1", dispatch.ReportBounced, false},
		{"policy is not the address", "550 5.7.1 user unknown to policy", "5.7.1", dispatch.ReportBounced, false},
		{"words where there is no code", "550 no such user here", "550", dispatch.ReportBounced, true},
		{"words of another code count for nothing", "554 no such user here", "554", dispatch.ReportBounced, false},
		{"a temporary failure for good was given up", "451 4.3.2 later", "4.3.2", dispatch.ReportExpired, false},
		{"time ran out", "5.4.7 delivery expired", "5.4.7", dispatch.ReportExpired, false},
		{"an address of a host is no code", "host 5.1.1.10 refused: 550", "550", dispatch.ReportBounced, false},
		{"a version is no code", "Exim 4.96.2 refused", "", dispatch.ReportBounced, false},
		{"a code at the end of a sentence", "the reason is 5.1.1.", "5.1.1", dispatch.ReportBounced, true},
		{"no words at all", "", "", dispatch.ReportBounced, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f := failed(text, c.words)
			if f.code != c.code || f.event != c.event || f.addressDead != c.dead {
				t.Errorf("%q is code %q, %s, dead %v; want %q, %s, %v", c.words, f.code, f.event, f.addressDead, c.code, c.event, c.dead)
			}
		})
	}
}

func TestDetailsHaveNoAddresses(t *testing.T) {
	got := scrub("550 5.1.1 <Jane.Doe@b.example>: user jane.doe\r\n is unknown to janedoes", []string{"jane.doe@b.example"})
	if want := "550 5.1.1 <…>: user … is unknown to janedoes"; got != want {
		t.Errorf("the detail is %q, want %q", got, want)
	}
}

func TestABounceCutOffAnywhereIsNoOtherBounce(t *testing.T) {
	whole := sample(t, "postfix-unknown")
	for i := range whole {
		if f := read(whole[:i], true); f.event != "" && f.event != dispatch.ReportBounced {
			t.Fatalf("its first %d bytes say %s", i, f.event)
		}
	}
}

func TestPartsWithoutEndDoNotHoldItUp(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("Content-Type: multipart/mixed; boundary=b0\r\n\r\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
	}
	if f := read(b.Bytes(), true); f.event != "" {
		t.Errorf("it says %s", f.event)
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.eml")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, fromNobody bool) {
		got := read(raw, fromNobody)
		if got.addressDead && got.event != dispatch.ReportBounced {
			t.Errorf("the address is dead by %q", got.event)
		}
		if !utf8.ValidString(got.detail) || utf8.RuneCountInString(got.detail) > maxDetail+1 || strings.ContainsAny(got.detail, "\r\n\x00") {
			t.Errorf("the detail is %q", got.detail)
		}
		if anAddress.MatchString(got.detail) {
			t.Errorf("the detail %q has an address", got.detail)
		}
		if (got.kind == autoReply || got.kind == other) && got.event != "" {
			t.Errorf("%s says %s", got.kind, got.event)
		}
		if got.id == "" || len(got.code) > maxHeader {
			t.Errorf("the id is %q, the code %q", got.id, got.code)
		}
	})
}
