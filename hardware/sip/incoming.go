package sip

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// enter has a call be found by its Call-ID, and Close wait for it.
func (t *Trunk) enter(c *Call) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return &Error{Class: Unreachable, err: context.Canceled}
	}
	if _, taken := t.calls[c.id]; taken {
		return &Error{Class: Unexpected, err: errTaken}
	}
	t.calls[c.id] = c
	t.work.Add(1) // until leave
	t.health.Calls = len(t.calls)
	return nil
}

func (t *Trunk) leave(c *Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls[c.id] != c {
		return // it has left
	}
	delete(t.calls, c.id)
	t.work.Done()
	t.health.Calls = len(t.calls)
}

// handle says what is done with what comes in.
func (t *Trunk) handle(server *sipgo.Server) {
	server.OnInvite(t.within(t.reinvited))
	server.OnUpdate(t.within(t.updated))
	server.OnBye(t.within(func(c *Call, req *sip.Request, tx sip.ServerTransaction) {
		_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)) // the far end is gone anyway
		if c.end(Them) {
			c.release()
		}
	}))
	server.OnNotify(t.within(notified))
	server.OnInfo(t.within(informed))
	server.OnAck(func(req *sip.Request, _ sip.ServerTransaction) {
		if c := t.callOf(req); c != nil {
			c.acknowledged(req)
		}
	})
	server.OnOptions(func(req *sip.Request, tx sip.ServerTransaction) {
		res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)
		res.AppendHeader(sip.NewHeader("Allow", allowed))
		_ = tx.Respond(res) // it is asked again
	})
}

// callOf is the call that a request is within; nil: none.
func (t *Trunk) callOf(req *sip.Request) *Call {
	if req.CallID() == nil || req.From() == nil || req.To() == nil || req.CSeq() == nil {
		return nil
	}
	t.mu.Lock()
	c := t.calls[req.CallID().Value()]
	t.mu.Unlock()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	d := c.dialogue
	c.mu.Unlock()
	if d == nil {
		return nil
	}
	theirs, _ := req.From().Params.Get("tag")
	ours, _ := d.session.InviteRequest.From().Params.Get("tag")
	if theirs != tagOf(d.session.InviteResponse.To()) || ours != tagOf(req.To()) {
		return nil
	}
	return c
}

// within has requests be seen to that are of a call. Whoever dials in is told
// that nobody is here.
func (t *Trunk) within(do func(*Call, *sip.Request, sip.ServerTransaction)) sipgo.RequestHandler {
	return func(req *sip.Request, tx sip.ServerTransaction) {
		if c := t.callOf(req); c != nil {
			do(c, req, tx)
			return
		}
		code, reason := sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist"
		if req.IsInvite() && tagOf(req.To()) == "" {
			code, reason = sip.StatusGlobalDecline, "Decline"
		}
		_ = tx.Respond(sip.NewResponseFromRequest(req, code, reason, nil)) // it is asked again
	}
}

// agreed is the answer to a request that may bring another description, and
// says that the session goes on (RFC 4028: the far end refreshes).
func (c *Call) agreed(req *sip.Request, description []byte) *sip.Response {
	res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", description)
	res.AppendHeader(c.dialogue.contact())
	res.AppendHeader(sip.NewHeader("Allow", allowed))
	if description != nil {
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	if expires := req.GetHeader("Session-Expires"); expires != nil {
		interval, _, _ := strings.Cut(expires.Value(), ";")
		res.AppendHeader(sip.NewHeader("Session-Expires", strings.TrimSpace(interval)+";refresher=uac"))
		res.AppendHeader(sip.NewHeader("Require", "timer"))
	}
	return res
}

// answer is our answer to a description in a request.
func (c *Call) answer(req *sip.Request) (description []byte, err error) {
	err = c.agree(func() error {
		description, err = c.sound.Answer(req.Body())
		return err
	})
	return description, err
}

// agree changes how the two sides speak, and notes when they begin or cease to.
func (c *Call) agree(change func() error) error {
	c.agreeing.Lock()
	defer c.agreeing.Unlock()
	before := c.sound.Held()
	if err := change(); err != nil {
		return err
	}
	if now := c.sound.Held(); now != before {
		kind := Resumed
		if now {
			kind = Held
		}
		c.note(Step{Kind: kind})
	}
	return nil
}

// reinvited changes the sound of a call, or only keeps it alive.
func (t *Trunk) reinvited(c *Call, req *sip.Request, tx sip.ServerTransaction) {
	c.dialogue.moveTo(req.Contact())
	var description []byte
	var err error
	if len(req.Body()) > 0 {
		description, err = c.answer(req)
	} else {
		description, err = c.sound.Offer() // the answer comes with the ACK
		c.mu.Lock()
		c.offered[req.CSeq().SeqNo] = struct{}{}
		c.mu.Unlock()
	}
	if err != nil {
		_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusNotAcceptableHere, "Not Acceptable Here", nil)) // it is asked again
		return
	}
	t.insist(c, req, tx, c.agreed(req, description))
}

