package fax

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"herald/e2e/peers"
)

// office is a real HylaFAX with a line for one job, which it has been given.
type office struct {
	far  peers.Fax
	line *peers.FaxLine
	conn *Conn
	job  string
	made string // what HylaFAX makes of the document
}

// errand is a job for a line of its own, and what must come of it.
type errand struct {
	name  string
	plays []string // of the line
	dials int
	check func(*testing.T, *office)
}

// errands are done at the same time, by one HylaFAX, and checked in order.
func errands(t *testing.T, all []errand) {
	t.Helper()
	const hylafaxSpeed = 50
	document, err := os.ReadFile("testdata/two-pages.pdf")
	if err != nil {
		t.Fatal(err)
	}
	var devices []string
	offices := make([]office, len(all))
	for i := range offices {
		offices[i].line = peers.StartFaxLine(t, hylafaxSpeed)
		devices = append(devices, offices[i].line.Device)
	}
	far := peers.HylaFAX(t, devices...)
	made := far.Rendered(t, document)
	for i := range offices {
		o := &offices[i]
		o.far, o.conn, o.made = far, signedIn(t, far), made
		o.line.Play(all[i].plays...)
		number := "555000" + strconv.Itoa(i)
		if o.job, err = o.conn.Submit(t.Context(), Job{
			Number: number, PDF: document, Info: "to-" + number, Modem: o.line.Modem(),
			MaxDials: all[i].dials, MaxTries: all[i].dials, RetryAfter: time.Second,
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range all {
		t.Run(e.name, func(t *testing.T) { e.check(t, &offices[i]) })
	}
}

func signedIn(t *testing.T, far peers.Fax) *Conn {
	t.Helper()
	c, err := Open(t.Context(), Config{Address: far.Address, Username: peers.FaxUser, Password: peers.FaxPassword})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it may be broken
	return c
}

// end waits for the job's. When two of faxq's children end in the same moment,
// it may overlook one until a third does (ChildQueue::notify in
// libhylafax/Dispatcher.c++ is not safe against SIGCHLD), so it is given one:
// that of a document that cannot be prepared, and is never dialled.
func (o *office) end(t *testing.T) Status {
	t.Helper()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
		status, err := o.conn.Wait(ctx, o.job)
		cancel()
		if err == nil {
			return status
		}
		o.conn = signedIn(t, o.far)
		if _, err := o.conn.Submit(t.Context(), Job{Number: "5559999", PDF: []byte("%PDF-1.4\n"), Info: "nudge", MaxDials: 1, MaxTries: 1}); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("job %s does not end", o.job)
	return Status{}
}

// fails checks that the job did, and why.
func (o *office) fails(t *testing.T, why Failure, dials int) {
	t.Helper()
	status := o.end(t)
	if status.State != Failed || status.Failure() != why || status.Sent != 0 || status.Dials != dials {
		t.Errorf("its status is %+v: %s", status, status.Failure())
	}
}

// TestHylaFAX sends through the real hfaxd and faxq, a modem and T.30. What
// arrived is asked of the far end, never of HylaFAX alone.
func TestHylaFAX(t *testing.T) {
	errands(t, []errand{
		{"killed in the call", []string{"slow"}, 1, func(t *testing.T, o *office) {
			o.line.Answered()
			if err := o.conn.Kill(t.Context(), o.job); err != nil {
				t.Fatal(err)
			}
			if status := o.end(t); status.State != Failed || status.Failure() != Killed || status.Sent != 0 {
				t.Errorf("its status is %+v: %s", status, status.Failure())
			}
			if err := o.conn.Kill(t.Context(), o.job); !errors.Is(err, ErrOver) {
				t.Errorf("again it gives %v", err)
			}
			if call := o.line.Call(); call.End != "hung_up" || o.line.Calls() != 0 {
				t.Errorf("the call was %+v, and %d more", call, o.line.Calls())
			}
		}},
		{"two Chinese pages arrive", nil, 1, func(t *testing.T, o *office) {
			status := o.end(t)
			if !status.Delivered(2) || status.Failure() != None || status.Dials != 1 {
				t.Errorf("its status is %+v", status)
			}
			call := o.line.Call()
			if call.Pages != 2 || !call.ECM || call.Number != "5550001" || call.From != "HERALD" {
				t.Fatalf("the call was %+v", call)
			}
			peers.SamePage(t, o.made, 0, call.File, 0)
			peers.SamePage(t, o.made, 1, call.File, 1)
			if found, err := o.conn.Find(t.Context(), "to-5550001"); err != nil || len(found) != 1 || found[0].ID != o.job || !found[0].Delivered(2) {
				t.Errorf("found is %+v, %v", found, err)
			}
			if health, err := o.conn.Check(t.Context()); err != nil || !health.Scheduler {
				t.Errorf("its health is %+v, %v", health, err)
			}
		}},
		{"without error correction", []string{"no_ecm"}, 1, func(t *testing.T, o *office) {
			if status := o.end(t); !status.Delivered(2) {
				t.Errorf("its status is %+v", status)
			}
			call := o.line.Call()
			if call.Pages != 2 || call.ECM || call.BadRows != 0 {
				t.Fatalf("the call was %+v", call)
			}
			peers.SamePage(t, o.made, 1, call.File, 1)
		}},
		{"noise is corrected", []string{"noise"}, 1, func(t *testing.T, o *office) {
			if status := o.end(t); !status.Delivered(2) {
				t.Errorf("its status is %+v", status)
			}
			call := o.line.Call()
			if call.Pages != 2 || !call.ECM || call.Retries == 0 {
				t.Fatalf("the call was %+v", call)
			}
			peers.SamePage(t, o.made, 0, call.File, 0)
		}},
		{"busy", []string{"busy", "busy"}, 2, func(t *testing.T, o *office) { o.fails(t, Busy, 2) }},
		{"nobody answers", []string{"no_answer"}, 1, func(t *testing.T, o *office) { o.fails(t, NoAnswer, 1) }},
		{"our line is dead", []string{"no_dialtone"}, 1, func(t *testing.T, o *office) { o.fails(t, NoTone, 1) }},
		{"somebody who is no fax answers", []string{"human"}, 1, func(t *testing.T, o *office) { o.fails(t, NoCarrier, 1) }},
		{"the line drops before the confirmation", []string{"unconfirmed 1"}, 1, func(t *testing.T, o *office) {
			o.fails(t, Unconfirmed, 1)
			if call := o.line.Call(); call.Pages != 1 {
				t.Errorf("the call was %+v", call)
			}
		}},
		{"only the remaining page is sent again", []string{"drop 1"}, 2, func(t *testing.T, o *office) {
			status := o.end(t)
			if !status.Delivered(2) || status.Dials != 2 {
				t.Errorf("its status is %+v", status)
			}
			first, second := o.line.Call(), o.line.Call()
			if first.Pages != 1 || first.End != "dropped" || second.Pages != 1 {
				t.Fatalf("the calls were %+v and %+v", first, second)
			}
			peers.SamePage(t, o.made, 0, first.File, 0)
			peers.SamePage(t, o.made, 1, second.File, 0)
		}},
	})
}

func TestHylaFAXRefuses(t *testing.T) {
	far := peers.HylaFAX(t)
	if _, err := Open(t.Context(), Config{Address: far.Address, Username: peers.FaxUser, Password: "wrong"}); !errors.Is(err, ErrLogin) {
		t.Errorf("a wrong password gives %v", err)
	}
	c := signedIn(t, far)
	if _, err := c.Status(t.Context(), "4711"); !errors.Is(err, ErrUnknown) {
		t.Errorf("the status of a job that is not gives %v", err)
	}
	if err := c.Kill(t.Context(), "4711"); !errors.Is(err, ErrUnknown) {
		t.Errorf("killing it gives %v", err)
	}
	if found, err := c.Find(t.Context(), "nothing"); err != nil || len(found) != 0 {
		t.Errorf("found is %+v, %v", found, err)
	}
	// Without a modem, a job waits, and can be killed.
	id, err := c.Submit(t.Context(), Job{Number: "+1 800 5551234", PDF: []byte("%PDF-1.4\n"), Info: "waits"})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := c.Find(t.Context(), "waits"); err != nil || len(found) != 1 || found[0].ID != id || found[0].Over() {
		t.Errorf("found is %+v, %v", found, err)
	}
	if err := c.Kill(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if status, err := c.Wait(t.Context(), id); err != nil || status.Failure() != Killed || status.Info != "waits" {
		t.Errorf("its status is %+v, %v: %s", status, err, status.Failure())
	}
}
