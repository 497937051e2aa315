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

// DeliveryPath asks for a delivery.
type DeliveryPath struct {
	ID uuid.UUID `path:"id" doc:"The delivery's id."`
}

// Timeline is everything known of one notification.
type Timeline struct {
	Delivery     dispatch.Delivery   `json:"delivery" doc:"The one that was asked for."`
	Notification Notification        `json:"notification" doc:"What was decided."`
	Deliveries   []dispatch.Delivery `json:"deliveries" nullable:"false" doc:"The whole ladder, first choice first."`
	Entries      []dispatch.Entry    `json:"entries" nullable:"false" doc:"What happened, in order of time: from the event to the receipt."`
}

// Notification is the decision to tell one member one thing.
type Notification struct {
	ID             uuid.UUID             `json:"id"`
	MemberID       int64                 `json:"member_id"`
	Trigger        string                `json:"trigger,omitempty"`
	SubscriptionID int64                 `json:"subscription_id,omitempty"`
	EventID        uuid.UUID             `json:"event_id,omitzero"`
	Purpose        subscriptions.Purpose `json:"purpose"`
	Priority       int                   `json:"priority" doc:"1 first, 4 last."`
	Template       string                `json:"template"`
	Data           map[string]any        `json:"data,omitempty" doc:"What the template is filled from; absent when it is for the receiver alone."`
	CreatedAt      time.Time             `json:"created_at"`
	ExpiresAt      time.Time             `json:"expires_at"`
}

func (a *API) addDeliveries() {
	const path = "/deliveries/{id}"
	add(a, operation{
		id: "search-deliveries", method: http.MethodGet, path: "/deliveries", tag: tagDeliveries, scope: access.DeliveriesRead,
		summary: "Search deliveries", description: "Newest first; each filter narrows.",
	}, a.searchDeliveries)
	add(a, operation{
		id: "get-delivery", method: http.MethodGet, path: path, tag: tagDeliveries, scope: access.DeliveriesRead,
		summary: "Read a delivery",
	}, a.getDelivery)
	add(a, operation{
		id: "get-delivery-timeline", method: http.MethodGet, path: path + "/timeline", tag: tagDeliveries, scope: access.DeliveriesRead,
		summary: "Read why and how a delivery came about", description: "From the event to the receipt: each step a code with its figures.",
	}, a.deliveryTimeline)
	a.addBulkActions()
	a.addLedger()
}

func (a *API) searchDeliveries(ctx context.Context, in *struct {
	PageQuery
	Member   string                `query:"member" maxLength:"200" doc:"A member's account."`
	MemberID int64                 `query:"member_id" minimum:"1"`
	Address  string                `query:"address" maxLength:"320"`
	Trigger  string                `query:"trigger" maxLength:"100"`
	State    dispatch.State        `query:"state" enum:"accepted,delivered,suppressed,deferred,failed,pending,in_doubt"`
	Channel  subscriptions.Channel `query:"channel" enum:"email,sms,voice,fax"`
	Campaign int64                 `query:"campaign" minimum:"1" doc:"A campaign's firing."`
	Reason   string                `query:"reason" maxLength:"100" doc:"Why; only with the state failed, in_doubt or deferred."`
	Account  string                `query:"account" maxLength:"100" doc:"The account that was last tried; only with the state failed, in_doubt or deferred."`
	Since    time.Time             `query:"since" doc:"Created at or after it."`
	Until    time.Time             `query:"until" doc:"Created before it."`
},
) (*out[Page[dispatch.Delivery]], error) {
	search := dispatch.Search{
		Member: in.Member, MemberID: in.MemberID, Address: in.Address, Trigger: in.Trigger, State: in.State,
		Channel: in.Channel, Campaign: in.Campaign, Reason: in.Reason, Account: in.Account, Since: in.Since, Until: in.Until, Limit: in.Limit,
	}
	if in.Cursor != "" {
		before, err := uuid.Parse(in.Cursor)
		if err != nil {
			return nil, badCursor()
		}
		search.Before = before
	}
	found, err := a.cfg.Deliveries.Find(ctx, search)
	if err != nil {
		return nil, err
	}
	page := pageOf(found.Deliveries, len(found.Deliveries), nil)
	if found.Next != uuid.Nil {
		page.Body.Next = found.Next.String()
	}
	return page, nil
}

func (a *API) getDelivery(ctx context.Context, in *DeliveryPath) (*out[dispatch.Delivery], error) {
	return body(a.cfg.Deliveries.Delivery(ctx, in.ID))
}

func (a *API) deliveryTimeline(ctx context.Context, in *DeliveryPath) (*out[Timeline], error) {
	t, err := a.cfg.Deliveries.Timeline(ctx, in.ID)
	n := t.Notification
	return body(Timeline{
		Delivery: t.Delivery, Deliveries: t.Deliveries, Entries: t.Entries,
		Notification: Notification{
			ID: n.ID, MemberID: n.MemberID, Trigger: n.Trigger, SubscriptionID: n.SubscriptionID, EventID: n.EventID,
			Purpose: n.Purpose, Priority: n.Priority, Template: n.Template, Data: n.Data,
			CreatedAt: n.CreatedAt, ExpiresAt: n.ExpiresAt,
		},
	}, err)
}
