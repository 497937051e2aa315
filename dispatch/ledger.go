package dispatch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

// Ledger says what became of every notification that was meant for somebody.
// Each stands in one state: that of the highest rung of its ladder.
type Ledger struct {
	Targeted   int64 `json:"targeted"` // notifications decided, counted apart from their deliveries
	Accepted   int64 `json:"accepted"`
	Delivered  int64 `json:"delivered"`
	Suppressed int64 `json:"suppressed"`
	Deferred   int64 `json:"deferred"`
	Failed     int64 `json:"failed"`
	Pending    int64 `json:"pending"`
	InDoubt    int64 `json:"in_doubt"`
	// Balanced says that the states add up to Targeted: nothing was lost.
	Balanced bool `json:"balanced"`
}

// Open is how many may still move without a receipt.
func (l Ledger) Open() int64 { return l.Pending + l.Deferred + l.InDoubt }

func (l *Ledger) add(s State, n int64) {
	switch s {
	case Accepted:
		l.Accepted += n
	case Delivered:
		l.Delivered += n
	case Suppressed:
		l.Suppressed += n
	case Deferred:
		l.Deferred += n
	case Failed:
		l.Failed += n
	case Pending:
		l.Pending += n
	case InDoubt:
		l.InDoubt += n
	case targeted:
		l.Targeted += n
	}
}

func (l *Ledger) balance() {
	l.Balanced = l.Targeted == l.Accepted+l.Delivered+l.Suppressed+l.Deferred+l.Failed+l.Pending+l.InDoubt
}

// Filter narrows a ledger; a zero field does not.
type Filter struct {
	Since    time.Time // notifications decided in its hour or later
	Until    time.Time // and before its hour
	Trigger  string
	Campaign int64
}

func (f Filter) conditions() conditions {
	var c conditions
	if !f.Since.IsZero() {
		c.add("hour >= ?", hourOf(f.Since))
	}
	if !f.Until.IsZero() {
		c.add("hour < ?", hourOf(f.Until))
	}
	if f.Trigger != "" {
		c.add("trigger = ?", f.Trigger)
	}
	if f.Campaign != 0 {
		c.add("campaign_id = ?", f.Campaign)
	}
	return c
}

// counted is the ledger and what has moved since it was added up, as of one
// instant, narrowed by a WHERE clause.
func counted(where string) string {
	return `(
    SELECT hour, trigger, campaign_id, channel, state, reason, n FROM ledger ` + where + `
    UNION ALL
    SELECT hour, trigger, campaign_id, channel, state, reason, n FROM ledger_moves ` + where + `) AS counted`
}

// Ledger says what became of the notifications that the filter lets through,
// as of one instant. It reads counters, whatever the number of notifications.
func (s *Store) Ledger(ctx context.Context, f Filter) (Ledger, error) {
	c := f.conditions()
	rows, err := s.pool.Query(ctx, `SELECT state, sum(n)::bigint FROM `+counted(c.sql())+` GROUP BY state`, c.args...)
	if err != nil {
		return Ledger{}, fmt.Errorf("read the ledger: %w", err)
	}
	var (
		l     Ledger
		state State
		count int64
	)
	_, err = pgx.ForEachRow(rows, []any{&state, &count}, func() error {
		l.add(state, count)
		return nil
	})
	if err != nil {
		return Ledger{}, fmt.Errorf("read the ledger: %w", err)
	}
	l.balance()
	return l, nil
}

// Count is how many there are of one name.
type Count struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// ChannelLedger is the ledger of one channel; Targeted is left at what its
// deliveries add up to.
type ChannelLedger struct {
	Channel subscriptions.Channel `json:"channel"`
	Ledger
}

// Overview is what an operator sees first.
type Overview struct {
	Since    time.Time       `json:"since"`
	Ledger   Ledger          `json:"ledger"`   // since Since
	Channels []ChannelLedger `json:"channels"` // since Since, in the order of subscriptions.Channels
	Failures []Count         `json:"failures"` // since Since, by reason, most first
	// What waits now, whenever it was decided.
	Pending  int64 `json:"pending"`
	Deferred int64 `json:"deferred"`
	InDoubt  int64 `json:"in_doubt"`
	// OldestPending is how long the oldest delivery has waited for a worker; 0: none waits.
	OldestPending time.Duration `json:"oldest_pending_ns"`
	Nodes         int64         `json:"nodes"` // that live; none: nothing is handed over
	// SentPerMinute is how many were taken by a provider in each of the last
	// 60 minutes, oldest first; the last is the minute now running.
	SentPerMinute []int64 `json:"sent_per_minute"`
	// SentByChannel are the same for each channel that sent anything then, in
	// the order of subscriptions.Channels.
	SentByChannel []ChannelMinutes `json:"sent_by_channel"`
	InHand        int64            `json:"in_hand"`              // messages that sessions are handing over just now
	LastCheck     *LedgerCheck     `json:"last_check,omitempty"` // of the ledger; nil: there was none yet
}

// ChannelMinutes is how many a channel's providers took, minute by minute.
type ChannelMinutes struct {
	Channel   subscriptions.Channel `json:"channel"`
	PerMinute []int64               `json:"per_minute"`
}

