package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"

	"herald/dispatch"
)

// account is a mail server with its sessions.
type account struct {
	Account
	from   mail.Address
	tls    *tls.Config
	pool   *puddle.Pool[*session]
	logger *slog.Logger

	// downUntil is when the account, which could not be reached, is to be
	// tried again before others (Unix nanoseconds); 0: it can be reached.
	downUntil atomic.Int64
}

// newAccount makes an account without a session. Sessions that are being
// opened end with dying.
func newAccount(dying context.Context, cfg Account, logger *slog.Logger) (*account, error) {
	a := &account{
		Account: cfg,
		from:    mail.Address{Name: displayName(cfg.FromName), Address: cfg.From},
		tls:     &tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12},
		logger:  logger.With("account", cfg.Name),
	}
	if cfg.RootCAs != "" {
		pem, err := os.ReadFile(cfg.RootCAs)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", cfg.Name, err)
		}
		a.tls.RootCAs = x509.NewCertPool()
		a.tls.RootCAs.AppendCertsFromPEM(pem)
	}
	pool, err := puddle.NewPool(&puddle.Config[*session]{
		MaxSize: int32(cfg.MaxSessions), // at most 1000
		Constructor: func(ctx context.Context) (*session, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
			defer cancel()
			defer context.AfterFunc(dying, cancel)()
			return dial(ctx, cfg, a.tls)
		},
		Destructor: func(s *session) {
			s.broken = s.broken || dying.Err() != nil
			if err := s.close(); err != nil {
				a.logger.Debug("a connection did not close well", "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", cfg.Name, err)
	}
	a.pool = pool
	return a, nil
}

// unreachable wraps what went wrong before a message was spoken of, so that
// another account may be asked.
type unreachable struct{ *dispatch.SendError }

func (u unreachable) Unwrap() error { return u.SendError }

// send hands m over on one of the account's sessions. A session that had
// rested and turns out to be gone is replaced; the server has not heard of
// the message then.
func (a *account) send(ctx context.Context, m dispatch.Message, idDomain string) (dispatch.Receipt, error) {
	msg, err := compose(m, a.from, idDomain)
	if err != nil {
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Permanent, Err: err}
	}
	for {
		resource, err := a.acquire(ctx)
		if err != nil {
			return dispatch.Receipt{}, err
		}
		s := resource.Value()
		rested := s.used > 0 || time.Since(resource.CreationTime()) > time.Second
		text, failure := s.hand(ctx, a.Timeout, a.From, m.Address, msg)
		gone := failure != nil && s.gone(failure) // asked now: the session is not ours much longer
		if s.broken {
			resource.Destroy()
		} else {
			resource.Release()
		}
		if failure == nil {
			return receipt(a.Name, 250, text), nil
		}
		if !rested || !gone || ctx.Err() != nil {
			return dispatch.Receipt{}, failure
		}
	}
}

// gone says whether a failure only tells that the server has ended the
// session, by closing it or by 421, and did not take the message.
func (s *session) gone(failure *dispatch.SendError) bool {
	return s.broken && (failure.Class == dispatch.SessionFatal || failure.Class == dispatch.Transient && errors.Is(failure, errClosed))
}

// acquire waits for a session that is alive.
func (a *account) acquire(ctx context.Context) (*puddle.Resource[*session], error) {
	for {
		resource, err := a.pool.Acquire(ctx)
		if err != nil {
			return nil, a.unreached(ctx, err)
		}
		a.reached()
		if resource.IdleDuration() < a.CheckAfter || resource.Value().alive(ctx, a.Timeout) {
			return resource, nil
		}
		resource.Destroy()
	}
}

func (a *account) reached() {
	if a.downUntil.Load() != 0 && a.downUntil.Swap(0) != 0 {
		a.logger.Info("the mail server can be reached again")
	}
}

func (a *account) unreached(ctx context.Context, err error) error {
	var failure *dispatch.SendError
	switch {
	case ctx.Err() != nil:
		return &dispatch.SendError{Class: dispatch.Transient, Err: fmt.Errorf("wait for a connection: %w", ctx.Err())}
	case !errors.As(err, &failure):
		return &dispatch.SendError{Class: dispatch.Transient, Err: fmt.Errorf("wait for a connection: %w", err)}
	}
	if a.downUntil.Swap(time.Now().Add(a.RetryAfter).UnixNano()) == 0 {
		a.logger.Warn("the mail server cannot be reached", "class", failure.Class, "code", failure.Code, "error", failure.Err)
	}
	return unreachable{failure}
}

// isDown says whether the account could not be reached a moment ago.
func (a *account) isDown(now time.Time) bool { return now.UnixNano() < a.downUntil.Load() }

// tend keeps MinSessions open and closes what rested too long, until ctx ends.
func (a *account) tend(ctx context.Context) {
	ticker := time.NewTicker(a.IdleTimeout / 4)
	defer ticker.Stop()
	for {
		a.closeIdle()
		a.openMin(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *account) closeIdle() {
	idle := a.pool.AcquireAllIdle()
	open := int(a.pool.Stat().TotalResources())
	for _, resource := range idle {
		if open > a.MinSessions && resource.IdleDuration() >= a.IdleTimeout {
			resource.Destroy()
			open--
		} else {
			resource.ReleaseUnused()
		}
	}
}

func (a *account) openMin(ctx context.Context) {
	for range a.MinSessions {
		if ctx.Err() != nil || int(a.pool.Stat().TotalResources()) >= a.MinSessions {
			return
		}
		if err := a.pool.CreateResource(ctx); err != nil {
			_ = a.unreached(ctx, err) // noted; the next round tries again
			return
		}
		a.reached()
	}
}
