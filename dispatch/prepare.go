package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/problem"
	"herald/subscriptions"
)

// task is a delivery with all that one attempt at it needs.
type task struct {
	ID             uuid.UUID
	NotificationID uuid.UUID
	MemberID       int64
	SubscriptionID int64
	Channel        subscriptions.Channel
	ContactID      int64
	Address        string
	State          State
	Attempts       int // so far; also the version that claim compares
	NextAttemptAt  *time.Time
	Purpose        subscriptions.Purpose
	Priority       int
	Template       string
	Data           map[string]any
	Forced         int64 // the contact point it must go to, or 0
	Private        bool
	ExpiresAt      time.Time

	// The attempt that has no outcome, if there is one.
	OpenNode      string
	OpenSince     time.Time
	OpenNodeAlive bool
}

// doubtful reports whether the message may have arrived already.
func (t task) doubtful() bool { return t.State == InDoubt || t.OpenNode != "" }

const loadSQL = `
SELECT d.id, n.id, d.member_id, coalesce(n.subscription_id, 0), d.channel, coalesce(d.contact_point_id, 0), d.address,
       d.state, d.attempts, d.next_attempt_at, n.purpose, n.priority, n.template, n.data, coalesce(n.contact_point_id, 0),
       n.private, n.expires_at, coalesce(a.node, ''), coalesce(a.started_at, 'epoch'),
       EXISTS (SELECT FROM nodes WHERE name = a.node AND beat_at > now() - $2::interval)
FROM deliveries d
JOIN notifications n ON n.id = d.notification_id
LEFT JOIN attempts a ON a.delivery_id = d.id AND a.number = d.attempts AND a.ended_at IS NULL
WHERE d.id = $1`

// load reads a delivery; pgx.ErrNoRows when there is none. A node unheard of
// for silent is held for dead.
func (s *Store) load(ctx context.Context, id uuid.UUID, silent time.Duration) (task, error) {
	rows, err := s.pool.Query(ctx, loadSQL, id, silent)
	if err != nil {
		return task{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[task])
}

// prepare asks whether the delivery may still go and fills in its message. The
// verdict is nil when it may; an error means that it could not be found out.
func (w *Worker) prepare(ctx context.Context, t *task) (*verdict, Message, error) {
	if !w.store.now().Before(t.ExpiresAt) {
		return stop(*t, Failed, "expired"), Message{}, nil
	}
	if w.senders[t.Channel] == nil {
		return stop(*t, Failed, string(NoSender)), Message{}, nil
	}
	if t.OpenNode != "" && !resendInDoubt(t.Channel) {
		return stop(*t, InDoubt, "held"), Message{}, nil
	}
	member, refusal, err := w.mayGo(ctx, t)
	if err != nil {
		return nil, Message{}, err
	}
	if refusal != "" {
		return stop(*t, Suppressed, refusal), Message{}, nil
	}
	return w.render(ctx, *t, member)
}

// mayGo asks again what EnqueueTx asked, since the member may have said
// otherwise meanwhile, and points t at the contact point to use now.
func (w *Worker) mayGo(ctx context.Context, t *task) (subscriptions.Member, string, error) {
	reach, err := w.store.consents.Reach(ctx, w.store.pool, []int64{t.MemberID})
	if err != nil {
		return subscriptions.Member{}, "", fmt.Errorf("ask how the member can be reached: %w", err)
	}
	r := reach[t.MemberID]
	contact, refusal := contactFor(Notification{ContactPoint: t.Forced, Purpose: t.Purpose}, t.Channel, r)
	if refusal != "" {
		return r.Member, string(refusal), nil
	}
	t.ContactID, t.Address = contact.ID, contact.Address
	reason, err := w.silenced(ctx, *t)
	return r.Member, reason, err
}

// silenced says why t's subscription no longer wants the message: it, or its
// follow-up, was paused, or ended by its owner. One that merely expired
// meanwhile does.
func (w *Worker) silenced(ctx context.Context, t task) (string, error) {
	if w.cfg.Subscriptions == nil || t.SubscriptionID == 0 {
		return "", nil
	}
	s, err := w.cfg.Subscriptions.Latest(ctx, t.SubscriptionID)
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		return "cancelled", nil
	case err != nil:
		return "", fmt.Errorf("ask for the subscription: %w", err)
	case s.State == subscriptions.Paused:
		return "paused", nil
	case s.State == subscriptions.Ended && slices.Contains([]string{"cancelled", "unsubscribed"}, s.EndedBy):
		return s.EndedBy, nil
	}
	return "", nil
}

