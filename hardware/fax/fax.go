// Package fax hands faxes to a HylaFAX server and follows them, by the
// server's own protocol, which is that of FTP with commands for jobs (hfaxd(8),
// sendfax(1), RFC 959 for its replies).
//
// Open signs in and gives a Conn. Submit hands over a document with the number
// to dial; the server calls, tries again and sends the remaining pages as the
// job allows. Status, List and Wait tell how jobs stand and why they failed,
// Find looks for one by the id that we gave it, which settles a submission
// that was not answered, and Kill ends one. Check asks whether faxes can go
// out at all.
//
// Nothing here logs, and no error has a number or a name in it.
package fax

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Config says which server, and how patient we are with it.
type Config struct {
	// Address is the server's, such as "fax.example.org:4559".
	Address string
	// Username is who we are there. Empty: "herald". Password is empty where
	// the server asks for none.
	Username, Password string
	// Timeout is how long a command may take at most, and each 64 KiB of a
	// document. 0: 30 seconds, which is how long hfaxd waits for faxq.
	Timeout time.Duration
	// Dial makes the connections. Nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Why something could not be done. Of a submission, all but ErrUnanswered say
// that there surely is no such job.
var (
	// ErrConfig: the configuration has a mistake.
	ErrConfig = errors.New("the configuration of the fax server is not complete")
	// ErrJob: the job has a mistake.
	ErrJob = errors.New("the fax is not complete")
	// ErrUnanswered: the server may have taken the job; Find tells.
	ErrUnanswered = errors.New("the fax server did not answer the submission")
	// ErrUnknown: the server has no such job, or has forgotten it.
	ErrUnknown = errors.New("the fax server has no such job")
	// ErrOver: the job has ended already.
	ErrOver = errors.New("the job has ended already")
	// ErrLogin: the server does not let us in. Somebody must act.
	ErrLogin = errors.New("the fax server does not let us in")
	// ErrGone: the connection broke, or the server took too long.
	ErrGone = errors.New("the fax server is gone")
	// ErrProtocol: what the server said fits nothing that it may say.
	ErrProtocol = errors.New("the fax server is not understood")
	// ErrClosed: we closed the connection.
	ErrClosed = errors.New("the connection is closed")
)

// Refusal is a server's negative reply.
type Refusal struct {
	// Command is the verb, such as "JSUBM".
	Command string
	// Code is the reply's, from 400 to 599 (RFC 959, section 4.2).
	Code int
	// Text is what the server says to it. It may repeat what we sent.
	Text string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the fax server refuses %s with %d", r.Command, r.Code)
}

// Temporary reports whether the same may be taken later.
func (r *Refusal) Temporary() bool { return r.Code < 500 }

func (c Config) complete() (Config, error) {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return c, fmt.Errorf("%w: the address: %w", ErrConfig, err)
	}
	c.Username = cmp.Or(c.Username, "herald")
	for _, word := range []string{c.Username, c.Password} {
		if !isText(word, 60) {
			return c, fmt.Errorf("%w: a name or password is too long, or has characters that do not print", ErrConfig)
		}
	}
	if strings.ContainsAny(c.Username, ` "`) {
		return c, fmt.Errorf("%w: the name has a blank or a quotation mark", ErrConfig)
	}
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c, nil
}

// isText reports whether s can stand between quotation marks in a command:
// hfaxd knows no way to write a quotation mark there.
func isText(s string, most int) bool {
	return len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' || r == '\\' || r == 0xfffd })
}
