package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// handOver gives the message to its Sender and says what came of it. By the
// time it is called the attempt is on record.
func (w *Worker) handOver(ctx context.Context, t task, m Message) verdict {
	began := time.Now()
	receipt, err := w.send(ctx, w.senders[t.Channel], m)
	first := w.cfg.FirstRetry
	v := decide(t, receipt, err, t.ExpiresAt.Sub(w.store.now()), func(wish time.Duration) time.Duration {
		return waitAfter(first, t.Attempts, wish)
	})
	w.metrics.observe(t.Channel, v.outcome, time.Since(began))
	if v.outcome == string(Configuration) {
		w.cfg.Logger.ErrorContext(ctx, "an account is set up wrongly: deliveries wait until it is mended",
			"channel", t.Channel, "account", v.account, "code", v.code, "delivery", t.ID)
	}
	return v
}

// send calls the Sender within the time limit. A panic leaves open how far it came.
func (w *Worker) send(ctx context.Context, s Sender, m Message) (r Receipt, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.SendTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = &SendError{Class: Doubt, Err: fmt.Errorf("panic: %v", p)}
			w.cfg.Logger.ErrorContext(ctx, "a sender panicked", "channel", s.Channel(), "delivery", m.DeliveryID, "panic", fmt.Sprint(p))
		}
	}()
	r, err = s.Send(ctx, m)
	if marked := (*SendError)(nil); err != nil && ctx.Err() != nil && !errors.As(err, &marked) {
		// It was cut off and does not say where.
		return r, &SendError{Class: Doubt, Err: err}
	}
	return r, err
}
