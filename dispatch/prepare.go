package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"herald/problem"
	"herald/subscriptions"
)

// prepare asks of deliveries whether they may still go, and fills in the
// messages of those that may. decided are those that may not, or whose
// template failed. What is not yet due is left to a later run. An error means
// that it could not be found out.
func (r *run) prepare(ctx context.Context, tasks []task) (parcels []*parcel, decided []result, err error) {
	due, decided, err := r.due(ctx, tasks)
	if err != nil {
		return nil, nil, err
	}
	members, refused, err := r.mayGo(ctx, due)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range due {
		if reason := refused[t]; reason != "" {
			decided = append(decided, result{t, stop(t, Suppressed, reason)})
			continue
		}
		if v, quiet := r.hushed(t, members[t]); quiet {
			if v.state != "" {
				decided = append(decided, result{t, v})
			}
			continue
		}
		p := &parcel{tasks: []*task{t}}
		p.message, err = r.message(ctx, t, members[t])
		switch {
		case templateFault(err):
			decided = append(decided, r.templateFailed(ctx, t, err))
		case err != nil:
			return nil, nil, fmt.Errorf("fill the template of delivery %s: %w", t.ID, err)
		default:
			parcels = append(parcels, p)
		}
	}
	if r.job.Args.Together {
		if parcels, err = r.together(ctx, parcels, members); err != nil {
			return nil, nil, err
		}
	}
	return parcels, decided, nil
}

// due are the deliveries whose time has come, and the verdicts on those whose
// time is over.
func (r *run) due(ctx context.Context, tasks []task) (due []*task, decided []result, err error) {
	now := r.store.now()
	for i := range tasks {
		t := &tasks[i]
		hold, err := r.campaignHold(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case r.rests(t):
			if v, asked := r.resolve(ctx, t); asked {
				decided = append(decided, result{t, v})
			}
		case !now.Before(t.ExpiresAt):
			decided = append(decided, result{t, stop(t, Failed, "expired")})
		case !r.accounts.take(t):
			decided = append(decided, result{t, stop(t, Failed, string(NoSender))})
		case hold == "stopped":
			decided = append(decided, result{t, stop(t, Suppressed, "campaign_stopped")})
		case hold != "":
			r.later(holdFor)
		case t.NextAttemptAt != nil && t.NextAttemptAt.After(now):
			r.later(t.NextAttemptAt.Sub(now))
		default:
			due = append(due, t)
		}
	}
	return due, decided, nil
}

// holdFor is how long the messages of a paused campaign are left alone;
// Store.WakeTx wakes them sooner.
const holdFor = time.Minute

func (r *run) campaignHold(ctx context.Context, t *task) (string, error) {
	if t.CampaignID == 0 || r.cfg.Campaigns == nil {
		return "", nil
	}
	hold, err := r.cfg.Campaigns.Hold(ctx, t.CampaignID)
	if err != nil {
		return "", fmt.Errorf("ask for campaign %d: %w", t.CampaignID, err)
	}
	return hold, nil
}

// mayGo asks again what EnqueueTx asked, since the members may have said
// otherwise meanwhile, and points each task at the contact point to use now.
// It says why those may not go that may not.
func (r *run) mayGo(ctx context.Context, due []*task) (members map[*task]subscriptions.Member, refused map[*task]string, err error) {
	members, refused = make(map[*task]subscriptions.Member, len(due)), map[*task]string{}
	asked := make([]subscriptions.Usage, len(due))
	for i, t := range due {
		asked[i] = subscriptions.Usage{MemberID: t.MemberID, ContactID: t.ContactID, Channel: t.Channel, Purpose: t.Purpose}
	}
	usable, err := r.store.consents.Usable(ctx, r.store.pool, asked)
	if err != nil {
		return nil, nil, err
	}
	var unsure []*task
	for i, t := range due {
		members[t] = usable[i].Member
		if !usable[i].OK || t.Forced != 0 || t.ContactID == 0 {
			unsure = append(unsure, t)
		} else {
			t.Address = usable[i].Contact.Address
		}
	}
	if err := r.chooseAgain(ctx, unsure, members, refused); err != nil {
		return nil, nil, err
	}
	return members, refused, r.silenced(ctx, due, refused)
}

// chooseAgain is mayGo for those whose contact point may not do any more.
func (r *run) chooseAgain(ctx context.Context, unsure []*task, members map[*task]subscriptions.Member, refused map[*task]string) error {
	if len(unsure) == 0 {
		return nil
	}
	ids := make([]int64, len(unsure))
	for i, t := range unsure {
		ids[i] = t.MemberID
	}
	reach, err := r.store.consents.Reach(ctx, r.store.pool, ids)
	if err != nil {
		return fmt.Errorf("ask how members can be reached: %w", err)
	}
	for _, t := range unsure {
		members[t] = reach[t.MemberID].Member
		contact, refusal := contactFor(Notification{ContactPoint: t.Forced, Answers: t.Answers, Purpose: t.Purpose}, t.Channel, reach[t.MemberID])
		if refusal != "" {
			refused[t] = string(refusal)
			continue
		}
		t.ContactID, t.Address = contact.ID, contact.Address
	}
	return nil
}

