// Package email hands messages to mail servers by SMTP (RFC 5321).
//
// A Mailer is one account at one server; dispatch opens sessions of it and
// keeps them. A session takes messages, singly or in batches, writes each as
// two-part MIME into a buffer it keeps, and speaks it over its connection:
// with pipelining (RFC 2920) where the server offers it, so that a message of
// a batch costs one write and one read. What the server answers goes out as a
// Receipt or as a dispatch.SendError, by the table at classify.
package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	netmail "net/mail"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
)

// Mailer is one account at one mail server. It keeps no connection itself: it
// opens sessions. It is safe for many goroutines; a session is not.
type Mailer struct {
	cfg         Account
	tls         *tls.Config
	composer    *composer
	returns     returnPath
	returnToken func(uuid.UUID) string
}

// NewMailer fills in cfg's defaults and checks it; problem.Invalid names the
// mistakes by their fields.
//
// messageIDDomain stands behind the @ of every Message-ID; it must be the same
// for all accounts on all nodes, so that a repetition has the same one. Empty:
// the domain of cfg.From. returnToken gives what stands for a delivery in
// cfg.ReturnPath, in letters, digits and - _ = +; without a ReturnPath it is
// not called and may be nil.
func NewMailer(cfg Account, messageIDDomain string, returnToken func(delivery uuid.UUID) string) (*Mailer, error) {
	var mistakes problem.Fields
	cfg = cfg.complete(&mistakes)
	if messageIDDomain == "" {
		_, messageIDDomain, _ = strings.Cut(cfg.From, "@")
	}
	if len(mistakes) == 0 && !validDomain(messageIDDomain) {
		mistakes.Add("message_id_domain", "format", "use a domain such as shop.example")
	}
	if len(mistakes) == 0 && cfg.ReturnPath != "" {
		if returnToken == nil {
			return nil, fmt.Errorf("account %s: a return path, but nothing that makes its tokens", cfg.Name)
		}
		if !newReturnPath(cfg.ReturnPath).fits(returnToken(uuid.Max)) {
			mistakes.Add("return_path", "length", "leave more room for {token}: what stands before the @ has at most %d characters", maxLocal)
		}
	}
	if err := mistakes.Err("the mail account is not complete"); err != nil {
		return nil, err
	}
	m := &Mailer{
		cfg: cfg,
		// A message is one write; cutting its beginning into small records, for
		// readers who could show a part of it, would only make it several.
		tls:         &tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true},
		composer:    newComposer(netmail.Address{Name: cfg.FromName, Address: cfg.From}, messageIDDomain, time.Now),
		returns:     newReturnPath(cfg.ReturnPath),
		returnToken: returnToken,
	}
	if cfg.RootCAs != "" {
		pem, err := os.ReadFile(cfg.RootCAs)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", cfg.Name, err)
		}
		m.tls.RootCAs = x509.NewCertPool()
		m.tls.RootCAs.AppendCertsFromPEM(pem)
	}
	return m, nil
}

var _ dispatch.Sender = (*Mailer)(nil)

// Channel is e-mail.
func (m *Mailer) Channel() subscriptions.Channel { return subscriptions.Email }

// Account is the account's name.
func (m *Mailer) Account() string { return m.cfg.Name }

// Open connects, encrypts and signs in, within the account's Timeout. It fails
// with *dispatch.SendError. The session is a dispatch.BatchSession and a
// dispatch.LiveSession.
func (m *Mailer) Open(ctx context.Context) (dispatch.Session, error) {
	s, err := m.dial(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}
