package smpp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
)

// FloorRun is a measurement of a bare sender.
type FloorRun struct {
	Connections int // at a time
	Messages    int // altogether
	// Message is what is sent, the same each time but for its sequence number:
	// of one part.
	Message dispatch.Message
}

// Floor hands the same message over as often as run says, as fast as the
// centre and the machine allow: it is written once, as many as the account's
// window lets wait are one write, and of the answers nothing is looked at but
// whether they refuse. It returns messages per second, from the first to the
// last, binding left out. It is what `herald bench sms` is measured against.
func (c *Client) Floor(ctx context.Context, run FloorRun) (perSecond float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	composed, err := c.compose(new(sms.Composer), run.Message.Content.Text)
	if err != nil {
		return 0, err
	}
	w := writer{client: c}
	submit, err := w.append(nil, 0, &run.Message, portion{composed: composed})
	if err != nil {
		return 0, err
	}
	links := make([]*link, run.Connections)
	for i := range links {
		l, refused := c.connect(ctx, pdu.BindTransmitter)
		if refused != nil {
			return 0, refused
		}
		defer l.conn.Close() //nolint:errcheck // nothing is lost with it
		links[i] = l
	}
	var left atomic.Int64
	left.Store(int64(run.Messages))
	failed := make(chan error, run.Connections)
	began := time.Now()
	var all sync.WaitGroup
	for _, l := range links {
		all.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })()
			if err := l.repeat(submit, &left); err != nil {
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

// repeat submits the same unit while any are left, a window at a time.
func (l *link) repeat(submit []byte, left *atomic.Int64) error {
	var said []byte
	for waiting, more := 0, true; more || waiting > 0; {
		for said = said[:0]; more && waiting < l.client.cfg.Window; {
			if more = left.Add(-1) >= 0; more {
				start := len(said)
				said = append(said, submit...)
				pdu.SetSequence(said, start, l.nextSequence())
				waiting++
			}
		}
		if _, err := l.conn.Write(said); err != nil {
			return err
		}
		for waiting > 0 {
			if err := l.hearOne(); err != nil {
				return err
			}
			if waiting--; !l.in.Buffered() {
				break
			}
		}
	}
	return nil
}

// hearOne reads the answer to a unit, and passes over what else the centre says.
func (l *link) hearOne() error {
	for {
		h, _, err := l.in.Next()
		switch {
		case err != nil:
			return err
		case h.Status != pdu.OK:
			return errors.New(h.Status.String())
		case h.Command == pdu.SubmitSM.Response():
			return nil
		}
	}
}
