package hfaxd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herald/hardware/fax"
	"herald/hardware/sim"
	"herald/hardware/sim/simtest"
	"herald/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pdf is a document that has as many pages as the server can see.
func pdf(pages int) []byte {
	return []byte("%PDF-1.4\n" + strings.Repeat("<< /Type /Page >>\n", pages) + "<< /Type /Pages >>\n%%EOF\n")
}

const soon = time.Millisecond

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.PageTime, cfg.RetryAfter = soon, soon
	return simtest.Start(t, New(cfg))
}

func open(t *testing.T, s *Server) *fax.Conn {
	t.Helper()
	c, err := fax.Open(t.Context(), fax.Config{Address: s.Addr(), Username: "herald", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it may be broken
	return c
}

func letter(info string, pages int) fax.Job {
	return fax.Job{Number: "+862155501234", PDF: pdf(pages), Info: info, MaxDials: 2, MaxTries: 2}
}

// send submits a job and waits for its end.
func send(t *testing.T, c *fax.Conn, j fax.Job) fax.Status {
	t.Helper()
	id, err := c.Submit(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func TestFaxArrives(t *testing.T) {
	s := start(t, Config{Accounts: map[string]string{"herald": "secret"}})
	c := open(t, s)
	status := send(t, c, letter("one", 3))
	if !status.Delivered(3) || status.Info != "one" || status.Dials != 1 || status.Tries != 1 || status.Failure() != fax.None {
		t.Errorf("its status is %+v", status)
	}
	got := s.Faxes().All()
	if len(got) != 1 || !got[0].Whole() || got[0].State != "done" || got[0].Number != "+862155501234" || got[0].Info != "one" || got[0].Calls != 1 || string(got[0].Document) != string(pdf(3)) {
		t.Errorf("what arrived is %+v", got)
	}
	if found, err := c.Find(t.Context(), "one"); err != nil || len(found) != 1 || found[0].ID != status.ID || !found[0].Delivered(3) {
		t.Errorf("found is %+v, %v", found, err)
	}
	if health, err := c.Check(t.Context()); err != nil || !health.Scheduler || health.Modems["sim0"] != "Running and idle" {
		t.Errorf("its health is %+v, %v", health, err)
	}
	if _, err := fax.Open(t.Context(), fax.Config{Address: s.Addr(), Password: "wrong"}); !errors.Is(err, fax.ErrLogin) {
		t.Errorf("a wrong password gives %v", err)
	}
}

func TestCallsFail(t *testing.T) {
	for _, test := range []struct {
		fault       Fault
		failure     fax.Failure
		sent, calls int // as the server says, and answered ones
		arrived     []Page
	}{
		{Fault{Kind: Busy}, fax.Busy, 0, 0, nil},
		{Fault{Kind: NoAnswer}, fax.NoAnswer, 0, 0, nil},
		{Fault{Kind: Human}, fax.NoCarrier, 0, 0, nil},
		{Fault{Kind: NoDialTone}, fax.NoTone, 0, 0, nil},
		{Fault{Kind: Drop}, fax.Dropped, 0, 2, nil},
		{Fault{Kind: Drop, Page: 1}, fax.Dropped, 1, 2, []Page{{1, 1, true}}},
		{Fault{Kind: Unconfirmed}, fax.Unconfirmed, 0, 2, []Page{{1, 1, false}, {1, 2, false}}},
		{Fault{Kind: Kill}, fax.Killed, 0, 1, nil},
		{Fault{Kind: Busy, Times: 1}, fax.None, 2, 1, []Page{{1, 1, true}, {2, 1, true}}},
		{Fault{Kind: Drop, Page: 1, Times: 1}, fax.None, 2, 2, []Page{{1, 1, true}, {2, 2, true}}},
		{Fault{Kind: Unconfirmed, Page: 2, Times: 1}, fax.None, 2, 2, []Page{{1, 1, true}, {2, 1, false}, {2, 2, true}}},
		{Fault{Kind: Slow, Delay: sim.Duration(soon)}, fax.None, 2, 1, []Page{{1, 1, true}, {2, 1, true}}},
		{Fault{Kind: Busy, Number: "+1*"}, fax.None, 2, 1, []Page{{1, 1, true}, {2, 1, true}}}, // another's
	} {
		t.Run(fmt.Sprintf("%s/%d/%d", test.fault.Kind, test.fault.Page, test.fault.Times), func(t *testing.T) {
			s := start(t, Config{})
			if err := s.SetFaults(test.fault); err != nil {
				t.Fatal(err)
			}
			status := send(t, open(t, s), letter("x", 2))
			if status.Failure() != test.failure || status.Sent != test.sent || status.Tries != test.calls || status.Delivered(2) != (test.failure == fax.None) {
				t.Errorf("its status is %+v: %s", status, status.Failure())
			}
			got := s.Faxes().All()
			if len(got) != 1 || !slices.Equal(got[0].Arrived, test.arrived) || (got[0].Why == "") != (test.failure == fax.None) || (got[0].State == "done") != (test.failure == fax.None) {
				t.Errorf("what arrived is %+v", got)
			}
		})
	}
}

func TestPersonIsDialledOnceMore(t *testing.T) {
	s := start(t, Config{})
	if err := s.SetFaults(Fault{Kind: Human}); err != nil {
		t.Fatal(err)
	}
	j := letter("x", 1)
	j.MaxDials = 9
	if status := send(t, open(t, s), j); status.Failure() != fax.NoCarrier || status.Dials != 2 || status.Code != 2 {
		t.Errorf("its status is %+v: %s", status, status.Failure())
	}
}

func TestSubmissionIsInDoubt(t *testing.T) {
	for kind, arrives := range map[FaultKind]bool{DropBefore: false, DropAfter: true} {
		s := start(t, Config{})
		c := open(t, s)
		if err := s.SetFaults(Fault{Kind: kind, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(t.Context(), letter("doubt", 1)); !errors.Is(err, fax.ErrUnanswered) || c.Usable() {
			t.Errorf("%s gives %v", kind, err)
		}
		if found, err := open(t, s).Find(t.Context(), "doubt"); err != nil || (len(found) == 1) != arrives {
			t.Errorf("after %s, found is %+v, %v", kind, found, err)
		}
	}
}

func TestServerRefuses(t *testing.T) {
	s := start(t, Config{})
	if err := s.SetFaults(Fault{Kind: Close, Times: 1}, Fault{Kind: RefuseJob, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := fax.Open(t.Context(), fax.Config{Address: s.Addr()}); !errors.Is(err, fax.ErrGone) {
		t.Errorf("a closed door gives %v", err)
	}
	c := open(t, s)
	var refusal *fax.Refusal
	if _, err := c.Submit(t.Context(), letter("x", 1)); !errors.As(err, &refusal) || refusal.Command != "JSUBM" || refusal.Temporary() {
		t.Errorf("a refusal gives %v", err)
	}
	if all, err := c.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("there are jobs: %+v, %v", all, err)
	}
	if status := send(t, c, letter("x", 1)); !status.Delivered(1) {
		t.Errorf("after it, its status is %+v", status)
	}
}

func TestKill(t *testing.T) {
	s := start(t, Config{})
	if err := s.SetFaults(Fault{Kind: Slow, Delay: sim.Duration(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	c := open(t, s)
	id, err := c.Submit(t.Context(), letter("x", 2))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if status, err := c.Wait(t.Context(), id); err != nil || status.Failure() != fax.Killed || status.State != fax.Failed {
		t.Errorf("its status is %+v, %v", status, err)
	}
	if err := c.Kill(t.Context(), id); !errors.Is(err, fax.ErrOver) {
		t.Errorf("again it gives %v", err)
	}
	if err := c.Kill(t.Context(), "31999"); !errors.Is(err, fax.ErrUnknown) {
		t.Errorf("of another it gives %v", err)
	}
}

func TestOldJobsAreForgotten(t *testing.T) {
	s := start(t, Config{Keep: 2})
	c := open(t, s)
	for i := range 5 {
		send(t, c, letter(fmt.Sprint("job-", i), 1))
	}
	all, err := c.List(t.Context())
	if err != nil || len(all) != 2 || all[1].Info != "job-4" {
		t.Errorf("the jobs are %+v, %v", all, err)
	}
	if _, err := c.Status(t.Context(), "1"); !errors.Is(err, fax.ErrUnknown) {
		t.Errorf("the first gives %v", err)
	}
	if s.Faxes().Count() != 5 {
		t.Errorf("%d arrived", s.Faxes().Count())
	}
}

func TestHandler(t *testing.T) {
	s := start(t, Config{})
	send(t, open(t, s), letter("seen", 2))
	ask := simtest.Asker(t, s.Handler())
	status, body := ask("GET", "/messages", "")
	var list struct{ Messages []Fax }
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || len(list.Messages) != 1 || list.Messages[0].Pages != 2 {
		t.Errorf("the list is %d %s", status, body)
	}
	if status, body := ask("GET", "/faxes/1", ""); status != 200 || body != string(pdf(2)) {
		t.Errorf("its document is %d %q", status, body)
	}
	for _, path := range []string{"/faxes/2", "/faxes/x"} {
		if status, _ := ask("GET", path, ""); status != 404 {
			t.Errorf("%s gives %d", path, status)
		}
	}
	if status, body := ask("GET", "/", ""); status != 200 || !strings.Contains(body, "<title>Fax machines</title>") {
		t.Errorf("the page is %d", status)
	}
	if status, _ := ask("PUT", "/faults", `{"faults":[{"kind":"drop","page":1,"times":1}]}`); status != 200 || len(s.Faults()) != 1 {
		t.Errorf("faults give %d, and are %v", status, s.Faults())
	}
}

func TestFaultsAreComplete(t *testing.T) {
	s := New(Config{})
	for _, f := range []Fault{{}, {Kind: "x"}, {Kind: Busy, Page: 1}, {Kind: Drop, Page: -1}, {Kind: Slow}, {Kind: SlowJob}, {Kind: Busy, Delay: 1}, {Kind: Close, Number: "1"}, {Kind: Busy, Number: "["}, {Kind: Busy, Times: -1}} {
		if err := s.SetFaults(f); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("%+v gives %v", f, err)
		}
	}
}

func TestFormat(t *testing.T) {
	for text, want := range map[string]string{
		"%j": "7", "%-4j|": "7   |", "%4j|": "   7|", "%.1s|%3.2s": "a| ab", "100%%": "100%", "%": "%", "%-": "", "%5": "", "%5.": "", "a%qb": "ab", "%99999j": strings.Repeat(" ", 998) + "7",
	} {
		if got := format(text, func(field byte) string { return map[byte]string{'j': "7", 's': "abc"}[field] }); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestRestartKeepsJobs(t *testing.T) {
	s := start(t, Config{})
	c := open(t, s)
	id, err := c.Submit(t.Context(), letter("x", 1))
	if err != nil {
		t.Fatal(err)
	}
	s.Restart(false)
	if _, err := c.Wait(t.Context(), id); !errors.Is(err, fax.ErrGone) || c.Usable() {
		t.Errorf("it gives %v", err)
	}
	if status, err := open(t, s).Wait(t.Context(), id); err != nil || !status.Delivered(1) {
		t.Errorf("the call went on to %+v, %v", status, err)
	}
}

func TestRestartForgetsJobs(t *testing.T) {
	s := start(t, Config{})
	send(t, open(t, s), letter("over", 1))
	if err := s.SetFaults(Fault{Kind: Slow, Delay: sim.Duration(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	id, err := open(t, s).Submit(t.Context(), letter("under-way", 1))
	if err != nil {
		t.Fatal(err)
	}
	s.Restart(true)
	c := open(t, s)
	if all, err := c.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("there are jobs: %+v, %v", all, err)
	}
	if _, err := c.Status(t.Context(), id); !errors.Is(err, fax.ErrUnknown) {
		t.Errorf("the status of one gives %v", err)
	}
	if err := s.Faxes().WaitFor(t.Context(), func(_ []Fax, total int64) bool { return total == 2 }); err != nil || s.Faxes().All()[1].State != "failed" {
		t.Errorf("what arrived is %+v, %v", s.Faxes().All(), err)
	}
}

func TestSubmissionIsAnsweredLate(t *testing.T) {
	s := start(t, Config{})
	if err := s.SetFaults(Fault{Kind: SlowJob, Delay: sim.Duration(time.Hour), Times: 1}); err != nil {
		t.Fatal(err)
	}
	c, err := fax.Open(t.Context(), fax.Config{Address: s.Addr(), Timeout: 50 * soon})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it broke
	if _, err := c.Submit(t.Context(), letter("late", 1)); !errors.Is(err, fax.ErrUnanswered) {
		t.Errorf("it gives %v", err)
	}
	if err := s.Faxes().WaitFor(t.Context(), func(kept []Fax, total int64) bool { return total == 1 && kept[0].Info == "late" && kept[0].Whole() }); err != nil {
		t.Error(err)
	}
}

func TestWaitIsAborted(t *testing.T) {
	s := start(t, Config{})
	if err := s.SetFaults(Fault{Kind: Slow, Delay: sim.Duration(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	id, err := open(t, s).Submit(t.Context(), letter("x", 1))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it was only to speak
	read := bufio.NewReader(conn)
	for _, step := range []struct{ say, hear string }{
		{"", "220 "}, {"USER x", "230 "}, {"JWAIT " + id, "216-Waiting"}, {"NOOP", "500 NOOP: "}, {"ABOR", "426 "}, {"", "226 "}, {"NOOP", "200 "},
	} {
		if step.say != "" {
			if _, err := io.WriteString(conn, step.say+"\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := read.ReadString('\n'); err != nil || !strings.HasPrefix(line, step.hear) {
			t.Fatalf("%q gives %q, %v", step.say, line, err)
		}
	}
}
