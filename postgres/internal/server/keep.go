package server

import (
	"context"
	"time"
)

// How often the keeper looks, and how it waits between starts that fail.
const (
	lookEvery    = 250 * time.Millisecond
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// settled is how long a server must run for its next crash to count as
	// the first again.
	settled = time.Minute
)

// keep starts the server again when it has stopped without being asked to,
// takes ownership when the owner is gone, and bounds the server's log. It is
// the only goroutine that touches s.lock and s.process while it runs.
func (s *Server) keep(ctx context.Context) {
	defer close(s.done)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var backoff time.Duration
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-s.process.gone():
		}
		switch {
		case s.lock == nil:
			s.succeed(ctx)
		case s.process.alive():
			s.boundLog(ctx)
		default:
			if time.Since(since) > settled {
				backoff = 0
			}
			if !wait(ctx, backoff) {
				return
			}
			backoff = min(max(2*backoff, firstBackoff), maxBackoff)
			s.restart(ctx)
			since = time.Now()
		}
	}
}

// succeed takes over from an owner that is gone. Its server, when it still
// runs, is adopted; otherwise the next look starts one.
func (s *Server) succeed(ctx context.Context) {
	lock, err := tryLock(s.layout.lock)
	if err != nil {
		s.log.ErrorContext(ctx, "cannot take over the database server", "error", err)
		return
	}
	if lock == nil {
		return
	}
	s.lock = lock
	s.process = findProcess(s.layout.data)
	s.log.InfoContext(ctx, "took over the database server")
}

func (s *Server) restart(ctx context.Context) {
	if s.process != nil {
		s.log.ErrorContext(ctx, "database server has stopped; starting it again", "pid", s.process.pid)
		s.process = nil
	}
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "database server does not start; trying again", "error", err)
	}
}

func (s *Server) boundLog(ctx context.Context) {
	if err := boundLog(s.layout.log, maxLog); err != nil {
		s.log.WarnContext(ctx, "cannot shorten the database server's log", "error", err)
	}
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
