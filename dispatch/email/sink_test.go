package email

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herald/dispatch"
	"herald/e2e/peers"
)

// openDir is a directory that smtp-sink, which runs as nobody, may write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// It is below a directory that only we may enter.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPostfixTakesOurMail: another program reads what we wrote.
func TestPostfixTakesOurMail(t *testing.T) {
	dir := openDir(t)
	account := accountAt(t, "sink", peers.SMTPSink(t, "-d", filepath.Join(dir, "mail.")))
	m := message()
	m.Content.Text = "one\n.\n..two\n" // dots that must not end the message
	r := mustSend(t, account, m)
	if r.Code != "250 2.0.0" {
		t.Errorf("the receipt is %+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "mail.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("there are the files %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"X-Rcpt-Args: <wei@example.com>", "Message-ID: <01960000@shop.example>",
		"Subject: =?UTF-8?q?Teapot_is_now_=E2=82=AC45.00?=", "one\n.\n..two\n",
	} {
		if !strings.Contains(string(raw), line) {
			t.Errorf("%q is missing in\n%s", line, raw)
		}
	}
}

func TestPostfixRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		class dispatch.Class
	}{
		"RCPT for good":        {[]string{"-r", "rcpt"}, dispatch.Transient},
		"RCPT with 5xx":        {[]string{"-f", "rcpt"}, dispatch.Permanent},
		"DATA for now":         {[]string{"-r", "data"}, dispatch.Transient},
		"the message for now":  {[]string{"-r", "."}, dispatch.Transient},
		"the message for good": {[]string{"-f", "."}, dispatch.Permanent},
		"gone at RCPT":         {[]string{"-q", "rcpt"}, dispatch.Transient},
		"gone at the dot":      {[]string{"-q", "."}, dispatch.Doubt},
		"421 at RCPT":          {[]string{"-Q", "rcpt"}, dispatch.SessionFatal},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := send(t, accountAt(t, "sink", peers.SMTPSink(t, c.args...)), message())
			if failure := failureOf(t, err); failure.Class != c.class {
				t.Errorf("gives %v, want %s", err, c.class)
			}
		})
	}
}

// TestPostfixTakesBatches: its sink, with pipelining and without, has each
// message of many batches once.
func TestPostfixTakesBatches(t *testing.T) {
	for name, args := range map[string][]string{"pipelining": nil, "turns": {"-p"}} {
		t.Run(name, func(t *testing.T) {
			dir := openDir(t)
			m := mailerAt(t, peers.SMTPSink(t, append(args, "-d", filepath.Join(dir, "mail."))...))
			s, err := m.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s.pipelining != (name == "pipelining") {
				t.Errorf("pipelining is %v", s.pipelining)
			}
			ms := numbered(200)
			for batch := range slices.Chunk(ms, 40) {
				for i, word := range outcomes(t, s, batch) {
					if word != "ok" {
						t.Errorf("message %d gives %s", i, word)
					}
				}
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "mail.*"))
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]int{}
			for _, file := range files {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				_, rest, _ := strings.Cut(string(raw), "X-Rcpt-Args: <")
				recipient, _, _ := strings.Cut(rest, ">")
				found[recipient]++
				if strings.Count(string(raw), "\nTo: \"Wei Zhang\" <"+recipient+">\n") != 1 {
					t.Errorf("what came for %s is\n%s", recipient, raw)
				}
			}
			for _, m := range ms {
				if found[m.Address] != 1 {
					t.Errorf("%s came %d times", m.Address, found[m.Address])
				}
			}
		})
	}
}

// TestPostfixEndsABatch: what becomes of five messages when its sink ends the
// session at the first.
func TestPostfixEndsABatch(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		first dispatch.Class
	}{
		"421 at MAIL":       {[]string{"-Q", "mail"}, dispatch.SessionFatal},
		"421 at DATA":       {[]string{"-Q", "data"}, dispatch.SessionFatal},
		"421 at the dot":    {[]string{"-Q", "."}, dispatch.SessionFatal},
		"gone at DATA":      {[]string{"-q", "data"}, dispatch.Transient},
		"gone at the dot":   {[]string{"-q", "."}, dispatch.Doubt},
		"refused after 354": {[]string{"-A", "0"}, dispatch.Permanent},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := mailerAt(t, peers.SMTPSink(t, c.args...)).dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(t.Context()) //nolint:errcheck // it is broken
			for i, word := range outcomes(t, s, numbered(5)) {
				if want := c.first; i == 0 && word != string(want) || i > 0 && word != string(dispatch.SessionFatal) {
					t.Errorf("message %d gives %s", i, word)
				}
			}
		})
	}
}