// render fills in the message. A template that fails, or panics, is a verdict.
func (w *Worker) render(ctx context.Context, t task, m subscriptions.Member) (v *verdict, msg Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = w.templateFailed(ctx, t, fmt.Errorf("panic: %v", p)), nil
		}
	}()
	links := map[string]any{"delivery": w.cfg.Links.Delivery(t.ID), "alerts": w.cfg.Links.Alerts()}
	msg = Message{
		DeliveryID: t.ID, WireID: t.ID.String(), Purpose: t.Purpose,
		Address: t.Address, Name: m.DisplayName, ExpiresAt: t.ExpiresAt,
	}
	if t.Purpose != subscriptions.Transactional {
		msg.UnsubscribeURL = w.cfg.Links.Unsubscribe(t.ID, t.SubscriptionID)
		links["unsubscribe"] = msg.UnsubscribeURL
	}
	data := maps.Clone(t.Data)
	data["links"] = links
	msg.Content, err = w.cfg.Templates.Render(ctx, t.Template, string(t.Channel), m.Locale, data)
	switch code := problem.CodeOf(err); {
	case err == nil:
		return nil, msg, nil
	case code == problem.NotFound || code == problem.Invalid:
		return w.templateFailed(ctx, t, err), Message{}, nil
	default:
		return nil, Message{}, fmt.Errorf("fill the template: %w", err)
	}
}

func (w *Worker) templateFailed(ctx context.Context, t task, err error) *verdict {
	w.cfg.Logger.ErrorContext(ctx, "a template failed: deliveries are lost until it is mended",
		"template", t.Template, "channel", t.Channel, "delivery", t.ID, "error", err)
	v := stop(t, Failed, "template_failed")
	v.outcome, v.detail = "template_failed", err.Error()
	return v
}

// claimSQL takes the delivery for one attempt and notes the intent, in one
// statement and so in one transaction. It does nothing when somebody else
// changed the delivery since it was loaded.
const claimSQL = `
WITH claimed AS (
    UPDATE deliveries
    SET attempts = attempts + 1,
        repeated = repeated + $3::int,
        state = $4, reason = '', next_attempt_at = NULL,
        contact_point_id = nullif($5::bigint, 0), address = $6,
        changed_at = $7
    WHERE id = $1 AND attempts = $2 AND state IN ('pending', 'deferred', 'in_doubt')
    RETURNING id, attempts
), lost AS (
    UPDATE attempts a
    SET ended_at = $7, outcome = 'in_doubt', detail = $9
    FROM claimed
    WHERE a.delivery_id = claimed.id AND a.ended_at IS NULL
)
INSERT INTO attempts (delivery_id, number, node, started_at, repeats)
SELECT id, attempts, $8, $7, $3::int > 0 FROM claimed`

// outcomeUnknown is the detail of an attempt whose worker never came back.
const outcomeUnknown = "no outcome was recorded: the worker was lost after it may have handed over"

// claim begins an attempt at t; false: somebody else has it. It is committed
// when it returns, before the provider hears the first byte.
func (s *Store) claim(ctx context.Context, t *task, node string) (bool, error) {
	state, repeats := Pending, 0
	if t.doubtful() {
		state, repeats = InDoubt, 1
	}
	tag, err := s.pool.Exec(ctx, claimSQL, t.ID, t.Attempts, repeats, state, t.ContactID, t.Address, s.now(), node, outcomeUnknown)
	if err != nil {
		return false, err
	}
	t.State = state
	t.Attempts++
	return tag.RowsAffected() == 1, nil
}
