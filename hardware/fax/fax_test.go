package fax

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// server plays one that says what a script has it say: each line is what the
// client must say, a tab, and the answer; "…" instead of an answer is silence,
// and "!" ends the connection. What is stored is thrown away; what is listed
// stands behind the answer, after a further tab.
type server struct {
	t      *testing.T
	script []string
	data   chan net.Conn // for the next transfer
	opened bool
}

const greeting = `220 fax server ready.`

// signIn is the script of a sign-in.
var signIn = []string{"USER herald\t230 in", "TZONE LOCAL\t200 ok", "TYPE I\t200 ok", "MODE S\t200 ok", "FORM PDF\t200 ok", `JOBFMT "` + listFormat + "\"\t200 ok"}

func (s *server) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	if s.opened {
		s.data <- theirs
		return ours, nil
	}
	s.opened = true
	s.data = make(chan net.Conn, 1)
	go s.serve(theirs)
	return ours, nil
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // it is a pipe
	if first := s.script[0]; !strings.Contains(first, "\t") {
		s.script = s.script[1:]
		if !say(conn, first) {
			return
		}
	} else if !say(conn, greeting) {
		return
	}
	lines := bufio.NewScanner(conn)
	for _, step := range s.script {
		words := strings.SplitN(step, "\t", 3)
		if !lines.Scan() {
			return
		}
		if got := lines.Text(); got != words[0] {
			s.t.Errorf("the client says %q, want %q", got, words[0])
			return
		}
		if !say(conn, words[1]) {
			return
		}
		switch {
		case strings.HasPrefix(words[1], "150") && strings.HasPrefix(words[0], "STOT"):
			data := <-s.data
			_, _ = io.Copy(io.Discard, data) // to its end
			if !say(conn, "226 taken") {
				return
			}
		case strings.HasPrefix(words[1], "150"):
			data := <-s.data
			_, _ = io.WriteString(data, words[2]) // the client may have had enough
			_ = data.Close()                      // it is a pipe
			if !say(conn, "226 listed") {
				return
			}
		}
	}
	lines.Scan() // QUIT, or the end
}

// say is false when the conversation is over.
func say(conn net.Conn, answer string) bool {
	if answer == "!" {
		return false
	}
	if answer == "…" {
		_, _ = io.Copy(io.Discard, conn) // until the client leaves
		return false
	}
	_, err := io.WriteString(conn, answer+"\r\n")
	return err == nil
}

// with opens a session with a server that has a script, and does something.
func with(t *testing.T, script []string, do func(t *testing.T, c *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, script: append(append([]string{}, signIn...), script...)}
		c, err := Open(t.Context(), Config{Address: "fax.example:4559", Dial: s.dial})
		if err != nil {
			t.Fatal(err)
		}
		do(t, c)
		_ = c.Close() // it may be broken
	})
}

func TestOpenFails(t *testing.T) {
	for name, test := range map[string]struct {
		script []string
		want   error
	}{
		"no greeting":           {[]string{"…"}, ErrGone},
		"closed":                {[]string{"!"}, ErrGone},
		"half a greeting":       {[]string{"22"}, ErrGone},
		"in maintenance":        {[]string{"421 Service not available."}, ErrGone},
		"no server for faxes":   {[]string{"SSH-2.0-OpenSSH_9.2"}, ErrGone}, // it says no more
		"an endless line":       {[]string{strings.Repeat("x", mostLine)}, ErrProtocol},
		"an endless reply":      {[]string{strings.Repeat("220-x\r\n", mostReply/7+1)}, ErrProtocol},
		"not let in":            {[]string{"USER herald\t530 no"}, ErrLogin},
		"another account":       {[]string{"USER herald\t331 password", "PASS \"\"\t332 account"}, ErrLogin},
		"wrong password":        {[]string{"USER herald\t331 password", "PASS \"\"\t530 no"}, ErrLogin},
		"gone in the middle":    {[]string{"USER herald\t230 in", "TZONE LOCAL\t!"}, ErrGone},
		"silent in the middle":  {[]string{"USER herald\t230 in", "TZONE LOCAL\t…"}, ErrGone},
		"a greeting that waits": {[]string{"120 in 3 minutes\r\n…"}, ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{t: t, script: test.script}
				c, err := Open(t.Context(), Config{Address: "fax.example:4559", Dial: s.dial})
				if !errors.Is(err, test.want) || c != nil {
					t.Errorf("it gives %v, want %v", err, test.want)
				}
			})
		})
	}
	for _, cfg := range []Config{{}, {Address: "x"}, {Address: "x:1", Username: "a b"}, {Address: "x:1", Password: "a\r\nQUIT"}, {Address: "x:1", Password: `"`}} {
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v gives %v", cfg, err)
		}
	}
}

