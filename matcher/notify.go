package matcher

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/subscriptions"
)

// notification is the decision to tell a member of an event; before is where
// the subscription stood when it was judged.
func (t *transaction) notification(p *pairing, before standing) (dispatch.Notification, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return dispatch.Notification{}, fmt.Errorf("make a notification id: %w", err)
	}
	s, w := p.subscription, p.hit.trigger
	summary := w.summary(s.params, s.member.locale)
	data := map[string]any{
		"event":   p.hit.event,
		"param":   s.params,
		"member":  map[string]any{"account": s.member.Account, "name": s.member.name, "locale": s.member.locale},
		"trigger": map[string]any{"name": w.Name, "title": w.Title.In(s.member.locale)},
		"summary": summary,
	}
	if p.hit.known {
		data["previous"] = p.hit.previous
	}
	return dispatch.Notification{
		ID:             id,
		MemberID:       s.member.id,
		Trigger:        w.Name,
		SubscriptionID: s.id,
		EventID:        p.entry.id,
		Purpose:        w.Purpose,
		Priority:       w.Priority,
		Template:       w.Template,
		Data:           data,
		Channels:       s.channels,
		Digest:         s.digest,
		Decision:       t.decision(p, before, summary),
		Patience:       w.patience,
		ExpiresAt:      t.at.Add(w.expiry),
	}, nil
}

// decision is why the member is told, step by step:
//
//	event_received    type, source, id
//	subscription_met  summary, terms (predicate.Term)
//	valid             until, where there is an end
//	cool_down_passed  cool_down ("24h0m0s"; "0s": there is none), last, where it fired before
//	cap_passed        sent (before this one), max, where there is one
func (t *transaction) decision(p *pairing, before standing, summary string) dispatch.Decision {
	w := p.hit.trigger
	valid := map[string]any{}
	if before.until != nil {
		valid["until"] = before.until.UTC()
	}
	coolDown := map[string]any{"cool_down": subscriptions.Duration(before.effective(w.coolDown))}
	if before.last != nil {
		coolDown["last"] = before.last.UTC()
	}
	limit := map[string]any{"sent": before.sent}
	if before.max > 0 {
		limit["max"] = before.max
	}
	met := map[string]any{"summary": summary, "terms": w.condition.Explain(p.values())}
	received := map[string]any{"type": p.entry.event.Type, "source": p.entry.event.Source, "id": p.entry.event.ID}
	return dispatch.Decision{
		passed(t.received, "event_received", received),
		passed(t.at, "subscription_met", met),
		passed(t.at, "valid", valid),
		passed(t.at, "cool_down_passed", coolDown),
		passed(t.at, "cap_passed", limit),
	}
}

func passed(at time.Time, code string, args map[string]any) dispatch.Step {
	return dispatch.Step{At: at, Code: code, OK: true, Args: args}
}
