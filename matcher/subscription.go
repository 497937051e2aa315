package matcher

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch/timing"
	"herald/matcher/predicate"
	"herald/subscriptions"
)

// subscription is one that a candidate leads to, with what its condition reads.
type subscription struct {
	id     int64
	member struct {
		predicate.Member
		id           int64
		name, locale string
	}
	stored   []byte         // the parameters as JSON
	params   map[string]any // typed; nil when they cannot be read
	channels []subscriptions.Channel
	digest   timing.Digest
	standing
	gone bool // it has ended, or no longer meets, by the time it is locked
}

// pairing is an event and a subscription that it meets.
type pairing struct {
	entry        *entry
	hit          *hit
	subscription *subscription
}

func (p *pairing) values() predicate.Values {
	return predicate.Values{
		Event: p.hit.event, Previous: p.hit.previous, Known: p.hit.known,
		Param: p.subscription.params, Member: p.subscription.member.Member,
	}
}

// meet loads the candidates and keeps what the whole condition finds met.
//
// Where nearly every candidate meets, they are locked at once. The others are
// not locked yet: most candidates of a condition that its anchor tells little
// of do not meet.
func (t *transaction) meet(ctx context.Context, candidates []candidate) error {
	if len(candidates) == 0 {
		return nil
	}
	t.locked = !slices.ContainsFunc(candidates, func(c candidate) bool {
		return !c.entry.plan.hits[c.hit].trigger.condition.Anchored()
	})
	loaded, err := t.load(ctx, candidates)
	if err != nil {
		return err
	}
	for _, c := range candidates {
		s := loaded[c.subscription]
		if s == nil {
			continue // it has ended since it was found
		}
		p := &pairing{entry: c.entry, hit: &c.entry.plan.hits[c.hit], subscription: s}
		if s.params == nil {
			t.read(s, p.hit.trigger)
		}
		if t.meets(p) {
			t.met = append(t.met, p)
		}
	}
	return nil
}

// The columns of a subscription that another transaction may change.
const changing = `s.params::text, s.channels, s.paused, s.valid_from, s.valid_until, coalesce(s.max_notifications, 0),
	(extract(epoch FROM s.cool_down) * 1000000)::bigint, s.sent, s.last_fired_at, s.digest`

const selectSubscriptions = `
	SELECT s.id, ` + changing + `,
	       m.id, m.account, m.time_zone, coalesce(to_char(m.birthday, 'MM-DD'), ''), m.display_name, m.locale
	FROM subscriptions s JOIN members m ON m.id = s.member_id
	WHERE s.id = ANY($1)`

// inOrder makes locks be taken in id order: it comes before the lock.
const inOrder = `
	ORDER BY s.id
	FOR NO KEY UPDATE OF s`

func (t *transaction) load(ctx context.Context, candidates []candidate) (map[int64]*subscription, error) {
	wanted := make(map[int64]bool, len(candidates))
	for _, c := range candidates {
		wanted[c.subscription] = true
	}
	loaded := make(map[int64]*subscription, len(wanted))
	sql := selectSubscriptions
	if t.locked {
		sql += inOrder
	}
	batch := &pgx.Batch{}
	batch.Queue(sql, slices.Sorted(maps.Keys(wanted))).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			s := &subscription{}
			m := &s.member
			if err := s.scan(rows, &m.id, &m.Account, &m.TimeZone, &m.Birthday, &m.name, &m.locale); err != nil {
				return err
			}
			loaded[s.id] = s
		}
		return rows.Err()
	})
	if err := t.send(ctx, batch); err != nil {
		return nil, fmt.Errorf("load candidates: %w", err)
	}
	t.at = t.now()
	return loaded, nil
}

// read types a subscription's parameters. One that cannot be read meets
// nothing; it must not keep the events from everybody else.
func (t *transaction) read(s *subscription, w *watched) {
	params, err := w.schema.Params(s.stored)
	if err != nil {
		t.cfg.Logger.Error("a subscription's parameters cannot be read", "subscription", s.id, "error", err)
		params = map[string]any{}
	}
	s.params = params
}

func (t *transaction) meets(p *pairing) bool {
	met, err := p.hit.trigger.condition.Eval(p.values())
	if err != nil {
		t.counts.senseless.Add(1)
		t.cfg.Logger.Debug("a condition cannot be evaluated", "trigger", p.hit.trigger.Name, "subscription", p.subscription.id, "error", err)
	}
	return met
}

