package app

import (
	"time"

	"herald/matcher"
	"herald/matcher/absence"
	"herald/matcher/dates"
	"herald/matcher/follower"
	"herald/matcher/index"
)

// buildMatcher makes the intake, with this node's own index of who waits for
// what.
func (a *App) buildMatcher() {
	a.follower = follower.New(a.DB.Pool(), index.New(), follower.Config{Now: time.Now, Logger: a.log})
	a.intake = matcher.NewIntake(a.DB.Pool(), a.Triggers, a.Deliveries, matcher.IntakeConfig{
		BatchEvents: a.cfg.Matcher.BatchEvents, QueueEvents: a.cfg.Matcher.QueueEvents,
		Follower: a.follower, Now: time.Now, Logger: a.log,
	})
	a.cleanups.onStop("intake", a.intake.Close)
	a.metrics.MustRegister(a.intake, a.follower)
}

// startMatcher begins what goes on beside the intake. Until the index is
// loaded the intake asks the tables.
func (a *App) startMatcher() {
	if a.intake == nil {
		return
	}
	a.begin("index", a.follower.Run)
	sweep := absence.NewSweep(a.DB.Pool(), a.intake, absence.SweepConfig{Now: time.Now, Logger: a.log})
	a.begin("absences", sweep.Run)
	clock := dates.NewClock(a.DB.Pool(), a.Triggers, a.Calendars, a.intake, dates.Config{Now: time.Now, Logger: a.log})
	a.begin("dates", clock.Run)
	a.begin("states of triggers on changes", a.intake.Tidy)
	if days := a.cfg.Subscriptions.RenewalDays; days > 0 {
		renewals := matcher.NewRenewals(a.DB.Pool(), a.Triggers, a.Deliveries, matcher.RenewalsConfig{Days: days, Now: time.Now, Logger: a.log})
		a.begin("renewals", renewals.Run)
	}
}
