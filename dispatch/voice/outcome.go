package voice

import (
	"errors"
	"fmt"
	"time"

	"herald/dispatch"
	"herald/hardware/sip"
)

// The causes of what nobody heard.
var (
	errTries   = errors.New("nobody was reached in as many tries as there may be")
	errMachine = errors.New("a machine answered that gets nothing")

	errUnanswered = errors.New("it was dialled, and not answered")
)

// settled is what a call that is over means for its delivery: a receipt, or
// why there is none. before is how many tries there were before it, and wish
// when the provider wants to be asked again.
//
// A call that was answered is never dialled again: it is a success, which says
// how far it came. The exception is a machine that gets nothing.
func (s *Sender) settled(r row, before int, wish time.Duration, cause error) (dispatch.Receipt, *dispatch.SendError) {
	switch r.Outcome {
	case spoken, left:
		return s.receipt(r), nil
	case hungUp:
		return dispatch.Receipt{}, s.again(s.cfg.RetryNoAnswer, before, &dispatch.SendError{Err: errMachine})
	case lost:
		return s.unsure(r)
	}
	if r.answered() && sip.Class(r.Outcome) != sip.NoSound { // it broke at the first word
		return s.receipt(r), nil
	}
	failure := &dispatch.SendError{Err: cause}
	if failure.Err == nil {
		failure.Err = &sip.Error{Class: sip.Class(r.Outcome), Code: r.Code}
	}
	if r.Code != 0 {
		failure.Code = fmt.Sprintf("SIP %d", r.Code)
	}
	switch sip.Class(r.Outcome) {
	case sip.Busy:
		return dispatch.Receipt{}, s.again(max(wish, s.cfg.RetryBusy), before, failure)
	case sip.NoAnswer:
		return dispatch.Receipt{}, s.again(max(wish, s.cfg.RetryNoAnswer), before, failure)
	case sip.Congestion, sip.Unreachable, sip.Unexpected, sip.Over:
		return dispatch.Receipt{}, s.again(max(wish, s.cfg.RetryBusy), before, failure)
	case sip.BadNumber:
		// Without an answer it was us who did not like the number.
		failure.Class, failure.AddressDead = dispatch.Permanent, r.Code != 0
	case sip.Rejected, sip.NoSound:
		failure.Class = dispatch.Permanent
	case sip.Credentials:
		failure.Class = dispatch.Configuration
	case sip.GivenUp:
		failure.Class = dispatch.Transient
	default:
		failure.Class = dispatch.Transient
	}
	failure.Account = s.cfg.Name
	return dispatch.Receipt{}, failure
}

// again is a failure that may pass, unless it was tried often enough: then the
// message goes another way.
func (s *Sender) again(after time.Duration, before int, failure *dispatch.SendError) *dispatch.SendError {
	failure.Class, failure.After, failure.Account = dispatch.Transient, after, s.cfg.Name
	if before+1 >= s.cfg.Tries {
		failure.Class, failure.After, failure.Err = dispatch.Permanent, 0, errors.Join(errTries, failure.Err)
	}
	return failure
}

// receipt is that of a call that was answered.
func (s *Sender) receipt(r row) dispatch.Receipt {
	said := dispatch.Receipt{ProviderID: r.CallID, Account: s.cfg.Name, Code: "SIP 200"}
	switch {
	case r.EndedAt == nil || r.Outcome == lost:
		said.Detail = "answered; how much was heard is not known"
	case r.Outcome == left:
		said.Detail = fmt.Sprintf("left with a machine, %.1f of %.1f s", r.Heard.Seconds(), r.Of.Seconds())
	default:
		said.Detail = fmt.Sprintf("heard %.1f of %.1f s", r.Heard.Seconds(), r.Of.Seconds())
	}
	return said
}

// unsure is what a call means whose process died: one that was answered has
// reached somebody, and one that failed nobody; of any other nobody knows.
func (s *Sender) unsure(r row) (dispatch.Receipt, *dispatch.SendError) {
	known := "it was dialled"
	switch {
	case r.answered():
		return s.receipt(r), nil
	case r.has(codeFailed):
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Transient, After: s.cfg.RetryNoAnswer, Account: s.cfg.Name, Err: errUnanswered}
	case r.has(codeRinging):
		known = "it rang"
	}
	return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Doubt, Account: s.cfg.Name, Err: errors.New(known + "; what came of it is not known")}
}
