package email

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch"
)

// FloorRun is a measurement of a bare sender.
type FloorRun struct {
	Connections int // at a time
	Messages    int // altogether
	// Message is what is sent, the same bytes each time.
	Message dispatch.Message
	// Pipelining makes the dialogue one write and one read for each message, as
	// RFC 2920 allows; without it there are four, as in any plain client.
	Pipelining bool
}

// Floor hands the same message over as often as run says, as fast as the
// server and the machine allow: it is written once, and of the
// answers nothing is looked at but whether they refuse. It returns messages per second, from
// the first to the last, connecting left out. It is what `herald bench email`
// is measured against.
func (m *Mailer) Floor(ctx context.Context, run FloorRun) (perSecond float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sessions := make([]*session, run.Connections)
	for i := range sessions {
		if sessions[i], err = m.dial(ctx); err != nil {
			return 0, err
		}
		defer sessions[i].conn.Close() //nolint:errcheck // nothing is lost with it
		if run.Pipelining && !sessions[i].pipelining {
			return 0, errors.New("the server offers no pipelining")
		}
	}
	envelope, err := sessions[0].appendEnvelope(nil, &run.Message)
	if err != nil {
		return 0, err
	}
	bare := bareMessage{envelope, m.composer.append(nil, &run.Message), run.Pipelining}
	var left atomic.Int64
	left.Store(int64(run.Messages))
	failed := make(chan error, run.Connections)
	began := time.Now()
	var all sync.WaitGroup
	for _, s := range sessions {
		all.Go(func() {
			defer s.bind(ctx)()
			if err := bare.repeat(ctx, s, &left); err != nil {
				cancel()
				failed <- err
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	close(failed)
	if err := <-failed; err != nil {
		return 0, fmt.Errorf("the bare sender: %w", err)
	}
	return float64(run.Messages) / took.Seconds(), nil
}

// bareMessage is what Floor says of each message.
type bareMessage struct {
	envelope, content []byte
	pipelining        bool
}

// repeat says the message while any are left.
func (b bareMessage) repeat(ctx context.Context, s *session, left *atomic.Int64) error {
	if !b.pipelining {
		return b.takeTurns(ctx, s, left)
	}
	if left.Add(-1) < 0 {
		return nil
	}
	group := append(append([]byte(nil), b.content...), b.envelope...)
	s.arm(ctx)
	if err := b.exchange(s, b.envelope, 3); err != nil {
		return err
	}
	for left.Add(-1) >= 0 {
		s.arm(ctx)
		if err := b.exchange(s, group, 4); err != nil {
			return err
		}
	}
	return b.exchange(s, b.content, 1)
}

func (b bareMessage) takeTurns(ctx context.Context, s *session, left *atomic.Int64) error {
	var commands [len(envelopeSteps) + 1][]byte
	rest := b.envelope
	for i := range envelopeSteps {
		commands[i], rest = cutLine(rest)
	}
	commands[len(envelopeSteps)] = b.content
	for left.Add(-1) >= 0 {
		s.arm(ctx)
		for _, command := range commands {
			if err := b.exchange(s, command, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// exchange says something that has so many answers, and reads them.
func (b bareMessage) exchange(s *session, text []byte, answers int) error {
	if _, err := s.say(text); err != nil {
		return err
	}
	for range answers {
		r, err := s.replies.next()
		if err != nil {
			return err
		}
		if r.code >= 400 {
			return r.asError()
		}
	}
	return nil
}
