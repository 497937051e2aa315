package sip

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// The helper that sipgo has for this fails after eleven provisional answers,
// loses an answer that crosses a CANCEL, and lets no deadline end the wait for
// a peer that is silent. So the conversation about an INVITE is our own.

// newInvite is what asks a number to speak with us.
func (c *Call) newInvite(number string, o CallOptions, offer []byte) *sip.Request {
	t := c.trunk
	recipient := t.address(number)
	req := sip.NewRequest(sip.INVITE, recipient)
	req.SetTransport(sip.NetworkToUpper(string(t.cfg.Transport)))
	from := &sip.FromHeader{DisplayName: t.cfg.FromName, Address: sip.Uri{Scheme: "sip", User: o.From, Host: t.cfg.Domain}, Params: sip.NewParams()}
	from.Params.Add("tag", c.tag)
	callID, sequence, hops := sip.CallIDHeader(o.ID), sip.CSeqHeader{SeqNo: 1, MethodName: sip.INVITE}, sip.MaxForwardsHeader(70)
	for _, h := range []sip.Header{
		from, &sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: number, Host: t.cfg.Domain}}, &callID, &sequence, &hops,
		t.contact.Clone(), sip.NewHeader("Allow", allowed), sip.NewHeader("User-Agent", t.ua.Name()), sip.NewHeader("Content-Type", "application/sdp"),
	} {
		req.AppendHeader(h)
	}
	req.SetBody(offer)
	return req
}

// allowed are the requests that we understand within a call.
const allowed = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, NOTIFY"

// invitation is an INVITE that is under way.
type invitation struct {
	call  *Call
	req   *sip.Request
	tx    sip.ClientTransaction
	heard bool // its transaction gave a provisional answer

	cancelled bool
}

// isHeardOf reports whether a provisional answer came: it may be cancelled.
func (inv *invitation) isHeardOf() bool {
	inv.call.mu.Lock()
	defer inv.call.mu.Unlock()
	return inv.heard || inv.call.heard == inv.req.CSeq().SeqNo
}

// invite sends an INVITE, with proof of who we are where it is wanted, and
// returns the answer: a success, whose transaction stays open. When ctx ends it
// returns at once, and when the time to ring does, as soon as it is known that
// nobody has answered just then; what may come of it yet is cleared up in the
// background. It fails with an *Error.
func (c *Call) invite(ctx context.Context, req *sip.Request, ring time.Duration) (*invitation, *sip.Response, error) {
	ringing, cancel := context.WithTimeout(ctx, ring)
	defer cancel()
	for proofs := 0; ; proofs++ {
		connecting, cancel := context.WithTimeout(ringing, c.trunk.cfg.Response) // it says nothing meanwhile, either
		tx, err := c.trunk.send(connecting, req)
		cancel()
		if errors.Is(err, sip.ErrUDPMTUCongestion) { // RFC 3261, section 18.1.1: above 1,300 octets
			return nil, nil, c.failure(Unreachable, errors.New("it is too long for UDP: use TCP or TLS"))
		}
		if err != nil {
			return nil, nil, c.failure(Unreachable, errors.New("it cannot be sent"))
		}
		inv := &invitation{call: c, req: req, tx: tx}
		res, err := c.await(ctx, ringing, inv)
		if err != nil {
			return nil, nil, err
		}
		if res.IsSuccess() {
			return inv, res, nil
		}
		tx.Terminate() // it is acknowledged already
		if _, asked := challenges[res.StatusCode]; !asked {
			e := outcome(res)
			e.Rang = c.rang()
			return nil, nil, e
		}
		if req, err = c.trunk.proven(req, res, proofs); err != nil {
			return nil, nil, &Error{Class: Credentials, Code: res.StatusCode, err: err}
		}
	}
}

// failure is why there is no answer.
func (c *Call) failure(class Class, err error) error {
	return &Error{Class: class, Rang: c.rang(), err: err}
}

// await waits for the final answer to an INVITE. ringing ends with ctx, and
// when it has rung long enough.
func (c *Call) await(ctx, ringing context.Context, inv *invitation) (*sip.Response, error) {
	t := c.trunk
	silent := time.NewTimer(t.cfg.Response)
	defer silent.Stop()
	for {
		select {
		case res := <-inv.tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
			silent.Stop()
			inv.heard = true
		case <-inv.tx.Done():
			return nil, c.failure(Unreachable, errors.New("the connection broke"))
		case <-silent.C:
			t.background(func() { t.clearUp(inv) })
			return nil, c.failure(Unreachable, errors.New("nothing is answered"))
		case <-t.closing:
			t.clearUp(inv)
			return nil, c.failure(GivenUp, errors.New("the line is closed"))
		case <-ringing.Done():
			if ctx.Err() == nil {
				return c.withdraw(ctx, inv)
			}
			t.background(func() { t.clearUp(inv) })
			return nil, c.failure(GivenUp, context.Cause(ctx))
		}
	}
}

// crossing is how long it is waited for an answer that may have crossed our
// CANCEL.
const crossing = 2 * time.Second

