package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/subscriptions"
)

// BulkRuling is what to do with all deliveries that a search finds.
type BulkRuling struct {
	Action   dispatch.Ruling       `json:"action" required:"true" enum:"retry,discard,assume_sent"`
	IDs      []uuid.UUID           `json:"ids,omitempty" maxItems:"1000" doc:"These deliveries; with other filters, those of them that fit."`
	State    dispatch.State        `json:"state,omitempty" enum:"failed,in_doubt,deferred,pending" doc:"Required unless ids are given. What is pending can only be discarded."`
	Reason   string                `json:"reason,omitempty" maxLength:"100"`
	Account  string                `json:"account,omitempty" maxLength:"100" doc:"That was last tried."`
	Trigger  string                `json:"trigger,omitempty" maxLength:"100"`
	Campaign int64                 `json:"campaign,omitempty" minimum:"1" doc:"A campaign's firing."`
	Channel  subscriptions.Channel `json:"channel,omitempty" enum:"email,sms,voice,fax"`
	Member   string                `json:"member,omitempty" maxLength:"200"`
	Since    time.Time             `json:"since,omitzero" doc:"Created at or after it."`
	Until    time.Time             `json:"until,omitzero" doc:"Created before it."`
	// Attention is as the console's list has it.
	Attention bool `json:"attention,omitempty" doc:"Leave out what was discarded, and what another channel was tried for."`
	DryRun    bool `json:"dry_run,omitempty" doc:"Only count."`
}

func (r BulkRuling) search() dispatch.Search {
	return dispatch.Search{
		IDs: r.IDs, State: r.State, Reason: r.Reason, Account: r.Account, Trigger: r.Trigger, Campaign: r.Campaign, Channel: r.Channel,
		Member: r.Member, Since: r.Since, Until: r.Until, Attention: r.Attention,
	}
}

// BulkBegun is a bulk action that has begun, or how many it would be about.
type BulkBegun struct {
	Count  int64                `json:"count" doc:"Deliveries that fit."`
	Action *dispatch.BulkAction `json:"bulk_action,omitempty" doc:"Absent after a dry run."`
}

func (a *API) addBulkActions() {
	read, write := access.DeliveriesRead, access.DeliveriesWrite
	for _, ruling := range []struct {
		ruling               dispatch.Ruling
		id, path             string
		summary, whatItIsFor string
	}{
		{dispatch.RulingRetry, "retry-delivery", "retry", "Hand a delivery over once more", "One that failed, is in doubt or is deferred. What is in doubt may arrive twice."},
		{dispatch.RulingDiscard, "discard-delivery", "discard", "Give a delivery up", "It ends as failed, for the reason `discarded`."},
		{dispatch.RulingAssumeSent, "assume-delivery-sent", "assume-sent", "Take it that a delivery in doubt arrived", "It ends as accepted, for the reason `assumed_sent`."},
	} {
		add(a, operation{
			id: ruling.id, method: http.MethodPost, path: "/deliveries/{id}/" + ruling.path, tag: tagDeliveries, scope: write,
			summary: ruling.summary, description: ruling.whatItIsFor, status: http.StatusAccepted, errors: []int{http.StatusConflict},
		}, func(ctx context.Context, in *DeliveryPath) (*none, error) {
			return nothing(a.cfg.Deliveries.Rule(ctx, ruling.ruling, in.ID, callerOf(ctx).actor()))
		})
	}
	add(a, operation{
		id: "begin-bulk-action", method: http.MethodPost, path: "/deliveries/bulk", tag: tagDeliveries, scope: write,
		summary: "Retry, discard or settle all deliveries that fit", status: http.StatusAccepted,
		description: "In the background, each delivery once; what comes to fit later is left alone. With `dry_run` it only counts.",
	}, a.beginBulk)
	add(a, operation{
		id: "list-bulk-actions", method: http.MethodGet, path: "/bulk-actions", tag: tagDeliveries, scope: read,
		summary: "List the bulk actions", description: "Newest first.",
	}, a.bulkActions)
	add(a, operation{
		id: "get-bulk-action", method: http.MethodGet, path: "/bulk-actions/{id}", tag: tagDeliveries, scope: read,
		summary: "Read how far a bulk action is",
	}, func(ctx context.Context, in *NumberPath) (*out[dispatch.BulkAction], error) {
		return body(a.cfg.Deliveries.BulkAction(ctx, in.ID))
	})
	add(a, operation{
		id: "cancel-bulk-action", method: http.MethodPost, path: "/bulk-actions/{id}/cancel", tag: tagDeliveries, scope: write,
		summary: "End a bulk action where it is", errors: []int{http.StatusConflict}, description: "What it has not dealt with stays as it was.",
	}, func(ctx context.Context, in *NumberPath) (*out[dispatch.BulkAction], error) {
		return body(a.cfg.Deliveries.CancelBulk(ctx, in.ID))
	})
}

func (a *API) beginBulk(ctx context.Context, in *struct{ Body BulkRuling }) (*out[BulkBegun], error) {
	if in.Body.DryRun {
		n, err := a.cfg.Deliveries.Count(ctx, in.Body.search())
		return body(BulkBegun{Count: n}, err)
	}
	begun, err := a.cfg.Deliveries.BeginBulk(ctx, in.Body.Action, in.Body.search(), callerOf(ctx).actor())
	return body(BulkBegun{begun.Total, &begun}, err)
}

func (a *API) bulkActions(ctx context.Context, in *PageQuery) (*out[Page[dispatch.BulkAction]], error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Deliveries.BulkActions(ctx, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(b dispatch.BulkAction) string { return idCursor(b.ID) }), nil
}
