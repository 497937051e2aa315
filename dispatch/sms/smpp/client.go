// Package smpp hands text messages to an operator's short message centre by
// SMPP 3.4 (package pdu reads and writes its units).
//
// A Client is one account at one centre; dispatch opens sessions of it and
// keeps them. A session is one bound connection, or a transmitter and a
// receiver together. It submits with up to a window of messages waiting for
// their answers, many in one write, and tells of each as its answer comes; the
// parts of one message go one after the other, so that none overtakes another
// and none goes in vain. What the centre says of messages afterwards, and what
// people write, comes in on the sessions, is given out by Reports and Receive,
// and is acknowledged to the centre only when it was taken. What an answer
// means for its message stands in one table, at outcomes.
package smpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
	"herald/problem"
	"herald/subscriptions"
)

// Client is one account at one centre. It is safe for many goroutines; a
// session is not.
type Client struct {
	cfg   Account
	tls   *tls.Config // nil: none
	parts Parts
	now   func() time.Time

	source     pdu.Address
	references atomic.Uint32 // the last user_message_reference
	ids        *ids
	doubts     *doubts
	reports    desk[dispatch.Report]
	inbound    desk[sms.Piece]
	repeats    *repeats

	mu    sync.Mutex
	links map[*link]struct{} // guarded by mu: those that are bound
}

// NewClient fills in cfg's defaults and checks it; problem.Invalid names the
// mistakes by their fields. parts keeps what must be known of messages in
// several parts.
func NewClient(cfg Account, parts Parts) (*Client, error) {
	var mistakes problem.Fields
	cfg = cfg.complete(&mistakes)
	if err := mistakes.Err("the SMPP account is not complete"); err != nil {
		return nil, err
	}
	if parts == nil {
		return nil, fmt.Errorf("account %s: nothing keeps the parts of messages", cfg.Name)
	}
	if cfg.NoReceipts || cfg.Bind == bindTransmitter {
		cfg.ReceiptIDs = idsSame // there is nothing to find out
	}
	c := &Client{
		cfg: cfg, parts: parts, now: time.Now,
		source: pdu.Address{TON: pdu.TON(*cfg.SourceTON), NPI: pdu.NPI(*cfg.SourceNPI), Number: cfg.Source},
		ids:    newIDs(cfg.ReceiptIDs), doubts: newDoubts(), repeats: newRepeats(),
		links: map[*link]struct{}{},
	}
	// Receipts of what other nodes sent, and this one before it was started
	// anew, come here, too: their references must not be ours.
	c.references.Store(rand.Uint32()) //nolint:gosec // it is no secret
	if cfg.TLS != tlsFirst {
		return c, nil
	}
	// A window is one write; cutting its beginning into small records, for
	// readers who could show a part of it, would only make it several.
	c.tls = &tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if cfg.RootCAs != "" {
		pem, err := os.ReadFile(cfg.RootCAs)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", cfg.Name, err)
		}
		c.tls.RootCAs = x509.NewCertPool()
		c.tls.RootCAs.AppendCertsFromPEM(pem)
	}
	return c, nil
}

var (
	_ dispatch.Sender      = (*Client)(nil)
	_ dispatch.PartCounter = (*Client)(nil)
	_ dispatch.Reporter    = (*Client)(nil)
	_ dispatch.Receiver    = (*Client)(nil)
	_ dispatch.Resolver    = (*Client)(nil)
)

// Channel is text messages.
func (c *Client) Channel() subscriptions.Channel { return subscriptions.SMS }

// Account is the account's name.
func (c *Client) Account() string { return c.cfg.Name }

// Parts is how many parts the message is charged as.
func (c *Client) Parts(m dispatch.Message) int {
	if len(m.Content.Text) <= surelyOne {
		return 1
	}
	composed, err := c.compose(new(sms.Composer), m.Content.Text)
	if err != nil {
		return 1 // it will be refused
	}
	return len(composed.Parts)
}

// Open connects, encrypts and binds, within the account's Timeout. It fails
// with *dispatch.SendError. The session is a dispatch.BatchSession and a
// dispatch.LiveSession.
func (c *Client) Open(ctx context.Context) (dispatch.Session, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// open binds once, or twice for a pair.
func (c *Client) open(ctx context.Context) (*session, *dispatch.SendError) {
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	first := map[string]pdu.Command{
		bindTransceiver: pdu.BindTransceiver, bindPair: pdu.BindTransmitter,
		bindTransmitter: pdu.BindTransmitter, bindReceiver: pdu.BindReceiver,
	}[c.cfg.Bind]
	s := newSession(c)
	var err *dispatch.SendError
	if s.link, err = c.dial(bounded, first); err != nil {
		return nil, err
	}
	if c.cfg.Bind != bindPair {
		return s, nil
	}
	if s.receiver, err = c.dial(bounded, pdu.BindReceiver); err != nil {
		s.link.end(errClosed)
		s.link.running.Wait()
		return nil, err
	}
	return s, nil
}

func (c *Client) enter(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links[l] = struct{}{}
}

func (c *Client) leave(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.links, l)
}
