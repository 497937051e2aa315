package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/problem"
	"herald/subscriptions"
)

// NoSender is the refusal of a channel that nobody can send on.
const NoSender subscriptions.Refusal = "no_sender"

// EnqueueTx turns notifications into deliveries and their jobs, in a few
// statements whatever their number, inside the caller's transaction.
//
// For each it takes the first channel of the ladder that can be sent on and
// that the member may be reached by, and adds to the decision why: a
// "channel_refused" {channel, refusal} for each one passed over, and a
// "channel_chosen" {channel}. When none is left the delivery is suppressed for
// the first refusal, so that every notification has a delivery and the ledger
// balances.
//
// Then it asks the frequency caps, once for all ("frequency_cap_passed" or
// "frequency_cap" {max, within, sent}), and when the member wants to hear: what
// comes in quiet hours is deferred to their end ("quiet_hours" {until,
// from_local, until_local}, and "expired" when that is too late), and what is
// wanted together with others is deferred to its digest ("digest" {kind, due};
// "digest_too_late" when it would expire before).
//
// It fills in ID, CreatedAt and Decision of the notifications it is given;
// none at all is no work and no error.
func (s *Store) EnqueueTx(ctx context.Context, tx pgx.Tx, ns []Notification) error {
	if len(ns) == 0 {
		return nil
	}
	reach, err := s.reach(ctx, tx, ns)
	if err != nil {
		return fmt.Errorf("ask how members can be reached: %w", err)
	}
	at := s.now()
	plans := make([]plan, len(ns))
	for i := range ns {
		n := &ns[i]
		if err := n.check(); err != nil {
			return fmt.Errorf("notification for member %d: %w", n.MemberID, err)
		}
		if n.ID == uuid.Nil {
			n.ID = newID(at)
		}
		n.CreatedAt = at
		plans[i] = s.plan(n, 0, reach[n.MemberID], at)
	}
	if err := s.capTx(ctx, tx, at, ns, plans); err != nil {
		return err
	}
	b := enqueueBatch{chunks: map[load][]uuid.UUID{}, at: at}
	for i := range ns {
		if err := b.add(&ns[i], plans[i]); err != nil {
			return err
		}
	}
	return s.insert(ctx, tx, &b)
}

// check finds what only a mistake in the calling code can cause.
func (n Notification) check() error {
	switch {
	case n.Template == "":
		return errors.New("no template")
	case n.Priority < 1 || n.Priority > 4:
		return fmt.Errorf("priority %d is not 1 to 4", n.Priority)
	case n.ExpiresAt.IsZero():
		return errors.New("no expiry")
	case len(n.Channels) == 0:
		return errors.New("no channel")
	}
	return nil
}

// choice is what the ladder came to: a contact point, or a refusal.
type choice struct {
	rung    int
	channel subscriptions.Channel
	contact subscriptions.ContactPoint
	refusal subscriptions.Refusal
}

// enqueueBatch is what EnqueueTx writes, column by column.
type enqueueBatch struct {
	n struct {
		id, event                               []uuid.UUID
		member, subscription, contact, campaign []int64
		trigger, purpose, template, digest      []string
		data, decision                          []string // JSON
		ladder                                  []string // with commas
		priority                                []int16
		private, answers                        []bool
		patience                                []time.Duration
		expires                                 []time.Time
	}
	d deliveryRows
	// chunks are the deliveries that can go, by what they share; order keeps
	// the loads as they came.
	chunks map[load][]uuid.UUID
	order  []load
	// checks are those that must be confirmed within their patience.
	checks patiences
	items  []digestItem // those that wait for a digest
	moves  moves
	json   jsonOnce
	at     time.Time
}

// deliveryRows are new deliveries, column by column.
type deliveryRows struct {
	id, notification          []uuid.UUID
	member, contact, campaign []int64
	trigger, channel, address []string
	state, reason             []string
	rung                      []int16
	hour                      []time.Time
	next                      []*time.Time
	// Those that wait for their member's hour.
	waiting []uuid.UUID
	why     []string
}

