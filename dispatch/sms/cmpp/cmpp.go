// Package cmpp hands messages to China Mobile's gateways by CMPP (China Mobile
// Peer to Peer) 2.0 and 3.0.
//
// A Gateway is one account at one gateway; dispatch opens sessions of it and
// keeps them. A session sends with a window, and hears what the gateway tells
// meanwhile: reports and what people write wait in the Gateway until Reports
// and Receive gave them to somebody, and are acknowledged only then.
//
// The sections named here are those of "China Mobile Peer to Peer, V3.0.0"
// (2003) unless 2.0 is said.
package cmpp

import (
	"context"
	"log/slog"
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
	cfg    Account
	parts  link.Parts
	intake *link.Intake
	logger *slog.Logger
	now    func() time.Time
}

// New fills in cfg's defaults and checks it; problem.Invalid names the mistakes
// by their fields. parts keeps which parts of long messages were taken.
func New(cfg Account, parts link.Parts, logger *slog.Logger) (*Gateway, error) {
	var mistakes problem.Fields
	cfg = cfg.complete(&mistakes)
	if err := mistakes.Err("the CMPP account is not complete"); err != nil {
		return nil, err
	}
	return &Gateway{
		cfg: cfg, parts: parts, intake: link.NewIntake(cfg.Name, parts),
		logger: logger.With("account", cfg.Name), now: time.Now,
	}, nil
}

var (
	_ dispatch.Sender      = (*Gateway)(nil)
	_ dispatch.Reporter    = (*Gateway)(nil)
	_ dispatch.Receiver    = (*Gateway)(nil)
	_ dispatch.PartCounter = (*Gateway)(nil)
)

// Channel is SMS.
func (g *Gateway) Channel() subscriptions.Channel { return subscriptions.SMS }

// Account is the account's name.
func (g *Gateway) Account() string { return g.cfg.Name }

// Parts is how many short messages m takes, as they are paid.
func (g *Gateway) Parts(m dispatch.Message) int { return g.cfg.Writing.Count(m.Content.Text) }

// Reports gives what gateways said of messages to take, until ctx ends or take
// fails; what it failed with is given again.
func (g *Gateway) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	return g.intake.Reports(ctx, take)
}

// Receive gives what people wrote to take, until ctx ends or take fails; what
// it failed with is given again.
func (g *Gateway) Receive(ctx context.Context, take func(context.Context, []dispatch.Inbound) error) error {
	return g.intake.Receive(ctx, take)
}

// Open connects and signs in. It fails with *dispatch.SendError. The session
// is a dispatch.BatchSession and a dispatch.LiveSession.
func (g *Gateway) Open(ctx context.Context) (dispatch.Session, error) {
	s, err := g.open(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// phone is an address as the gateway writes it; false: it is no number of
// China's mainland, which is all that CMPP reaches.
func (a *Account) phone(address string) (string, bool) {
	number, ok := wire.National(address)
	if ok && a.CountryCode {
		return "86" + number, true
	}
	return number, ok
}
