package matcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
)

// Audience is whom an event would reach if it came now, as far as was counted.
type Audience struct {
	Asked int `json:"asked"` // subscriptions that the event led to and that were asked
	// Found is how many the event led to, where that is more and could be
	// counted in time; one that several keys lead to counts more than once.
	Found int `json:"found,omitempty"`
	Met   int `json:"met"`  // those of them that it meets
	Told  int `json:"told"` // those of them that nothing would hold back now
	// HeldBack are the others that it meets, by what would hold them back.
	HeldBack map[Outcome]int `json:"held_back"`
	// Complete says that all were asked; otherwise the time was up before.
	Complete bool `json:"complete"`
	// Sampled is of how many of those who would be told it was looked how they
	// can be reached; Reached and Refused count them.
	Sampled int               `json:"sampled"`
	Reached []AudienceReached `json:"reached"` // the most first
	Refused []AudienceRefused `json:"refused"` // the most first; by the refusal of the first channel
	Samples []AudienceSample  `json:"samples"`
}

// AudienceReached is how many would be told on a channel first.
type AudienceReached struct {
	Channel subscriptions.Channel `json:"channel"`
	Count   int                   `json:"count"`
}

// AudienceRefused is how many could be told on none of their channels.
type AudienceRefused struct {
	Refusal subscriptions.Refusal `json:"refusal"`
	Count   int                   `json:"count"`
}

// AudienceSample is one who would be told.
type AudienceSample struct {
	SubscriptionID int64                 `json:"subscription_id"`
	MemberID       int64                 `json:"member_id"`
	Account        string                `json:"account"`
	Summary        string                `json:"summary"`
	Channel        subscriptions.Channel `json:"channel,omitempty"` // empty: on none
}

const (
	// audienceStep is how many subscriptions are asked at a time.
	audienceStep = 2_000
	// reachSample is of how many it is looked how they can be reached.
	reachSample     = 1_000
	audienceSamples = 5
)

// Occurrence is an event that somebody thinks of.
type Occurrence struct {
	Trigger string
	Data    map[string]any
	// Previous is what the event before it said, where the trigger is on
	// changes; nil: there was none.
	Previous map[string]any
	Locale   string // of the samples' summaries
}

// Audience counts whom an event would reach, within the time for counting,
// about. Errors: NotFound when there is no such trigger; Invalid with the
// event's mistakes; Throttled when too many are counted at once.
func (p *Previews) Audience(ctx context.Context, o Occurrence) (Audience, error) {
	t, err := p.cfg.Triggers.Get(ctx, o.Trigger)
	if err != nil {
		return Audience{}, err
	}
	w, err := watch(t)
	if err != nil {
		return Audience{}, err
	}
	event, wrong := t.CheckEvent(o.Data)
	if err := problem.Fields(wrong).Err(refusal); err != nil {
		return Audience{}, err
	}
	probes, err := w.condition.Probes(event)
	if err != nil {
		return Audience{}, fmt.Errorf("look %s up: %w", t.Name, err)
	}
	if err := p.turn(ctx); err != nil {
		return Audience{}, err
	}
	defer func() { <-p.turns }()
	c := &census{
		Audience: Audience{HeldBack: map[Outcome]int{}, Reached: []AudienceReached{}, Refused: []AudienceRefused{}, Samples: []AudienceSample{}},
		Previews: p, trigger: w, event: event, previous: o.Previous, locale: o.Locale, at: p.cfg.Now(), asked: map[int64]bool{},
	}
	err = pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := c.count(ctx, tx, probes, time.Now().Add(p.cfg.Counting)); err != nil {
			return err
		}
		return c.reach(ctx, tx)
	})
	if err != nil {
		return Audience{}, fmt.Errorf("count whom %s would reach: %w", t.Name, err)
	}
	return c.Audience, nil
}

// census is an audience while it is counted.
type census struct {
	Audience
	*Previews
	trigger         *watched
	event, previous map[string]any
	locale          string
	at              time.Time

	several bool           // a subscription may be found by more than one key
	asked   map[int64]bool // where several
	told    []*subscriber  // the first of them
}

// subscriber is a subscription with its member, as far as an audience asks.
type subscriber struct {
	id, memberID int64
	member       predicate.Member
	stored       []byte
	params       map[string]any
	channels     []subscriptions.Channel
	standing
}

// count walks the subscriptions that the event leads to, until the time is up.
func (c *census) count(ctx context.Context, tx pgx.Tx, probes []predicate.Probe, until time.Time) error {
	if len(probes) == 0 {
		c.Complete = true
		return nil
	}
	c.several = len(probes) > 1
	n := len(probes)
	entries, hits, triggers := make([]int32, n), make([]int32, n), make([]string, n)
	keys, values := make([]string, n), make([]float64, n)
	for i, probe := range probes {
		triggers[i], keys[i], values[i] = c.trigger.Name, probe.Key, probe.Value
	}
	// A cursor, because nobody knows how many there are.
	if _, err := tx.Exec(ctx, `DECLARE audience NO SCROLL CURSOR FOR `+joins[c.trigger.condition.Bound()], entries, hits, triggers, keys, values); err != nil {
		return err
	}
	for time.Now().Before(until) {
		ids, err := c.next(ctx, tx)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			c.Complete = true
			return nil
		}
		if err := c.ask(ctx, tx, ids); err != nil {
			return err
		}
	}
	return c.countFound(ctx, tx, entries, hits, triggers, keys, values)
}

// foundWithin is how long it is counted how many were not asked.
const foundWithin = time.Second

