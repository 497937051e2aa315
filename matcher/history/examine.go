package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Report is how the days stand.
type Report struct {
	First, Last time.Time // the first instants of the oldest and the newest day that there is; zero: none
	// Missing are today and the days after it for which a partition should be
	// there and is not.
	Missing []time.Time
	// Astray counts the events and matches that came without a day, at most
	// 100,000 of each: they are found, but not dropped.
	Astray int64
}

const countAstray = `
SELECT (SELECT count(*) FROM (SELECT FROM events_default LIMIT 100000) AS found) +
       (SELECT count(*) FROM (SELECT FROM matches_default LIMIT 100000) AS found)`

// Examine looks at the days and changes nothing.
func Examine(ctx context.Context, pool *pgxpool.Pool, now time.Time) (Report, error) {
	var r Report
	today := dayOf(now)
	lacking := map[day]bool{}
	for _, t := range tables {
		list, err := partitions(ctx, pool, t)
		if err != nil {
			return Report{}, err
		}
		for _, p := range list {
			if at := time.Time(p.day); p.attached && (r.First.IsZero() || at.Before(r.First)) {
				r.First = at
			}
			if at := time.Time(p.day); p.attached && at.After(r.Last) {
				r.Last = at
			}
		}
		for _, d := range missing(list, today, today.add(Ahead)) {
			lacking[d] = true
		}
	}
	for d := today; !today.add(Ahead).before(d); d = d.add(1) {
		if lacking[d] {
			r.Missing = append(r.Missing, time.Time(d))
		}
	}
	if err := pool.QueryRow(ctx, countAstray).Scan(&r.Astray); err != nil {
		return Report{}, fmt.Errorf("count what has no day: %w", err)
	}
	return r, nil
}
