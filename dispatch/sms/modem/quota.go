package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Quotas are how many parts a SIM may send.
type Quotas struct {
	Daily, Monthly int // 0: as many as it likes
	// Zone is where the days and months begin.
	Zone *time.Location
}

// periods are the names of the day and the month at a moment.
func (q Quotas) periods(at time.Time) (day, month string) {
	local := at.In(q.Zone)
	return local.Format(time.DateOnly), local.Format("2006-01")
}

// ends is when the day and the month end.
func (q Quotas) ends(at time.Time) (day, month time.Time) {
	y, m, d := at.In(q.Zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, q.Zone), time.Date(y, m+1, 1, 0, 0, 0, 0, q.Zone)
}

// exhausted says that a SIM may send no more in a period, such as "2026-03".
type exhausted struct{ period string }

func (e *exhausted) Error() string {
	return fmt.Sprintf("the SIM's quota of %s is used up", e.period)
}

const countSQL = `
INSERT INTO modem_quotas AS q (sim, period, parts)
SELECT $1, $2, $3::integer WHERE $3 <= $4
ON CONFLICT (sim, period) DO UPDATE SET parts = q.parts + $3
WHERE q.parts + $3 <= $4
RETURNING parts`

// unlimited is more than any SIM sends in a month.
const unlimited = 1 << 30

// count adds parts to a day and a month, both or neither, the day first. The
// rows are locked until the transaction ends: two nodes cannot both have the
// last part. It fails with *exhausted.
func count(ctx context.Context, tx pgx.Tx, sim string, n int, q Quotas, day, month string) error {
	for _, p := range []struct {
		name  string
		limit int
	}{{day, q.Daily}, {month, q.Monthly}} {
		if p.limit == 0 {
			p.limit = unlimited
		}
		var used int
		err := tx.QueryRow(ctx, countSQL, sim, p.name, n, p.limit).Scan(&used)
		if errors.Is(err, pgx.ErrNoRows) {
			return &exhausted{p.name}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// uncount takes one part off again.
func uncount(ctx context.Context, tx pgx.Tx, sim string, day, month *string) error {
	for _, period := range []*string{day, month} {
		if period == nil {
			continue
		}
		if _, err := tx.Exec(ctx, `UPDATE modem_quotas SET parts = greatest(parts - 1, 0) WHERE sim = $1 AND period = $2`, sim, *period); err != nil {
			return err
		}
	}
	return nil
}

// Usage is what a SIM sent, in parts.
type Usage struct {
	Today     int `json:"today"`
	ThisMonth int `json:"this_month"`
	// Daily and Monthly are the limits; 0: none.
	Daily   int `json:"daily"`
	Monthly int `json:"monthly"`
	// DayEnds and MonthEnds are when the counting begins anew.
	DayEnds   time.Time `json:"day_ends"`
	MonthEnds time.Time `json:"month_ends"`
}

// Left is the part of the quotas that is left, from 1 to 0; 1 without quotas.
func (u Usage) Left() float64 {
	left := 1.0
	for _, q := range [][2]int{{u.Today, u.Daily}, {u.ThisMonth, u.Monthly}} {
		if q[1] > 0 {
			left = min(left, float64(max(q[1]-q[0], 0))/float64(q[1]))
		}
	}
	return left
}

// usage reads what a SIM sent.
func (s *Store) usage(ctx context.Context, sim string, q Quotas) (Usage, error) {
	now := s.now()
	day, month := q.periods(now)
	u := Usage{Daily: q.Daily, Monthly: q.Monthly}
	u.DayEnds, u.MonthEnds = q.ends(now)
	err := s.db.QueryRow(ctx, `
SELECT coalesce(sum(parts) FILTER (WHERE period = $2), 0), coalesce(sum(parts) FILTER (WHERE period = $3), 0)
FROM modem_quotas WHERE sim = $1 AND period IN ($2, $3)`, sim, day, month).Scan(&u.Today, &u.ThisMonth)
	if err != nil {
		return u, fmt.Errorf("read what a SIM sent: %w", err)
	}
	return u, nil
}
