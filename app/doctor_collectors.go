package app

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/app/config"
	"herald/collectors"
	"herald/problem"
)

// examineCollectors reaches for the far end of every collector and, where pool
// leads to a database of this version, says what its last runs came to.
func examineCollectors(ctx context.Context, cfg config.Config, pool *pgxpool.Pool) []Finding {
	made, mistakes := makeCollectors(cfg.Collectors, nil)
	if err := mistakes.Err("the collectors are not complete"); err != nil {
		return []Finding{{"collectors", Broken, err.Error(), "mend the configuration"}}
	}
	var list []Finding
	for _, c := range made {
		list = append(list, examineCollector(ctx, c, pool))
	}
	return list
}

func examineCollector(ctx context.Context, c collectors.Collector, pool *pgxpool.Pool) Finding {
	part := "collector " + c.Name
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if err := c.Source.Check(ctx); err != nil {
		return Finding{part, Warning, err.Error(), "nothing is lost: it is tried again until it works"}
	}
	if pool == nil {
		return Finding{part, Fine, "can be reached", ""}
	}
	state, err := collectors.NewStore(pool, time.Now).Get(ctx, c.Name)
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		return Finding{part, Fine, "can be reached, and has not run yet", ""}
	case err != nil:
		return Finding{part, Broken, err.Error(), "see the server's log"}
	case state.FailingSince != nil:
		return Finding{part, Warning, fmt.Sprintf("fails since %s: %s", state.FailingSince.UTC().Format(time.RFC3339), state.Error), "it can be reached now: look again in a while"}
	case state.DeadLetters > 0:
		return Finding{part, Warning, fmt.Sprintf("%d dead letters of %d events", state.DeadLetters, state.Accepted+state.Refused), "look at them on the console, mend what is wrong and try them again, or throw them away"}
	}
	return Finding{part, Fine, fmt.Sprintf("can be reached; %d events taken", state.Accepted), ""}
}
