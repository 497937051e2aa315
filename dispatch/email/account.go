package email

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"

	"herald/dispatch"
)

// account is a mail server with its sessions.
type account struct {
	Account
	mailer *Mailer
	pool   *puddle.Pool[*session]
	logger *slog.Logger

	// downUntil is when the account, which could not be reached, is to be
	// tried again before others (Unix nanoseconds); 0: it can be reached.
	downUntil atomic.Int64
}

// newAccount makes an account without a session. Sessions that are being
// opened end with dying.
func newAccount(dying context.Context, cfg Account, idDomain string, logger *slog.Logger) (*account, error) {
	cfg.ReturnPath = "" // nobody gives tokens here
	mailer, err := newMailer(cfg, idDomain, nil)
	if err != nil {
		return nil, err
	}
	a := &account{Account: cfg, mailer: mailer, logger: logger.With("account", cfg.Name)}
	a.pool, err = puddle.NewPool(&puddle.Config[*session]{
		MaxSize: int32(cfg.MaxSessions), // at most 1000
		Constructor: func(ctx context.Context) (*session, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(dying, cancel)()
			return mailer.dial(ctx)
		},
		Destructor: func(s *session) {
			s.broken = s.broken || dying.Err() != nil
			if err := s.Close(context.Background()); err != nil {
				a.logger.Debug("a connection did not close well", "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", cfg.Name, err)
	}
	return a, nil
}

// unreachable wraps what went wrong before a message was spoken of, so that
// another account may be asked.
type unreachable struct{ *dispatch.SendError }

func (u unreachable) Unwrap() error { return u.SendError }

// send hands m over on one of the account's sessions. A session that had
// rested and turns out to be gone is replaced; the server has not heard of
// the message then.
func (a *account) send(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	for {
		resource, err := a.acquire(ctx)
		if err != nil {
			return dispatch.Receipt{}, err
		}
		s := resource.Value()
		rested := s.spoke || time.Since(resource.CreationTime()) > time.Second
		r, err := s.Send(ctx, m)
		gone := err != nil && s.broken && asSendError(err).Class == dispatch.SessionFatal
		if s.broken {
			resource.Destroy()
		} else {
			resource.Release()
		}
		if !rested || !gone || ctx.Err() != nil {
			return r, err
		}
	}
}

// acquire waits for a session that is alive.
func (a *account) acquire(ctx context.Context) (*puddle.Resource[*session], error) {
	for {
		resource, err := a.pool.Acquire(ctx)
		if err != nil {
			return nil, a.unreached(ctx, err)
		}
		a.reached()
		if resource.IdleDuration() < a.CheckAfter || resource.Value().Alive(ctx) == nil {
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
