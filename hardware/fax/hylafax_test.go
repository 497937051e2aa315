package fax

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
)

// office is a real HylaFAX, and a session with it.
type office struct {
	far  peers.Fax
	line *peers.FaxLine // that this test has for itself
	conn *Conn
}

// theOffice starts one HylaFAX for tests that each have a line of their own.
func theOffice(t *testing.T, tests map[string]func(*testing.T, office)) {
	t.Helper()
	const hylafaxSpeed = 50
	lines := map[string]*peers.FaxLine{}
	var devices []string
	for name := range tests {
		lines[name] = peers.StartFaxLine(t, hylafaxSpeed)
		devices = append(devices, lines[name].Device)
	}
	far := peers.HylaFAX(t, devices...)
	t.Run("lines", func(t *testing.T) { // returns when all of them have
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, office{far: far, line: lines[name], conn: signedIn(t, far)})
			})
		}
	})
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

// submit hands over the document of two pages, to be sent by the test's line.
func (o office) submit(t *testing.T, number string, dials int) (id string) {
	t.Helper()
	document, err := os.ReadFile("testdata/two-pages.pdf")
	if err != nil {
		t.Fatal(err)
	}
	modem := strings.ReplaceAll(strings.TrimPrefix(o.line.Device, "/dev/"), "/", "_")
	id, err = o.conn.Submit(t.Context(), Job{Number: number, PDF: document, Info: "0193-" + number, MaxDials: dials, MaxTries: dials, RetryAfter: time.Second, Modem: modem})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (o office) wait(t *testing.T, id string) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*peers.Patience)
	defer cancel()
	status, err := o.conn.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// dialled waits until a job's call has begun.
func (o office) dialled(t *testing.T, id string) {
	t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); time.Since(began) < peers.Patience; <-look.C {
		status, err := o.conn.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if status.State == Active && status.Dials == 1 {
			return
		}
	}
	t.Fatal("the job is not dialled")
}

// TestHylaFAX sends through the real hfaxd and faxq, a modem and T.30. What
// arrived is asked of the far end, never of HylaFAX alone.
func TestHylaFAX(t *testing.T) {
	theOffice(t, map[string]func(*testing.T, office){
		"two Chinese pages arrive": func(t *testing.T, o office) {
			id := o.submit(t, "5550001", 1)
			status := o.wait(t, id)
			if !status.Delivered(2) || status.Failure() != None || status.Dials != 1 {
				t.Errorf("its status is %+v", status)
			}
			call := o.line.Call()
			if call.Pages != 2 || !call.ECM || call.Number != "5550001" || call.From != "HERALD" {
				t.Fatalf("the call was %+v", call)
			}
			samePage(t, rendered(t, o.far), 0, call.File, 0)
			samePage(t, rendered(t, o.far), 1, call.File, 1)
			if found, err := o.conn.Find(t.Context(), "0193-5550001"); err != nil || len(found) != 1 || found[0].ID != id || !found[0].Delivered(2) {
				t.Errorf("found is %+v, %v", found, err)
			}
			if health, err := o.conn.Check(t.Context()); err != nil || !health.Scheduler {
				t.Errorf("its health is %+v, %v", health, err)
			}
		},
		"only the remaining page is sent again": func(t *testing.T, o office) {
			o.line.Play("drop 1")
			status := o.wait(t, o.submit(t, "5550002", 3))
			if !status.Delivered(2) || status.Dials != 2 {
				t.Errorf("its status is %+v", status)
			}
			first, second := o.line.Call(), o.line.Call()
			if first.Pages != 1 || first.End != "dropped" || second.Pages != 1 {
				t.Fatalf("the calls were %+v and %+v", first, second)
			}
			samePage(t, rendered(t, o.far), 0, first.File, 0)
			samePage(t, rendered(t, o.far), 1, second.File, 0)
		},
		"busy": func(t *testing.T, o office) {
			o.line.Play("busy", "busy")
			status := o.wait(t, o.submit(t, "5550003", 2))
			if status.State != Failed || status.Failure() != Busy || status.Sent != 0 || status.Dials != 2 {
				t.Errorf("its status is %+v: %s", status, status.Failure())
			}
		},
		"somebody who is no fax answers": func(t *testing.T, o office) {
			o.line.Play("human")
			status := o.wait(t, o.submit(t, "5550004", 1))
			if status.State != Failed || status.Failure() != NoCarrier || status.Sent != 0 {
				t.Errorf("its status is %+v: %s", status, status.Failure())
			}
		},
		"the line drops before the confirmation": func(t *testing.T, o office) {
			o.line.Play("unconfirmed 1")
			status := o.wait(t, o.submit(t, "5550005", 1))
			if status.State != Failed || status.Failure() != Unconfirmed || status.Sent != 0 {
				t.Errorf("its status is %+v: %s", status, status.Failure())
			}
			if call := o.line.Call(); call.Pages != 1 {
				t.Errorf("the call was %+v", call)
			}
		},
		"killed in the call": func(t *testing.T, o office) {
			o.line.Play("human", "human")
			id := o.submit(t, "5550006", 2)
			o.dialled(t, id)
			if err := o.conn.Kill(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if status := o.wait(t, id); status.State != Failed || status.Failure() != Killed {
				t.Errorf("its status is %+v: %s", status, status.Failure())
			}
			if err := o.conn.Kill(t.Context(), id); !errors.Is(err, ErrOver) {
				t.Errorf("again it gives %v", err)
			}
			if call := o.line.Call(); call.End != "hung_up" || o.line.Calls() != 0 {
				t.Errorf("the call was %+v, and %d more", call, o.line.Calls())
			}
		},
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

// rendered is the document as HylaFAX makes it TIFF, made here once more.
func rendered(t *testing.T, far peers.Fax) string {
	t.Helper()
	document, err := filepath.Abs("testdata/two-pages.pdf")
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(t.TempDir(), "made.tif")
	cmd := exec.CommandContext(t.Context(), "bash", "bin/pdf2fax", "-o", made, "-w", "209", "-l", "296", "-r", "196", "-3", document)
	cmd.Dir = far.Spool
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pdf2fax: %v\n%s", err, said)
	}
	return made
}

// samePage compares two pages, pixel by pixel.
func samePage(t *testing.T, want string, wantPage int, got string, gotPage int) {
	t.Helper()
	dir := t.TempDir()
	cut := func(file, name string, page int) string {
		cut := filepath.Join(dir, name)
		if said, err := exec.CommandContext(t.Context(), peers.Program(t, "tiffcp", "libtiff-tools"), "-c", "g4", file+","+strconv.Itoa(page), cut).CombinedOutput(); err != nil {
			t.Fatalf("tiffcp: %v\n%s", err, said)
		}
		return cut
	}
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "tiffcmp", "libtiff-tools"), "-t", cut(want, "want.tif", wantPage), cut(got, "got.tif", gotPage))
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("page %d of %s is another than page %d of %s: %v\n%s", gotPage, got, wantPage, want, err, said)
	}
}
