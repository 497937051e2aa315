package gsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// port is an open line and the one goroutine that owns it, run: it says what
// is written and makes sense of what is read. Others ask it by do.
type port struct {
	line  io.ReadWriteCloser
	cfg   Config
	trace *Trace

	requests chan *request
	notes    chan note // what the modem says by itself, in order
	read     chan chunk
	write    chan string
	wrote    chan error
	// done is closed when the line is of no use any more; err then says why.
	done chan struct{}
	err  error

	closing chan struct{}
	once    sync.Once
	helpers sync.WaitGroup // run and reads
	writing sync.WaitGroup

	// What follows belongs to run.
	lexer   lexer
	talk    talk
	now     *request    // on the wire; nil: none
	limit   *time.Timer // of the request
	out     []string    // to be written
	busy    *time.Timer // runs while a write is under way
	isBusy  bool
	waiting []note   // not taken from notes yet
	ghost   *request // a submission that was given up without an answer
}

// chunk is what was read, or why nothing more will be.
type chunk struct {
	bytes []byte
	err   error
}

// request is a command on its way, and whoever waits for it.
type request struct {
	command
	limit time.Duration
	// late is told the answer when nobody waits for it any more; nil: nobody is.
	late  func(answer)
	stage atomic.Int32
	reply chan answer // of one

	// What follows belongs to run.
	prompted bool
	probes   int     // how many questions were asked to get back in step
	most     int     // of them
	known    *answer // what came of the command meanwhile
}

// The stages of a request. do may move it to dropped and left, run to the others.
const (
	asked    int32 = iota // the unit was not sent: it can still be called off
	sent                  // the modem has all of it, or may have
	answered              // reply has the answer
	dropped               // called off: it was not sent and shall not be
	left                  // nobody waits for the answer any more
)

// answer is what a command came to.
type answer struct {
	lines []string
	err   error
}

const (
	// notesMax is how many notes wait for whoever takes them; beyond that the
	// oldest is lost. What is stored in the modem is found without its note.
	notesMax = 256
	// probesMost is how many questions are asked to get back in step, and
	// probeLimit how long each may take.
	probesMost = 3
	probeLimit = 5 * time.Second
)

// openPort puts a port on a line, which it closes in the end.
func openPort(line io.ReadWriteCloser, cfg Config, trace *Trace) *port {
	p := &port{
		line: line, cfg: cfg, trace: trace,
		requests: make(chan *request), notes: make(chan note),
		read: make(chan chunk), write: make(chan string), wrote: make(chan error),
		done: make(chan struct{}), closing: make(chan struct{}),
		limit: time.NewTimer(time.Hour), busy: time.NewTimer(time.Hour),
	}
	p.limit.Stop()
	p.busy.Stop()
	p.helpers.Go(p.reads)
	p.helpers.Go(p.run)
	p.writing.Go(p.writes)
	return p
}

// close closes the line and returns when its goroutines have ended; a write
// that is stuck ends when the device lets it go.
func (p *port) close() {
	p.once.Do(func() { close(p.closing) })
	p.helpers.Wait()
	if !errors.Is(p.err, ErrStuck) {
		p.writing.Wait()
	}
}

