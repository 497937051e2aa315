package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
)

// EventPath asks for an event.
type EventPath struct {
	ID uuid.UUID `path:"id" doc:"Herald's own id of the event."`
}

// KeptEvent is an event as Herald keeps it.
type KeptEvent struct {
	UUID       uuid.UUID      `json:"uuid" doc:"Herald's own."`
	ID         string         `json:"id" doc:"The sender's."`
	Source     string         `json:"source"`
	Type       string         `json:"type"`
	Subject    string         `json:"subject,omitempty"`
	Time       time.Time      `json:"time"`
	ReceivedAt time.Time      `json:"received_at"`
	Data       map[string]any `json:"data"`
}

func kept(r matcher.Record) KeptEvent {
	return KeptEvent{r.UUID, r.ID, r.Source, r.Type, r.Subject, r.Time, r.ReceivedAt, r.Data}
}

// FoundEvents are a page of events.
type FoundEvents struct {
	Items []KeptEvent `json:"items" nullable:"false"`
	Next  string      `json:"next,omitempty" doc:"Send it back as cursor for older ones; absent when there are none."`
	// SearchedTo is told because a search has a time to keep.
	Stopped    bool      `json:"stopped,omitempty" doc:"The time was up before the page was full: there may be more, go on with next."`
	SearchedTo time.Time `json:"searched_to,omitzero" doc:"How far back was looked."`
}

// EventDetail is an event and what it met.
type EventDetail struct {
	KeptEvent
	Outcomes map[matcher.Outcome]int64 `json:"outcomes" doc:"How many subscriptions it met, by what was decided."`
	Matches  []matcher.Match           `json:"matches" nullable:"false" doc:"The first hundred of them."`
}

// SubscriptionPreview is a subscription that is thought of.
type SubscriptionPreview struct {
	MemberID         int64                   `json:"member_id,omitempty" minimum:"1" doc:"The member, by number; or account."`
	Account          string                  `json:"account,omitempty" maxLength:"200" doc:"The member, by account."`
	Trigger          string                  `json:"trigger" required:"true" example:"price_drop"`
	Params           map[string]any          `json:"params,omitempty" example:"{\"product\":\"kettle\",\"target\":49}"`
	ValidFrom        *time.Time              `json:"valid_from,omitempty" doc:"Not looked at: it is about the time to come."`
	ValidUntil       *time.Time              `json:"valid_until,omitempty" doc:"Not looked at either."`
	MaxNotifications int                     `json:"max_notifications,omitempty" minimum:"0" doc:"0: without limit."`
	CoolDown         *subscriptions.Duration `json:"cool_down,omitempty" doc:"Absent: the trigger's." example:"24h"`
	Since            time.Time               `json:"since,omitzero" doc:"How far to look back; absent: a week."`
}

// TriggerPreview is an event that is thought of, or one that came.
type TriggerPreview struct {
	EventID  uuid.UUID      `json:"event_id,omitzero" doc:"Take the data of this event."`
	Data     map[string]any `json:"data,omitempty" doc:"The event's data, where event_id is absent." example:"{\"product\":\"kettle\",\"price\":48}"`
	Previous map[string]any `json:"previous,omitempty" doc:"Of a trigger on changes: what the event before it said; absent: there was none."`
	Locale   string         `json:"locale,omitempty" maxLength:"35" doc:"Of the samples' summaries." example:"en"`
}

const matchesShown = 100

func (a *API) addHistory() {
	const path = "/events/{id}"
	add(a, operation{
		id: "search-events", method: http.MethodGet, path: "/events", tag: tagEvents, scope: access.EventsRead,
		summary:     "Search events",
		description: "Newest first; each filter narrows. A search looks back for a second at most; what it has not looked at by then is behind next.",
	}, a.searchEvents)
	add(a, operation{
		id: "get-event", method: http.MethodGet, path: path, tag: tagEvents, scope: access.EventsRead,
		summary: "Read an event and what it met", description: "Events are kept for matcher.keep_events, 30 days by default.",
	}, a.getEvent)
	add(a, operation{
		id: "compare-event", method: http.MethodGet, path: path + "/comparisons", tag: tagEvents, scope: access.MembersRead,
		summary:     "Read why an event met a subscription, or missed it",
		description: "Of one subscription, or of a member's to this type of event: the condition term by term and what stood in the way, as far as it can be told now.",
	}, a.compareEvent)
	add(a, operation{
		id: "preview-subscription", method: http.MethodPost, path: "/subscriptions/preview", tag: tagSubscriptions, scope: access.MembersRead,
		summary:     "Hold a subscription that is thought of against recent events",
		description: "Answers how often it would have fired, with its cool-down and cap, and of which events. Of a trigger on an absence it tells when nothing had followed in time, and how many of them are still waiting. It looks back for a quarter of a second at most and says how far it came. Nothing is written.",
	}, a.previewSubscription)
	add(a, operation{
		id: "preview-trigger", method: http.MethodPost, path: "/triggers/{name}/preview", tag: tagTriggers, scope: access.MembersRead,
		summary:     "Count whom an event would reach",
		description: "Of a trigger's subscriptions: how many the event meets, what would hold them back, and of a sample on which channels they can be reached. It counts for two seconds at most and says whether that was all. Nothing is written.",
	}, a.previewTrigger)
}

