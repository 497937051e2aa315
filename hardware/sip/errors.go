package sip

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Class is how a call that was not answered, or a request within one, ended.
type Class string

// The classes. Of those marked temporary the same call may come through later.
const (
	Busy        Class = "busy"        // temporary: somebody speaks there
	NoAnswer    Class = "no_answer"   // temporary: it rang, or the phone is switched off
	Rejected    Class = "rejected"    // they, or the provider, do not want it
	BadNumber   Class = "bad_number"  // nobody has that number
	Congestion  Class = "congestion"  // temporary: the provider cannot now
	Unreachable Class = "unreachable" // temporary: the provider does not answer
	Credentials Class = "credentials" // the provider does not know us: somebody must act
	NoSound     Class = "no_sound"    // there is no codec, or no encryption, that both sides want
	GivenUp     Class = "given_up"    // we ended it before it was answered
	Over        Class = "over"        // the call had ended before
	Unexpected  Class = "unexpected"  // an answer that makes no sense
)

// Error is why a call was not answered.
type Error struct {
	Class Class
	// Code is the answer of SIP (RFC 3261, section 21). 0: there was none.
	Code int
	// Rang says that the phone rang, as far as the provider told.
	Rang bool
	// RetryAfter is when the provider wants to be asked again. 0: he did not say.
	RetryAfter time.Duration

	err error
}

func (e *Error) Error() string {
	said := "the call ended: " + strings.ReplaceAll(string(e.Class), "_", " ")
	if e.Code != 0 {
		said = fmt.Sprintf("%s (SIP %d)", said, e.Code)
	}
	if e.err != nil {
		said += ": " + e.err.Error()
	}
	return said
}

// Unwrap is the reason, where there is one beside the answer.
func (e *Error) Unwrap() error { return e.err }

// Temporary reports whether the same call may come through later.
func (e *Error) Temporary() bool {
	switch e.Class {
	case Busy, NoAnswer, Congestion, Unreachable:
		return true
	}
	return false
}

// ClassOf is the class of an error that this package gave; empty: it gave none.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

// outcome is what a final answer that is no success means.
func outcome(res *sip.Response) *Error {
	e := &Error{Code: res.StatusCode, Class: classOf(res.StatusCode)}
	if h := res.GetHeader("Retry-After"); h != nil && e.Temporary() {
		e.RetryAfter = retryAfter(h.Value())
	}
	return e
}

func classOf(code int) Class {
	switch code {
	case 486, 600:
		return Busy
	case 408, 480, 487:
		return NoAnswer
	case 404, 410, 484, 485, 604:
		return BadNumber
	case 401, 407:
		return Credentials
	case 415, 488, 606:
		return NoSound
	case 429:
		return Congestion
	case 481:
		return Over
	}
	if code >= 500 && code < 600 {
		return Congestion
	}
	return Rejected // 3xx too: whom a call is for, we say
}

// retryAfter reads "18000;duration=3600 (comment)" (RFC 3261, section 20.33);
// at most a day is believed.
func retryAfter(value string) time.Duration {
	value = strings.TrimSpace(value)
	if end := strings.IndexAny(value, " ;("); end >= 0 {
		value = value[:end]
	}
	seconds, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 24*time.Hour) //nolint:gosec // of 32 bits
}
