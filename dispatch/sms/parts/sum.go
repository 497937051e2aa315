package parts

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
)

// marks are final reports, column by column; of one part the first.
type marks struct {
	deliveries []uuid.UUID // of all messages that are reported of, each once
	accounts   []string

	ids        []uuid.UUID
	of         []string
	references []int32
	parts      []int16
	states     []string
	codes      []string
	details    []string
	dead       []bool
	at         []time.Time
}

func newMarks(known []reported, now time.Time) *marks {
	m := &marks{}
	messages, places := map[message]bool{}, map[place]bool{}
	for _, k := range known {
		if !messages[k.message] {
			messages[k.message] = true
			m.deliveries, m.accounts = append(m.deliveries, k.delivery), append(m.accounts, k.place.account)
		}
		if !final(k.Event) || places[k.place] {
			continue
		}
		places[k.place] = true
		at := k.At
		if at.IsZero() {
			at = now
		}
		m.ids, m.of = append(m.ids, k.delivery), append(m.of, k.place.account)
		m.references, m.parts = append(m.references, k.reference), append(m.parts, k.part)
		m.states, m.codes = append(m.states, string(k.Event)), append(m.codes, storable(k.Code))
		m.details, m.dead, m.at = append(m.details, storable(k.Detail)), append(m.dead, k.AddressDead), append(m.at, at)
	}
	return m
}

func (m *marks) columns() []any {
	return []any{m.ids, m.of, m.references, m.parts, m.states, m.codes, m.details, m.dead, m.at}
}

// final reports whether nothing more is to come of a part.
func final(e dispatch.ReportEvent) bool {
	return e == dispatch.ReportDelivered || e == dispatch.ReportBounced || e == dispatch.ReportExpired
}

// sum is what is known of a message's parts.
type sum struct {
	reference int32
	of        int
	elsewhere bool // the delivery was begun on another account since
	first     string
	delivered int
	worst     *fate // the first part that will never arrive
	last      fate  // of those that arrived
}

// fate is what became of a part.
type fate struct {
	part         int16
	event        dispatch.ReportEvent
	code, detail string
	dead         bool
	at           time.Time
}

func readSums(rows pgx.Rows, sums map[message]*sum) error {
	var (
		name     message
		row      sum
		provider string
		f        fate
	)
	_, err := pgx.ForEachRow(rows, []any{
		&name.delivery, &name.account, &row.reference, &row.of, &row.elsewhere,
		&f.part, &provider, &f.event, &f.code, &f.detail, &f.dead, &f.at,
	}, func() error {
		s := sums[name]
		if s == nil {
			one := row
			s = &one
			sums[name] = s
		}
		if f.part == 0 {
			s.first = provider
		}
		s.add(f)
		return nil
	})
	return err
}

func (s *sum) add(f fate) {
	switch {
	case f.event == dispatch.ReportDelivered:
		s.delivered++
		if !f.at.Before(s.last.at) {
			s.last = f
		}
	case final(f.event) && (s.worst == nil || f.at.Before(s.worst.at)):
		s.worst = &f
	}
}

// conclude says what reports of parts mean for their deliveries.
func conclude(known []reported, sums map[message]*sum) []dispatch.Report {
	var all []dispatch.Report
	told := map[message]bool{}
	for _, k := range known {
		s := sums[k.message]
		switch {
		case s == nil || s.reference != k.reference: // begun anew since, or swept
		case !final(k.Event):
			all = append(all, s.noted(k))
		case !told[k.message]:
			told[k.message] = true
			all = append(all, s.verdict(k)...)
		}
	}
	return all
}

// noted is a report of a part that ends nothing, as one of the delivery.
func (s *sum) noted(k reported) dispatch.Report {
	r := k.Report
	key := r.Key
	if key == "" {
		key = string(r.Event) + " " + r.Code + " " + stamp(r.At)
	}
	r.DeliveryID, r.ProviderID = k.delivery, ""
	r.Key = fmt.Sprintf("%s%s:%d:%d:%s", summed, k.place.account, k.reference, k.part, key)
	r.Detail = s.detail(k.part, r.Detail)
	return r
}

// verdict is what is known of the delivery by now; nothing while its parts are
// on their way. It is told by the delivery's id, and by the id that the
// attempt got from the provider: a digest is several deliveries, which
// dispatch knows by the latter.
func (s *sum) verdict(k reported) []dispatch.Report {
	f := s.last
	switch {
	case s.worst != nil && s.elsewhere:
		return nil
	case s.worst != nil:
		f = *s.worst
	case s.delivered < s.of:
		return nil
	}
	r := dispatch.Report{
		DeliveryID: k.delivery, Account: k.place.account, Channel: k.Channel, Event: f.event,
		Code: f.code, Detail: s.detail(f.part, f.detail), At: f.at, AddressDead: f.dead,
		Key: fmt.Sprintf("%s%s:%d:%s", summed, k.place.account, k.reference, f.event),
	}
	if f.event == dispatch.ReportDelivered {
		r.Detail = f.detail
	}
	if s.first == "" {
		return []dispatch.Report{r}
	}
	same := r
	same.DeliveryID, same.ProviderID = uuid.Nil, s.first
	return []dispatch.Report{r, same}
}

func (s *sum) detail(part int16, detail string) string {
	text := "part " + strconv.Itoa(int(part)+1) + " of " + strconv.Itoa(s.of)
	if detail == "" {
		return text
	}
	return text + ": " + detail
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}