func (r *deliveryRows) add(id uuid.UUID, n *Notification, p plan) {
	r.id = append(r.id, id)
	r.notification = append(r.notification, n.ID)
	r.member = append(r.member, n.MemberID)
	r.contact = append(r.contact, p.contact.ID)
	r.campaign = append(r.campaign, n.CampaignID)
	r.trigger = append(r.trigger, n.Trigger)
	r.channel = append(r.channel, string(p.channel))
	r.address = append(r.address, p.contact.Address)
	r.state = append(r.state, string(p.state))
	r.reason = append(r.reason, p.reason)
	r.rung = append(r.rung, int16(p.rung))
	r.hour = append(r.hour, hourOf(n.CreatedAt))
	var next *time.Time
	if p.state == Deferred {
		next = &p.due
		r.waiting = append(r.waiting, id)
		r.why = append(r.why, p.reason)
	}
	r.next = append(r.next, next)
}

func (b *enqueueBatch) add(n *Notification, p plan) error {
	n.Decision = append(n.Decision, p.steps...)
	if err := b.addNotification(n, p.state); err != nil {
		return fmt.Errorf("notification for member %d: %w", n.MemberID, err)
	}
	id := newID(b.at)
	b.d.add(id, n, p)
	key := ledgerKey{hour: hourOf(b.at), trigger: n.Trigger, campaign: n.CampaignID}
	b.moves.add(key, targeted, "", 1)
	key.channel = p.channel
	b.moves.add(key, p.state, p.reason, 1)
	if p.state == Suppressed {
		return nil
	}
	b.checks.add(n, p.rung, id)
	if p.gather {
		b.items = append(b.items, newDigestItem(n, p, id))
	} else {
		l := load{channel: p.channel, priority: n.Priority, template: n.Template, campaign: n.CampaignID, due: microseconds(p.due)}
		if b.chunks[l] == nil {
			b.order = append(b.order, l)
		}
		b.chunks[l] = append(b.chunks[l], id)
	}
	return nil
}

func (b *enqueueBatch) addNotification(n *Notification, state State) error {
	data := n.Data
	if data == nil || n.Private && state.Final() {
		data = map[string]any{}
	}
	written, err := b.json.data(data)
	if err != nil {
		return err
	}
	decision, err := b.json.decision(n.Decision)
	if err != nil {
		return err
	}
	b.n.data = append(b.n.data, written)
	b.n.decision = append(b.n.decision, decision)
	b.n.ladder = append(b.n.ladder, joined(n.Channels))
	b.n.id = append(b.n.id, n.ID)
	b.n.event = append(b.n.event, n.EventID)
	b.n.member = append(b.n.member, n.MemberID)
	b.n.subscription = append(b.n.subscription, n.SubscriptionID)
	b.n.contact = append(b.n.contact, n.ContactPoint)
	b.n.campaign = append(b.n.campaign, n.CampaignID)
	b.n.trigger = append(b.n.trigger, n.Trigger)
	b.n.purpose = append(b.n.purpose, string(n.Purpose))
	b.n.template = append(b.n.template, n.Template)
	b.n.digest = append(b.n.digest, string(n.Digest))
	b.n.priority = append(b.n.priority, int16(n.Priority))
	b.n.private = append(b.n.private, n.Private)
	b.n.answers = append(b.n.answers, n.Answers)
	b.n.patience = append(b.n.patience, n.Patience)
	b.n.expires = append(b.n.expires, n.ExpiresAt)
	return nil
}

