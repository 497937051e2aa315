package api

import (
	"context"
	"net/http"
	"time"

	"herald/access"
	"herald/dispatch"
	"herald/problem"
)

func (a *API) addLedger() {
	read, write := access.DeliveriesRead, access.DeliveriesWrite
	add(a, operation{
		id: "get-ledger", method: http.MethodGet, path: "/ledger", tag: tagDeliveries, scope: read,
		summary: "Read the ledger", description: "What became of every notification that was meant for somebody. `balanced` says that none was lost.",
	}, a.ledger)
	add(a, operation{
		id: "get-ledger-days", method: http.MethodGet, path: "/ledger/days", tag: tagDeliveries, scope: read,
		summary: "Read the ledger day by day", description: "Newest first, at most 400 days; those on which nothing was decided are left out.",
	}, a.ledgerDays)
	add(a, operation{
		id: "list-ledger-checks", method: http.MethodGet, path: "/ledger/checks", tag: tagDeliveries, scope: read,
		summary: "List when the ledger was held against the messages it counts", description: "Newest first. `ok` says that nothing was found.",
	}, a.ledgerChecks)
	add(a, operation{
		id: "check-ledger", method: http.MethodPost, path: "/ledger/check", tag: tagDeliveries, scope: write,
		summary: "Hold the ledger against the messages it counts", errors: []int{http.StatusConflict},
		description: "Seconds for each million notifications. It happens by itself, too.",
	}, func(ctx context.Context, in *struct {
		Since time.Time `query:"since" doc:"Count every hour from here; absent: two days, and older hours in which something is open."`
	},
	) (*out[dispatch.LedgerCheck], error) {
		return body(a.cfg.Deliveries.CheckLedger(ctx, in.Since, callerOf(ctx).actor()))
	})
	add(a, operation{
		id: "recount-ledger", method: http.MethodPost, path: "/ledger/recount", tag: tagDeliveries, scope: write,
		summary: "Mend the ledger by counting", errors: []int{http.StatusConflict},
		description: "Only after a check that found something: the messages say what is true. Answers the check after it.",
	}, func(ctx context.Context, _ *struct{}) (*out[dispatch.LedgerCheck], error) {
		return body(a.cfg.Deliveries.Recount(ctx, callerOf(ctx).actor()))
	})
	add(a, operation{
		id: "list-accounts", method: http.MethodGet, path: "/accounts", tag: tagDeliveries, scope: read,
		summary: "List the providers' accounts and how they stand", description: "On all nodes together, a few seconds old: what works, what each sent, its limits, and how a modem stands.",
	}, func(ctx context.Context, _ *struct{}) (*out[Page[dispatch.AccountState]], error) {
		return whole(a.cfg.Deliveries.Accounts(ctx))
	})
}

// LedgerQuery narrows the ledger.
type LedgerQuery struct {
	Since    time.Time `query:"since" doc:"Notifications decided in its hour or later; absent: all."`
	Until    time.Time `query:"until" doc:"And before its hour."`
	Trigger  string    `query:"trigger" maxLength:"100" doc:"Of this trigger."`
	Campaign int64     `query:"campaign" minimum:"1" doc:"Of this firing of a campaign."`
}

func (q LedgerQuery) filter() dispatch.Filter {
	return dispatch.Filter{Since: q.Since, Until: q.Until, Trigger: q.Trigger, Campaign: q.Campaign}
}

func (a *API) ledger(ctx context.Context, in *LedgerQuery) (*out[dispatch.Ledger], error) {
	return body(a.cfg.Deliveries.Ledger(ctx, in.filter()))
}

func (a *API) ledgerDays(ctx context.Context, in *struct {
	LedgerQuery
	Zone string `query:"zone" default:"UTC" maxLength:"60" doc:"Where midnight is." example:"Asia/Shanghai"`
},
) (*out[Page[dispatch.DayLedger]], error) {
	zone, err := time.LoadLocation(in.Zone)
	if err != nil || in.Zone == "Local" {
		var f problem.Fields
		f.Add("query.zone", "zone", "must be a time zone, like Asia/Shanghai")
		return nil, f.Err("the ledger cannot be read so")
	}
	return whole(a.cfg.Deliveries.Days(ctx, in.filter(), zone))
}

func (a *API) ledgerChecks(ctx context.Context, in *PageQuery) (*out[Page[dispatch.LedgerCheck]], error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Deliveries.LedgerChecks(ctx, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(c dispatch.LedgerCheck) string { return idCursor(c.ID) }), nil
}