var letter = Job{Number: "+86 21 5550 1234", PDF: []byte("%PDF-1.4\n"), Info: "0193", Resolution: Standard, NoECM: true, RetryAfter: 90 * time.Second, LastTime: 25*time.Hour + 2*time.Minute}

// stored and submitted are the script of the letter's submission.
var (
	stored    = []string{"PASV\t227 Entering passive mode (10,0,0,9,187,151)", "STOT\t150 FILE: /tmp/doc1.pdf (Opening new data connection).", "JOB default\t200 ok"}
	submitted = script(stored, made)
	made      = []string{
		"JNEW\t200 New job created: jobid: 17 groupid: 17.",
		`JPARM FROMUSER "herald"` + "\t213 ok", "JPARM LASTTIME 010102\t213 ok", `JPARM MODEM "any"` + "\t213 ok", "JPARM MAXDIALS 3\t213 ok", "JPARM MAXTRIES 3\t213 ok",
		`JPARM DIALSTRING "+86 21 5550 1234"` + "\t213 ok", `JPARM NOTIFYADDR "herald@localhost"` + "\t213 ok", `JPARM NOTIFY "none"` + "\t213 ok", `JPARM JOBINFO "0193"` + "\t213 ok",
		"JPARM VRES 98\t213 ok", "JPARM PAGEWIDTH 209\t213 ok", "JPARM PAGELENGTH 296\t213 ok", "JPARM USEECM NO\t213 ok", `JPARM PAGECHOP "none"` + "\t213 ok",
		"JPARM DOCUMENT /tmp/doc1.pdf\t200 ok", "JPARM RETRYTIME 0130\t213 ok",
	}
	forgotten = []string{"JSUBM 17\t504 Cannot submit job 17; null or missing DIALSTRING parameter.", "JDELE 17\t200 ok"}
)

func script(parts ...[]string) (all []string) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func TestSubmit(t *testing.T) {
	for name, test := range map[string]struct {
		script []string
		want   error
		usable bool
	}{
		"taken":                         {script(submitted, []string{"JSUBM 17\t200 Job 17 submitted."}), nil, true},
		"forgotten and taken":           {script(submitted, forgotten, made, forgotten, made, []string{"JSUBM 17\t200 Job 17 submitted."}), nil, true},
		"forgotten and forgotten":       {script(submitted, forgotten, made, forgotten, made, forgotten), new(Refusal), true},
		"not answered":                  {script(submitted, []string{"JSUBM 17\t…"}), ErrUnanswered, false},
		"gone at the end":               {script(submitted, []string{"JSUBM 17\t!"}), ErrUnanswered, false},
		"faxq says nothing":             {script(submitted, []string{"JSUBM 17\t460 Failed to submit job 17: timeout."}), ErrUnanswered, true},
		"half an answer":                {script(submitted, []string{"JSUBM 17\t200"[:len("JSUBM 17\t200")-1]}), ErrUnanswered, false},
		"refused":                       {script(submitted, []string{"JSUBM 17\t504 no", "JDELE 17\t200 ok"}), new(Refusal), true},
		"a parameter is refused":        {script(stored, []string{"JNEW\t200 jobid: 17 groupid: 17.", `JPARM FROMUSER "herald"` + "\t503 no", "JDELE 17\t200 ok"}), new(Refusal), true},
		"gone before":                   {script(stored, []string{"JNEW\t!"}), ErrGone, false},
		"a job without an id":           {script(stored, []string{"JNEW\t200 ok"}), ErrProtocol, false},
		"a job with an id that is none": {script(stored, []string{"JNEW\t200 jobid: 1;JKILL"}), ErrProtocol, false},
		"a document without a name":     {[]string{stored[0], "STOT\t150"}, ErrProtocol, false},
		"no space":                      {[]string{stored[0], "STOT\t553 no space"}, new(Refusal), true},
		"no port":                       {[]string{"PASV\t227 Entering passive mode"}, ErrProtocol, false},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, test.script, func(t *testing.T, c *Conn) {
				id, err := c.Submit(t.Context(), letter)
				var refusal *Refusal
				switch {
				case test.want == nil && (err != nil || id != "17"):
					t.Errorf("it gives %q, %v", id, err)
				case errors.As(test.want, &refusal) && !errors.As(err, &refusal), !errors.As(test.want, &refusal) && !errors.Is(err, test.want):
					t.Errorf("it gives %v, want %v", err, test.want)
				case test.want != ErrUnanswered && errors.Is(err, ErrUnanswered):
					t.Error("it is in doubt")
				case c.Usable() != test.usable:
					t.Errorf("usable is %v", c.Usable())
				case err != nil && strings.Contains(err.Error(), "5550"):
					t.Errorf("the error has the number: %v", err)
				}
			})
		})
	}
}

