package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/problem"
	"herald/subscriptions"
	"herald/timeid"
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
			n.ID = timeid.New(at)
		}
		n.CreatedAt = at
		plans[i] = s.plan(n, 0, reach[n.MemberID], at)
	}
	if err := s.capTx(ctx, tx, at, ns, plans); err != nil {
		return err
	}
	var batch pgx.Batch
	set := newDepartures(at)
	for part := range slices.Chunk(ns, notePage) {
		var rows noteRows
		for i := range part {
			n, p := &part[i], plans[0]
			plans = plans[1:]
			n.Decision = append(n.Decision, p.steps...)
			if err := rows.add(n, p.state); err != nil {
				return fmt.Errorf("notification for member %d: %w", n.MemberID, err)
			}
			set.moves.add(ledgerKey{hour: hourOf(at), trigger: n.Trigger, campaign: n.CampaignID}, targeted, "", 1)
			set.add(n, p)
		}
		rows.queue(&batch, at)
	}
	set.queue(&batch)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("write %d notifications: %w", len(ns), err)
	}
	return s.insertJobs(ctx, tx, set.jobs())
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

// notePage is how many notifications one statement writes.
const notePage = 1000

// noteRows are new notifications, column by column, up to notePage of them.
type noteRows struct {
	id, event                               []uuid.UUID
	member, subscription, contact, campaign []int64
	trigger, purpose, template, digest      []string
	ladder                                  []string // with commas
	priority                                []int16
	private, answers                        []bool
	patience                                []time.Duration
	expires                                 []time.Time
	// What templates are filled from and the decisions are JSON, most of it the
	// same for many: each text once, and where it is among them, from 1.
	json           jsonOnce
	data, decision []int32
}

func (r *noteRows) add(n *Notification, state State) error {
	data := n.Data
	if data == nil || n.Private && state.Final() {
		data = map[string]any{}
	}
	written, err := r.json.data(data)
	if err != nil {
		return err
	}
	decision, err := r.json.decision(n.Decision)
	if err != nil {
		return err
	}
	r.data = append(r.data, written)
	r.decision = append(r.decision, decision)
	r.ladder = append(r.ladder, joined(n.Channels))
	r.id = append(r.id, n.ID)
	r.event = append(r.event, n.EventID)
	r.member = append(r.member, n.MemberID)
	r.subscription = append(r.subscription, n.SubscriptionID)
	r.contact = append(r.contact, n.ContactPoint)
	r.campaign = append(r.campaign, n.CampaignID)
	r.trigger = append(r.trigger, n.Trigger)
	r.purpose = append(r.purpose, string(n.Purpose))
	r.template = append(r.template, n.Template)
	r.digest = append(r.digest, string(n.Digest))
	r.priority = append(r.priority, int16(n.Priority))
	r.private = append(r.private, n.Private)
	r.answers = append(r.answers, n.Answers)
	r.patience = append(r.patience, n.Patience)
	r.expires = append(r.expires, n.ExpiresAt)
	return nil
}

const insertNotificationsSQL = `
INSERT INTO notifications
       (id, member_id, trigger, subscription_id, event_id, campaign_id, purpose, priority, template,
        data, decision, ladder, contact_point_id, private, patience, digest, expires_at, answers, created_at)
SELECT id, member_id, trigger, nullif(subscription_id, 0), nullif(event_id, '00000000-0000-0000-0000-000000000000'),
       nullif(campaign_id, 0), purpose, priority, template, ($2::jsonb[])[data], ($2::jsonb[])[decision],
       string_to_array(ladder, ','), nullif(contact_point_id, 0), private, nullif(patience, '0'), digest, expires_at, answers, $1
FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::bigint[], $7::uuid[], $8::bigint[], $9::text[], $10::smallint[], $11::text[],
            $12::int[], $13::int[], $14::text[], $15::bigint[], $16::boolean[], $17::interval[], $18::text[], $19::timestamptz[], $20::boolean[])
  AS n (id, member_id, trigger, subscription_id, event_id, campaign_id, purpose, priority, template,
        data, decision, ladder, contact_point_id, private, patience, digest, expires_at, answers)`

func (r *noteRows) queue(batch *pgx.Batch, at time.Time) {
	batch.Queue(insertNotificationsSQL, at, r.json.texts, r.id, r.member, r.trigger, r.subscription, r.event, r.campaign, r.purpose,
		r.priority, r.template, r.data, r.decision, r.ladder, r.contact, r.private, r.patience, r.digest, r.expires, r.answers)
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
