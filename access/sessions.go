package access

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// SweepSessions removes browser sessions that are over, every so often until
// ctx ends. The sessions themselves are kept by alexedwards/scs.
func SweepSessions(ctx context.Context, pool *pgxpool.Pool, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		// By the database's clock, as scs reads them.
		if _, err := pool.Exec(ctx, `DELETE FROM sessions WHERE expiry < current_timestamp`); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "sessions that are over could not be removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
