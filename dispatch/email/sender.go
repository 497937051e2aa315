package email

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
)

// Config is the mail servers that Herald hands its mail to.
type Config struct {
	// Accounts are tried in order: the first takes everything, and the next
	// one what the ones before cannot, while they cannot be reached. At least
	// one.
	Accounts []Account `yaml:"accounts" json:"accounts"`
	// MessageIDDomain stands behind the @ of every Message-ID. It must be the
	// same on all nodes, so that a repetition has the same Message-ID. Empty:
	// the domain of the first account's From.
	MessageIDDomain string `yaml:"message_id_domain" json:"message_id_domain"`
}

// Sender is the e-mail channel: it implements dispatch.Sender.
type Sender struct {
	accounts []*account
	tending  sync.WaitGroup
	rest     context.CancelFunc // ends the tending
	die      context.CancelFunc // breaks every conversation
	dying    context.Context
}


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
	s := &Sender{}
	s.dying, s.die = context.WithCancel(context.Background())
	for _, account := range cfg.Accounts {
		a, err := newAccount(s.dying, account, cfg.MessageIDDomain, logger)
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

// complete fills in the defaults and checks everything; mistakes come back as
// problem.Invalid with paths such as "accounts[0].host".
func (c Config) complete() (Config, error) {
	var mistakes problem.Fields
	if len(c.Accounts) == 0 {
		mistakes.Add("accounts", "required", "name at least one mail server")
	}
	accounts := make([]Account, len(c.Accounts))
	names := map[string]bool{}
	for i, a := range c.Accounts {
		at := fmt.Sprintf("accounts[%d].", i)
		accounts[i] = a.complete(at, &mistakes)
		if names[a.Name] {
			mistakes.Add(at+"name", "unique", "another account is called %q", a.Name)
		}
		names[a.Name] = true
	}
	c.Accounts = accounts
	if c.MessageIDDomain == "" && len(accounts) > 0 {
		_, c.MessageIDDomain, _ = strings.Cut(accounts[0].From, "@")
	}
	if len(mistakes) == 0 && !validDomain(c.MessageIDDomain) {
		mistakes.Add("message_id_domain", "format", "use a domain such as shop.example")
	}
	return c, mistakes.Err("the mail configuration is not complete")
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
		r, err := a.send(ctx, m)
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

// Checked is what came of signing in at an account.
type Checked struct {
	Account string
	Err     error // a *dispatch.SendError; nil: mail could be sent
}

// Check signs in at every account. The answers are in the order of Config.
func (s *Sender) Check(ctx context.Context) []Checked {
	list := make([]Checked, len(s.accounts))
	for i, a := range s.accounts {
		list[i] = Checked{a.Name, a.mailer.Check(ctx)}
	}
	return list
}
