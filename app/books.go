package app

import (
	"fmt"

	"herald/dispatch"
)

// buildBooks makes what keeps the ledger: every node takes part, one at a time.
func (a *App) buildBooks() error {
	a.books = dispatch.NewBookkeeper(a.Deliveries, dispatch.BookkeeperConfig{
		Node: a.cfg.Node, Logger: a.log, Accounts: a.sending, CheckEvery: a.cfg.Dispatch.ReconcileEvery, Announcer: a.news,
	})
	if err := a.metrics.Register(a.books); err != nil {
		return fmt.Errorf("the bookkeeper's figures: %w", err)
	}
	return nil
}
