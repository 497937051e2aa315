package gsm

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// traceMax is how many lines a trace keeps: the newest.
const traceMax = 1000

// Trace watches the wire while it is on. What it keeps has the numbers and
// contents of messages, so it is for an operator's eyes and goes into no log;
// PINs are covered. It is safe for many goroutines.
type Trace struct {
	on  atomic.Bool
	now func() time.Time

	mu    sync.Mutex
	lines []TraceLine // guarded by mu; a ring once it is full
	next  int         // guarded by mu: where the ring goes on
}

// TraceLine is a line that went over the wire.
type TraceLine struct {
	At   time.Time `json:"at"`
	Sent bool      `json:"sent"` // by us; false: by the modem
	Text string    `json:"text"` // control characters as ␛ and ␚
}

// Switch turns it on or off. On, it begins with nothing; off, it keeps what it has.
func (t *Trace) Switch(on bool) {
	if on {
		t.mu.Lock()
		t.lines, t.next = nil, 0
		t.mu.Unlock()
	}
	t.on.Store(on)
}

// On reports whether it watches.
func (t *Trace) On() bool { return t.on.Load() }

// Lines are those kept, the oldest first.
func (t *Trace) Lines() []TraceLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(append([]TraceLine{}, t.lines[t.next:]...), t.lines[:t.next]...)
}

var visible = strings.NewReplacer(ctrlZ, "␚", escape, "␛", "\r", "")

func (t *Trace) add(sent bool, text string) {
	if !t.on.Load() {
		return
	}
	line := TraceLine{t.now(), sent, coverPIN(visible.Replace(text))}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < traceMax {
		t.lines = append(t.lines, line)
		return
	}
	t.lines[t.next] = line
	t.next = (t.next + 1) % traceMax
}

// coverPIN hides the PIN in a command, and in its echo.
func coverPIN(text string) string {
	if before, _, has := strings.Cut(text, "AT+CPIN="); has {
		return before + "AT+CPIN=****"
	}
	return text
}
