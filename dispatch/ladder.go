package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

// climber is a delivery whose notification goes to the next rung.
type climber struct {
	task *task
	why  string // failed, bounced, not_confirmed, suppressed
	from place  // where the ledger counts it now
	// spare says that nothing was handed over by the attempt that ended it,
	// if there was one.
	spare bool
}

func (t *task) ledgerKey() ledgerKey {
	return ledgerKey{hour: hourOf(t.Hour), trigger: t.Trigger, campaign: t.CampaignID, channel: t.Channel}
}

// lastReasons are those that end a notification on every channel: it is too
// late, or nobody wants it any more.
var lastReasons = []string{"expired", "cancelled", "paused", "unsubscribed", "campaign_stopped", "discarded", "frequency_cap"}

// leadsOn reports whether a result sends its notification to the next rung.
func (r result) leadsOn() bool {
	if r.state != Failed && r.state != Suppressed || !r.task.Counts || slices.Contains(lastReasons, r.reason) {
		return false
	}
	return r.task.Rung+1 < len(r.task.Ladder)
}

const passOnSQL = `UPDATE deliveries SET counts = false WHERE id = ANY($1)`

// climbTx gives each climber's notification a delivery on the next channel of
// its ladder that the member can be reached by, which from then on is the one
// it is counted by, and adds "ladder_climbed" {from, to, reason} to its
// decision. Where there is none the delivery stays the last word, and the
// decision says why. passed are the deliveries that are left behind.
//
// The caps get back what ended, and those of the climbers that were spare and
// found no channel: counts are locked once in a transaction, and before
// digests, as by EnqueueTx.
func (s *Store) climbTx(ctx context.Context, tx pgx.Tx, at time.Time, climbers []climber, ended []*task) (passed []uuid.UUID, err error) {
	if len(climbers) == 0 {
		return nil, s.giveBackTx(ctx, tx, ended)
	}
	members := make([]int64, len(climbers))
	for i, c := range climbers {
		members[i] = c.task.MemberID
	}
	reach, err := s.consents.Reach(ctx, tx, members)
	if err != nil {
		return nil, fmt.Errorf("ask how members can be reached: %w", err)
	}
	var (
		set  = newDepartures(at)
		told stepRows
	)
	for _, c := range climbers {
		t := c.task
		n := Notification{
			ID: t.NotificationID, MemberID: t.MemberID, CampaignID: t.CampaignID, Trigger: t.Trigger, Template: t.Template,
			Purpose: t.Purpose, Priority: t.Priority, ContactPoint: t.Forced, Answers: t.Answers, CreatedAt: t.Hour, Channels: t.Ladder,
			Patience: t.Patience, ExpiresAt: t.ExpiresAt,
		}
		next := s.plan(&n, t.Rung+1, reach[t.MemberID], at)
		if t.Digest != "" {
			next.gatherAgain(at, t.ExpiresAt)
		}
		if next.state != Suppressed {
			n.Decision = append(n.Decision, Step{At: at, Code: "ladder_climbed", OK: true, Args: map[string]any{"from": t.Channel, "to": next.channel, "reason": c.why}})
			passed = append(passed, t.ID)
			set.moves.add(c.from.ledgerKey, c.from.state, c.from.reason, -1)
			set.add(&n, next)
		} else if c.spare {
			ended = append(ended, t)
		}
		told.add(t.NotificationID, append(n.Decision, next.steps...)...)
	}
	if err := s.giveBackTx(ctx, tx, ended); err != nil {
		return nil, err
	}
	var batch pgx.Batch
	if err := told.queue(&batch); err != nil {
		return nil, err
	}
	if len(passed) > 0 {
		batch.Queue(passOnSQL, passed)
		set.queue(&batch)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("climb the ladders of %d notifications: %w", len(climbers), err)
	}
	return passed, s.insertJobs(ctx, tx, set.jobs())
}

// chooseFrom climbs the ladder of n from a rung and adds its reasons to n's
// decision. When no channel is left it is the choice of that rung, with its
// refusal.
func (s *Store) chooseFrom(n *Notification, from int, r subscriptions.Reach, at time.Time) choice {
	n.Decision = slices.Clip(n.Decision)
	var first choice
	for rung := from; rung < len(n.Channels); rung++ {
		ch := n.Channels[rung]
		contact, refusal := contactFor(*n, ch, r)
		if !slices.Contains(s.channels, ch) {
			refusal = NoSender
		}
		if refusal == "" {
			n.Decision = append(n.Decision, Step{At: at, Code: "channel_chosen", OK: true, Args: s.chosen[ch]})
			return choice{rung, ch, contact, ""}
		}
		n.Decision = append(n.Decision, Step{At: at, Code: "channel_refused", Args: map[string]any{"channel": ch, "refusal": refusal}})
		if rung == from {
			first = choice{rung, ch, contact, refusal}
		}
	}
	return first
}

// contactFor is where n may go on a channel; what has a contact point of its
// own is a confirmation code, or an answer.
func contactFor(n Notification, ch subscriptions.Channel, r subscriptions.Reach) (subscriptions.ContactPoint, subscriptions.Refusal) {
	if n.ContactPoint == 0 {
		return r.Choose(ch, n.Purpose)
	}
	if n.Answers {
		return r.ChooseToAnswer(ch, n.ContactPoint)
	}
	return r.ChooseToConfirm(ch, n.ContactPoint)
}