func (a *API) searchEvents(ctx context.Context, in *struct {
	PageQuery
	Type      string    `query:"type" maxLength:"256" example:"price.changed"`
	Source    string    `query:"source" maxLength:"1024"`
	EventID   string    `query:"event_id" maxLength:"256" doc:"The sender's id."`
	Subject   string    `query:"subject" maxLength:"1024"`
	Attribute []string  `query:"attribute,explode" maxItems:"10" doc:"An attribute and what it must be equal to, such as product=kettle; again for another."`
	Since     time.Time `query:"since" doc:"Received at or after it."`
	Until     time.Time `query:"until" doc:"Received before it."`
},
) (*out[FoundEvents], error) {
	q := matcher.EventSearch{
		Type: in.Type, Source: in.Source, SourceID: in.EventID, Subject: in.Subject, Since: in.Since, Until: in.Until, Limit: in.Limit,
	}
	if in.Cursor != "" {
		before, err := uuid.Parse(in.Cursor)
		if err != nil {
			return nil, badCursor()
		}
		q.Before = before
	}
	if len(in.Attribute) > 0 {
		triggers, err := a.cfg.Triggers.List(ctx)
		if err != nil {
			return nil, err
		}
		var wrong []problem.Field
		if q.Data, wrong = matcher.ReadAttributes(triggers, in.Type, in.Attribute); len(wrong) > 0 {
			return nil, inQuery(wrong).Err("this search cannot be made")
		}
	}
	page, err := a.cfg.History.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	found := FoundEvents{Items: []KeptEvent{}, Stopped: page.Stopped, SearchedTo: page.SearchedTo}
	for _, e := range page.Events {
		found.Items = append(found.Items, kept(e))
	}
	if page.Next != uuid.Nil {
		found.Next = page.Next.String()
	}
	return &out[FoundEvents]{found}, nil
}

// inQuery says that the mistakes lie in the query.
func inQuery(wrong []problem.Field) problem.Fields {
	var f problem.Fields
	for _, w := range wrong {
		w.Path = "query." + w.Path
		f = append(f, w)
	}
	return f
}

func (a *API) getEvent(ctx context.Context, in *EventPath) (*out[EventDetail], error) {
	event, err := a.cfg.History.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	d := EventDetail{KeptEvent: kept(event), Matches: []matcher.Match{}}
	if d.Outcomes, err = a.cfg.History.Outcomes(ctx, in.ID); err != nil {
		return nil, err
	}
	matches, err := a.cfg.History.Matches(ctx, in.ID, matchesShown)
	d.Matches = append(d.Matches, matches...)
	return body(d, err)
}

func (a *API) compareEvent(ctx context.Context, in *struct {
	EventPath
	Subscription int64 `query:"subscription" minimum:"1"`
	Member       int64 `query:"member" minimum:"1"`
},
) (*out[Page[matcher.Comparison]], error) {
	if (in.Subscription == 0) == (in.Member == 0) {
		var f problem.Fields
		f.Add("query.subscription", "required", "must be given, or member instead")
		return nil, f.Err("nothing can be compared")
	}
	event, err := a.cfg.History.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Member != 0 {
		return whole(a.cfg.Previews.CompareMember(ctx, event, in.Member))
	}
	one, err := a.cfg.Previews.Compare(ctx, event, in.Subscription)
	return whole([]matcher.Comparison{one}, err)
}

func (a *API) previewSubscription(ctx context.Context, in *struct{ Body SubscriptionPreview }) (*out[matcher.Preview], error) {
	b := in.Body
	if (b.MemberID == 0) == (b.Account == "") {
		var f problem.Fields
		f.Add("member_id", "required", "must be given, or account instead")
		return nil, f.Err("the preview cannot be made")
	}
	if b.Account != "" {
		member, err := a.cfg.Members.ByAccount(ctx, b.Account)
		if err != nil {
			return nil, err
		}
		b.MemberID = member.ID
	}
	return body(a.cfg.Previews.Preview(ctx, matcher.Wish{
		Trigger: b.Trigger, MemberID: b.MemberID, Params: b.Params,
		MaxNotifications: b.MaxNotifications, CoolDown: b.CoolDown, Since: b.Since,
	}))
}

func (a *API) previewTrigger(ctx context.Context, in *struct {
	TriggerPath
	Body TriggerPreview
},
) (*out[matcher.Audience], error) {
	o := matcher.Occurrence{Trigger: in.Name, Data: in.Body.Data, Previous: in.Body.Previous, Locale: in.Body.Locale}
	if in.Body.EventID != uuid.Nil {
		event, err := a.cfg.History.Get(ctx, in.Body.EventID)
		if err != nil {
			return nil, err
		}
		o.Data = event.Data
	}
	return body(a.cfg.Previews.Audience(ctx, o))
}
