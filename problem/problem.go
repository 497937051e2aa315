// Package problem says what went wrong in words for whoever must act.
//
// A package returns a *Error where a caller outside Herald can do something
// about it: mend a field, sign in, wait. Everything else stays a plain error:
// it is logged, and the outside sees only that Herald failed. The web turns a
// Code into an answer or a page; nothing below it knows of HTTP.
package problem

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code is the kind of a problem. It decides the HTTP status.
type Code string

// The kinds of problem, and what the caller can do about each.
const (
	Malformed    Code = "malformed"    // it cannot be read at all: mend its form and send again
	Invalid      Code = "invalid"      // mend the named fields and send again
	NotFound     Code = "not_found"    // there is no such thing, or it is not yours to see
	Conflict     Code = "conflict"     // it exists already, or has changed since you read it
	Unauthorized Code = "unauthorized" // say who you are
	Forbidden    Code = "forbidden"    // you are known, and may not
	Throttled    Code = "throttled"    // wait for After, then try again
	TooLarge     Code = "too_large"    // send less
	Unavailable  Code = "unavailable"  // Herald cannot take it now; nothing was changed
)

// statuses are the HTTP statuses of the kinds (RFC 9110, sections 15.5 and
// 15.6; 429 is of RFC 6585), the same on every face of Herald.
var statuses = map[Code]int{
	Malformed:    400,
	Unauthorized: 401,
	Forbidden:    403,
	NotFound:     404,
	Conflict:     409,
	TooLarge:     413,
	Invalid:      422,
	Throttled:    429,
	Unavailable:  503,
}

// Status is the HTTP status that a kind of problem is answered with; 0: it is
// none of these kinds.
func (c Code) Status() int { return statuses[c] }

// OfStatus is the kind of problem that is answered with an HTTP status; "":
// there is none.
func OfStatus(status int) Code {
	for c, s := range statuses {
		if s == status {
			return c
		}
	}
	return ""
}

// Field is one mistake at one place of what was sent.
type Field struct {
	// Path names the place as the sender wrote it: "params.target",
	// "channels[1]", or a CSV column.
	Path string `json:"path"`
	// Rule is the rule that was broken, such as "required" or "max": pages
	// look their own wording up by it.
	Rule string `json:"rule"`
	// Message says what to do, in English.
	Message string `json:"message"`
	// Args are the rule's figures, such as {"max": 100}.
	Args map[string]any `json:"args,omitempty"`
}

// Error is a problem that somebody outside can act on. Message and Fields may
// be shown to them; Err may not, it is for the log.
type Error struct {
	Code    Code
	Message string
	Fields  []Field
	After   time.Duration // for Throttled and Unavailable: how long to wait
	Err     error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, f := range e.Fields {
		if i == 0 && e.Message != "" {
			b.WriteString(": ")
		} else if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", f.Path, f.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, " (%v)", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// New makes a problem without fields.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of the first *Error in err's chain, or "" when there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Fields collects mistakes while something is checked; its zero value is
// empty and ready.
type Fields []Field

// Add records a mistake.
func (f *Fields) Add(path, rule, format string, args ...any) {
	*f = append(*f, Field{Path: path, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

// AddArgs records a mistake whose rule has figures.
func (f *Fields) AddArgs(path, rule string, figures map[string]any, format string, args ...any) {
	*f = append(*f, Field{Path: path, Rule: rule, Args: figures, Message: fmt.Sprintf(format, args...)})
}

// Err is an Invalid problem with the recorded mistakes, or nil when there are none.
func (f Fields) Err(message string) error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Code: Invalid, Message: message, Fields: f}
}
