package matcher

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/calendar"
	"herald/dispatch"
	"herald/subscriptions"
)

const (
	// RenewalTemplate is what an offer to extend a subscription is worded by.
	RenewalTemplate = "renewal"
	// renewalPriority is an offer's: it can wait for what was asked for.
	renewalPriority = 3
	// renewalHour is from when on members are offered something, by their own
	// clocks: a minute of the day.
	renewalHour = 9 * 60
)

// RenewalsConfig is how Renewals work. Zero fields take the default beside them.
type RenewalsConfig struct {
	Days   int           // how many days before its last one an offer is made; 0: none
	Every  time.Duration // 1 min: between two looks
	Batch  int           // 500: subscriptions in a transaction
	Now    func() time.Time
	Logger *slog.Logger // slog.Default()
}

// Renewals offer members to extend subscriptions that end soon: one
// notification for each end, from 09:00 of the member's clock on, on the date
// that lies Days before the last day of its validity. Where that was missed,
// the offer is made at 09:00 of a later day, as long as the end has not come.
//
// Only what was valid for twice as long is offered, and neither what is paused
// or used up, nor what repeats by itself. An offer is marked on the subscription
// in the transaction that enqueues it: any number of nodes make it once, after
// a crash too. When the end is moved the mark goes.
type Renewals struct {
	pool     *pgxpool.Pool
	triggers *subscriptions.Triggers
	enqueuer Enqueuer
	cfg      RenewalsConfig
}

// NewRenewals gives the offers to enqueuer.
func NewRenewals(pool *pgxpool.Pool, triggers *subscriptions.Triggers, enqueuer Enqueuer, cfg RenewalsConfig) *Renewals {
	if cfg.Every <= 0 {
		cfg.Every = time.Minute
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 500
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Renewals{pool: pool, triggers: triggers, enqueuer: enqueuer, cfg: cfg}
}

// Run makes offers until ctx ends.
func (r *Renewals) Run(ctx context.Context) {
	look := time.NewTicker(r.cfg.Every)
	defer look.Stop()
	for {
		made, err := r.Offer(ctx)
		if made > 0 {
			r.cfg.Logger.InfoContext(ctx, "renewals offered", "offered", made)
		}
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "renewals could not be offered", "error", err)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// Offer makes all offers that are due, and counts them.
func (r *Renewals) Offer(ctx context.Context) (made int, err error) {
	if r.cfg.Days <= 0 {
		return 0, nil
	}
	p := &renewalPass{Renewals: r, now: r.cfg.Now().UTC().Truncate(time.Microsecond), triggers: map[string]*watched{}}
	if err := p.readTriggers(ctx); err != nil {
		return 0, err
	}
	if err := p.readZones(ctx); err != nil {
		return 0, err
	}
	if len(p.triggers) == 0 || len(p.zones) == 0 {
		return 0, nil
	}
	for {
		n, err := p.batch(ctx)
		if err != nil {
			return made, fmt.Errorf("offer to extend subscriptions: %w", err)
		}
		if made += n; n < r.cfg.Batch {
			return made, nil
		}
	}
}

// renewalPass is one look at what ends soon.
type renewalPass struct {
	*Renewals
	now      time.Time
	triggers map[string]*watched // those that are switched on
	// zones are where it is late enough, until which ends there an offer is due,
	// and the location of each.
	zones     []string
	until     []time.Time
	locations map[string]*time.Location
}

func (p *renewalPass) readTriggers(ctx context.Context) error {
	list, err := p.Renewals.triggers.List(ctx)
	if err != nil {
		return err
	}
	for _, t := range list {
		if !t.Enabled {
			continue
		}
		w, err := watch(t)
		if err != nil {
			p.cfg.Logger.ErrorContext(ctx, "a stored trigger cannot be used, what ends of it is not offered", "trigger", t.Name, "error", err)
			continue
		}
		p.triggers[t.Name] = w
	}
	return nil
}

// endingZones jumps from one zone that members live in to the next.
const endingZones = `
	WITH RECURSIVE zones AS (
		(SELECT time_zone FROM members ORDER BY time_zone LIMIT 1)
		UNION ALL
		SELECT (SELECT m.time_zone FROM members m WHERE m.time_zone > z.time_zone ORDER BY m.time_zone LIMIT 1)
		FROM zones z
		WHERE z.time_zone IS NOT NULL
	)
	SELECT time_zone FROM zones WHERE time_zone IS NOT NULL`

func (p *renewalPass) readZones(ctx context.Context) error {
	rows, err := p.pool.Query(ctx, endingZones)
	if err != nil {
		return fmt.Errorf("list the members' time zones: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the members' time zones: %w", err)
	}
	p.locations = make(map[string]*time.Location, len(names))
	for _, name := range names {
		zone, err := calendar.LoadZone(name)
		if err != nil {
			zone = time.UTC
		}
		if until, open := dueUntil(p.now, p.cfg.Days, zone); open {
			p.zones, p.until = append(p.zones, name), append(p.until, until)
			p.locations[name] = zone
		}
	}
	return nil
}

// dueUntil is the end of the day so many days from now by the clock of a zone:
// what ends by then is offered today. false: it is too early in the day.
func dueUntil(now time.Time, days int, zone *time.Location) (time.Time, bool) {
	year, month, day := now.In(zone).Date()
	if now.Before(calendar.InstantOf(time.Date(year, month, day, 0, renewalHour, 0, 0, time.UTC), zone)) {
		return time.Time{}, false
	}
	return calendar.InstantOf(time.Date(year, month, day+days+1, 0, 0, 0, 0, time.UTC), zone), true
}

// takeEnding marks up to $7 subscriptions that are to be offered. A trigger
// that is being switched off may still be offered once.
const takeEnding = `
	WITH ending AS (
		SELECT s.id
		FROM subscriptions s
		JOIN members m ON m.id = s.member_id
		JOIN unnest($3::text[], $4::timestamptz[]) AS z (name, until) ON z.name = m.time_zone
		WHERE s.valid_until IS NOT NULL AND s.renewal_offered_at IS NULL AND s.repeats = ''
		  AND s.valid_until > $1 AND s.valid_until <= $2 AND s.valid_until <= z.until
		  AND s.valid_until - s.valid_from >= $5
		  AND NOT s.paused AND (s.max_notifications IS NULL OR s.sent < s.max_notifications)
		  AND s.trigger = ANY($6)
		ORDER BY s.valid_until, s.id
		LIMIT $7
		FOR NO KEY UPDATE OF s SKIP LOCKED
	)
	UPDATE subscriptions s SET renewal_offered_at = $1
	FROM ending, members m
	WHERE s.id = ending.id AND m.id = s.member_id
	RETURNING s.id, s.trigger, s.params::text, s.channels, s.digest, s.valid_until,
		m.id, m.account, m.time_zone, m.display_name, m.locale`

// ending is a subscription that is offered to be extended.
type ending struct {
	subscription
	trigger string
	ends    time.Time
}

// batch makes some offers in one transaction; fewer than Batch: there are no more.
func (p *renewalPass) batch(ctx context.Context) (made int, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		taken, err := p.take(ctx, tx)
		if err != nil || len(taken) == 0 {
			return err
		}
		notifications := make([]dispatch.Notification, len(taken))
		for i := range taken {
			if notifications[i], err = p.notification(&taken[i]); err != nil {
				return err
			}
		}
		made = len(taken)
		return p.enqueuer.EnqueueTx(ctx, tx, notifications)
	})
	if err != nil {
		return 0, err
	}
	return made, nil
}

