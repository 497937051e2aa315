package smpp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms/smpp/pdu"
)

// doubts remembers the messages that the centre may have taken, the newest
// ones, in memory: an answer that comes late, or a receipt that names the
// reference we gave, says what became of them.
type doubts struct {
	mu         sync.Mutex
	deliveries map[uuid.UUID]*doubt    // guarded by mu
	references map[reference]uuid.UUID // guarded by mu
	ids        map[string]uuid.UUID    // guarded by mu, by the centre's ids
	order      []uuid.UUID             // guarded by mu
}

// reference is what a receipt may name a message by.
type reference struct {
	number  uint16
	address string
}

type doubt struct {
	unit
	answered bool
	status   pdu.Status
	asked    string // the id that it is asked for by
	id       string // and recorded under
}

// mostDoubts is how many are remembered.
const mostDoubts = 10_000

func newDoubts() *doubts {
	return &doubts{deliveries: map[uuid.UUID]*doubt{}, references: map[reference]uuid.UUID{}, ids: map[string]uuid.UUID{}}
}

func (d *doubts) add(u unit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entry(u)
}

// entry is what is known of a message; an answer may come before it is known
// to be in doubt. It wants mu held.
func (d *doubts) entry(u unit) *doubt {
	known := d.deliveries[u.delivery]
	if known != nil && known.unit == u {
		return known
	}
	if known == nil {
		d.order = append(d.order, u.delivery)
	}
	known = &doubt{unit: u}
	d.deliveries[u.delivery] = known
	if u.reference != 0 {
		d.references[reference{u.reference, u.address}] = u.delivery
	}
	for len(d.order) > mostDoubts {
		d.forget(d.order[0])
		d.order = d.order[1:]
	}
	return known
}

// forget wants mu held.
func (d *doubts) forget(delivery uuid.UUID) {
	old := d.deliveries[delivery]
	delete(d.deliveries, delivery)
	delete(d.references, reference{old.reference, old.address})
	delete(d.ids, old.id)
}

// answeredLate notes an answer that nobody waited for any more.
func (c *Client) answeredLate(u unit, h pdu.Header, id string) {
	d := c.doubts
	if u.part != whole || h.Command == pdu.GenericNack {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.entry(u)
	known.answered, known.status, known.asked = true, h.Status, id
	if known.id = c.ids.answered(id, u.address); id != "" {
		d.ids[known.id] = u.delivery
	}
}

// delivery is the one in doubt that a receipt is about; the zero UUID: none.
func (d *doubts) delivery(id string, r reference) uuid.UUID {
	d.mu.Lock()
	defer d.mu.Unlock()
	if delivery, known := d.ids[id]; known && id != "" {
		return delivery
	}
	if r.number == 0 {
		return uuid.Nil
	}
	return d.references[r]
}

// has reports whether a message in doubt has a reference.
func (d *doubts) has(r reference) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.references[r]
	return known
}

// get is a message in doubt.
func (d *doubts) get(delivery uuid.UUID) (doubt, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.deliveries[delivery]
	if known == nil {
		return doubt{}, false
	}
	return *known, true
}

var errUnknown = errors.New("the centre has not said what became of the message")

// Resolve finds out what became of a message in doubt: from an answer that came
// late and, where the account has QuerySM, from the centre itself. Without an
// answer there is no id to ask by.
func (c *Client) Resolve(ctx context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	unsure := &dispatch.SendError{Class: dispatch.Doubt, Account: c.cfg.Name, Err: errUnknown}
	known, found := c.doubts.get(m.DeliveryID)
	switch {
	case !found || !known.answered:
		return dispatch.Receipt{}, unsure
	case known.status != pdu.OK:
		return dispatch.Receipt{}, c.refused(known.status)
	}
	receipt := dispatch.Receipt{Account: c.cfg.Name, Code: accepted, ProviderID: known.id}
	if !c.cfg.QuerySM || known.asked == "" {
		return receipt, nil
	}
	state, err := c.query(ctx, known.asked)
	if err != nil {
		return receipt, nil //nolint:nilerr // the answer said that it was taken
	}
	receipt.Code = state.String()
	if eventOf(state) == dispatch.ReportBounced {
		return dispatch.Receipt{}, &dispatch.SendError{Class: dispatch.Permanent, Code: state.String(), Account: c.cfg.Name, Err: errRefused}
	}
	return receipt, nil
}

// query asks the centre what became of a message.
func (c *Client) query(ctx context.Context, id string) (pdu.State, error) {
	l := c.anyLink()
	if l == nil {
		return 0, errBroken
	}
	a, err := l.ask(ctx, func(dst []byte, sequence uint32) ([]byte, error) {
		return pdu.AppendQuery(dst, sequence, pdu.Query{MessageID: id, Source: c.source})
	})
	if err != nil {
		return 0, err
	}
	if a.status != pdu.OK {
		return 0, fmt.Errorf("query_sm: %v", a.status)
	}
	r, err := pdu.ParseQueryResp(a.body)
	return r.State, err
}

// anyLink is one that may ask; nil: there is none.
func (c *Client) anyLink() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.links {
		if l.submits {
			return l
		}
	}
	return nil
}