const (
	insertNotificationsSQL = `
INSERT INTO notifications
       (id, member_id, trigger, subscription_id, event_id, campaign_id, purpose, priority, template,
        data, decision, ladder, contact_point_id, private, patience, digest, expires_at, answers, created_at)
SELECT id, member_id, trigger, nullif(subscription_id, 0), nullif(event_id, '00000000-0000-0000-0000-000000000000'),
       nullif(campaign_id, 0), purpose, priority, template, data::jsonb, decision::jsonb,
       string_to_array(ladder, ','), nullif(contact_point_id, 0), private, nullif(patience, '0'), digest, expires_at, answers, $1
FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::uuid[], $7::bigint[], $8::text[], $9::smallint[], $10::text[],
            $11::text[], $12::text[], $13::text[], $14::bigint[], $15::boolean[], $16::interval[], $17::text[], $18::timestamptz[], $19::boolean[])
  AS n (id, member_id, trigger, subscription_id, event_id, campaign_id, purpose, priority, template,
        data, decision, ladder, contact_point_id, private, patience, digest, expires_at, answers)`

	insertDeliveriesSQL = `
INSERT INTO deliveries
       (id, notification_id, member_id, trigger, campaign_id, hour, rung, channel, contact_point_id, address, state, reason,
        next_attempt_at, created_at, changed_at)
SELECT id, notification_id, member_id, trigger, nullif(campaign_id, 0), hour, rung, channel, nullif(contact_point_id, 0), address, state, reason,
       next_attempt_at, $1, $1
FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::bigint[], $7::timestamptz[], $8::smallint[], $9::text[], $10::bigint[],
            $11::text[], $12::text[], $13::text[], $14::timestamptz[])
  AS d (id, notification_id, member_id, trigger, campaign_id, hour, rung, channel, contact_point_id, address, state, reason, next_attempt_at)`

	// What waits by its member's wish is no trouble of an operator's; it is
	// among them, with its reason, because all that is deferred is found there.
	insertWaitingSQL = `
INSERT INTO troubles (delivery_id, state, reason)
SELECT id, 'deferred', reason FROM unnest($1::uuid[], $2::text[]) AS w (id, reason)`
)

func (r *deliveryRows) queue(batch *pgx.Batch, at time.Time) {
	batch.Queue(insertDeliveriesSQL, at, r.id, r.notification, r.member, r.trigger, r.campaign, r.hour, r.rung, r.channel,
		r.contact, r.address, r.state, r.reason, r.next)
	if len(r.waiting) > 0 {
		batch.Queue(insertWaitingSQL, r.waiting, r.why)
	}
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, b *enqueueBatch) error {
	var batch pgx.Batch
	batch.Queue(insertNotificationsSQL, b.at, b.n.id, b.n.member, b.n.trigger, b.n.subscription, b.n.event, b.n.campaign, b.n.purpose,
		b.n.priority, b.n.template, b.n.data, b.n.decision, b.n.ladder, b.n.contact, b.n.private, b.n.patience, b.n.digest, b.n.expires, b.n.answers)
	b.d.queue(&batch, b.at)
	b.moves.queue(&batch)
	begun := map[uuid.UUID]bool{}
	if len(b.items) > 0 {
		queueDigests(&batch, b.items, begun)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("write %d notifications: %w", len(b.n.id), err)
	}
	jobs := append(digestJobs(b.items, begun), b.checks.jobs(b.at)...)
	for _, l := range b.order {
		jobs = append(jobs, jobsFor(l, b.chunks[l])...)
	}
	return s.insertJobs(ctx, tx, jobs)
}

func (s *Store) insertJobs(ctx context.Context, tx pgx.Tx, jobs []river.InsertManyParams) error {
	if len(jobs) == 0 {
		return nil
	}
	if _, err := s.river.InsertManyFastTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("insert %d jobs: %w", len(jobs), err)
	}
	return nil
}

// codeExpiry is how long a confirmation code is worth sending, and good for.
const codeExpiry = 30 * time.Minute

// SendCodeTx sends the code that proves contact point c to be m's own. It
// goes to c although c is not verified; the code is kept only until the
// message is on its way and is shown on no page. It is problem.Conflict when
// nothing can go there, so that nobody waits for a code that never comes.
func (s *Store) SendCodeTx(ctx context.Context, tx pgx.Tx, m subscriptions.Member, c subscriptions.ContactPoint, code string) error {
	n := []Notification{{
		MemberID: m.ID,
		Purpose:  subscriptions.Transactional,
		Priority: 1,
		Template: "confirm_address",
		Data: map[string]any{
			"code":    code,
			"address": c.Address,
			"member":  map[string]any{"account": m.Account, "name": m.DisplayName, "locale": m.Locale},
		},
		Channels:     []subscriptions.Channel{c.Channel},
		ContactPoint: c.ID,
		Private:      true,
		ExpiresAt:    s.now().Add(codeExpiry),
	}}
	if err := s.EnqueueTx(ctx, tx, n); err != nil {
		return err
	}
	if last := n[0].Decision[len(n[0].Decision)-1]; !last.OK {
		return problem.New(problem.Conflict, "no code can be sent to this address: %v", last.Args["refusal"])
	}
	return nil
}
