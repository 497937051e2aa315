package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Timeline is everything known of one notification, for the page that answers
// why somebody did, or did not, get it.
type Timeline struct {
	Delivery     Delivery     // the one that was asked for
	Notification Notification // without its data when that is private
	Deliveries   []Delivery   // its whole ladder, lowest rung first
	Entries      []Entry      // what happened, in order of time
}

// Entry is one thing that happened: a code with its figures, worded by
// whoever shows it. Args are for everybody, the member too; Detail, when
// there is any, is for operators.
//
// The codes, besides those of a Decision's steps:
//
//	attempt_started   Args {number, channel, repeats}       Detail {node}
//	attempt_ended     Args {number, channel, outcome}       Detail {account, code, detail, seconds}
//	attempt_open      Args {number, channel}: it was handed over, and nothing more is known yet
//	receipt           Args {event, channel, code}           Detail {account, detail, happened_at}
//	state             Args {state, reason, channel, next_attempt_at}: where the delivery stands now
//
// outcome is "accepted", "template_failed" or a Class.
type Entry struct {
	At         time.Time      `json:"at"`
	Code       string         `json:"code"`
	OK         bool           `json:"ok"`
	DeliveryID uuid.UUID      `json:"delivery_id,omitzero"` // zero for the decision's steps
	Args       map[string]any `json:"args,omitempty"`
	Detail     map[string]any `json:"detail,omitempty"`
}

// Chronicle tells what happened within attempts at deliveries, where a channel
// has more to tell than their outcome: a call, or the pages of a fax. It is
// given deliveries of all channels, and its entries come in order of time.
type Chronicle interface {
	Entries(ctx context.Context, deliveries []uuid.UUID) ([]Entry, error)
}

// Timeline is the story of a delivery; problem.NotFound when there is none.
func (s *Store) Timeline(ctx context.Context, deliveryID uuid.UUID) (Timeline, error) {
	d, err := s.Delivery(ctx, deliveryID)
	if err != nil {
		return Timeline{}, err
	}
	n, err := s.Notification(ctx, d.NotificationID)
	if err != nil {
		return Timeline{}, err
	}
	t := Timeline{Delivery: d, Notification: n}
	rows, err := s.pool.Query(ctx, deliverySQL+"WHERE d.notification_id = $1 ORDER BY d.rung", n.ID)
	if err == nil {
		t.Deliveries, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Delivery])
	}
	if err != nil {
		return Timeline{}, fmt.Errorf("read the ladder: %w", err)
	}
	attempts, err := s.attempts(ctx, n.ID)
	if err != nil {
		return Timeline{}, err
	}
	receipts, err := s.receipts(ctx, n.ID)
	if err != nil {
		return Timeline{}, err
	}
	within, err := s.within(ctx, t.Deliveries)
	if err != nil {
		return Timeline{}, err
	}
	t.Entries = entries(n, t.Deliveries, attempts, append(within, receipts...))
	return t, nil
}

// within is what the chronicles tell of a ladder.
func (s *Store) within(ctx context.Context, ladder []Delivery) ([]Entry, error) {
	ids := make([]uuid.UUID, len(ladder))
	for i, d := range ladder {
		ids[i] = d.ID
	}
	var told []Entry
	for _, trail := range s.trails {
		more, err := trail.Entries(ctx, ids)
		if err != nil {
			return nil, fmt.Errorf("read what happened within attempts: %w", err)
		}
		told = append(told, more...)
	}
	return told, nil
}

