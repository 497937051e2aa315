package api

import (
	"context"
	"net/http"
	"strings"

	"herald/access"
	"herald/subscriptions"
)

// NewConsent is one statement of agreement or refusal.
type NewConsent struct {
	Channel  subscriptions.Channel `json:"channel" required:"true" enum:"email,sms,voice,fax"`
	Purpose  subscriptions.Purpose `json:"purpose" required:"true" enum:"transactional,service,marketing"`
	Granted  bool                  `json:"granted" required:"true"`
	Evidence string                `json:"evidence,omitempty" doc:"What was shown to the member or received from them, in words; empty: that this API key said so." example:"ticked on the checkout page of 2026-05-01"`
}

func consentsOf(list []NewConsent, by caller) []subscriptions.NewConsent {
	consents := make([]subscriptions.NewConsent, len(list))
	for i, c := range list {
		if c.Evidence == "" {
			c.Evidence = "told by API key " + by.key.Name
		}
		consents[i] = subscriptions.NewConsent{Channel: c.Channel, Purpose: c.Purpose, Granted: c.Granted, Source: origin, Evidence: c.Evidence}
	}
	return consents
}

// ConsentStatements are what a member said.
type ConsentStatements struct {
	Consents []NewConsent `json:"consents" required:"true" minItems:"1" maxItems:"50"`
}

func (a *API) addConsents() {
	const path = "/members/{id}/consents"
	add(a, operation{
		id: "list-consents", method: http.MethodGet, path: path, tag: tagMembers, scope: access.MembersRead,
		summary: "Read what a member agreed to", description: "What was never said is not in it.",
	}, a.listConsents)
	add(a, operation{
		id: "put-consents", method: http.MethodPut, path: path, tag: tagMembers, scope: access.MembersWrite,
		summary: "Write down what a member agreed to or refused", description: "Each statement goes into the member's history, with its evidence. What is not named stays as it is.",
	}, a.putConsents)
}

func (a *API) listConsents(ctx context.Context, in *NumberPath) (*out[Page[subscriptions.Consent]], error) {
	if _, err := a.cfg.Members.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return whole(a.cfg.Consents.ForMember(ctx, in.ID))
}

func (a *API) putConsents(ctx context.Context, in *struct {
	NumberPath
	Body ConsentStatements
},
) (*out[Page[subscriptions.Consent]], error) {
	if err := a.cfg.Consents.Record(ctx, in.ID, consentsOf(in.Body.Consents, callerOf(ctx))...); err != nil {
		return nil, err
	}
	return whole(a.cfg.Consents.ForMember(ctx, in.ID))
}

// NewSuppression is an address that shall not be contacted.
type NewSuppression struct {
	Channel subscriptions.Channel `json:"channel" required:"true" enum:"email,sms,voice,fax"`
	Address string                `json:"address" required:"true" example:"wei@example.com"`
	Reason  string                `json:"reason,omitempty" enum:"unsubscribed,bounced,complained,stopped,operator" default:"operator"`
	Detail  string                `json:"detail,omitempty"`
}

// SuppressedAddress names a suppression.
type SuppressedAddress struct {
	Channel subscriptions.Channel `json:"channel" required:"true" enum:"email,sms,voice,fax"`
	Address string                `json:"address" required:"true" example:"wei@example.com"`
}

func (a *API) addSuppressions() {
	add(a, operation{
		id: "list-suppressions", method: http.MethodGet, path: "/suppressions", tag: tagMembers, scope: access.MembersRead,
		summary: "List the addresses that are not contacted",
	}, a.listSuppressions)
	add(a, operation{
		id: "suppress-address", method: http.MethodPost, path: "/suppressions", tag: tagMembers, scope: access.MembersWrite,
		summary: "Stop contacting an address", status: http.StatusNoContent,
		description: "An address that is suppressed already keeps its first reason, except that unsubscribed gives way to the stricter ones.",
	}, a.suppress)
	add(a, operation{
		id: "lift-suppression", method: http.MethodPost, path: "/suppressions/lift", tag: tagMembers, scope: access.MembersWrite,
		summary: "Allow an address to be contacted again", status: http.StatusNoContent, errors: []int{http.StatusNotFound},
		description: "A POST, so that no address stands in a log of web addresses.",
	}, a.lift)
}

func (a *API) listSuppressions(ctx context.Context, in *struct {
	PageQuery
	Channel subscriptions.Channel `query:"channel" enum:"email,sms,voice,fax"`
	Address string                `query:"address" maxLength:"320" doc:"Exactly this address."`
},
) (*out[Page[subscriptions.Suppression]], error) {
	filter := subscriptions.SuppressionFilter{Channel: in.Channel, Address: in.Address, Limit: in.Limit + 1}
	if in.Cursor != "" {
		channel, address, ok := strings.Cut(in.Cursor, ":")
		if !ok || !subscriptions.Channel(channel).Known() {
			return nil, badCursor()
		}
		filter.After = subscriptions.Suppression{Channel: subscriptions.Channel(channel), Address: address}
	}
	list, err := a.cfg.Consents.Suppressions(ctx, filter)
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(s subscriptions.Suppression) string { return string(s.Channel) + ":" + s.Address }), nil
}

func (a *API) suppress(ctx context.Context, in *struct{ Body NewSuppression }) (*none, error) {
	b := in.Body
	return nothing(a.cfg.Consents.Suppress(ctx, subscriptions.Suppression{Channel: b.Channel, Address: b.Address, Reason: b.Reason, Detail: b.Detail}))
}

func (a *API) lift(ctx context.Context, in *struct{ Body SuppressedAddress }) (*none, error) {
	return nothing(a.cfg.Consents.Lift(ctx, in.Body.Channel, in.Body.Address))
}
