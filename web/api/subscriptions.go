package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"herald/access"
	"herald/problem"
	"herald/subscriptions"
)

// NewSubscription is a subscription as it is asked for.
type NewSubscription struct {
	MemberID         int64                   `json:"member_id" required:"true" minimum:"1" example:"1"`
	Trigger          string                  `json:"trigger" required:"true" example:"price_drop"`
	Params           map[string]any          `json:"params,omitempty" doc:"What the trigger's definition asks the subscriber for." example:"{\"product\":\"kettle\",\"target\":49}"`
	Channels         []subscriptions.Channel `json:"channels,omitempty" enum:"email,sms,voice,fax" doc:"First choice first; empty: the trigger's."`
	ValidFrom        *time.Time              `json:"valid_from,omitempty" doc:"Absent: now."`
	ValidUntil       *time.Time              `json:"valid_until,omitempty" doc:"The first instant at which it no longer fires; absent: without end."`
	MaxNotifications int                     `json:"max_notifications,omitempty" minimum:"0" doc:"0: without limit."`
	CoolDown         *subscriptions.Duration `json:"cool_down,omitempty" doc:"The least time between two notifications; absent: the trigger's." example:"24h"`
	Digest           string                  `json:"digest,omitempty" enum:"hourly,daily" doc:"Messages are gathered and come together: at the full hour, or at the member's digest_hour. Absent: each at once."`
	Repeats          string                  `json:"repeats,omitempty" enum:"daily,weekly,monthly,yearly" doc:"A follow-up when it expires; needs valid_until."`
}

// SubscriptionPatch is what may be changed; what is absent stays.
type SubscriptionPatch struct {
	Version          int                               `json:"version,omitempty" doc:"Change it only while this is its version."`
	Params           map[string]any                    `json:"params,omitempty" doc:"All of them, as they shall be."`
	Channels         []subscriptions.Channel           `json:"channels,omitempty" enum:"email,sms,voice,fax"`
	ValidUntil       Clearable[time.Time]              `json:"valid_until,omitzero" doc:"null: without end."`
	MaxNotifications *int                              `json:"max_notifications,omitempty" minimum:"0" doc:"0: without limit."`
	CoolDown         Clearable[subscriptions.Duration] `json:"cool_down,omitzero" doc:"null: the trigger's."`
	Digest           *string                           `json:"digest,omitempty" doc:"hourly, daily, or empty: each message at once."`
	Repeats          *string                           `json:"repeats,omitempty" doc:"daily, weekly, monthly, yearly, or empty."`
	Paused           *bool                             `json:"paused,omitempty" doc:"true pauses it, false resumes it."`
}

func (a *API) addSubscriptions() {
	const path = "/subscriptions/{id}"
	add(a, operation{
		id: "create-subscription", method: http.MethodPost, path: "/subscriptions", tag: tagSubscriptions, scope: access.MembersWrite,
		summary: "Subscribe a member to a trigger", status: http.StatusCreated, errors: []int{http.StatusConflict},
		description: "Also records the member's consent to the trigger's purpose on its channels.",
	}, a.createSubscription)
	add(a, operation{
		id: "list-subscriptions", method: http.MethodGet, path: "/subscriptions", tag: tagSubscriptions, scope: access.MembersRead,
		summary: "List subscriptions", description: "Those in force, in the order they were made. `ended` lists a member's ended ones, newest first.",
	}, a.listSubscriptions)
	add(a, operation{
		id: "get-subscription", method: http.MethodGet, path: path, tag: tagSubscriptions, scope: access.MembersRead,
		summary: "Read a subscription", description: "In force or ended.",
	}, a.getSubscription)
	add(a, operation{
		id: "change-subscription", method: http.MethodPatch, path: path, tag: tagSubscriptions, scope: access.MembersWrite,
		summary: "Change, pause or resume a subscription", errors: []int{http.StatusConflict},
	}, a.changeSubscription)
	add(a, operation{
		id: "end-subscription", method: http.MethodDelete, path: path, tag: tagSubscriptions, scope: access.MembersWrite,
		summary: "End a subscription", status: http.StatusNoContent, errors: []int{http.StatusConflict},
		description: "It goes to the member's history.",
	}, a.endSubscription)
	add(a, operation{
		id: "get-subscription-history", method: http.MethodGet, path: path + "/history", tag: tagSubscriptions, scope: access.MembersRead,
		summary: "Read what happened to a subscription", description: "Oldest first, with who did it.",
	}, a.subscriptionHistory)
}

func (a *API) createSubscription(ctx context.Context, in *struct{ Body NewSubscription }) (*created[subscriptions.Subscription], error) {
	b := in.Body
	s, err := a.cfg.Subscriptions.Create(ctx, subscriptions.Order{
		MemberID: b.MemberID, Trigger: b.Trigger, Params: b.Params, Channels: b.Channels,
		ValidFrom: b.ValidFrom, ValidUntil: b.ValidUntil, MaxNotifications: b.MaxNotifications,
		CoolDown: b.CoolDown, Digest: b.Digest, Repeats: b.Repeats, Origin: origin, Actor: callerOf(ctx).actor(),
	})
	if err != nil {
		return nil, err
	}
	return &created[subscriptions.Subscription]{Location: root + "/subscriptions/" + strconv.FormatInt(s.ID, 10), Body: s}, nil
}

func (a *API) listSubscriptions(ctx context.Context, in *struct {
	PageQuery
	Member  int64  `query:"member" minimum:"1" doc:"Of this member."`
	Trigger string `query:"trigger" maxLength:"100" doc:"Of this trigger."`
	Ended   bool   `query:"ended" doc:"The member's ended ones instead; needs member."`
},
) (*out[Page[subscriptions.Subscription]], error) {
	if in.Ended {
		if in.Member == 0 {
			var f problem.Fields
			f.Add("query.member", "required", "must be given where the ended ones are asked for")
			return nil, f.Err("the list cannot be made")
		}
		return whole(a.cfg.Subscriptions.ForMember(ctx, in.Member, true))
	}
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Subscriptions.Find(ctx, subscriptions.SubscriptionFilter{
		Trigger: in.Trigger, MemberID: in.Member, After: after, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(s subscriptions.Subscription) string { return idCursor(s.ID) }), nil
}

func (a *API) getSubscription(ctx context.Context, in *NumberPath) (*out[DatedSubscription], error) {
	s, err := a.cfg.Subscriptions.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return body(a.datedSubscription(ctx, s))
}

func (a *API) changeSubscription(ctx context.Context, in *struct {
	NumberPath
	Body SubscriptionPatch
},
) (*out[subscriptions.Subscription], error) {
	b := in.Body
	return body(a.cfg.Subscriptions.Change(ctx, in.ID, subscriptions.Change{
		Version: b.Version, Params: b.Params, Channels: b.Channels, ValidUntil: b.ValidUntil.change(),
		MaxNotifications: b.MaxNotifications, CoolDown: b.CoolDown.change(), Digest: b.Digest, Repeats: b.Repeats,
		Paused: b.Paused, Actor: callerOf(ctx).actor(),
	}))
}

func (a *API) endSubscription(ctx context.Context, in *NumberPath) (*none, error) {
	return nothing(a.cfg.Subscriptions.End(ctx, in.ID, "cancelled", callerOf(ctx).actor()))
}

func (a *API) subscriptionHistory(ctx context.Context, in *NumberPath) (*out[Page[subscriptions.Record]], error) {
	if _, err := a.cfg.Subscriptions.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return whole(a.cfg.Subscriptions.History(ctx, in.ID))
}
