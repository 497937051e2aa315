package fax

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// State is where a job is (hfaxd(8), sendq(5)).
type State string

// The states. A job that is Done or Failed stays so.
const (
	Suspended State = "suspended" // not scheduled
	Pending   State = "pending"   // waits for its time
	Sleeping  State = "sleeping"  // waits for its next try
	Blocked   State = "blocked"   // waits for another call to the number
	Ready     State = "ready"     // waits for a modem
	Active    State = "active"    // is being prepared or sent
	Done      State = "done"      // all pages are confirmed
	Failed    State = "failed"    // given up
)

// states are by the letters of LIST.
var states = map[string]State{"T": Suspended, "P": Pending, "S": Sleeping, "B": Blocked, "W": Ready, "R": Active, "D": Done, "F": Failed}

// Status is how a job stands.
type Status struct {
	ID    string
	Info  string // our id
	State State
	// Sent of Total pages are confirmed. Total is 0 until the server has
	// prepared the document.
	Sent, Total int
	Dials       int // how often it was dialled
	Tries       int // how often a call was answered
	// Code and Text say why the last try failed, in the server's numbers
	// (Failure) and words; Text may name files of the server. Code is 0 in
	// what List gives, which has only the words.
	Code int
	Text string
}

// Over reports whether the job has ended.
func (s Status) Over() bool { return s.State == Done || s.State == Failed }

// Delivered reports whether the job has ended and all pages of a document
// arrived, as many as we know it to have: servers have called jobs done that
// sent nothing. A job that was ended behind its last page is Failed, and
// delivered all the same.
func (s Status) Delivered(pages int) bool { return s.Over() && s.Confirmed(pages) }

// Confirmed reports whether all pages of a document arrived, though the call
// may go on.
func (s Status) Confirmed(pages int) bool { return s.Sent == pages && s.Total == pages && pages > 0 }

// listFormat is what LIST writes of a job. The words come last, since they may
// have anything in them.
const listFormat = "job|%j|%a|%p|%y|%d|%t|%J|%s"

// parseListed reads a line of LIST; false: it is none of ours, but a further
// line of a job's words.
func parseListed(line string) (Status, bool) {
	fields := strings.SplitN(line, "|", 9)
	if len(fields) != 9 || fields[0] != "job" || !isID(fields[1]) {
		return Status{}, false
	}
	state, known := states[fields[2]]
	if !known {
		return Status{}, false
	}
	s := Status{ID: fields[1], State: state, Info: fields[7], Text: fields[8]}
	for i, into := range []*int{&s.Sent, &s.Total, &s.Dials, &s.Tries} {
		number, err := strconv.ParseUint(strings.TrimSpace(fields[3+i]), 10, 16) // as HylaFAX keeps them
		if err != nil {
			return Status{}, false
		}
		*into = int(number)
	}
	return s, true
}

