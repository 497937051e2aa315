package smpp

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// ids makes the ids of answers and those of receipts the same. Centres write
// one number in hexadecimal here and in decimal there, with leading zeros and
// without, in letters of either case.
type ids struct {
	form atomic.Pointer[string] // one of idsSame, idsHexDecimal, idsDecimalHex; nil: not known yet

	mu     sync.Mutex
	recent map[string]string // guarded by mu: whom a message went to, by its answer's id
	order  []string          // guarded by mu: the keys, the oldest first
}

// mostRecent is how many of the newest ids are remembered until the form is
// known.
const mostRecent = 10_000

func newIDs(form string) *ids {
	d := &ids{recent: map[string]string{}}
	if form != idsAuto {
		d.form.Store(&form)
	}
	return d
}

// answered is what a message is recorded under that was taken with an id.
func (d *ids) answered(id, address string) string {
	id = canonical(id)
	if d.form.Load() == nil && id != "" {
		d.remember(id, address)
	}
	return id
}

func (d *ids) remember(id, address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.recent[id]; !known {
		d.order = append(d.order, id)
	}
	d.recent[id] = address
	if len(d.order) > mostRecent {
		delete(d.recent, d.order[0])
		d.order = d.order[1:]
	}
}

// reported is what the message of a receipt is recorded under. The first
// receipt whose id is, in one of the forms and no other, that of a message
// which went to the same number, says what the form is.
func (d *ids) reported(id, address string) string {
	if form := d.form.Load(); form != nil {
		return inForm(id, *form)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []string // the forms in which it is the id of such a message
	for _, form := range []string{idsSame, idsHexDecimal, idsDecimalHex} {
		if to, known := d.recent[inForm(id, form)]; known && to == address {
			found = append(found, form)
		}
	}
	switch len(found) {
	case 0:
		return canonical(id)
	case 1:
		d.form.Store(&found[0])
		d.recent, d.order = map[string]string{}, nil
	}
	return inForm(id, found[0])
}

// canonical is an id as it is recorded: a number without leading zeros, in
// lower case; what is no number stays as it is.
func canonical(id string) string {
	if id == "" || strings.Trim(id, "0123456789abcdefABCDEF") != "" {
		return id
	}
	if short := strings.TrimLeft(id, "0"); short != "" {
		return strings.ToLower(short)
	}
	return "0"
}

// inForm is the answer's id of a receipt's.
func inForm(id, form string) string {
	from, to := 10, 16
	switch form {
	case idsSame:
		return canonical(id)
	case idsDecimalHex:
		from, to = 16, 10
	}
	if n, err := strconv.ParseUint(id, from, 64); err == nil {
		return strconv.FormatUint(n, to)
	}
	return canonical(id)
}
