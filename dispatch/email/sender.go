// Package email hands messages to mail servers by SMTP.
//
// Messages come in through Sender.Send, which dispatch calls from many
// goroutines; each is written by go-mail and spoken over a kept connection
// taken from its account's pool. What the server answers goes out as a
// Receipt or as a dispatch.SendError, by the table at classify.
package email

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"herald/dispatch"
	"herald/subscriptions"
)

// Sender is the e-mail channel: it implements dispatch.Sender.
type Sender struct {
	accounts []*account
	idDomain string
	tending  sync.WaitGroup
	rest     context.CancelFunc // ends the tending
	die      context.CancelFunc // breaks every conversation
	dying    context.Context
}

var _ dispatch.Sender = (*Sender)(nil)

// New checks cfg (problem.Invalid names the mistakes) and starts to keep the
// accounts' sessions. It does not wait for a server: mail that comes while
// none can be reached fails as transient. logger hears of accounts that go and
// come, never of addresses; nil: nobody does.
func New(cfg Config, logger *slog.Logger) (*Sender, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Sender{idDomain: cfg.MessageIDDomain}
	s.dying, s.die = context.WithCancel(context.Background())
	for _, account := range cfg.Accounts {
		a, err := newAccount(s.dying, account, logger)
		if err != nil {
			s.die()
			return nil, err
		}
		s.accounts = append(s.accounts, a)
	}
	var working context.Context
	working, s.rest = context.WithCancel(s.dying)
	for _, a := range s.accounts {
		s.tending.Go(func() { a.tend(working) })
	}
	return s, nil
}

// Channel is e-mail.
func (s *Sender) Channel() subscriptions.Channel { return subscriptions.Email }

// Send hands m to the first account that can be reached. Only an account that
// could not be connected to is passed over: once a server has heard of the
// message, its answer stands.
func (s *Sender) Send(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.dying, cancel)()

	var first *dispatch.SendError
	for _, a := range s.inOrder(time.Now()) {
		r, err := a.send(ctx, m, s.idDomain)
		if err == nil {
			return r, nil
		}
		failure := asSendError(err)
		failure.Account = a.Name
		if !errors.As(err, new(unreachable)) {
			return dispatch.Receipt{}, failure
		}
		if first == nil {
			first = failure
		}
	}
	return dispatch.Receipt{}, first
}

func asSendError(err error) *dispatch.SendError {
	var failure *dispatch.SendError
	if errors.As(err, &failure) {
		return failure
	}
	return &dispatch.SendError{Class: dispatch.Transient, Err: err}
}

// inOrder are the accounts as configured, those that were just found
// unreachable last.
func (s *Sender) inOrder(now time.Time) []*account {
	if !slices.ContainsFunc(s.accounts, func(a *account) bool { return a.isDown(now) }) {
		return s.accounts
	}
	var up, down []*account
	for _, a := range s.accounts {
		if a.isDown(now) {
			down = append(down, a)
		} else {
			up = append(up, a)
		}
	}
	return append(up, down...)
}

// Close lets the conversations end that are under way, and says goodbye to the
// servers. When ctx ends first they are broken, and it returns ctx's error;
// their messages are in doubt or transient, as Send tells its callers.
// Messages that come later fail as transient.
func (s *Sender) Close(ctx context.Context) error {
	s.rest()
	s.tending.Wait()
	defer s.die()
	var closing sync.WaitGroup
	for _, a := range s.accounts {
		closing.Go(a.pool.Close)
	}
	closed := make(chan struct{})
	go func() {
		closing.Wait()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		s.die()
		<-closed
		return ctx.Err()
	}
}