func (p *port) reads() {
	for {
		buf := make([]byte, 512)
		n, err := p.line.Read(buf)
		select {
		case p.read <- chunk{buf[:n], err}:
		case <-p.done:
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *port) writes() {
	for {
		select {
		case text := <-p.write:
			_, err := io.WriteString(p.line, text)
			select {
			case p.wrote <- err:
			case <-p.done:
				return
			}
		case <-p.done:
			return
		}
	}
}

// do has a command answered. limit is how long the modem may take for it (0:
// Config.Timeout). When ctx ends first, a unit that was not sent is called
// off, and the answer to what was sent goes to late. Of its errors only those
// that wrap ErrUnanswered leave open whether the modem did it.
func (p *port) do(ctx context.Context, c command, limit time.Duration, late func(answer)) ([]string, error) {
	if limit == 0 {
		limit = p.cfg.Timeout
	}
	r := &request{command: c, limit: limit, late: late, reply: make(chan answer, 1), most: probesMost}
	return p.ask(ctx, r)
}

func (p *port) ask(ctx context.Context, r *request) ([]string, error) {
	if r.unit == "" {
		r.stage.Store(sent)
	}
	if ctx.Err() != nil { // both may be ready
		return nil, ctx.Err()
	}
	select {
	case p.requests <- r:
	case <-p.done:
		return nil, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-r.reply:
		return a.lines, a.err
	case <-ctx.Done():
	}
	switch {
	case r.stage.CompareAndSwap(asked, dropped):
		return nil, ctx.Err()
	case r.stage.CompareAndSwap(sent, left):
		return nil, fmt.Errorf("%w: %w", ErrUnanswered, ctx.Err())
	}
	a := <-r.reply
	return a.lines, a.err
}

// run owns the line until it breaks or is closed.
func (p *port) run() {
	for p.err == nil {
		var (
			write    chan string
			text     string
			requests chan *request
			notes    chan note
			first    note
		)
		if len(p.out) > 0 && !p.isBusy {
			write, text = p.write, p.out[0]
		}
		if p.now == nil && len(p.out) == 0 && !p.isBusy {
			requests = p.requests
		}
		if len(p.waiting) > 0 {
			notes, first = p.notes, p.waiting[0]
		}
		select {
		case write <- text:
			p.out, p.isBusy = p.out[1:], true
			p.busy.Reset(p.cfg.WriteTimeout)
			p.trace.add(true, text)
		case err := <-p.wrote:
			p.isBusy = false
			p.busy.Stop()
			p.fail(lineError(err))
		case <-p.busy.C:
			p.fail(fmt.Errorf("%w: it takes no bytes", ErrStuck))
		case c := <-p.read:
			p.lexer.feed(c.bytes, p.awaitsPrompt, p.heard)
			p.fail(lineError(c.err))
		case r := <-requests:
			p.begin(r)
		case <-p.limit.C:
			p.timedOut()
		case notes <- first:
			p.waiting = p.waiting[1:]
		case <-p.closing:
			p.fail(ErrClosed)
		}
	}
	close(p.done)
	_ = p.line.Close() // it is broken, or we have heard enough
}

// fail ends run, for err; nil is no failure.
func (p *port) fail(err error) {
	if err == nil || p.err != nil {
		return
	}
	p.err = err
	if p.now == nil {
		return
	}
	if p.now.unit != "" && p.now.stage.Load() == sent {
		err = fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	p.finish(answer{err: err})
}

func (p *port) say(text string) { p.out = append(p.out, text) }

func (p *port) begin(r *request) {
	p.now, p.talk.command, p.talk.lines = r, &r.command, nil
	if r.unit != "" {
		p.ghost, p.talk.unanswered = nil, false
		p.limit.Reset(p.cfg.Timeout) // for the prompt
	} else {
		p.limit.Reset(r.limit)
	}
	p.say(r.text + "\r")
}

func (p *port) awaitsPrompt() bool {
	return p.now != nil && p.now.unit != "" && !p.now.prompted && p.now.probes == 0
}

// heard takes a line of the modem.
func (p *port) heard(line string, isPrompt bool) {
	p.trace.add(false, line)
	if isPrompt {
		p.prompted()
		return
	}
	for _, o := range p.talk.take(line) {
		switch {
		case o.note != nil:
			p.notify(*o.note)
		case o.late:
			p.heardLate(answer{[]string{o.line}, o.err})
		case o.final:
			p.ended(o.err)
		}
	}
}

func (p *port) notify(n note) {
	p.waiting = append(p.waiting, n)
	if len(p.waiting) > notesMax {
		p.waiting = p.waiting[1:]
	}
}

// prompted sends what the modem waits for, if it shall still be sent.
func (p *port) prompted() {
	p.now.prompted = true
	if !p.now.stage.CompareAndSwap(asked, sent) {
		p.probe() // begins with an escape
		return
	}
	p.limit.Reset(p.now.limit)
	p.say(p.now.unit + ctrlZ)
}

// ended is a final result.
func (p *port) ended(err error) {
	switch {
	case p.now.probes > 0:
		if err == nil && len(p.talk.lines) > 0 {
			p.inStep()
		} // else it answers what was asked before
	case err == nil && p.now.unit != "" && !p.now.prompted:
		p.finish(answer{err: &Error{Text: "OK before it asked for the message"}})
	default:
		p.finish(answer{p.talk.lines, err})
	}
}

// finish gives the answer to whoever waits.
func (p *port) finish(a answer) {
	r := p.now
	p.now, p.talk.command = nil, nil
	p.limit.Stop()
	p.give(r, a)
}

func (p *port) give(r *request, a answer) {
	if r.stage.CompareAndSwap(asked, answered) || r.stage.CompareAndSwap(sent, answered) {
		r.reply <- a
		return
	}
	if r.late != nil && r.stage.Load() == left && !errors.Is(a.err, ErrUnanswered) {
		p.notify(note{late: func() { r.late(a) }})
	}
}

// A command whose answer does not come in time leaves us out of step: the next
// OK may be its. So we escape from a prompt and ask something whose answer has
// a name, another one each time, and begin anew behind that answer. What comes
// of the command meanwhile is its answer after all.

// probes are questions that any modem answers, with or without a SIM.
var probes = []command{
	{text: "AT+CMEE?", own: prefixed("+CMEE:")},
	{text: "AT+CREG?", own: solicited("+CREG:")},
	{text: "AT+CSQ", own: solicited("+CSQ:")},
}

// timedOut is the end of a request's time.
func (p *port) timedOut() {
	switch r := p.now; {
	case r == nil:
	case r.probes >= r.most:
		p.fail(fmt.Errorf("%w: the modem answers nothing", ErrStuck))
	default:
		p.probe()
	}
}

// probe asks the next question.
func (p *port) probe() {
	r := p.now
	if r.probes == 0 {
		p.lexer = lexer{}
		p.talk.heads, p.talk.quoted = nil, ""
		p.talk.unanswered = r.unit != "" && r.prompted
		if r.unit != "" {
			p.say(escape + "\r")
		}
	}
	question := probes[r.probes%len(probes)]
	if r.text == question.text {
		r.probes++
		question = probes[r.probes%len(probes)]
	}
	if r.probes > 0 && len(p.talk.owed) < 2*len(probes) {
		p.talk.owed = append(p.talk.owed, nameOf(p.talk.command.text))
	}
	r.probes++
	p.talk.command, p.talk.lines = &question, nil
	p.say(question.text + "\r")
	p.limit.Reset(min(probeLimit, p.cfg.Timeout))
}

// nameOf is how a question's answer begins: "+CSQ:" of AT+CSQ.
func nameOf(text string) string {
	name := text[2:]
	if name[len(name)-1] == '?' {
		name = name[:len(name)-1]
	}
	return name + ":"
}

// inStep ends a resynchronisation.
func (p *port) inStep() {
	r := p.now
	a := answer{err: ErrUnanswered}
	switch {
	case r.known != nil:
		a = *r.known
	case r.unit != "" && r.stage.Load() != sent && r.stage.Load() != left:
		a.err = &Error{Text: "nothing where it should ask for the message"}
	case r.unit != "":
		p.ghost = r
	}
	p.talk.unanswered = p.ghost != nil
	p.finish(a)
}

// heardLate takes an answer to a submission that was given up.
func (p *port) heardLate(a answer) {
	switch {
	case p.now != nil && p.now.probes > 0 && p.now.prompted:
		p.now.known = &a
	case p.ghost != nil:
		ghost := p.ghost
		p.ghost, p.talk.unanswered = nil, false
		if ghost.late != nil {
			p.notify(note{late: func() { ghost.late(a) }})
		}
	}
}
