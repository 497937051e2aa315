package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
// balances. It fills in ID, CreatedAt and Decision of the notifications it is
// given; none at all is no work and no error.
func (s *Store) EnqueueTx(ctx context.Context, tx pgx.Tx, ns []Notification) error {
	if len(ns) == 0 {
		return nil
	}
	reach, err := s.consents.Reach(ctx, tx, membersOf(ns))
	if err != nil {
		return fmt.Errorf("ask how members can be reached: %w", err)
	}
	at := s.now()
	var b enqueueBatch
	for i := range ns {
		if err := ns[i].check(); err != nil {
			return fmt.Errorf("notification for member %d: %w", ns[i].MemberID, err)
		}
		if err := b.add(&ns[i], s.choose(&ns[i], reach[ns[i].MemberID], at), at); err != nil {
			return err
		}
	}
	return s.insert(ctx, tx, &b)
}

func membersOf(ns []Notification) []int64 {
	ids := make([]int64, len(ns))
	for i, n := range ns {
		ids[i] = n.MemberID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
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

// choose climbs the ladder of n and adds its reasons to n's decision.
func (s *Store) choose(n *Notification, r subscriptions.Reach, at time.Time) choice {
	n.Decision = slices.Clip(n.Decision)
	var first choice
	for rung, ch := range n.Channels {
		contact, refusal := contactFor(*n, ch, r)
		if !slices.Contains(s.channels, ch) {
			refusal = NoSender
		}
		if refusal == "" {
			n.Decision = append(n.Decision, Step{At: at, Code: "channel_chosen", OK: true, Args: map[string]any{"channel": ch}})
			return choice{rung, ch, contact, ""}
		}
		n.Decision = append(n.Decision, Step{At: at, Code: "channel_refused", Args: map[string]any{"channel": ch, "refusal": refusal}})
		if rung == 0 {
			first = choice{rung, ch, contact, refusal}
		}
	}
	return first
}

// contactFor is where n may go on a channel; what has a contact point of its
// own is a confirmation code.
func contactFor(n Notification, ch subscriptions.Channel, r subscriptions.Reach) (subscriptions.ContactPoint, subscriptions.Refusal) {
	if n.ContactPoint == 0 {
		return r.Choose(ch, n.Purpose)
	}
	return r.ChooseToConfirm(ch, n.ContactPoint)
}

// enqueueBatch is what EnqueueTx writes, column by column.
type enqueueBatch struct {
	n struct {
		id, event                     []uuid.UUID
		member, subscription, contact []int64
		trigger, purpose, template    []string
		data, decision, ladder        []string // JSON
		priority                      []int16
		private                       []bool
		expires                       []time.Time
	}
	d struct {
		id, notification          []uuid.UUID
		member, contact           []int64
		trigger, channel, address []string
		state, reason             []string
		rung                      []int16
	}
	jobs []river.InsertManyParams
	at   time.Time
}

func (b *enqueueBatch) add(n *Notification, c choice, at time.Time) error {
	b.at = at
	if n.ID == uuid.Nil {
		n.ID = newID(at)
	}
	n.CreatedAt = at
	state := Pending
	if c.refusal != "" {
		state = Suppressed
	}
	data := n.Data
	if data == nil || n.Private && state.Final() {
		data = map[string]any{}
	}
	for _, column := range []struct {
		to   *[]string
		from any
	}{{&b.n.data, data}, {&b.n.decision, n.Decision}, {&b.n.ladder, n.Channels}} {
		raw, err := json.Marshal(column.from)
		if err != nil {
			return fmt.Errorf("notification for member %d: %w", n.MemberID, err)
		}
		*column.to = append(*column.to, string(raw))
	}
	b.n.id = append(b.n.id, n.ID)
	b.n.event = append(b.n.event, n.EventID)
	b.n.member = append(b.n.member, n.MemberID)
	b.n.subscription = append(b.n.subscription, n.SubscriptionID)
	b.n.contact = append(b.n.contact, n.ContactPoint)
	b.n.trigger = append(b.n.trigger, n.Trigger)
	b.n.purpose = append(b.n.purpose, string(n.Purpose))
	b.n.template = append(b.n.template, n.Template)
	b.n.priority = append(b.n.priority, int16(n.Priority))
	b.n.private = append(b.n.private, n.Private)
	b.n.expires = append(b.n.expires, n.ExpiresAt)

	id := newID(at)
	b.d.id = append(b.d.id, id)
	b.d.notification = append(b.d.notification, n.ID)
	b.d.member = append(b.d.member, n.MemberID)
	b.d.contact = append(b.d.contact, c.contact.ID)
	b.d.trigger = append(b.d.trigger, n.Trigger)
	b.d.channel = append(b.d.channel, string(c.channel))
	b.d.address = append(b.d.address, c.contact.Address)
	b.d.state = append(b.d.state, string(state))
	b.d.reason = append(b.d.reason, string(c.refusal))
	b.d.rung = append(b.d.rung, int16(c.rung))
	if state == Pending {
		b.jobs = append(b.jobs, jobFor(id, c.channel, n.Priority, time.Time{}))
	}
	return nil
}

const insertNotificationsSQL = `
INSERT INTO notifications
       (id, member_id, trigger, subscription_id, event_id, purpose, priority, template,
        data, decision, ladder, contact_point_id, private, expires_at, created_at)
SELECT id, member_id, trigger, nullif(subscription_id, 0), nullif(event_id, '00000000-0000-0000-0000-000000000000'),
       purpose, priority, template, data::jsonb, decision::jsonb,
       ARRAY(SELECT jsonb_array_elements_text(ladder::jsonb)), nullif(contact_point_id, 0), private, expires_at, $14
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::uuid[], $6::text[], $7::smallint[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::bigint[], $13::boolean[], $15::timestamptz[])
  AS n (id, member_id, trigger, subscription_id, event_id, purpose, priority, template,
        data, decision, ladder, contact_point_id, private, expires_at)`

const insertDeliveriesSQL = `
INSERT INTO deliveries
       (id, notification_id, member_id, trigger, rung, channel, contact_point_id, address, state, reason, created_at, changed_at)
SELECT id, notification_id, member_id, trigger, rung, channel, nullif(contact_point_id, 0), address, state, reason, $10, $10
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::bigint[], $8::text[], $9::text[], $11::text[])
  AS d (id, notification_id, member_id, trigger, rung, channel, contact_point_id, address, state, reason)`

func (s *Store) insert(ctx context.Context, tx pgx.Tx, b *enqueueBatch) error {
	var batch pgx.Batch
	batch.Queue(insertNotificationsSQL, b.n.id, b.n.member, b.n.trigger, b.n.subscription, b.n.event, b.n.purpose,
		b.n.priority, b.n.template, b.n.data, b.n.decision, b.n.ladder, b.n.contact, b.n.private, b.at, b.n.expires)
	batch.Queue(insertDeliveriesSQL, b.d.id, b.d.notification, b.d.member, b.d.trigger, b.d.rung, b.d.channel,
		b.d.contact, b.d.address, b.d.state, b.at, b.d.reason)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("write %d notifications: %w", len(b.n.id), err)
	}
	if len(b.jobs) == 0 {
		return nil
	}
	if _, err := s.river.InsertManyFastTx(ctx, tx, b.jobs); err != nil {
		return fmt.Errorf("insert %d jobs: %w", len(b.jobs), err)
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
