package email

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

var (
	errNoStartTLS = errors.New("the server offers no STARTTLS")
	errNoAuth     = errors.New("the server offers no way to sign in that we know")
)

// dial opens a session. It fails with *dispatch.SendError.
func (m *Mailer) dial(ctx context.Context) (*session, error) {
	bounded, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(bounded, "tcp", net.JoinHostPort(m.cfg.Host, strconv.Itoa(m.cfg.Port)))
	if err != nil {
		failure := classify(connecting, err)
		failure.Account = m.cfg.Name
		return nil, failure
	}
	return m.begin(bounded, conn)
}

// begin brings a new connection to where mail can be sent.
func (m *Mailer) begin(ctx context.Context, conn net.Conn) (*session, error) {
	s := &session{mailer: m, conn: conn, opened: time.Now()}
	rest := s.bind(ctx)
	s.arm(ctx)
	at, err := s.greet()
	rest()
	if err == nil && !s.broken {
		return s, nil
	}
	if err == nil { // ctx ended with the last answer, and the deadline with it
		err = os.ErrDeadlineExceeded
	}
	failure := classify(at, err)
	failure.Account = m.cfg.Name
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		failure.Err = errors.Join(failure.Err, err)
	}
	return nil, failure
}

// greet says hello, encrypts and signs in, by go-mail; what comes afterwards
// is spoken by the session itself.
func (s *session) greet() (stage, error) {
	m, conn := s.mailer, s.conn
	if m.cfg.TLS == tlsFirst {
		conn = tls.Client(conn, m.tls)
	}
	client, err := smtp.NewClient(conn, m.cfg.Host)
	if err != nil {
		return connecting, err
	}
	if err := client.Hello(m.cfg.Hello); err != nil {
		return connecting, err
	}
	if m.cfg.TLS == tlsStart {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return connecting, errNoStartTLS
		}
		if err := client.StartTLS(m.tls); err != nil {
			return connecting, err
		}
	}
	if m.cfg.Username != "" {
		auth, err := chooseAuth(client, m.cfg)
		if err != nil {
			return signingIn, err
		}
		if err := client.Auth(auth); err != nil {
			return signingIn, err
		}
	}
	s.pipelining, _ = client.Extension("PIPELINING")
	s.international, _ = client.Extension("SMTPUTF8")
	s.text, s.replies.in = client.Text, client.Text.R
	return signingIn, nil
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