// Overview is the state of dispatch now and since an instant, such as the
// start of the operator's day.
func (s *Store) Overview(ctx context.Context, since time.Time) (Overview, error) {
	o := Overview{Since: since}
	var err error
	if o.Ledger, err = s.Ledger(ctx, Filter{Since: since}); err != nil {
		return Overview{}, err
	}
	for _, part := range []func(context.Context, *Overview) error{s.byChannel, s.failures, s.waiting, s.sentPerMinute, s.lastCheck} {
		if err := part(ctx, &o); err != nil {
			return Overview{}, fmt.Errorf("read the overview: %w", err)
		}
	}
	return o, nil
}

func (s *Store) byChannel(ctx context.Context, o *Overview) error {
	c := Filter{Since: o.Since}.conditions()
	rows, err := s.pool.Query(ctx, `
SELECT channel, state, sum(n)::bigint FROM `+counted(c.and("channel <> ''").sql())+` GROUP BY channel, state`, c.args...)
	if err != nil {
		return err
	}
	ledgers := map[subscriptions.Channel]*Ledger{}
	var (
		channel subscriptions.Channel
		state   State
		count   int64
	)
	_, err = pgx.ForEachRow(rows, []any{&channel, &state, &count}, func() error {
		if ledgers[channel] == nil {
			ledgers[channel] = new(Ledger)
		}
		ledgers[channel].add(state, count)
		ledgers[channel].Targeted += count
		return nil
	})
	for _, ch := range subscriptions.Channels {
		if l := ledgers[ch]; l != nil && l.Targeted > 0 {
			l.balance()
			o.Channels = append(o.Channels, ChannelLedger{ch, *l})
		}
	}
	return err
}

func (s *Store) failures(ctx context.Context, o *Overview) error {
	c := Filter{Since: o.Since}.conditions()
	rows, err := s.pool.Query(ctx, `
SELECT reason, sum(n)::bigint FROM `+counted(c.and("state = 'failed'").sql())+`
GROUP BY reason HAVING sum(n) > 0 ORDER BY 2 DESC, 1`, c.args...)
	if err != nil {
		return err
	}
	o.Failures, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Count])
	return err
}

func (s *Store) waiting(ctx context.Context, o *Overview) error {
	rows, err := s.pool.Query(ctx, `
SELECT state, sum(n)::bigint FROM `+counted("WHERE state IN ('pending', 'deferred', 'in_doubt')")+` GROUP BY state`)
	if err != nil {
		return err
	}
	var (
		l     Ledger
		state State
		count int64
	)
	_, err = pgx.ForEachRow(rows, []any{&state, &count}, func() error {
		l.add(state, count)
		return nil
	})
	if err != nil {
		return err
	}
	o.Pending, o.Deferred, o.InDoubt = l.Pending, l.Deferred, l.InDoubt
	err = s.pool.QueryRow(ctx, `
SELECT (SELECT count(*) FROM nodes WHERE beat_at > now() - $1::interval),
       (SELECT coalesce(sum(cardinality(deliveries)), 0) FROM hand_overs)`, silentAfter).Scan(&o.Nodes, &o.InHand)
	if err != nil || o.Pending == 0 {
		return err
	}
	var oldest *time.Time
	err = s.pool.QueryRow(ctx, `
SELECT min(scheduled_at) FROM river_job WHERE state IN ('available', 'running') AND kind = $1`, handOver{}.Kind()).Scan(&oldest)
	if oldest != nil {
		o.OldestPending = max(s.now().Sub(*oldest), 0)
	}
	return err
}

const sentMinutes = 60

func (s *Store) sentPerMinute(ctx context.Context, o *Overview) error {
	first := s.now().Truncate(time.Minute).Add(-(sentMinutes - 1) * time.Minute)
	rows, err := s.pool.Query(ctx, `
SELECT channel, floor(extract(epoch FROM minute - $1) / 60)::int, sum(n)::bigint
FROM minutes WHERE outcome = 'accepted' AND minute >= $1 GROUP BY 1, 2`, first)
	if err != nil {
		return err
	}
	o.SentPerMinute = make([]int64, sentMinutes)
	byChannel := map[subscriptions.Channel][]int64{}
	var channel subscriptions.Channel
	var minute, count int64
	_, err = pgx.ForEachRow(rows, []any{&channel, &minute, &count}, func() error {
		if minute >= sentMinutes {
			return nil
		}
		if byChannel[channel] == nil {
			byChannel[channel] = make([]int64, sentMinutes)
		}
		byChannel[channel][minute] += count
		o.SentPerMinute[minute] += count
		return nil
	})
	for _, ch := range subscriptions.Channels {
		if perMinute := byChannel[ch]; perMinute != nil {
			o.SentByChannel = append(o.SentByChannel, ChannelMinutes{ch, perMinute})
		}
	}
	return err
}

func (s *Store) lastCheck(ctx context.Context, o *Overview) error {
	latest, err := s.LedgerChecks(ctx, 0, 1)
	if len(latest) > 0 {
		o.LastCheck = &latest[0]
	}
	return err
}

// conditions builds a WHERE clause of those that were asked for, so that the
// planner sees no others.
type conditions struct {
	where []string
	args  []any
}

// add appends a condition whose ? stands for arg.
func (c *conditions) add(condition string, arg any) {
	c.args = append(c.args, arg)
	c.where = append(c.where, strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(c.args))))
}

// and is c with one more condition, which takes no argument.
func (c conditions) and(condition string) conditions {
	c.where = append(c.where[:len(c.where):len(c.where)], condition)
	return c
}

func (c conditions) sql() string {
	if len(c.where) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.where, " AND ")
}
