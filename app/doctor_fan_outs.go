package app

import (
	"context"
	"fmt"

	"herald/matcher"
	"herald/postgres"
)

// examineFanOuts looks whether events that very many wait for are stuck.
func examineFanOuts(ctx context.Context, db *postgres.DB) Finding {
	const part = "fan-outs"
	b, err := matcher.NewEvents(db.Pool()).Backlog(ctx)
	switch {
	case err != nil:
		return Finding{part, Broken, err.Error(), "see the server's log"}
	case b.Failing > 0:
		return Finding{
			part, Warning,
			fmt.Sprintf("%d subscriptions wait for an event that could not be told them: %s", b.Failing, b.Error),
			"they are tried again every few minutes; mend what the error names, or switch the trigger off",
		}
	case b.Subscriptions > 0:
		return Finding{part, Fine, fmt.Sprintf("%d subscriptions are being held against their events", b.Subscriptions), ""}
	}
	return Finding{part, Fine, "nothing waits", ""}
}
