package smpp

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"herald/dispatch"
	"herald/dispatch/sms/smpp/pdu"
)

// outcomes says what the answer to a submit_sm means for its message (SMPP
// 3.4, section 5.1.3). A status that is not here is transient: those from
// 0x400 to 0x4FF are defined by each maker for itself, and whoever must not
// try again on one says so by Account.UnknownNumber.
//
// None of them says that there is no such number: RINVDSTADR is also what
// many operators answer for numbers that they do not serve, which another
// account may.
var outcomes = map[pdu.Status]dispatch.Class{
	// The session: nothing more can be submitted on it.
	pdu.RINVBNDSTS: dispatch.SessionFatal, // the centre does not know us as one who may submit
	pdu.RALYBND:    dispatch.SessionFatal, // it mistakes us for somebody who binds

	// The pace.
	pdu.RTHROTTLED: dispatch.Throttled, // above the rate that was agreed
	pdu.RMSGQFUL:   dispatch.Throttled, // its queue for us is full

	// The centre, for now.
	pdu.RSYSERR:     dispatch.Transient, // it has a problem
	pdu.RXTAPPN:     dispatch.Transient, // what lies behind it has one
	pdu.RUNKNOWNERR: dispatch.Transient, // it does not know why
	pdu.RINVSCHED:   dispatch.Transient, // we schedule nothing, so it is confused

	// What we are: the same for every message, until an operator acts.
	pdu.RINVCMDID:        dispatch.Configuration, // it knows no submit_sm
	pdu.RINVSRCADR:       dispatch.Configuration, // not from this sender
	pdu.RINVSRCTON:       dispatch.Configuration, // source_ton
	pdu.RINVSRCNPI:       dispatch.Configuration, // source_npi
	pdu.RINVDSTTON:       dispatch.Configuration, // destination_ton
	pdu.RINVDSTNPI:       dispatch.Configuration, // destination_npi
	pdu.RINVSERTYP:       dispatch.Configuration, // service_type
	pdu.RINVSYSTYP:       dispatch.Configuration, // system_type
	pdu.RINVREGDLVFLG:    dispatch.Configuration, // no_receipts
	pdu.RINVPRTFLG:       dispatch.Configuration, // it wants a priority
	pdu.RINVREPFLAG:      dispatch.Configuration, // nor do we replace
	pdu.ROPTPARNOTALLWD:  dispatch.Configuration, // long_messages: it takes no such option
	pdu.RINVOPTPARSTREAM: dispatch.Configuration, // the same

	// The message: it will never be taken so.
	pdu.RINVMSGLEN:       dispatch.Permanent, // too long
	pdu.RINVCMDLEN:       dispatch.Permanent, // the same
	pdu.RINVDSTADR:       dispatch.Permanent, // not to this number
	pdu.RINVESMCLASS:     dispatch.Permanent, // not in several parts
	pdu.RINVEXPIRY:       dispatch.Permanent, // not for so long
	pdu.RINVDFTMSGID:     dispatch.Permanent, // there is no such text
	pdu.RINVNUMDESTS:     dispatch.Permanent, // not to so many
	pdu.RINVDLNAME:       dispatch.Permanent, // not to this list
	pdu.RINVDESTFLAG:     dispatch.Permanent, // the same
	pdu.RCNTSUBDL:        dispatch.Permanent, // the same
	pdu.RSUBMITFAIL:      dispatch.Permanent, // it is refused, without a reason
	pdu.RXPAPPN:          dispatch.Permanent, // what lies behind refuses it for good
	pdu.RXRAPPN:          dispatch.Permanent, // the same
	pdu.RINVPARLEN:       dispatch.Permanent, // the text is too long for its option
	pdu.RMISSINGOPTPARAM: dispatch.Permanent, // a part without its number
	pdu.RINVOPTPARAMVAL:  dispatch.Permanent, // a number that it does not like
	pdu.RDELIVERYFAILURE: dispatch.Permanent, // data_sm: it could not be delivered
}

// bindOutcome says what a refused bind means: what an operator must mend, or
// what passes. RALYBND passes when the centre notices that our last session
// is over; RBINDFAIL has no reason, and often is that as well.
func bindOutcome(s pdu.Status) dispatch.Class {
	switch s {
	case pdu.RINVPASWD, pdu.RINVSYSID, pdu.RINVSYSTYP, // who we say we are
		pdu.RINVBNDSTS, pdu.RINVCMDID, // not this kind of bind
		pdu.RINVSRCADR, pdu.RINVCMDLEN: // the address range
		return dispatch.Configuration
	case pdu.RTHROTTLED:
		return dispatch.Throttled
	}
	return dispatch.Transient
}

// refused says what an answer means that takes nothing.
func (c *Client) refused(s pdu.Status) *dispatch.SendError {
	class, known := outcomes[s]
	if !known {
		class = dispatch.Transient
	}
	failure := &dispatch.SendError{Class: class, Code: s.String(), Account: c.cfg.Name, Err: errRefused}
	if c.isUnknownNumber(fmt.Sprintf("0x%08X", uint32(s))) {
		failure.Class, failure.AddressDead = dispatch.Permanent, true
	}
	return failure
}

var errRefused = errors.New("the centre refused the message")

// isUnknownNumber reports whether the operator says by this code that there is
// no such number.
func (c *Client) isUnknownNumber(code string) bool {
	return slices.ContainsFunc(c.cfg.UnknownNumber, func(known string) bool {
		if known == code {
			return true
		}
		a, aerr := strconv.ParseUint(known, 0, 32)
		b, berr := strconv.ParseUint(code, 0, 32)
		isHex := func(s string) bool { return len(s) > 2 && s[1] == 'x' }
		return aerr == nil && berr == nil && a == b && isHex(known) && isHex(code)
	})
}
