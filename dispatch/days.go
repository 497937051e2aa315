package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// DayLedger is what became of the notifications that were decided on a day.
type DayLedger struct {
	Day time.Time `json:"day"` // its beginning in the zone that was asked for
	Ledger
}

// daysMax is how many days are read at once.
const daysMax = 400

// Days are the ledgers of the days that the filter lets through, newest first,
// cut at midnight in a zone; days on which nothing was decided are left out.
func (s *Store) Days(ctx context.Context, f Filter, zone *time.Location) ([]DayLedger, error) {
	c := f.conditions()
	c.args = append(c.args, zone.String(), daysMax*int64(len(States)+1))
	rows, err := s.pool.Query(ctx, fmt.Sprintf(`
SELECT date_trunc('day', hour, $%d) AS day, state, sum(n)::bigint
FROM `+counted(c.sql())+`
GROUP BY 1, 2
ORDER BY 1 DESC
LIMIT $%d`, len(c.args)-1, len(c.args)), c.args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger by day: %w", err)
	}
	var (
		list  []DayLedger
		day   time.Time
		state State
		count int64
	)
	_, err = pgx.ForEachRow(rows, []any{&day, &state, &count}, func() error {
		if day = day.In(zone); len(list) == 0 || !list[len(list)-1].Day.Equal(day) {
			list = append(list, DayLedger{Day: day})
		}
		list[len(list)-1].add(state, count)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger by day: %w", err)
	}
	for i := range list {
		list[i].balance()
	}
	return list, nil
}
