package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"herald/dispatch"
)

var (
	errNoStartTLS = errors.New("the server offers no STARTTLS")
	errNoAuth     = errors.New("the server offers no way to sign in that we know")
)

// session is one connection to a mail server. It belongs to whoever took it
// from the pool.
type session struct {
	conn   net.Conn // below the encryption: its deadline bounds everything
	client *smtp.Client
	used   int  // messages it was asked to take
	broken bool // nothing more can be said on it
}

// dial connects, encrypts and signs in. It fails with *dispatch.SendError.
func dial(ctx context.Context, a Account, tlsConfig *tls.Config) (*session, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
	if err != nil {
		return nil, classify(connecting, err)
	}
	s := &session{conn: conn}
	done := s.bound(ctx, a.Timeout)
	at, err := s.greet(a, tlsConfig)
	done()
	if err != nil {
		failure := classify(at, err)
		return nil, closeAfter(conn, failure)
	}
	return s, nil
}

// closeAfter closes a connection that failed; that it may be closed already is no news.
func closeAfter(conn net.Conn, failure *dispatch.SendError) error {
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		failure.Err = errors.Join(failure.Err, err)
	}
	return failure
}

// greet brings the conversation to where mail can be sent.
func (s *session) greet(a Account, tlsConfig *tls.Config) (stage, error) {
	conn := s.conn
	if a.TLS == tlsFirst {
		conn = tls.Client(conn, tlsConfig)
	}
	client, err := smtp.NewClient(conn, a.Host)
	if err != nil {
		return connecting, err
	}
	s.client = client
	if err := client.Hello(a.Hello); err != nil {
		return connecting, err
	}
	if a.TLS == tlsStart {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return connecting, errNoStartTLS
		}
		if err := client.StartTLS(tlsConfig); err != nil {
			return connecting, err
		}
	}
	if a.Username == "" {
		return signingIn, nil
	}
	auth, err := chooseAuth(client, a)
	if err != nil {
		return signingIn, err
	}
	return signingIn, client.Auth(auth)
}

// chooseAuth takes the best way to sign in that the server offers. Passwords
// in the clear travel encrypted, or to the machine itself: the configuration
// was checked for that.
func chooseAuth(client *smtp.Client, a Account) (smtp.Auth, error) {
	_, offered := client.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	switch {
	case slices.Contains(ways, "SCRAM-SHA-256"):
		return smtp.ScramSHA256Auth(a.Username, a.Password), nil
	case slices.Contains(ways, "PLAIN"):
		return smtp.PlainAuth("", a.Username, a.Password, a.Host, true), nil
	case slices.Contains(ways, "LOGIN"):
		return smtp.LoginAuth(a.Username, a.Password, a.Host, true), nil
	case slices.Contains(ways, "CRAM-MD5"):
		return smtp.CRAMMD5Auth(a.Username, a.Password), nil
	}
	return nil, errNoAuth
}

// bound gives the conversation limit, and less where ctx ends sooner. The
// function it returns must be called when the conversation rests.
func (s *session) bound(ctx context.Context, limit time.Duration) (done func()) {
	deadline := time.Now().Add(limit)
	if sooner, found := ctx.Deadline(); found && sooner.Before(deadline) {
		deadline = sooner
	}
	if err := s.conn.SetDeadline(deadline); err != nil {
		s.broken = true // the next word on it fails
	}
	stop := context.AfterFunc(ctx, func() {
		_ = s.conn.SetDeadline(time.Unix(1, 0)) // a connection that is closed needs none
	})
	return func() {
		if !stop() {
			s.broken = true
		}
	}
}

// hand gives the server one message. After a failure the session is broken
// unless the server is known to be ready for the next message.
func (s *session) hand(ctx context.Context, limit time.Duration, from, to string, msg *mail.Msg) (text string, err *dispatch.SendError) {
	defer s.bound(ctx, limit)()
	s.used++
	at, text, failure := s.converse(from, to, msg)
	if failure == nil {
		return text, nil
	}
	if ctx.Err() == context.Canceled { // says more than the time-out by which we end a conversation
		failure = errors.Join(context.Canceled, failure)
	}
	out := classify(at, failure)
	var reply *textproto.Error
	refused := errors.As(failure, &reply) && reply.Code != 421 && at != writing
	if !refused || (at < ending && s.client.Reset() != nil) {
		s.broken = true
	}
	return "", out
}

// converse says what RFC 5321, section 3.3, says, and how far it came.
func (s *session) converse(from, to string, msg *mail.Msg) (at stage, text string, err error) {
	s.client.SkipSMTPUTF8(isASCII(to)) // RFC 6531 asks for it only where it is needed
	if err := s.client.Mail("<" + from + ">"); err != nil {
		return naming, "", err
	}
	if err := s.client.Rcpt("<" + to + ">"); err != nil {
		return addressing, "", err
	}
	w, err := s.client.Data()
	if err != nil {
		return starting, "", err
	}
	if _, err := msg.WriteTo(w); err != nil {
		return writing, "", err
	}
	if err := w.Close(); err != nil {
		return ending, "", err
	}
	if answer, tells := w.(*smtp.DataCloser); tells {
		text = answer.ServerResponse()
	}
	return ending, text, nil
}

// alive asks the server whether the session still is one.
func (s *session) alive(ctx context.Context, limit time.Duration) bool {
	done := s.bound(ctx, limit)
	err := s.client.Reset()
	done()
	s.broken = s.broken || err != nil
	return !s.broken
}

// goodbye is how long a server may take to answer QUIT.
const goodbye = time.Second

// close ends the session, politely where that is still possible.
func (s *session) close() error {
	if !s.broken {
		if err := s.conn.SetDeadline(time.Now().Add(goodbye)); err == nil {
			_ = s.client.Quit() // it is over either way
		}
	}
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close a connection: %w", err)
	}
	return nil
}
