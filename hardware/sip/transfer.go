package sip

import (
	"context"
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"
)

// errTaken is of a Call-ID that is in use.
var errTaken = errors.New("a call with this ID is under way")

// mostTransfer is how long a transfer may take.
const mostTransfer = 90 * time.Second

// Transfer has the far end speak with another number of the provider (RFC
// 3515: REFER), and returns when they do; the call with us is over then. When
// it fails, with an *Error, the far end is still with us, unless the class is
// Over. One transfer at a time.
func (c *Call) Transfer(ctx context.Context, number string) error {
	if !isUser(number) {
		return &Error{Class: BadNumber, err: errors.New("a number has letters, digits and +*._- only")}
	}
	select {
	case <-c.notices: // of one before
	default:
	}
	to := c.trunk.address(number)
	res, err := c.dialogue.ask(ctx, sip.REFER, func(req *sip.Request) {
		req.AppendHeader(sip.NewHeader("Refer-To", "<"+to.String()+">"))
		req.AppendHeader(sip.NewHeader("Referred-By", "<"+c.dialogue.contact().Address.String()+">"))
	})
	if err != nil {
		return err
	}
	if !res.IsSuccess() {
		return outcome(res)
	}
	told := time.NewTimer(mostTransfer)
	defer told.Stop()
	select {
	case <-told.C:
		return &Error{Class: NoAnswer, err: errors.New("nothing is told of the transfer")}
	case code := <-c.notices:
		if code >= 300 {
			return &Error{Class: classOf(code), Code: code}
		}
	case <-c.done: // a far end may hang up as soon as it is connected
		for _, s := range c.Timeline() {
			if s.Kind == HungUp && s.By != Them {
				return &Error{Class: Over}
			}
		}
		c.note(Step{Kind: Transferred})
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.note(Step{Kind: Transferred})
	_ = c.Hangup(ctx) // it is over in any case
	return nil
}