// List gives all jobs that the server knows, ended ones too, until it cleans
// up after an hour or more (faxqclean(8)).
func (c *Conn) List(ctx context.Context) ([]Status, error) {
	var all []Status
	at := map[[2]string]int{}
	for _, queue := range []string{"sendq", "doneq"} { // a job that ends meanwhile is in both, or in the second
		if err := c.list(ctx, queue, func(line string) {
			s, ok := parseListed(line)
			if !ok {
				return
			}
			job := [2]string{s.ID, s.Info} // the ids begin anew after 32,000
			if i, listed := at[job]; listed {
				all[i] = s
				return
			}
			at[job] = len(all)
			all = append(all, s)
		}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Find gives the jobs that were submitted with our id: none, when a submission
// that was not answered did not arrive; more, when it was repeated.
func (c *Conn) Find(ctx context.Context, info string) ([]Status, error) {
	if !isInfo(info) {
		return nil, fmt.Errorf("%w: that is no id of ours", ErrJob)
	}
	all, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	var found []Status
	for _, s := range all {
		if s.Info == info {
			found = append(found, s)
		}
	}
	return found, nil
}

// Status tells how a job stands. Ids begin anew after 32,000 jobs: compare
// Info. An end is always seen; but hfaxd keeps what it has told a session of a
// job under way when that changes within the same second (checkJobState in
// hfaxd/Jobs.c++), so only a session that has not asked before is sure to see
// the pages of now. The same goes for List. It fails with ErrUnknown, ErrGone, ErrProtocol or a *Refusal.
func (c *Conn) Status(ctx context.Context, id string) (Status, error) {
	if !isID(id) {
		return Status{}, fmt.Errorf("%w: it has numbers only", ErrUnknown)
	}
	const moves = 3 // between queues, while we ask
	for range moves {
		s, moved, err := c.status(ctx, id)
		if err != nil || !moved {
			return s, err
		}
	}
	return Status{}, fmt.Errorf("%w: it moves", ErrUnknown)
}

// status asks once; moved says that the job left its queue meanwhile, and the
// server made another the current one.
func (c *Conn) status(ctx context.Context, id string) (s Status, moved bool, err error) {
	if _, err := c.ask(ctx, "JOB", id); err != nil {
		return Status{}, false, unknownOr(err)
	}
	s.ID = id
	ask := func(name string) (value string) {
		if err != nil || moved {
			return ""
		}
		var said reply
		if said, err = c.ask(ctx, "JPARM", name); err != nil {
			var refusal *Refusal
			if errors.As(err, &refusal) && refusal.Code == 500 { // "job deleted by another party"
				moved, err = true, nil
			}
			return ""
		}
		return said.text
	}
	number := func(name string) int {
		value := ask(name)
		n, wrong := strconv.ParseUint(value, 10, 16) // as HylaFAX keeps them
		if wrong != nil && err == nil && !moved {
			c.broken = fmt.Errorf("%w: its %s is no number", ErrProtocol, name)
			err = c.broken
		}
		return int(n)
	}
	// The state is asked first: what is asked behind an end is of the end.
	s.State = State(strings.ToLower(ask("STATE")))
	if s.State == "undefined" {
		moved = true
	}
	s.Info = ask("JOBINFO")
	s.Sent, s.Total, s.Dials, s.Tries = number("NPAGES"), number("TOTPAGES"), number("TOTDIALS"), number("TOTTRIES")
	s.Code, s.Text = number("STATUSCODE"), ask("STATUS")
	if err == nil && !moved && !isState(s.State) {
		c.broken = fmt.Errorf("%w: it has a state that we do not know", ErrProtocol)
		err = c.broken
	}
	return s, moved, err
}

func isState(s State) bool {
	for _, known := range states {
		if s == known {
			return true
		}
	}
	return false
}

// unknownOr is ErrUnknown for a reply that says so.
func unknownOr(err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) && strings.Contains(refusal.Text, "does not exist") {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}

// Wait returns when a job has ended, or fails with ctx's error when that ends
// first. Since the server listens to nothing meanwhile, the session is then
// broken; give ctx a deadline now and then, and look anew, for an end that the
// server forgot to tell of.
func (c *Conn) Wait(ctx context.Context, id string) (Status, error) {
	if !isID(id) {
		return Status{}, fmt.Errorf("%w: it has numbers only", ErrUnknown)
	}
	if err := c.say(ctx, "JWAIT", id); err != nil {
		return Status{}, err
	}
	if _, err := c.listenUntil(ctx, "JWAIT", time.Time{}); err != nil {
		return Status{}, unknownOr(err)
	}
	return c.Status(ctx, id)
}

// Kill ends a job, and the call that it may have. It fails with ErrOver when
// the job has ended by itself, ErrUnknown, ErrGone, ErrProtocol or a *Refusal.
// The job is over a little later; Wait for it.
func (c *Conn) Kill(ctx context.Context, id string) error {
	if !isID(id) {
		return fmt.Errorf("%w: it has numbers only", ErrUnknown)
	}
	_, err := c.ask(ctx, "JKILL", id)
	var refusal *Refusal
	if errors.As(err, &refusal) && strings.Contains(refusal.Text, "already done") {
		return fmt.Errorf("%w: %w", ErrOver, err)
	}
	return unknownOr(err)
}

// Health is whether faxes can go out.
type Health struct {
	// Scheduler says that faxq runs.
	Scheduler bool
	// Modems are the server's words for each that it knows, such as "Running
	// and idle", by the modem's name.
	Modems map[string]string
}

// Check asks how the server is. It fails with ErrGone, ErrProtocol or a
// *Refusal.
func (c *Conn) Check(ctx context.Context) (Health, error) {
	h := Health{Modems: map[string]string{}}
	const most = 1000
	err := c.list(ctx, "status", func(line string) {
		if words, found := strings.CutPrefix(line, "HylaFAX scheduler on "); found {
			_, state, _ := strings.Cut(words, ": ")
			h.Scheduler = strings.HasPrefix(state, "Running")
		}
		if words, found := strings.CutPrefix(line, "Modem "); found && len(h.Modems) < most {
			name, state, _ := strings.Cut(words, ": ")
			name, _, _ = strings.Cut(name, " ")
			h.Modems[name] = state
		}
	})
	return h, err
}