// The times of RFC 3261, section 13.3.1.4.
const (
	firstAgain = 500 * time.Millisecond
	lastAgain  = 4 * time.Second
)

// insist answers until the answer is acknowledged.
func (t *Trunk) insist(c *Call, req *sip.Request, tx sip.ServerTransaction, res *sip.Response) {
	ctx, stop := context.WithTimeout(t.running, mostClearing)
	defer stop()
	c.mu.Lock()
	c.awaits[req.CSeq().SeqNo] = stop
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.awaits, req.CSeq().SeqNo)
		delete(c.offered, req.CSeq().SeqNo)
	}()
	for again := firstAgain; ; again = min(2*again, lastAgain) {
		if tx.Respond(res) != nil {
			return
		}
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// acknowledged ends the wait for an ACK.
func (c *Call) acknowledged(req *sip.Request) {
	number := req.CSeq().SeqNo
	c.mu.Lock()
	stop := c.awaits[number]
	_, offered := c.offered[number]
	delete(c.offered, number)
	c.mu.Unlock()
	if offered && len(req.Body()) > 0 {
		_ = c.agree(func() error { return c.sound.Accept(req.Body()) }) // as it was before, otherwise
	}
	if stop != nil {
		stop()
	}
}

// updated is a reinvited that needs no ACK (RFC 3311).
func (t *Trunk) updated(c *Call, req *sip.Request, tx sip.ServerTransaction) {
	c.dialogue.moveTo(req.Contact())
	var description []byte
	if len(req.Body()) > 0 {
		var err error
		if description, err = c.answer(req); err != nil {
			_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusNotAcceptableHere, "Not Acceptable Here", nil)) // it is asked again
			return
		}
	}
	_ = tx.Respond(c.agreed(req, description)) // it is asked again
}

// informed takes digits that come by INFO, as some gateways send them.
func informed(c *Call, req *sip.Request, tx sip.ServerTransaction) {
	if h := req.ContentType(); h != nil && strings.HasPrefix(h.Value(), "application/dtmf") {
		c.sound.Pressed(information(req.Body()))
	}
	_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)) // it is asked again
}

// information are the digits in a body: "Signal=5" of application/dtmf-relay,
// or the digit alone of application/dtmf.
func information(body []byte) string {
	var digits strings.Builder
	for line := range strings.Lines(string(body)) {
		name, value, named := strings.Cut(strings.TrimSpace(line), "=")
		if !named {
			name, value = "Signal", name
		}
		if value = strings.TrimSpace(value); strings.EqualFold(strings.TrimSpace(name), "Signal") && len(value) == 1 {
			digits.WriteString(value)
		}
	}
	return digits.String()
}

// notified takes what became of a transfer.
func notified(c *Call, req *sip.Request, tx sip.ServerTransaction) {
	_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)) // it is told again
	code, over := notice(req.Body())
	if !over {
		return
	}
	select {
	case c.notices <- code:
	default: // nobody asked
	}
}

// notice reads the status line that tells of a transfer (RFC 3515, section
// 2.4.5); it is not over when the answer is provisional.
func notice(body []byte) (code int, over bool) {
	line, _, _ := strings.Cut(string(body), "\n")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "SIP/2.0" {
		return 0, false
	}
	code, err := strconv.Atoi(words[1])
	return code, err == nil && code >= 200 && code <= 699
}
