package matcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/time/rate"

	"herald/matcher/history"
	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
)

// Wish is a subscription that somebody thinks of.
type Wish struct {
	Trigger  string
	MemberID int64
	Params   map[string]any // as subscriptions.Trigger.CheckParams reads them
	// MaxNotifications and CoolDown are as in subscriptions.Order.
	MaxNotifications int
	CoolDown         *subscriptions.Duration
	Since            time.Time // how far to look back; zero: a week
}

// Preview is what a wish would have done in the time just past, had it stood
// then. Its validity is not looked at: that is about the time to come.
type Preview struct {
	Since time.Time `json:"since"` // how far back it was to look
	// LookedBackTo is how far back it did; Complete that this is all of it.
	// Otherwise the time was up, and what happened before is not counted.
	LookedBackTo time.Time `json:"looked_back_to"`
	Complete     bool      `json:"complete"`
	// Unseen is a time in between that was not looked at; nil: there is none.
	// Days that are over are looked at first, because an index finds their
	// events.
	Unseen *Span `json:"unseen,omitempty"`
	Met    int   `json:"met"`   // events, or absences of them, that would have met it
	Fired  int   `json:"fired"` // those of them that no cool-down or cap would have held back
	// Firings are the latest of those, the latest first.
	Firings []Firing `json:"firings"`
	// Waiting are the absences that may still come: nothing has closed what an
	// event that meets the wish opened, and its time is not up. It is 0 where
	// that could not be looked at.
	Waiting int `json:"waiting,omitempty"`
	// Reason says why it cannot be told: "dates"; empty: it can.
	Reason string `json:"reason,omitempty"`
}

// Span is a time from an instant to before another.
type Span struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// Firing is an event of which a member would have been told, or that nothing
// closed it.
type Firing struct {
	EventID uuid.UUID      `json:"event_id"`
	At      time.Time      `json:"at"`    // when it was received, or its time was up
	Event   map[string]any `json:"event"` // its attributes, typed by the trigger
}

// PreviewConfig is what previews ask, and how much they may take. Zero fields
// take the default given beside them.
type PreviewConfig struct {
	Triggers      *subscriptions.Triggers // must be given, like the two below
	Subscriptions *subscriptions.Store
	Consents      *subscriptions.Consents

	// Keep is how long events are kept at least, as in history.Config: 30 days.
	Keep time.Duration

	Budget    time.Duration // 250 ms: how long one looks back
	Counting  time.Duration // 2 s: how long an audience is counted
	AtOnce    int           // 4: previews under way on this node
	PerMinute int           // 60: previews of one member
	Now       func() time.Time
}

