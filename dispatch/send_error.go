package dispatch

import (
	"errors"
	"time"
)

// Class is what a failed hand-over means for the next one.
type Class string

// The classes of failure.
const (
	Permanent     Class = "permanent"     // this message will never be taken
	Transient     Class = "transient"     // try this message again later
	Throttled     Class = "throttled"     // we send too fast
	Doubt         Class = "in_doubt"      // it may have been taken
	SessionFatal  Class = "session_fatal" // this connection is of no use; the message was not taken
	Configuration Class = "configuration" // the account is set up wrongly; an operator must act
)

// SendError is why a provider did not take a message.
type SendError struct {
	Class Class
	Code  string        // the provider's, such as "550 5.1.1"
	After time.Duration // the provider's wish for the next try; 0: ours
	// AddressDead says that the provider knows no such address.
	AddressDead bool
	Account     string // the account that was tried
	Err         error
}

func (e *SendError) Error() string {
	s := string(e.Class)
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *SendError) Unwrap() error { return e.Err }

// asSendError is the SendError in err's chain; an unmarked error is Transient.
func asSendError(err error) *SendError {
	var e *SendError
	if errors.As(err, &e) {
		return e
	}
	return &SendError{Class: Transient, Err: err}
}
