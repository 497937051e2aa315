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
	File     string
}

// FaxLine is a fax modem with its line and a fax at the far end, which is
// built on libspandsp (hardware/sim/fax/line.c).
type FaxLine struct {
	// Device is the modem.
	Device string
	t      testing.TB
	words  io.Writer
	calls  chan FaxCall
}

// StartFaxLine starts one that goes so many times faster than real time: 50
// for HylaFAX, 8 for efax.
func StartFaxLine(t testing.TB, speed int) *FaxLine {
	t.Helper()
	cmd := exec.Command(faxLineProgram(t), "-s", strconv.Itoa(speed), "-d", t.TempDir())
	cmd.Stderr = os.Stderr
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
	l := &FaxLine{t: t, words: words, calls: make(chan FaxCall, 100)}
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
		for lines.Scan() {
			var call FaxCall
			if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
				t.Errorf("the fax line says %q: %v", lines.Text(), err)
				return
			}
			l.calls <- call
		}
	}()
	t.Cleanup(func() {
		_ = words.Close() // it ends then
		<-ended
		_ = cmd.Wait() // it ended
	})
	return l
}

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

// Call is the next call that ended.
func (l *FaxLine) Call() FaxCall {
	l.t.Helper()
	limit := time.NewTimer(2 * Patience)
	defer limit.Stop()
	select {
	case call, open := <-l.calls:
		if !open {
			l.t.Fatal("the fax line ended")
		}
		return call
	case <-limit.C:
		l.t.Fatal("there was no call")
	}
	return FaxCall{}
}

// Calls is how many calls ended that Call has not given.
func (l *FaxLine) Calls() int { return len(l.calls) }

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