func TestSubmitWantsAWholeJob(t *testing.T) {
	for name, change := range map[string]func(j *Job){
		"no number":                    func(j *Job) { j.Number = "" },
		"a number without digits":      func(j *Job) { j.Number = "+-" },
		"a number with a command":      func(j *Job) { j.Number = "1\"\r\nJKILL 5" },
		"no document":                  func(j *Job) { j.PDF = nil },
		"another document":             func(j *Job) { j.PDF = []byte("%!PS") },
		"no id of ours":                func(j *Job) { j.Info = "" },
		"an id that divides a list":    func(j *Job) { j.Info = "a|b" },
		"a sender with a line end":     func(j *Job) { j.From = "a\nb" },
		"a modem with a blank":         func(j *Job) { j.Modem = "a b" },
		"too many dials":               func(j *Job) { j.MaxDials = 100 },
		"fewer than no tries":          func(j *Job) { j.MaxTries = -1 },
		"a retry too far away":         func(j *Job) { j.RetryAfter = 100 * time.Minute },
		"a last time that is too near": func(j *Job) { j.LastTime = time.Second },
	} {
		with(t, nil, func(t *testing.T, c *Conn) {
			j := letter
			change(&j)
			if _, err := c.Submit(t.Context(), j); !errors.Is(err, ErrJob) || !c.Usable() {
				t.Errorf("%s gives %v", name, err)
			}
		})
	}
}

// stands is the script of a job's status.
func stands(state, pages, total, code, text string) []string {
	return []string{"JOB 17\t200 ok", "JPARM STATE\t213 " + state, "JPARM JOBINFO\t213 0193", "JPARM NPAGES\t213 " + pages, "JPARM TOTPAGES\t213 " + total, "JPARM TOTDIALS\t213 2", "JPARM TOTTRIES\t213 1", "JPARM STATUSCODE\t213 " + code, "JPARM STATUS\t213 " + text}
}

func TestStatus(t *testing.T) {
	for name, test := range map[string]struct {
		script []string
		want   Status
		err    error
	}{
		"done":             {stands("DONE", "2", "2", "000", ""), Status{ID: "17", Info: "0193", State: Done, Sent: 2, Total: 2, Dials: 2, Tries: 1}, nil},
		"a long complaint": {script(stands("FAILED", "0", "0", "347", "Conversion failed:\r\nline two\r\n\r\n12"), stands("FAILED", "0", "0", "347", "x")), Status{ID: "17", Info: "0193", State: Failed, Dials: 2, Tries: 1, Code: 347, Text: "Conversion failed:"}, nil},
		"moved meanwhile":  {script([]string{"JOB 17\t200 ok", "JPARM STATE\t213 UNDEFINED"}, stands("DONE", "2", "2", "000", "")), Status{ID: "17", Info: "0193", State: Done, Sent: 2, Total: 2, Dials: 2, Tries: 1}, nil},
		"deleted meanwhile": {
			[]string{"JOB 17\t200 ok", "JPARM STATE\t213 ACTIVE", "JPARM JOBINFO\t500 Cannot access job state; job deleted by another party.", "JOB 17\t500 Cannot set job 17; job does not exist (No such file or directory)."},
			Status{},
			ErrUnknown,
		},
		"another state":  {stands("DREAMING", "2", "2", "000", ""), Status{}, ErrProtocol},
		"pages in words": {stands("DONE", "two", "2", "000", "")[:4], Status{}, ErrProtocol},
		"too many pages": {stands("DONE", "65536", "2", "000", "")[:4], Status{}, ErrProtocol},
		"gone":           {[]string{"JOB 17\t200 ok", "JPARM STATE\t!"}, Status{}, ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, test.script, func(t *testing.T, c *Conn) {
				got, err := c.Status(t.Context(), "17")
				if !errors.Is(err, test.err) || err == nil && got != test.want {
					t.Errorf("it gives %+v, %v", got, err)
				}
				if name == "a long complaint" { // its further lines are passed over
					if _, err := c.Status(t.Context(), "17"); err != nil {
						t.Errorf("afterwards it gives %v", err)
					}
				}
			})
		})
	}
	with(t, nil, func(t *testing.T, c *Conn) {
		for _, id := range []string{"", "1 2", "1\r\nJKILL 2", "12345678901"} {
			if _, err := c.Status(t.Context(), id); !errors.Is(err, ErrUnknown) {
				t.Errorf("the status of %q gives %v", id, err)
			}
		}
	})
}