func (p *renewalPass) take(ctx context.Context, tx pgx.Tx) ([]ending, error) {
	latest := slices.MaxFunc(p.until, time.Time.Compare)
	shortest := 2 * time.Duration(p.cfg.Days) * 24 * time.Hour
	rows, err := tx.Query(ctx, takeEnding, p.now, latest, p.zones, p.until, shortest,
		slices.Sorted(maps.Keys(p.triggers)), p.cfg.Batch)
	if err != nil {
		return nil, fmt.Errorf("find what ends soon: %w", err)
	}
	taken, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ending, error) {
		var e ending
		m := &e.member
		err := row.Scan(&e.id, &e.trigger, &e.stored, &e.channels, &e.digest, &e.ends,
			&m.id, &m.Account, &m.TimeZone, &m.name, &m.locale)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("find what ends soon: %w", err)
	}
	return taken, nil
}

// notification is the offer. Its template is filled from what other
// notifications are, but for an event, and from:
//
//	until   the last day of validity by the member's clock, "2006-01-02"
func (p *renewalPass) notification(e *ending) (dispatch.Notification, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return dispatch.Notification{}, fmt.Errorf("make a notification id: %w", err)
	}
	w, locale := p.triggers[e.trigger], e.member.locale
	if e.params, err = w.schema.Params(e.stored); err != nil {
		p.cfg.Logger.Error("a subscription's parameters cannot be read", "subscription", e.id, "error", err)
		e.params = map[string]any{}
	}
	summary := w.summary(e.params, locale)
	last := e.ends.Add(-1).In(p.locations[e.member.TimeZone])
	return dispatch.Notification{
		ID:             id,
		MemberID:       e.member.id,
		Trigger:        w.Name,
		SubscriptionID: e.id,
		Purpose:        w.Purpose,
		Priority:       renewalPriority,
		Template:       RenewalTemplate,
		Data: map[string]any{
			"param":   e.params,
			"member":  map[string]any{"account": e.member.Account, "name": e.member.name, "locale": locale},
			"trigger": map[string]any{"name": w.Name, "title": w.Title.In(locale)},
			"summary": summary,
			"until":   last.Format(time.DateOnly),
		},
		Channels:  e.channels,
		Digest:    e.digest,
		Decision:  p.decision(e, summary),
		Patience:  w.patience,
		ExpiresAt: e.ends,
	}, nil
}

// decision is why the member is asked:
//
//	ends_soon   until, days before which it is offered, summary
func (p *renewalPass) decision(e *ending, summary string) dispatch.Decision {
	return dispatch.Decision{passed(p.now, "ends_soon", map[string]any{
		"until": e.ends.UTC(), "days": p.cfg.Days, "summary": summary,
	})}
}
