package hfaxd

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// jobCommands are those about jobs, by their verb.
var jobCommands = map[string]func(c *session, rest string) bool{
	"JNEW":  (*session).newJob,
	"JOB":   (*session).setJob,
	"JPARM": (*session).parameter,
	"JSUBM": (*session).submit,
	"JWAIT": (*session).wait,
	"JKILL": (*session).killJob,
	"JDELE": (*session).deleteJob,
}

// mostJobs is how many jobs there may be that have not ended: ids begin anew
// after it, as HylaFAX's do.
const mostJobs = 32_000

func (c *session) newJob(string) bool {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.jobs) >= mostJobs {
		return c.reply(503, "Too many jobs.")
	}
	id := ""
	for taken := true; taken; _, taken = s.jobs[id] {
		s.lastJob = s.lastJob%mostJobs + 1
		id = strconv.Itoa(s.lastJob)
	}
	j := &job{id: id, owner: c.user, state: suspended, values: maps.Clone(usual), kill: make(chan struct{}), over: make(chan struct{})}
	j.values["FROMUSER"], j.values["NOTIFYADDR"] = c.user, c.user+"@localhost"
	s.jobs[id], c.job = j, j
	c.own = append(c.own, j)
	return c.reply(200, "New job created: jobid: %s groupid: %s.", id, id)
}

func (c *session) setJob(id string) bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if strings.EqualFold(id, "default") {
		c.job = nil
		return c.reply(200, "Current job: (default).")
	}
	j, found := c.server.jobs[id]
	if !found {
		return c.reply(500, "Cannot set job %s; job does not exist (No such file or directory).", id)
	}
	c.job = j
	return c.reply(200, "Current job: jobid: %s groupid: %s.", j.id, j.id)
}

// parameter says or sets one of the current job.
func (c *session) parameter(rest string) bool {
	name, value, set := strings.Cut(rest, " ")
	name = strings.ToUpper(name)
	if c.job == nil {
		return c.reply(503, "Permission denied: no access to the default job.")
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if !set {
		if value, found := c.job.read(name); found {
			return c.reply(213, "%s", value)
		}
		return c.reply(500, "JPARM %s: unknown parameter.", name)
	}
	if c.job.state != suspended {
		return c.reply(503, "Suspend the job with JSUSP first.")
	}
	if name == "DOCUMENT" {
		document, found := c.files[value]
		if !found {
			return c.reply(550, "%s: No such file or directory.", value)
		}
		c.job.document = append(slices.Clip(c.job.document), document...) // one behind the other: only the first is shown
		c.job.pages += pagesOf(document)
		return c.reply(200, "Added document %s as docq/%s.%s.", value, strings.TrimPrefix(value, "/tmp/"), c.job.id)
	}
	if wrong := c.job.write(name, unquoted(value)); wrong != "" {
		return c.reply(503, "%s.", wrong)
	}
	return c.reply(213, "%s set to %s.", name, value)
}

// named is the job of an id, or the current one; nil: there is none, and the
// client was told.
func (c *session) named(verb, id string) *job {
	if id == "" {
		if c.job == nil {
			c.reply(504, "Cannot %s default job.", verb)
		}
		return c.job
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	j, found := c.server.jobs[id]
	if !found {
		c.reply(500, "Cannot %s job %s; job does not exist (No such file or directory).", verb, id)
		return nil
	}
	return j
}

func (c *session) submit(id string) bool {
	j := c.named("submit", id)
	if j == nil {
		return true
	}
	s := c.server
	s.mu.Lock()
	number := j.values["DIALSTRING"]
	missing, state := "", j.state
	for _, name := range []string{"DIALSTRING", "NOTIFYADDR", "FROMUSER", "MODEM"} {
		if j.values[name] == "" && missing == "" {
			missing = name
		}
	}
	s.mu.Unlock()
	switch {
	case state != suspended:
		return c.reply(504, "Job %s not submitted; use JSUSP first.", j.id)
	case missing != "":
		return c.reply(504, "Cannot submit job %s; null or missing %s parameter.", j.id, missing)
	}
	fault, _ := s.fault(number, RefuseJob, DropBefore, DropAfter, SlowJob)
	switch fault.Kind {
	case RefuseJob:
		return c.reply(504, "Cannot submit job %s.", j.id)
	case DropBefore:
		return false
	}
	s.mu.Lock()
	j.state = ready
	s.order = append(s.order, j)
	s.mu.Unlock()
	c.own = slices.DeleteFunc(c.own, func(own *job) bool { return own == j })
	s.calls.Go(func() { s.run(j) })
	if fault.Kind == SlowJob {
		s.pause(j, time.Duration(fault.Delay))
	}
	return fault.Kind != DropAfter && c.reply(200, "Job %s submitted.", j.id)
}

// wait answers when the job has ended, or the client wants to wait no longer.
func (c *session) wait(id string) bool {
	j := c.named("wait for", id)
	if j == nil {
		return true
	}
	select {
	case <-j.over:
		return c.reply(216, "Job %s done (already).", j.id)
	default:
	}
	if !c.write("216-Waiting for job " + j.id + "; use ABOR command to interrupt.\r\n") {
		return false
	}
	spoke, quiet := c.listenFor()
	defer quiet()
	for {
		select {
		case <-j.over:
			quiet() // what it says behind the answer is for serve
			return c.reply(216, "Wait for job %s completed.", j.id)
		case <-c.server.closing:
			return false
		case said, here := <-spoke:
			if !here {
				return false
			}
			if strings.EqualFold(said, "ABOR") {
				quiet()
				return c.reply(426, "Operation aborted. Data connection closed.") && c.reply(226, "Abort successful")
			}
			c.reply(500, "%s: Command not recognized.", said) // it would wait for its turn
		}
	}
}

// listenFor gives the lines that the client says meanwhile, closed when it
// leaves; quiet ends that, and returns when it has ended.
func (c *session) listenFor() (spoke <-chan string, quiet func()) {
	lines, enough, ended := make(chan string), make(chan struct{}), make(chan struct{})
	_ = c.conn.SetReadDeadline(time.Time{}) // it is no file
	go func() {
		defer close(ended)
		defer close(lines)
		for {
			line, err := c.read.ReadSlice('\n')
			if err != nil {
				return
			}
			select {
			case lines <- strings.TrimSpace(string(line)):
			case <-enough:
				return
			}
		}
	}()
	return lines, sync.OnceFunc(func() {
		close(enough)
		_ = c.conn.SetReadDeadline(time.Now()) // it is no file
		<-ended
	})
}

func (c *session) killJob(id string) bool {
	j := c.named("kill", id)
	if j == nil {
		return true
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if j.state.over() {
		return c.reply(504, "Job %s not killed; already done.", j.id)
	}
	j.abort()
	return c.reply(200, "Job %s killed.", j.id)
}

func (c *session) deleteJob(id string) bool {
	j := c.named("delete", id)
	if j == nil {
		return true
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if !j.state.over() && j.state != suspended {
		return c.reply(504, "Job %s not deleted; use JSUSP first.", j.id)
	}
	delete(c.server.jobs, j.id)
	c.server.order = slices.DeleteFunc(c.server.order, func(kept *job) bool { return kept == j })
	if c.job == j {
		c.job = nil
	}
	return c.reply(200, "Job %s deleted; current job: (default).", j.id)
}
