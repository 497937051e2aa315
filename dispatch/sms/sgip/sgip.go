// Package sgip hands messages to China Unicom's gateways by SGIP (Short Message
// Gateway Interface Protocol) 1.2.
//
// A Gateway is one account at one gateway; dispatch opens sessions of it and
// keeps them. What became of messages, and what people write, the gateway
// tells on a connection that it opens to us: while Reports or Receive runs,
// the Gateway listens for it. What is told waits until somebody took it, and
// is acknowledged only then.
//
// SGIP numbers a message by twelve octets, and promises that what comes again
// under the same number is not sent again. So what nobody knows of whether it
// was taken keeps its number in memory: Resolve, and the next attempt by this
// process, send it again as what it is, on whatever connection.
package sgip

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
	"herald/problem"
	"herald/subscriptions"
)

// Gateway is one account at one gateway. It is safe for many goroutines; a
// session is not.
type Gateway struct {
	cfg       Account
	parts     link.Parts
	intake    *link.Intake
	reception reception
	doubts    *doubts
	logger    *slog.Logger
	now       func() time.Time
	// counter is the last word of the latest sequence. It begins anywhere, so
	// that another process of the same account has others.
	counter atomic.Uint32
}

// New fills in cfg's defaults and checks it; problem.Invalid names the mistakes
// by their fields. parts keeps which parts of long messages were taken.
func New(cfg Account, parts link.Parts, logger *slog.Logger) (*Gateway, error) {
	var mistakes problem.Fields
	cfg = cfg.complete(&mistakes)
	if err := mistakes.Err("the SGIP account is not complete"); err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, parts: parts, intake: link.NewIntake(cfg.Name, parts), doubts: newDoubts(),
		logger: logger.With("account", cfg.Name), now: time.Now,
	}
	var begin [4]byte
	if _, err := rand.Read(begin[:]); err != nil {
		return nil, fmt.Errorf("account %s: %w", cfg.Name, err)
	}
	g.counter.Store(binary.BigEndian.Uint32(begin[:]))
	g.reception.gateway = g
	return g, nil
}

var (
	_ dispatch.Sender      = (*Gateway)(nil)
	_ dispatch.Reporter    = (*Gateway)(nil)
	_ dispatch.Receiver    = (*Gateway)(nil)
	_ dispatch.PartCounter = (*Gateway)(nil)
	_ dispatch.Resolver    = (*Gateway)(nil)
)

// Channel is SMS.
func (g *Gateway) Channel() subscriptions.Channel { return subscriptions.SMS }

// Account is the account's name.
func (g *Gateway) Account() string { return g.cfg.Name }

// Parts is how many short messages m takes, as they are paid.
func (g *Gateway) Parts(m dispatch.Message) int { return g.cfg.Writing.Count(m.Content.Text) }

// Reports gives what gateways said of messages to take, until ctx ends or take
// fails; what it failed with is given again. It fails, too, when the address
// to listen at is taken.
func (g *Gateway) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	if err := g.reception.open(ctx); err != nil {
		return err
	}
	defer g.reception.close()
	return g.intake.Reports(ctx, take)
}

// Receive gives what people wrote to take, until ctx ends or take fails; what
// it failed with is given again. It fails, too, when the address to listen at
// is taken.
func (g *Gateway) Receive(ctx context.Context, take func(context.Context, []dispatch.Inbound) error) error {
	if err := g.reception.open(ctx); err != nil {
		return err
	}
	defer g.reception.close()
	return g.intake.Receive(ctx, take)
}

// Open connects and signs in. It fails with *dispatch.SendError. The session
// is a dispatch.BatchSession.
func (g *Gateway) Open(ctx context.Context) (dispatch.Session, error) {
	s, failure := g.dial(ctx)
	if failure != nil {
		failure.Account = g.cfg.Name
		return nil, failure
	}
	return s, nil
}

// next is the sequence of a request of ours: our node, the time, and a number
// that goes round.
func (g *Gateway) next() wire.Sequence {
	return wire.Sequence{g.cfg.NodeID, stamp(g.now()), g.counter.Add(1)}
}

// phone is an address as the gateway writes it, with 86 before it; false: it
// is no number of China's mainland, which is all that SGIP reaches.
func phone(address string) (string, bool) {
	number, ok := wire.National(address)
	return "86" + number, ok
}
