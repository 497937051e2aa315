package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"herald/dispatch"
	"herald/postgres"
	"herald/problem"
	"herald/subscriptions"
)

const (
	// ledgerWithin is how long the doctor waits for the ledger: seconds for
	// each million messages.
	ledgerWithin = 5 * time.Minute
	// differencesShown is how many differences the doctor tells of.
	differencesShown = 5
)

// examineLedger holds the ledger against the messages it counts, which is kept
// on record as any other check.
func examineLedger(ctx context.Context, db *postgres.DB) Finding {
	const part = "ledger"
	ctx, cancel := context.WithTimeout(ctx, ledgerWithin)
	defer cancel()
	store, err := dispatch.NewStore(db.Pool(), subscriptions.NewConsents(db.Pool(), time.Now), time.Now, dispatch.StoreConfig{})
	if err != nil {
		return Finding{part, Broken, err.Error(), ""}
	}
	check, err := store.CheckLedger(ctx, time.Time{}, "doctor")
	switch {
	case problem.CodeOf(err) == problem.Conflict:
		return Finding{part, Fine, "is being checked by a node just now", ""}
	case err != nil:
		return Finding{part, Broken, err.Error(), "see the server's log"}
	case check.OK:
		return Finding{part, Fine, fmt.Sprintf("balances: %d messages of %d hours in %v", check.Counted, check.Hours, check.Took.Round(time.Millisecond)), ""}
	}
	said := []string{fmt.Sprintf("%d differences", check.Found)}
	for _, d := range check.Differences[:min(len(check.Differences), differencesShown)] {
		said = append(said, describe(d))
	}
	return Finding{part, Warning, strings.Join(said, "; "), `see "The ledger does not balance" in the manual`}
}

// describe is a difference on one line.
func describe(d dispatch.Difference) string {
	of := []string{string(d.Kind)}
	if !d.Hour.IsZero() {
		of = append(of, d.Hour.UTC().Format("2006-01-02 15:04"))
	}
	for _, word := range []string{d.Trigger, string(d.Channel), string(d.State), d.Reason} {
		if word != "" {
			of = append(of, word)
		}
	}
	return fmt.Sprintf("%s (ledger %d, messages %d)", strings.Join(of, " "), d.Ledger, d.Rows)
}