const lockSubscriptions = `
	SELECT s.id, ` + changing + `
	FROM subscriptions s
	WHERE s.id = ANY($1)` + inOrder

// lock locks the subscriptions that were met, unless they are, reads where they
// stand, and marks those that have ended meanwhile or changed so that they no
// longer meet.
func (t *transaction) lock(ctx context.Context) error {
	if t.locked {
		return nil
	}
	byID := make(map[int64]*subscription, len(t.met))
	for _, p := range t.met {
		byID[p.subscription.id] = p.subscription
		p.subscription.gone = true
	}
	changed := map[*subscription]bool{}
	batch := &pgx.Batch{}
	batch.Queue(lockSubscriptions, slices.Sorted(maps.Keys(byID))).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var now subscription
			if err := now.scan(rows); err != nil {
				return err
			}
			s := byID[now.id]
			s.gone, s.standing, s.channels, s.digest = false, now.standing, now.channels, now.digest
			if !bytes.Equal(s.stored, now.stored) {
				s.stored, s.params, changed[s] = now.stored, nil, true
			}
		}
		return rows.Err()
	})
	if err := t.send(ctx, batch); err != nil {
		return fmt.Errorf("lock subscriptions: %w", err)
	}
	t.at = t.now()
	t.meetAgain(changed)
	return nil
}

// scan reads the id and what may change, and then into more.
func (s *subscription) scan(row pgx.Rows, more ...any) error {
	var coolDown *int64 // microseconds
	into := []any{&s.id, &s.stored, &s.channels, &s.paused, &s.from, &s.until, &s.max, &coolDown, &s.sent, &s.last, &s.digest}
	if err := row.Scan(append(into, more...)...); err != nil {
		return err
	}
	if coolDown != nil {
		d := time.Duration(*coolDown) * time.Microsecond
		s.coolDown = &d
	}
	return nil
}

// meetAgain drops the pairings of changed subscriptions that no longer meet.
func (t *transaction) meetAgain(changed map[*subscription]bool) {
	if len(changed) == 0 {
		return
	}
	t.met = slices.DeleteFunc(t.met, func(p *pairing) bool {
		if !changed[p.subscription] {
			return false
		}
		if p.subscription.params == nil {
			t.read(p.subscription, p.hit.trigger)
		}
		return !t.meets(p)
	})
}

const insertMatches = `
	INSERT INTO matches (subscription_id, event_id, outcome, notification_id, at)
	SELECT m.subscription_id, m.event_id, m.outcome, m.notification_id, $5
	FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::uuid[]) AS m (subscription_id, event_id, outcome, notification_id)`

const updateSubscriptions = `
	UPDATE subscriptions s SET sent = u.sent, last_fired_at = u.last
	FROM unnest($1::bigint[], $2::int[], $3::timestamptz[]) AS u (id, sent, last)
	WHERE s.id = u.id`

// write records every match with its outcome, and what the subscriptions that
// fired have come to.
func (t *transaction) write(ctx context.Context, matches []Match) error {
	if len(matches) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	queueMatches(batch, matches, t.at)
	fired := map[int64]*subscription{}
	for _, p := range t.met {
		if p.subscription.fired {
			fired[p.subscription.id] = p.subscription
		}
	}
	if len(fired) > 0 {
		queueFired(batch, fired)
	}
	if err := t.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write matches: %w", err)
	}
	return nil
}

func queueMatches(batch *pgx.Batch, matches []Match, at time.Time) {
	n := len(matches)
	subscribed, events := make([]int64, n), make([][16]byte, n)
	outcomes, notifications := make([]string, n), make([]*[16]byte, n)
	for i, m := range matches {
		subscribed[i], events[i], outcomes[i] = m.SubscriptionID, m.EventID, string(m.Outcome)
		if m.Outcome == Notified {
			id := [16]byte(m.NotificationID)
			notifications[i] = &id
		}
	}
	batch.Queue(insertMatches, subscribed, events, outcomes, notifications, at)
}

func queueFired(batch *pgx.Batch, fired map[int64]*subscription) {
	ids := slices.Sorted(maps.Keys(fired))
	sent, last := make([]int32, len(ids)), make([]time.Time, len(ids))
	for i, id := range ids {
		sent[i], last[i] = int32(fired[id].sent), *fired[id].last
	}
	batch.Queue(updateSubscriptions, ids, sent, last)
}
