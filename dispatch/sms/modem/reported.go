package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// reported is the part that a status report is of.
type reported struct {
	whole
	part
}

const (
	// References come again: the part is meant that went to the network next to
	// the report's time, and of one that is over nothing more is to come.
	reportedSQL = `
SELECT delivery_id, account, part, of, text, state, provider_id
FROM modem_parts
WHERE sim = $1 AND reference = $2 AND recipient = $3 AND at BETWEEN $4 AND $5 AND (state IN ('accepted', 'doubt') OR provider_id <> '')
ORDER BY abs(extract(epoch FROM at - $6))
LIMIT 1`

	// A modem with references of its own names none that we know while a part
	// is in doubt; then the recipient tells, if there is but one. A report of a
	// part that is known by its reference, but over, comes a second time: it
	// says nothing of another.
	doubtfulSQL = `
SELECT delivery_id, account, part, of, text, state, provider_id
FROM modem_parts
WHERE sim = $1 AND recipient = $2 AND state = 'doubt' AND at BETWEEN $3 AND $4
  AND NOT EXISTS (SELECT FROM modem_parts WHERE sim = $1 AND reference = $5 AND recipient = $2 AND at BETWEEN $3 AND $4)
LIMIT 2`
)

// find finds the part of a report; false: it is of none of ours. sentAt is when
// the centre took it.
func (s *Store) find(ctx context.Context, sim string, reference byte, recipient int64, sentAt time.Time) (reported, bool, error) {
	from, to := sentAt.Add(-clocksApart), sentAt.Add(clocksApart)
	if sentAt.IsZero() { // the newest
		sentAt = s.now()
		from, to = sentAt.Add(-keepParts), sentAt.Add(clocksApart)
	}
	row := s.db.QueryRow(ctx, reportedSQL, sim, int16(reference), recipient, from, to, sentAt)
	r := reported{whole: whole{SIM: sim, Recipient: recipient}}
	switch err := r.scan(row); {
	case err == nil && r.State == refused:
		return reported{}, false, nil
	case err == nil:
		return r, true, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return r, false, fmt.Errorf("find the part of a report: %w", err)
	}
	rows, err := s.db.Query(ctx, doubtfulSQL, sim, recipient, from, to, int16(reference))
	if err != nil {
		return r, false, fmt.Errorf("find the part of a report: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (reported, error) {
		one := reported{whole: whole{SIM: sim, Recipient: recipient}}
		return one, one.scan(row)
	})
	if err != nil || len(found) != 1 {
		return r, false, err
	}
	return found[0], true, nil
}

func (r *reported) scan(row pgx.Row) error {
	return row.Scan(&r.Delivery, &r.Account, &r.Number, &r.Of, &r.Text, &r.State, &r.ProviderID)
}

const (
	// clocksApart is how far the operator's clock may be from ours: centres are
	// known to have wrong time zones.
	clocksApart = 26 * time.Hour
	// keepParts is how long a centre may report: longer than it tries.
	keepParts = 8 * 24 * time.Hour
)