// withdraw cancels an INVITE that has rung long enough. Who answers just then
// is spoken to: they would find nobody on the line, and be called again.
func (c *Call) withdraw(ctx context.Context, inv *invitation) (*sip.Response, error) {
	t := c.trunk
	if inv.isHeardOf() {
		inv.cancelled = t.background(func() {
			ctx, cancel := context.WithTimeout(t.running, mostClearing)
			defer cancel()
			t.cancel(ctx, inv.req)
		})
	}
	timer := time.NewTimer(crossing)
	defer timer.Stop()
	for inv.cancelled {
		select {
		case res := <-inv.tx.Responses():
			if res.IsSuccess() {
				return res, nil
			}
			if !res.IsProvisional() {
				inv.tx.Terminate() // it is acknowledged already
				return nil, c.failure(NoAnswer, nil)
			}
		case <-inv.tx.Done():
			return nil, c.failure(NoAnswer, nil)
		case <-t.closing:
			t.clearUp(inv)
			return nil, c.failure(GivenUp, errors.New("the line is closed"))
		case <-ctx.Done():
			t.background(func() { t.clearUp(inv) })
			return nil, c.failure(GivenUp, context.Cause(ctx))
		case <-timer.C:
			t.background(func() { t.clearUp(inv) })
			return nil, c.failure(NoAnswer, nil)
		}
	}
	t.background(func() { t.clearUp(inv) })
	return nil, c.failure(NoAnswer, nil)
}

// overhear notes the answers to an INVITE that are none yet, as they come.
// Those that a transaction gives may have changed places, since sipgo sees to
// each in a goroutine of its own: one that comes after the final answer there is
// forgotten, with all that it said.
func (t *Trunk) overhear(message sip.Message) {
	res, is := message.(*sip.Response)
	if !is || !res.IsProvisional() || res.CallID() == nil || res.From() == nil || res.CSeq() == nil || res.CSeq().MethodName != sip.INVITE {
		return
	}
	t.mu.Lock()
	c := t.calls[res.CallID().Value()]
	t.mu.Unlock()
	if c == nil {
		return
	}
	if tag, _ := res.From().Params.Get("tag"); tag == c.tag {
		c.provisional(res)
	}
}

// provisional notes an answer that is none yet. Sound that comes with it is
// not an answer, either: an announcement, the tone of ringing.
func (c *Call) provisional(res *sip.Response) {
	c.mu.Lock()
	c.heard = res.CSeq().SeqNo
	late := c.answered
	if described := res.Body(); !late && len(described) > 0 {
		c.early = described
	}
	c.mu.Unlock()
	if late {
		return
	}
	if len(res.Body()) > 0 {
		c.note(Step{Kind: EarlySound, Code: res.StatusCode})
	}
	if res.StatusCode == sip.StatusRinging {
		c.note(Step{Kind: Ringing, Code: res.StatusCode})
	}
}

// hear has sipgo believe that a provisional answer came. Otherwise it would go
// on repeating an INVITE that was given up, for 32 seconds: a phone would ring,
// for nobody, as soon as its provider is back.
func (inv *invitation) hear(res *sip.Response) {
	if tx, ok := inv.tx.(*sip.ClientTx); ok {
		tx.Receive(res)
	}
}

// mostClearing is how long it is waited for what comes of a call given up: 64
// times T1 (RFC 3261, section 9.1).
const mostClearing = 32 * time.Second

// clearUp ends a call that we gave up: it is cancelled as soon as it may be,
// which is after the first provisional answer; and hung up if it was answered
// all the same.
func (t *Trunk) clearUp(inv *invitation) {
	ctx, cancel := context.WithTimeout(t.running, mostClearing)
	var beside sync.WaitGroup
	defer func() {
		cancel()
		inv.tx.Terminate()
		beside.Wait()
	}()
	var hush *sip.Response
	if !inv.isHeardOf() {
		hush = sip.NewResponseFromRequest(inv.req, sip.StatusTrying, "Trying", nil)
		beside.Go(func() { inv.hear(hush) })
	}
	closing := (<-chan struct{})(t.closing)
	for {
		if inv.isHeardOf() && !inv.cancelled {
			inv.cancelled = true
			beside.Go(func() { t.cancel(ctx, inv.req) })
		}
		select {
		case res := <-inv.tx.Responses():
			if res == hush {
				continue
			}
			inv.heard = true
			if res.IsSuccess() {
				t.dismiss(ctx, inv.req, res)
			}
			if !res.IsProvisional() {
				return
			}
		case <-inv.tx.Done():
			return
		case <-closing:
			if closing = nil; !inv.isHeardOf() {
				return // there is nothing that may be cancelled
			}
		case <-ctx.Done():
			return
		}
	}
}

// cancel sends a CANCEL. What it is answered does not matter: the answer to
// the INVITE does.
func (t *Trunk) cancel(ctx context.Context, invite *sip.Request) {
	req := sip.NewRequest(sip.CANCEL, invite.Recipient)
	req.AppendHeader(invite.Via().Clone()) // the same branch (RFC 3261, section 9.1)
	sip.CopyHeaders("Route", invite, req)
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	for _, h := range []sip.Header{invite.From(), invite.To(), invite.CallID()} {
		req.AppendHeader(sip.HeaderClone(h))
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.SetBody(nil)
	req.SetTransport(invite.Transport())
	req.SetDestination(invite.Destination())
	req.Laddr = invite.Laddr
	_, _ = t.client.Do(ctx, req, asItIs)
}

// asItIs has sipgo change nothing of a request.
func asItIs(*sipgo.Client, *sip.Request) error { return nil }

// dismiss acknowledges an answer that nobody wants any more, and hangs up.
func (t *Trunk) dismiss(ctx context.Context, invite *sip.Request, res *sip.Response) {
	d := t.dialogue(invite, res)
	if d.acknowledge() != nil {
		return // the far end sees that nobody is there
	}
	_, _ = d.ask(ctx, sip.BYE, nil)
}