// silenced finds the subscriptions that no longer want their messages.
func (r *run) silenced(ctx context.Context, due []*task, refused map[*task]string) error {
	if r.cfg.Subscriptions == nil {
		return nil
	}
	var ids []int64
	for _, t := range due {
		if t.SubscriptionID != 0 && refused[t] == "" {
			ids = append(ids, t.SubscriptionID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	why, err := r.cfg.Subscriptions.Silenced(ctx, slices.Compact(ids))
	if err != nil {
		return fmt.Errorf("ask for the subscriptions: %w", err)
	}
	for _, t := range due {
		if reason := why[t.SubscriptionID]; reason != "" && refused[t] == "" {
			refused[t] = reason
		}
	}
	return nil
}

// message fills in a delivery's message. A template that panics has failed.
func (r *run) message(ctx context.Context, t *task, m subscriptions.Member) (msg Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = problem.New(problem.Invalid, "panic: %v", p)
		}
	}()
	links := map[string]any{"delivery": r.cfg.Links.Delivery(t.ID), "alerts": r.cfg.Links.Alerts()}
	if t.SubscriptionID != 0 {
		links["alert"] = r.cfg.Links.Alert(t.SubscriptionID)
	}
	msg = Message{
		DeliveryID: t.ID, Attempt: t.Attempts + 1, WireID: t.ID.String(), Purpose: t.Purpose, Private: t.Private,
		Address: t.Address, Name: m.DisplayName, ExpiresAt: t.ExpiresAt,
	}
	if t.Purpose != subscriptions.Transactional {
		msg.UnsubscribeURL = r.cfg.Links.Unsubscribe(t.ID, t.SubscriptionID)
		links["unsubscribe"] = msg.UnsubscribeURL
	}
	data := maps.Clone(t.Data.read)
	data["links"] = links
	if data["member"] == nil {
		data["member"] = memberData(m)
	}
	msg.Content, err = r.cfg.Templates.Render(ctx, t.Template, string(t.Channel), m.Locale, data)
	return msg, err
}

// memberData is what a template may say of its reader.
func memberData(m subscriptions.Member) map[string]any {
	return map[string]any{
		"account": m.Account, "name": m.DisplayName, "locale": m.Locale,
		"birthday": m.Birthday, "attributes": m.Attributes,
	}
}

// templateFault reports whether an error is the template's.
func templateFault(err error) bool {
	code := problem.CodeOf(err)
	return err != nil && (code == problem.NotFound || code == problem.Invalid)
}

func (r *run) templateFailed(ctx context.Context, t *task, err error) result {
	r.cfg.Logger.ErrorContext(ctx, "a template failed: deliveries are lost until it is mended",
		"template", t.Template, "channel", t.Channel, "delivery", t.ID, "error", err)
	v := stop(t, Failed, "template_failed")
	v.outcome, v.detail = "template_failed", err.Error()
	return result{t, v}
}

// together makes one message of the items of a digest, or one for each address
// when the member has changed that meanwhile. An item that is alone goes as
// itself, but by the wire id of its digest, so that a repetition has the same.
// When the digest's template is to blame they all go alone: better many
// messages than none.
func (r *run) together(ctx context.Context, parcels []*parcel, members map[*task]subscriptions.Member) ([]*parcel, error) {
	var made []*parcel
	for len(parcels) > 0 {
		contact := parcels[0].first().ContactID
		var items, others []*parcel
		for _, p := range parcels {
			if p.first().ContactID == contact {
				items = append(items, p)
			} else {
				others = append(others, p)
			}
		}
		one, err := r.oneOf(ctx, items, members[items[0].first()])
		switch {
		case templateFault(err):
			r.cfg.Logger.ErrorContext(ctx, "the template of digests failed: their items go one by one",
				"channel", items[0].first().Channel, "error", err)
			made = append(made, items...)
		case err != nil:
			return nil, fmt.Errorf("fill the digest: %w", err)
		default:
			one.message.WireID = digestWireID(r.job.Args.Wire, contact)
			made = append(made, one)
		}
		parcels = others
	}
	return made, nil
}

// oneOf makes one message of items that go to the same address. It ends with
// the last of them, and its link to unsubscribe speaks for the subscription
// that they have in common, or else for their purpose.
func (r *run) oneOf(ctx context.Context, items []*parcel, m subscriptions.Member) (_ *parcel, err error) {
	head := items[0]
	if len(items) == 1 {
		return head, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = problem.New(problem.Invalid, "panic: %v", p)
		}
	}()
	one := &parcel{message: head.message}
	list := make([]any, len(items))
	subscription := head.first().SubscriptionID
	for i, p := range items {
		t := p.first()
		one.tasks = append(one.tasks, t)
		list[i] = map[string]any{"subject": p.message.Content.Subject, "text": p.message.Content.Gist(), "link": r.cfg.Links.Delivery(t.ID)}
		if t.SubscriptionID != subscription {
			subscription = 0
		}
		if t.ExpiresAt.After(one.message.ExpiresAt) {
			one.message.ExpiresAt = t.ExpiresAt
		}
	}
	links := map[string]any{"alerts": r.cfg.Links.Alerts()}
	if one.message.UnsubscribeURL != "" {
		one.message.UnsubscribeURL = r.cfg.Links.Unsubscribe(head.first().ID, subscription)
		links["unsubscribe"] = one.message.UnsubscribeURL
	}
	data := map[string]any{"items": list, "count": len(list), "links": links, "member": memberData(m)}
	one.message.Content, err = r.cfg.Templates.Render(ctx, digestTemplate, string(head.first().Channel), m.Locale, data)
	return one, err
}

// digestTemplate is the template that a digest's items are put into: items
// {subject, text, link}, count, links {alerts, unsubscribe} and member.
const digestTemplate = "digest"
