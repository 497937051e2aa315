package hfaxd

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"time"
)

// outcome is how a call went: the code and the words are HylaFAX's.
type outcome struct {
	code     int
	text     string
	answered bool
}

var (
	delivered   = outcome{answered: true}
	killed      = outcome{code: 345, text: "Call aborted by user", answered: true}
	dropped     = outcome{code: 149, text: "Unspecified Transmit Phase C error", answered: true}
	unconfirmed = outcome{code: 151, text: "No response to EOP repeated 3 tries", answered: true}
	unanswered  = map[FaultKind]outcome{
		Busy:       {code: 1, text: "Busy signal detected"},
		NoAnswer:   {code: 3, text: "No answer from remote"},
		Human:      {code: 2, text: "No carrier detected"},
		NoDialTone: {code: 4, text: "No local dialtone"},
	}
)

// mostUncarried is how often a number is dialled again that somebody answered
// who is no fax (hylafax-config(5), JobRetryNoCarrier).
const mostUncarried = 1

// run makes calls until the job has ended, or the server.
func (s *Server) run(j *job) {
	for s.taken(j) {
		went := s.call(j)
		<-s.lines
		if s.settle(j, went) {
			return
		}
		s.mu.Lock()
		pause := j.retry
		s.mu.Unlock()
		if pause == 0 {
			pause = s.cfg.RetryAfter
		}
		if !s.pause(j, pause) {
			break
		}
	}
	s.settle(j, killed) // while it waited
}

// pause is false when the job is killed meanwhile, or the server closed.
func (s *Server) pause(j *job, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-j.kill:
	case <-s.closing:
	}
	return false
}

// taken waits for a line; it is false when the job is killed, or the server
// closed, before there is one.
func (s *Server) taken(j *job) bool {
	s.set(j, ready)
	select {
	case <-j.kill:
		return false
	case <-s.closing:
		return false
	default:
	}
	select {
	case s.lines <- struct{}{}:
		return true
	case <-j.kill:
	case <-s.closing:
	}
	return false
}

// call dials once and sends the pages that are left.
func (s *Server) call(j *job) outcome {
	s.mu.Lock()
	j.state = active
	j.dials++
	number, page, pages := j.values["DIALSTRING"], j.sent, j.pages
	s.mu.Unlock()
	fault, faulty := s.fault(number, ofCalls...)
	if went, found := unanswered[fault.Kind]; found {
		return went
	}
	s.mu.Lock()
	j.tries++
	s.mu.Unlock()
	if faulty && fault.Kind == Drop && page >= fault.Page {
		return dropped
	}
	for page < pages {
		if !s.pause(j, s.cfg.PageTime+time.Duration(fault.Delay)) {
			return killed
		}
		page++
		switch {
		case fault.Kind == Kill:
			return killed
		case fault.Kind == Unconfirmed && page >= fault.Page:
			s.arrive(j, page, false)
			return unconfirmed
		}
		s.arrive(j, page, true)
		if fault.Kind == Drop && page >= fault.Page && page < pages {
			return dropped
		}
	}
	if fault.Kind == Linger {
		select {
		case <-j.kill:
		case <-s.closing:
		}
		return killed
	}
	return delivered
}

// arrive notes that the machine has a page, and whether the job hears of it.
func (s *Server) arrive(j *job, page int, confirmed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.arrived = append(j.arrived, Page{Page: page, Call: j.tries, Confirmed: confirmed})
	if confirmed {
		j.sent = page
	}
}

// settle says what a call means to the job; true: it has ended.
func (s *Server) settle(j *job, went outcome) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.code, j.text = went.code, went.text
	j.uncarried++
	if went != unanswered[Human] {
		j.uncarried = 0
	}
	switch {
	case went == delivered:
		j.state = done
	case went == killed, j.uncarried > mostUncarried:
		j.state = failed
	case j.dials >= j.number("MAXDIALS"):
		j.state, j.code, j.text = failed, 333, went.text+"; too many attempts to dial"
	case went.answered && j.tries >= j.number("MAXTRIES"):
		j.state, j.code, j.text = failed, 334, went.text+"; too many attempts to send"
	default:
		j.state = sleeping
		return false
	}
	s.box.Add(Fax{
		At: s.cfg.Now(), Number: j.values["DIALSTRING"], From: j.values["FROMUSER"], Info: j.values["JOBINFO"], Job: j.id,
		State: strings.ToLower(j.state.String()), Why: j.text, Pages: j.sent, Of: j.pages, Dials: j.dials, Calls: j.tries,
		Arrived: slices.Clip(j.arrived), Bytes: len(j.document), Document: j.document,
	})
	close(j.over)
	s.forget()
	return true
}

// forget drops the oldest jobs that have ended, above Keep. It wants mu held.
func (s *Server) forget() {
	ended := 0
	for _, j := range s.order {
		if j.state.over() {
			ended++
		}
	}
	kept := s.order[:0]
	for _, j := range s.order {
		if j.state.over() && ended > s.cfg.Keep {
			ended--
			if s.jobs[j.id] == j {
				delete(s.jobs, j.id)
			}
			continue
		}
		kept = append(kept, j)
	}
	clear(s.order[len(kept):])
	s.order = kept
}

func (s *Server) set(j *job, state state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.state = state
}

var pageObject = regexp.MustCompile(`/Type\s*/Page[^s]`)

// pagesOf counts the pages of a document: those that can be seen in it without
// unpacking, and at least one.
func pagesOf(document []byte) int {
	if !bytes.HasPrefix(document, []byte("%PDF-")) {
		return 1
	}
	return max(1, len(pageObject.FindAllIndex(document, -1)))
}