func (c PreviewConfig) withDefaults() PreviewConfig {
	if c.Keep <= 0 {
		c.Keep = 30 * 24 * time.Hour
	}
	if c.Budget <= 0 {
		c.Budget = 250 * time.Millisecond
	}
	if c.Counting <= 0 {
		c.Counting = 2 * time.Second
	}
	if c.AtOnce <= 0 {
		c.AtOnce = 4
	}
	if c.PerMinute <= 0 {
		c.PerMinute = 60
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

const (
	previewBack = 7 * 24 * time.Hour
	maxFirings  = 20 // that are shown
	// maxMet is how many met events are looked at, and stepLimit how many are
	// read at a time.
	maxMet, stepLimit = 10_000, 2_000
	// maxPreviewers is how many members' rates are remembered.
	maxPreviewers = 10_000
	// previewBurst is how many previews may come one after the other.
	previewBurst = 20
)

// Previews answer what would be: what a subscription would have done (Preview),
// whom an event would reach (Audience), and why one did not reach a subscription
// (Compare). They write nothing.
type Previews struct {
	pool  *pgxpool.Pool
	cfg   PreviewConfig
	turns chan struct{} // one for each preview under way

	mu    sync.Mutex
	rates map[int64]*rate.Limiter // by member; guarded by mu
}

// NewPreviews reads the events that pool leads to.
func NewPreviews(pool *pgxpool.Pool, cfg PreviewConfig) *Previews {
	cfg = cfg.withDefaults()
	return &Previews{pool: pool, cfg: cfg, turns: make(chan struct{}, cfg.AtOnce), rates: map[int64]*rate.Limiter{}}
}

// Preview looks back. It answers within the budget, about, whatever the number
// of events, and says how far it came. Errors: Invalid with the mistakes by
// field, as when the subscription were made; NotFound when there is no such
// member; Throttled.
func (p *Previews) Preview(ctx context.Context, w Wish) (Preview, error) {
	now := p.cfg.Now().UTC()
	past, err := p.prepare(ctx, w, now)
	if err != nil {
		return Preview{}, err
	}
	if past.Reason != "" {
		return past.Preview, nil
	}
	if err := p.admit(ctx, w.MemberID, now); err != nil {
		return Preview{}, err
	}
	defer func() { <-p.turns }()
	kept, err := p.kept(ctx, past.lookFrom(), now)
	if err != nil {
		return Preview{}, fmt.Errorf("preview %s: %w", w.Trigger, err)
	}
	if err := past.read(ctx, p.pool, kept, p.cfg.Budget); err != nil {
		return Preview{}, fmt.Errorf("preview %s: %w", w.Trigger, err)
	}
	if err := past.replay(w); err != nil {
		return Preview{}, fmt.Errorf("preview %s: %w", w.Trigger, err)
	}
	return past.Preview, nil
}

// kept is since when there are events, where those since an instant may have
// been dropped; the zero time where they have not. Days that Herald was not
// there yet are no loss.
func (p *Previews) kept(ctx context.Context, since, now time.Time) (time.Time, error) {
	held := now.Add(-p.cfg.Keep).Truncate(24 * time.Hour) // no day from here on was dropped
	if !since.Before(held) {
		return time.Time{}, nil
	}
	oldest, err := history.Oldest(ctx, p.pool)
	if err != nil || oldest.After(held) {
		return time.Time{}, err
	}
	return oldest, nil
}

func busy() error {
	return &problem.Error{Code: problem.Throttled, Message: "too many previews are asked for", After: 2 * time.Second}
}

// admit keeps a member's rate, and waits for a turn.
func (p *Previews) admit(ctx context.Context, member int64, now time.Time) error {
	p.mu.Lock()
	if len(p.rates) > maxPreviewers {
		clear(p.rates)
	}
	limit := p.rates[member]
	if limit == nil {
		limit = rate.NewLimiter(rate.Limit(float64(p.cfg.PerMinute)/60), previewBurst)
		p.rates[member] = limit
	}
	p.mu.Unlock()
	if !limit.AllowN(now, 1) {
		return busy()
	}
	return p.turn(ctx)
}

// turn waits for a turn, not longer than a preview may take; the caller gives
// it back.
func (p *Previews) turn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Budget)
	defer cancel()
	select {
	case p.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return busy()
	}
}

// past is a wish and the events it is held against.
type past struct {
	Preview
	trigger subscriptions.Trigger
	watched *watched
	params  map[string]any
	member  predicate.Member
	now     time.Time
	events  []Record // the latest first
	lines   *lines   // of a trigger on an absence, instead of the events
}

func (p *Previews) prepare(ctx context.Context, w Wish, now time.Time) (*past, error) {
	t, err := p.cfg.Triggers.Get(ctx, w.Trigger)
	if problem.CodeOf(err) == problem.NotFound {
		var bad problem.Fields
		bad.Add("trigger", "unknown", "there is no trigger %q", w.Trigger)
		return nil, bad.Err("this subscription cannot be made")
	}
	if err != nil {
		return nil, err
	}
	params, wrong := t.CheckParams(w.Params)
	bad := problem.Fields(wrong)
	if w.MaxNotifications < 0 {
		bad.Add("max_notifications", "min", "must not be negative")
	}
	if w.CoolDown != nil && *w.CoolDown < 0 {
		bad.Add("cool_down", "min", "must not be negative")
	}
	since := w.Since
	switch {
	case since.IsZero():
		since = now.Add(-previewBack)
	case !since.Before(now):
		bad.Add("since", "before", "must be in the past")
	}
	if err := bad.Err("this subscription cannot be made"); err != nil {
		return nil, err
	}
	past := &past{trigger: t, params: params, now: now, Preview: Preview{Since: since.UTC(), LookedBackTo: now, Firings: []Firing{}}}
	if t.Dates != nil {
		past.Reason = "dates"
	}
	if past.watched, err = watch(t); err != nil {
		return nil, err
	}
	past.member, err = p.member(ctx, w.MemberID)
	return past, err
}

// member is what a condition reads of a member.
func (p *Previews) member(ctx context.Context, id int64) (m predicate.Member, err error) {
	err = p.pool.QueryRow(ctx, `SELECT account, time_zone, coalesce(to_char(birthday, 'MM-DD'), '') FROM members WHERE id = $1`, id).
		Scan(&m.Account, &m.TimeZone, &m.Birthday)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, problem.New(problem.NotFound, "there is no such member")
	}
	if err != nil {
		return m, fmt.Errorf("find member %d: %w", id, err)
	}
	return m, nil
}
