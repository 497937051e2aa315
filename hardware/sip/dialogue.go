package sip

import (
	"context"
	"errors"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// dialogue is what SIP keeps of a call that was answered (RFC 3261, section
// 12). Of sipgo's session it uses what fills in requests, and never its own
// verbs: those leave from another port, take any answer but 200 for a
// failure, and give up a call that is not acknowledged.
type dialogue struct {
	trunk   *Trunk
	session *sipgo.DialogClientSession

	mu     sync.Mutex
	ack    *sip.Request // guarded by mu: as it was sent; nil: it was not
	target sip.Uri      // guarded by mu: where requests go; guarded with it: session's counter
}

// dialogue begins one by an answer to an INVITE.
func (t *Trunk) dialogue(invite *sip.Request, res *sip.Response) *dialogue {
	d := &dialogue{
		trunk: t, target: invite.Recipient,
		session: &sipgo.DialogClientSession{
			Dialog: sipgo.Dialog{InviteRequest: invite, InviteResponse: res},
			UA:     &sipgo.DialogUA{Client: t.client, ContactHDR: t.contact},
		},
	}
	d.session.Init()
	if contact := res.Contact(); contact != nil {
		d.target = contact.Address
	}
	return d
}

// request is one within the dialogue.
func (d *dialogue) request(method sip.RequestMethod) *sip.Request {
	req := sip.NewRequest(method, *d.target.Clone())
	req.AppendHeader(d.contact())
	req.Laddr = d.session.InviteRequest.Laddr
	return req
}

// contact is where the far end finds us, as the INVITE said it.
func (d *dialogue) contact() *sip.ContactHeader { return d.session.InviteRequest.Contact().Clone() }

// acknowledge says that we got the answer.
func (d *dialogue) acknowledge() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ack := d.request(sip.ACK)
	for _, c := range challenges { // the INVITE's proof (RFC 3261, section 22.1)
		sip.CopyHeaders(c.proves, d.session.InviteRequest, ack)
	}
	if err := d.session.WriteRequest(ack); err != nil {
		return err
	}
	d.ack = ack.Clone()
	return nil
}

// acknowledgeAgain is for an answer that came again: ours was lost.
func (d *dialogue) acknowledgeAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ack != nil { // it came again before we had answered the first
		_ = d.trunk.client.WriteRequest(d.ack.Clone(), asItIs) // it comes once more if this is lost
	}
}

// ask sends a request, with proof of who we are where it is wanted, and gives
// the final answer to it. add puts in what the request has of its own.
func (d *dialogue) ask(ctx context.Context, method sip.RequestMethod, add func(*sip.Request)) (*sip.Response, error) {
	var proof sip.Header
	for proofs := 0; ; proofs++ {
		d.mu.Lock()
		req := d.request(method)
		if add != nil {
			add(req)
		}
		if proof != nil {
			req.AppendHeader(proof)
		}
		tx, err := d.session.TransactionRequest(ctx, req)
		d.mu.Unlock()
		if err != nil {
			return nil, &Error{Class: Unreachable, err: errors.New("it cannot be sent")}
		}
		res, err := final(ctx, tx)
		if err != nil {
			return nil, err
		}
		if _, asked := challenges[res.StatusCode]; !asked {
			return res, nil
		}
		if proof, err = d.trunk.proof(req, res, proofs); err != nil {
			return res, nil //nolint:nilerr // the answer says it
		}
	}
}

// final is the final answer in a transaction, which is over then.
func final(ctx context.Context, tx sip.ClientTransaction) (*sip.Response, error) {
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, &Error{Class: Unreachable, err: errors.New("nothing is answered")}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// moveTo changes where requests go: the far end said that it has moved.
func (d *dialogue) moveTo(contact *sip.ContactHeader) {
	if contact == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target = contact.Address
}
