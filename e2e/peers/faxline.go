package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FaxCall is a call that a FaxLine had.
type FaxCall struct {
	Number   string
	Scenario string
	End      string // "hung_up", "dropped", or why there was no connection
	Pages    int    // that arrived
	From     string // what the sender calls itself
	ECM      bool
	Rate     int // bits a second
	BadRows  int `json:"bad_rows"` // of the last page
	Retries  int // how often frames were wanted again, by ECM
	// Waited is how long the line stood still at most until its client did
	// its part, in seconds.
	Waited float64
	// File is a TIFF with a page for each that arrived.
	File string
}

// FaxLine is a fax modem with its line and a fax at the far end, which is
// built on libspandsp (hardware/sim/fax/line.c).
type FaxLine struct {
	// Device is the modem, and Link a symbolic link to it.
	Device, Link string
	t            testing.TB
	words        io.Writer
	// answered has the numbers of calls that were answered, calls those that ended.
	answered chan int
	calls    chan FaxCall
}

// StartFaxLine starts one that goes up to so many times faster than real time:
// 50 for HylaFAX, 8 for efax. Neither end is outrun, however busy the machine
// is. When the test fails, it is told what happened on the line.
func StartFaxLine(t testing.TB, speed int) *FaxLine {
	t.Helper()
	dir := t.TempDir()
	trace, err := os.Create(filepath.Join(dir, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "modem")
	cmd := exec.Command(faxLineProgram(t), "-v", "-s", strconv.Itoa(speed), "-d", dir, "-l", link)
	cmd.Stderr = trace
	words, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &FaxLine{Link: link, t: t, words: words, answered: make(chan int, 100), calls: make(chan FaxCall, 100)}
	lines := bufio.NewScanner(said)
	var first struct{ Device string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &first) != nil || first.Device == "" {
		t.Fatalf("the fax line says %q", lines.Text())
	}
	l.Device = first.Device
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(l.calls)
		defer close(l.answered)
		for lines.Scan() {
			var said struct {
				FaxCall
				Answered int
			}
			if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
				t.Errorf("the fax line says %q: %v", lines.Text(), err)
				return
			}
			if said.Answered > 0 {
				l.answered <- said.Answered
			} else {
				l.calls <- said.FaxCall
			}
		}
	}()
	t.Cleanup(func() {
		_ = words.Close() // it ends then
		<-ended
		_ = cmd.Wait() // it ended
		if err := trace.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("what happened on the line %s:\n%s", l.Device, lastLines(t, trace.Name()))
		}
	})
	return l
}

// Modem is what HylaFAX calls it.
func (l *FaxLine) Modem() string { return deviceID(l.Device) }

// Play sets what happens in the next calls, such as "busy" or "drop 1"; behind
// them, the fax answers.
func (l *FaxLine) Play(scenarios ...string) {
	l.t.Helper()
	for _, s := range scenarios {
		if _, err := fmt.Fprintln(l.words, s); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Answered waits until a call is answered.
func (l *FaxLine) Answered() {
	l.t.Helper()
	next(l.t, l.answered, "no call was answered")
}

// Call is the next call that ended.
func (l *FaxLine) Call() FaxCall {
	l.t.Helper()
	return next(l.t, l.calls, "no call ended")
}

// next is what comes next, or a failure that says what did not.
func next[T any](t testing.TB, from <-chan T, otherwise string) T {
	t.Helper()
	limit := time.NewTimer(2 * Patience)
	defer limit.Stop()
	select {
	case v, open := <-from:
		if !open {
			t.Fatal("the fax line ended")
		}
		return v
	case <-limit.C:
		t.Fatal(otherwise)
	}
	panic("unreachable")
}

// Calls is how many calls ended that Call has not given.
func (l *FaxLine) Calls() int { return len(l.calls) }

// lastLines are those of a file that somebody can read.
func lastLines(t testing.TB, path string) string {
	t.Helper()
	const most = 200
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "")
}

// faxLineProgram is built when it is not yet, or not newly.
func faxLineProgram(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "../..")
	if said, err := exec.Command(Program(t, "make", "make"), "-s", "-C", root, "bin/faxline").CombinedOutput(); err != nil {
		t.Fatalf("the fax line is not built (apt-get install gcc libc6-dev libspandsp-dev, or make test-deps): %v\n%s", err, said)
	}
	return filepath.Join(root, "bin/faxline")
}