func TestList(t *testing.T) {
	passive := "PASV\t227 Entering passive mode (10,0,0,9,187,151)"
	with(t, []string{
		passive, "LIST sendq\t150 opening\tjob|1|R|1|2|1|1|a|\r\njob|2|S|0|2|1|0|b|Busy signal detected | again\r\nand more words\r\n",
		passive, "LIST doneq\t150 opening\tjob|1|D|2|2|1|1|a|\r\njob|3|F|0|0|99999|0|c|\r\njob|4|?|0|0|0|0|c|\r\njob|x|F|0|0|0|0|c|\r\njob|2|D|1|1|1|1|before|\r\n",
	}, func(t *testing.T, c *Conn) {
		got, err := c.List(t.Context())
		want := []Status{{ID: "1", Info: "a", State: Done, Sent: 2, Total: 2, Dials: 1, Tries: 1}, {ID: "2", Info: "b", State: Sleeping, Total: 2, Dials: 1, Text: "Busy signal detected | again"}, {ID: "2", Info: "before", State: Done, Sent: 1, Total: 1, Dials: 1, Tries: 1}}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("it gives %+v, %v", got, err)
		}
		if got[1].Failure() != Busy {
			t.Errorf("the second failed by %s", got[1].Failure())
		}
	})
	with(t, []string{passive, "LIST sendq\t150 opening\t" + strings.Repeat("x", mostLine+1)}, func(t *testing.T, c *Conn) {
		if _, err := c.List(t.Context()); !errors.Is(err, ErrProtocol) {
			t.Errorf("an endless line gives %v", err)
		}
	})
	with(t, []string{passive, "LIST sendq\t550 no"}, func(t *testing.T, c *Conn) {
		var refusal *Refusal
		if _, err := c.List(t.Context()); !errors.As(err, &refusal) || !c.Usable() {
			t.Errorf("a refusal gives %v", err)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	with(t, []string{"JWAIT 17\t216-Waiting\r\n…"}, func(t *testing.T, c *Conn) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // longer than a command may take
		defer cancel()
		began := time.Now()
		if _, err := c.Wait(ctx, "17"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrGone) || c.Usable() {
			t.Errorf("it gives %v", err)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it took %v", took)
		}
	})
	with(t, append([]string{"JWAIT 17\t216-Waiting\r\n216 over"}, stands("DONE", "1", "1", "000", "")...), func(t *testing.T, c *Conn) {
		if s, err := c.Wait(t.Context(), "17"); err != nil || !s.Delivered(1) {
			t.Errorf("it gives %+v, %v", s, err)
		}
	})
}

func TestClosedIsClosed(t *testing.T) {
	with(t, nil, func(t *testing.T, c *Conn) {
		_ = c.Close()
		if _, err := c.Status(t.Context(), "17"); !errors.Is(err, ErrClosed) || c.Usable() {
			t.Errorf("it gives %v", err)
		}
	})
}

func TestDelivered(t *testing.T) {
	for _, s := range []Status{{State: Done}, {State: Done, Sent: 1, Total: 1}, {State: Done, Sent: 1, Total: 2}, {State: Done, Sent: 2, Total: 3}, {State: Failed, Sent: 1, Total: 2}, {State: Active, Sent: 2, Total: 2}} {
		if s.Delivered(2) || s.Delivered(0) {
			t.Errorf("%+v is delivered", s)
		}
	}
	for _, s := range []Status{{State: Done, Sent: 2, Total: 2}, {State: Failed, Sent: 2, Total: 2}} {
		if !s.Delivered(2) {
			t.Errorf("%+v is not delivered", s)
		}
	}
}

func TestFailure(t *testing.T) {
	for _, test := range []struct {
		code int
		text string
		want Failure
	}{
		{0, "", None},
		{1, "", Busy},
		{333, "Busy signal detected; too many attempts to dial", Busy},
		{0, "No answer from remote", NoAnswer},
		{126, "", NoFax},
		{10, "Blacklisted by modem", Refused},
		{325, "Kill time expired", Expired},
		{345, "", Killed},
		{0, "Job aborted by request", Killed},
		{149, "Unspecified Transmit Phase C error", Dropped},
		{334, "Failure to train modems; too many attempts to send", Dropped},
		{147, "No response to PPS repeated 3 times.", Unconfirmed},
		{128, "", Unconfirmed},
		{417, "", Document},
		{901, "", ServerFault},
		{0, "what nobody knows", ServerFault},
	} {
		if got := (Status{State: Failed, Code: test.code, Text: test.text}).Failure(); got != test.want {
			t.Errorf("%d %q is %s, want %s", test.code, test.text, got, test.want)
		}
	}
	if got := (Status{State: Done, Code: 1}).Failure(); got != None {
		t.Errorf("a job that is done failed by %s", got)
	}
}