// receipts are what providers said of a notification's deliveries, as entries.
func (s *Store) receipts(ctx context.Context, notificationID uuid.UUID) ([]Entry, error) {
	rows, err := s.pool.Query(ctx, `
SELECT r.delivery_id, d.channel, r.event, r.account, r.code, r.detail, r.happened_at, r.taken_at
FROM deliveries d
JOIN receipts r ON r.delivery_id = d.id
WHERE d.notification_id = $1
ORDER BY r.taken_at`, notificationID)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	var (
		told             []Entry
		id               uuid.UUID
		channel, account string
		event            ReportEvent
		code, detail     string
		happened, taken  time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &channel, &event, &account, &code, &detail, &happened, &taken}, func() error {
		one := Entry{
			At: taken, Code: "receipt", OK: event == ReportDelivered || event == ReportRead, DeliveryID: id,
			Args:   map[string]any{"event": event, "channel": channel},
			Detail: map[string]any{"happened_at": happened.UTC()},
		}
		if code != "" {
			one.Args["code"] = code
		}
		if account != "" {
			one.Detail["account"] = account
		}
		if detail != "" {
			one.Detail["detail"] = detail
		}
		told = append(told, one)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	return told, nil
}

// attempt is one row of the table, or what is in hand just now, as it is shown.
type attempt struct {
	DeliveryID uuid.UUID
	Number     int
	Node       string
	Account    string
	StartedAt  time.Time
	EndedAt    *time.Time
	Repeats    bool
	Outcome    string
	Code       string
	Detail     string
}

func (s *Store) attempts(ctx context.Context, notificationID uuid.UUID) ([]attempt, error) {
	rows, err := s.pool.Query(ctx, `
SELECT a.delivery_id, a.number, a.node, a.account, a.started_at, a.ended_at, a.repeats, a.outcome, a.code, a.detail
FROM deliveries d
JOIN attempts a ON a.delivery_id = d.id
WHERE d.notification_id = $1
UNION ALL
SELECT d.id, d.attempts + 1, h.node, h.account, h.started_at, NULL, d.state = 'in_doubt', '', '', ''
FROM deliveries d
JOIN hand_overs h ON d.id = ANY(h.deliveries)
WHERE d.notification_id = $1
ORDER BY 1, 2`, notificationID)
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[attempt])
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	return found, nil
}

// entries tells the story in order of time; what happened at the same instant
// stays in the order decision, attempts, what is told of them, state.
func entries(n Notification, ladder []Delivery, attempts []attempt, about []Entry) []Entry {
	var told []Entry
	for _, step := range n.Decision {
		told = append(told, Entry{At: step.At, Code: step.Code, OK: step.OK, Args: step.Args})
	}
	channel := map[uuid.UUID]string{}
	for _, d := range ladder {
		channel[d.ID] = string(d.Channel)
	}
	for _, a := range attempts {
		told = append(told, a.entries(channel[a.DeliveryID])...)
	}
	told = append(told, about...)
	for _, d := range ladder {
		args := map[string]any{"state": d.State, "channel": d.Channel}
		if d.Reason != "" {
			args["reason"] = d.Reason
		}
		if d.NextAttemptAt != nil {
			args["next_attempt_at"] = *d.NextAttemptAt
		}
		told = append(told, Entry{
			At: d.ChangedAt, Code: "state", OK: d.State == Accepted || d.State == Delivered, DeliveryID: d.ID, Args: args,
		})
	}
	slices.SortStableFunc(told, func(a, b Entry) int { return cmp.Compare(a.At.UnixMicro(), b.At.UnixMicro()) })
	return told
}

func (a attempt) entries(channel string) []Entry {
	started := Entry{
		At: a.StartedAt, Code: "attempt_started", OK: true, DeliveryID: a.DeliveryID,
		Args:   map[string]any{"number": a.Number, "channel": channel, "repeats": a.Repeats},
		Detail: map[string]any{"node": a.Node},
	}
	ended := Entry{DeliveryID: a.DeliveryID, Args: map[string]any{"number": a.Number, "channel": channel}}
	if a.EndedAt == nil {
		ended.At, ended.Code = a.StartedAt, "attempt_open"
		return []Entry{started, ended}
	}
	ended.At, ended.Code, ended.OK = *a.EndedAt, "attempt_ended", a.Outcome == string(Accepted)
	ended.Args["outcome"] = a.Outcome
	ended.Detail = map[string]any{
		"account": a.Account, "code": a.Code, "detail": a.Detail, "seconds": a.EndedAt.Sub(a.StartedAt).Seconds(),
	}
	return []Entry{started, ended}
}
