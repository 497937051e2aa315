package app

import (
	"context"
	"fmt"
	"time"

	"herald/matcher/history"
	"herald/postgres"
)

// examineDays looks whether every day to come has its partition of events.
func examineDays(ctx context.Context, db *postgres.DB) Finding {
	const part = "days of events"
	r, err := history.Examine(ctx, db.Pool(), time.Now())
	switch {
	case err != nil:
		return Finding{part, Broken, err.Error(), "see the server's log"}
	case r.Last.IsZero():
		return Finding{part, Fine, "none yet: the first start makes them", ""}
	case len(r.Missing) > 0:
		return Finding{
			part, Warning,
			fmt.Sprintf("%d of the next %d have no partition, the first is %s", len(r.Missing), history.Ahead+1, r.Missing[0].Format(time.DateOnly)),
			"a running node makes them within a minute: see its log for \"the days of events could not be kept\"",
		}
	case r.Astray > 0:
		return Finding{part, Warning, fmt.Sprintf("%d events and matches lie in none", r.Astray), "a running node moves them within a minute: see its log"}
	}
	return Finding{part, Fine, fmt.Sprintf("from %s to %s", r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly)), ""}
}
