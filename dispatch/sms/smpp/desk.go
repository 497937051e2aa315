package smpp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/smpp/pdu"
)

// desk keeps what the centre told us until somebody took it. Only then is the
// centre answered; what nobody can take now it is asked to bring again.
type desk[T any] struct {
	mu   sync.Mutex
	open int           // guarded by mu: how many take from it
	tray []told[T]     // guarded by mu
	news chan struct{} // guarded by mu: closed at the next arrival; nil: nobody waits
}

// told is something the centre told us, and what answers it.
type told[T any] struct {
	value T
	taken func(pdu.Status)
}

// mostOnDesk is how much waits; it bounds what is lost to a crash of ours, too,
// as none of it was acknowledged.
const mostOnDesk = 2000

// put is false when nobody takes what comes, or there is no room.
func (d *desk[T]) put(value T, taken func(pdu.Status)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == 0 || len(d.tray) >= mostOnDesk {
		return false
	}
	d.tray = append(d.tray, told[T]{value, taken})
	if d.news != nil {
		close(d.news)
		d.news = nil
	}
	return true
}

// mostAtOnce is how many are taken together.
const mostAtOnce = 500

// run gives what comes to take until ctx ends or take fails again and again;
// what it failed with is refused, so that the centre brings it again.
func (d *desk[T]) run(ctx context.Context, take func(context.Context, []T) error) error {
	d.mu.Lock()
	d.open++
	d.mu.Unlock()
	defer d.shut()
	for {
		some, err := d.some(ctx)
		if err != nil {
			return err
		}
		values := make([]T, len(some))
		for i, t := range some {
			values[i] = t.value
		}
		if err := patiently(ctx, func() error { return take(ctx, values) }); err != nil {
			answerAll(some, pdu.RXTAPPN)
			return err
		}
		answerAll(some, pdu.OK)
	}
}

// shut refuses what is left when nobody takes it any more.
func (d *desk[T]) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open--; d.open > 0 {
		return
	}
	answerAll(d.tray, pdu.RXTAPPN)
	d.tray = nil
}

func answerAll[T any](some []told[T], status pdu.Status) {
	for _, t := range some {
		t.taken(status)
	}
}

// some waits for what comes.
func (d *desk[T]) some(ctx context.Context) ([]told[T], error) {
	for {
		d.mu.Lock()
		n := min(len(d.tray), mostAtOnce)
		some := d.tray[:n:n]
		if d.tray = d.tray[n:]; len(d.tray) == 0 {
			d.tray = nil
		}
		if n == 0 && d.news == nil {
			d.news = make(chan struct{})
		}
		news := d.news
		d.mu.Unlock()
		if n > 0 {
			return some, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// patiently tries again when a store is away for a moment: a centre that is
// refused may bring its receipts much later, or not at all.
func patiently(ctx context.Context, do func() error) (err error) {
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		if err = do(); err == nil || pause > 2*time.Second {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// Reports gives what the centre says of messages to take, until ctx ends: what
// take has, with the parts of messages summed up, is acknowledged. While
// nobody calls Reports the centre is asked to bring receipts again.
func (c *Client) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	err := c.reports.run(ctx, func(ctx context.Context, reports []dispatch.Report) error {
		summed, err := c.parts.Reports(ctx, reports)
		if err != nil || len(summed) == 0 {
			return err
		}
		return take(ctx, summed)
	})
	return fmt.Errorf("account %s: receipts: %w", c.cfg.Name, err)
}
