package sgip

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/wire"
)

// doubts remembers the parts that nobody knows of whether they were taken, so
// that they go again as what they are. How long a gateway remembers their
// sequences, the protocol does not say.
type doubts struct {
	mu    sync.Mutex
	known map[uuid.UUID]*doubt // guarded by mu, by delivery
	order []*doubt             // guarded by mu; some are not known any more
}

// doubt is a message of which some parts are in doubt.
type doubt struct {
	start parts.Start
	open  map[int]link.Request // by part, as it was sent
}

// mostDoubts is how many messages are remembered; the oldest are forgotten
// first.
const mostDoubts = 10_000

func newDoubts() *doubts { return &doubts{known: map[uuid.UUID]*doubt{}} }

// note remembers a part of the message that start tells of.
func (d *doubts) note(start parts.Start, r *link.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.known[start.DeliveryID]
	if one == nil {
		if len(d.order) == mostDoubts {
			if oldest := d.order[0]; d.known[oldest.start.DeliveryID] == oldest {
				delete(d.known, oldest.start.DeliveryID)
			}
			d.order = d.order[1:]
		}
		one = &doubt{start: start, open: map[int]link.Request{}}
		d.known[start.DeliveryID] = one
		d.order = append(d.order, one)
	}
	one.open[r.Part] = link.Request{Part: r.Part, Command: r.Command, Sequence: r.Sequence, Body: r.Body}
}

// forget forgets a part of which is known what became of it.
func (d *doubts) forget(delivery uuid.UUID, part int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.known[delivery]; one != nil {
		if delete(one.open, part); len(one.open) == 0 {
			delete(d.known, delivery)
		}
	}
}

// of is the sequence that a part was sent with; zero: none is known.
func (d *doubts) of(delivery uuid.UUID, part int) wire.Sequence {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.known[delivery]; one != nil {
		return one.open[part].Sequence
	}
	return wire.Sequence{}
}

// get gives a message's parts in doubt, in their order.
func (d *doubts) get(delivery uuid.UUID) (start parts.Start, open []link.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.known[delivery]
	if one == nil {
		return parts.Start{}, nil
	}
	for _, r := range one.open {
		open = append(open, r)
	}
	slices.SortFunc(open, func(x, y link.Request) int { return x.Part - y.Part })
	return one.start, open
}

// settled remembers a part while nobody knows what became of it; sent again
// for another reason, it has a new sequence.
func (g *Gateway) settled(m *dispatch.Message, r *link.Request, known bool) {
	if known {
		g.doubts.forget(m.DeliveryID, r.Part)
		return
	}
	g.doubts.note(parts.Start{DeliveryID: m.DeliveryID, Address: m.Address, Of: g.Parts(*m), Text: m.Content.Text}, r)
}

var (
	errForgotten = errors.New("the message's number is not known any more")
	errNotWhole  = errors.New("not all parts of the message were sent")
)

// Resolve finds out what became of a message in doubt, by sending the parts in
// doubt again under their sequences: a gateway that has them sends them to
// nobody a second time, and answers as it would have the first time. A message
// that another process sent, or this one before it was started again, stays in
// doubt.
func (g *Gateway) Resolve(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	start, open := g.doubts.get(m.DeliveryID)
	if len(open) == 0 {
		return g.unresolved(link.Verdict{Class: dispatch.Doubt, Err: errForgotten})
	}
	s, failure := g.dial(ctx)
	if failure != nil { // the gateway was not asked
		return g.unresolved(link.Verdict{Class: dispatch.Doubt, Code: failure.Code, Err: failure})
	}
	defer func() { _ = s.Close(ctx) }()
	var taken []parts.Part
	var worst link.Verdict
	next := 0
	s.Conn.Exchange(ctx, func() *link.Request {
		if next == len(open) {
			return nil
		}
		next++
		return &open[next-1]
	}, func(r *link.Request, answer wire.PDU, err error) time.Duration {
		v := link.Verdict{Class: dispatch.Doubt, Err: err}
		if err == nil {
			v = judge(r, answer)
		}
		switch v.Class {
		case "":
			taken = append(taken, parts.Part{DeliveryID: m.DeliveryID, Part: r.Part, ProviderID: v.ProviderID})
		case dispatch.Throttled: // it did not even look
			v.Class = dispatch.Doubt
			fallthrough
		default:
			if worst.Class != dispatch.Doubt {
				worst = v
			}
		}
		if v.Class != dispatch.Doubt {
			g.doubts.forget(m.DeliveryID, r.Part)
		}
		return 0
	})
	return g.resolved(ctx, start, taken, worst)
}

// resolved says what a message is of which some parts are found to be taken.
func (g *Gateway) resolved(ctx context.Context, start parts.Start, taken []parts.Part, worst link.Verdict) (dispatch.Receipt, error) {
	var id string
	if start.Of == 1 && len(taken) == 1 {
		id = taken[0].ProviderID
	}
	if start.Of > 1 && len(taken) > 0 {
		if err := g.parts.Accepted(ctx, g.cfg.Name, taken...); err != nil {
			return g.unresolved(link.Verdict{Class: dispatch.Doubt, Err: err})
		}
	}
	if worst.Class != "" {
		return g.unresolved(worst)
	}
	if start.Of > 1 {
		progress, err := g.parts.Begin(ctx, g.cfg.Name, []parts.Start{start})
		switch {
		case err != nil:
			return g.unresolved(link.Verdict{Class: dispatch.Doubt, Err: err})
		case slices.Contains(progress[0].Accepted, false):
			return g.unresolved(link.Verdict{Class: dispatch.Transient, Err: errNotWhole})
		}
		id = progress[0].ProviderIDs[0]
	}
	return dispatch.Receipt{ProviderID: id, Account: g.cfg.Name, Code: code(resultOK)}, nil
}

// unresolved is a message that was not taken, or of which that is not known. A
// part that an operator must mend something for was not taken, either.
func (g *Gateway) unresolved(v link.Verdict) (dispatch.Receipt, error) {
	if v.Class == dispatch.Configuration {
		v.Class = dispatch.Transient
	}
	return dispatch.Receipt{}, &dispatch.SendError{Class: v.Class, Code: v.Code, AddressDead: v.AddressDead, Account: g.cfg.Name, Err: v.Err}
}