// countFound counts what the event leads to, by the index alone; it is left out
// where that takes too long.
func (c *census) countFound(ctx context.Context, tx pgx.Tx, args ...any) error {
	err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		if _, err := inner.Exec(ctx, fmt.Sprintf(`SET LOCAL statement_timeout = %d`, foundWithin.Milliseconds())); err != nil {
			return err
		}
		sql := `SELECT count(*) FROM (` + joins[c.trigger.condition.Bound()] + `) AS found`
		if err := inner.QueryRow(ctx, sql, args...).Scan(&c.Found); err != nil {
			return err
		}
		_, err := inner.Exec(ctx, `SET LOCAL statement_timeout = 0`)
		return err
	})
	var late *pgconn.PgError
	if errors.As(err, &late) && late.Code == queryCanceled {
		return nil
	}
	return err
}

// queryCanceled is PostgreSQL's code of a statement that took too long
// (documentation, appendix A).
const queryCanceled = "57014"

// next are the ids of the next subscriptions.
func (c *census) next(ctx context.Context, tx pgx.Tx) ([]int64, error) {
	rows, err := tx.Query(ctx, fmt.Sprintf(`FETCH %d FROM audience`, audienceStep))
	if err != nil {
		return nil, err
	}
	var ids []int64
	var entry, hit int32
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&entry, &hit, &id}, func() error {
		ids = append(ids, id)
		return nil
	})
	return ids, err
}

const selectSubscribers = `
	SELECT s.id, m.id, m.account, m.time_zone, coalesce(to_char(m.birthday, 'MM-DD'), ''), s.params::text, s.channels,
	       s.paused, s.valid_from, s.valid_until, coalesce(s.max_notifications, 0),
	       (extract(epoch FROM s.cool_down) * 1000000)::bigint, s.sent, s.last_fired_at
	FROM subscriptions s JOIN members m ON m.id = s.member_id
	WHERE s.id = ANY($1)`

func (c *census) ask(ctx context.Context, tx pgx.Tx, ids []int64) error {
	rows, err := tx.Query(ctx, selectSubscribers, ids)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, scanSubscriber)
	if err != nil {
		return err
	}
	for _, s := range list {
		if c.several {
			if c.asked[s.id] {
				continue
			}
			c.asked[s.id] = true
		}
		c.Asked++
		if err := c.judge(s); err != nil {
			return err
		}
	}
	return nil
}

func scanSubscriber(row pgx.CollectableRow) (*subscriber, error) {
	s := &subscriber{}
	var coolDown *int64 // microseconds
	err := row.Scan(&s.id, &s.memberID, &s.member.Account, &s.member.TimeZone, &s.member.Birthday, &s.stored, &s.channels,
		&s.paused, &s.from, &s.until, &s.max, &coolDown, &s.sent, &s.last)
	if coolDown != nil {
		d := time.Duration(*coolDown) * time.Microsecond
		s.standing.coolDown = &d
	}
	return s, err
}

// judge counts a subscription. One that cannot be read meets nothing.
func (c *census) judge(s *subscriber) error {
	var err error
	if s.params, err = c.trigger.schema.Params(s.stored); err != nil {
		return nil
	}
	met, err := c.trigger.condition.Eval(predicate.Values{
		Event: c.event, Param: s.params, Member: s.member, Previous: c.previous, Known: c.previous != nil,
	})
	if err != nil || !met {
		return nil
	}
	c.Met++
	if outcome := s.standing.judge(c.trigger.coolDown, c.at); outcome != Notified {
		c.HeldBack[outcome]++
		return nil
	}
	c.Told++
	if len(c.told) < reachSample {
		c.told = append(c.told, s)
	}
	return nil
}

// reach looks how the first of those who would be told can be reached.
func (c *census) reach(ctx context.Context, tx pgx.Tx) error {
	members := make([]int64, len(c.told))
	for i, s := range c.told {
		members[i] = s.memberID
	}
	reaches, err := c.cfg.Consents.Reach(ctx, tx, members)
	if err != nil {
		return err
	}
	reached, refused := map[subscriptions.Channel]int{}, map[subscriptions.Refusal]int{}
	for _, s := range c.told {
		channel, refusal := firstChannel(reaches[s.memberID], s.channels, c.trigger.Purpose)
		if refusal == "" {
			reached[channel]++
		} else {
			refused[refusal]++
		}
		if len(c.Samples) < audienceSamples {
			c.Samples = append(c.Samples, AudienceSample{s.id, s.memberID, s.member.Account, c.trigger.summary(s.params, c.locale), channel})
		}
	}
	c.Sampled = len(c.told)
	for _, ch := range mostFirst(reached) {
		c.Reached = append(c.Reached, AudienceReached{ch, reached[ch]})
	}
	for _, why := range mostFirst(refused) {
		c.Refused = append(c.Refused, AudienceRefused{why, refused[why]})
	}
	return nil
}

// firstChannel is the first channel of a ladder on which a member may be told,
// or the refusal of the first.
func firstChannel(r subscriptions.Reach, ladder []subscriptions.Channel, purpose subscriptions.Purpose) (subscriptions.Channel, subscriptions.Refusal) {
	var first subscriptions.Refusal
	for _, ch := range ladder {
		_, refusal := r.Choose(ch, purpose)
		if refusal == "" {
			return ch, ""
		}
		first = cmp.Or(first, refusal)
	}
	return "", cmp.Or(first, subscriptions.NoAddress)
}

// mostFirst are the keys by their counts, the most first.
func mostFirst[K ~string](counts map[K]int) []K {
	return slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}
