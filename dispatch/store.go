package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"herald/dispatch/caps"
	"herald/dispatch/timing"
	"herald/problem"
	"herald/subscriptions"
)

// Consents says whether and where members may be contacted;
// *subscriptions.Consents does.
type Consents interface {
	Reach(ctx context.Context, q subscriptions.Querier, memberIDs []int64) (map[int64]subscriptions.Reach, error)
	Usable(ctx context.Context, q subscriptions.Querier, asked []subscriptions.Usage) ([]subscriptions.Usable, error)
}

// Store keeps notifications, their deliveries and attempts. It is safe for
// many goroutines.
type Store struct {
	pool     *pgxpool.Pool
	consents Consents
	now      func() time.Time
	channels []subscriptions.Channel
	chosen   map[subscriptions.Channel]map[string]any // the arguments of "channel_chosen", shared
	quiet    timing.Quiet
	zones    *timing.Zones
	caps     *caps.Caps
	volume   VolumeRule
	trails   []Chronicle
	river    *river.Client[pgx.Tx] // inserts only
}

// StoreConfig is what a Store decides by.
type StoreConfig struct {
	// Channels are those that somebody can send on, here or on another node;
	// every other one is refused with "no_sender". With none at all every
	// notification ends suppressed.
	Channels []subscriptions.Channel
	// Quiet are the quiet hours of members who chose none of their own.
	Quiet timing.Quiet
	// Caps are how often a member may be written to.
	Caps caps.Rules
	// Volume says when a month's text messages are worth a gateway.
	Volume VolumeRule
	// Chronicles tell what happened within attempts, for Timeline.
	Chronicles []Chronicle
}

// NewStore makes a store. It fails with problem.Invalid when the quiet hours
// or caps cannot be meant.
func NewStore(pool *pgxpool.Pool, consents Consents, now func() time.Time, cfg StoreConfig) (*Store, error) {
	if err := cfg.Quiet.Check(); err != nil {
		return nil, err
	}
	limits, err := caps.New(cfg.Caps)
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		// Also how often at most an insert wakes the workers of a queue: the
		// one that comes too soon after another wakes nobody.
		FetchCooldown: river.FetchCooldownMin,
		// Its own log would say nothing that the error does not.
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("make the inserting River client: %w", err)
	}
	chosen := map[subscriptions.Channel]map[string]any{}
	for _, ch := range cfg.Channels {
		chosen[ch] = map[string]any{"channel": ch}
	}
	return &Store{
		chosen: chosen,
		pool:   pool, consents: consents, now: now, channels: slices.Clone(cfg.Channels),
		quiet: cfg.Quiet, zones: new(timing.Zones), caps: limits, volume: cfg.Volume.withDefaults(),
		trails: slices.Clone(cfg.Chronicles), river: client,
	}, nil
}

// wakeEvery is the least time between two looks of a queue's workers at what
// waits, wakeUrgent that at what is urgent, and urgentEvery how often they look
// at that though nobody woke them: two inserts at the same moment wake once,
// and the second may not be there yet.
const (
	wakeEvery   = 10 * time.Millisecond
	wakeUrgent  = 2 * time.Millisecond
	urgentEvery = 100 * time.Millisecond
)

// Notification is one notification as it was decided, without its data when
// that is private. It is problem.NotFound when there is none.
func (s *Store) Notification(ctx context.Context, id uuid.UUID) (Notification, error) {
	n, err := scanNotification(s.pool.QueryRow(ctx, notificationSQL, id))
	if errors.Is(err, pgx.ErrNoRows) {
		return Notification{}, problem.New(problem.NotFound, "there is no such notification")
	}
	if err != nil {
		return Notification{}, fmt.Errorf("read notification: %w", err)
	}
	return n, nil
}

const notificationSQL = `
SELECT id, member_id, trigger, coalesce(subscription_id, 0), event_id, coalesce(campaign_id, 0), purpose, priority, template,
       CASE WHEN private THEN '{}' ELSE data END, ladder, coalesce(contact_point_id, 0), private,
       decision, coalesce(patience, '0'), digest, expires_at, answers, created_at
FROM notifications
WHERE id = $1`

func scanNotification(row pgx.Row) (Notification, error) {
	var (
		n       Notification
		eventID *uuid.UUID
	)
	err := row.Scan(&n.ID, &n.MemberID, &n.Trigger, &n.SubscriptionID, &eventID, &n.CampaignID, &n.Purpose, &n.Priority, &n.Template,
		&n.Data, &n.Channels, &n.ContactPoint, &n.Private, &n.Decision, &n.Patience, &n.Digest, &n.ExpiresAt, &n.Answers, &n.CreatedAt)
	if eventID != nil {
		n.EventID = *eventID
	}
	return n, err
}

// WakeTx makes the jobs of campaigns that wait for a minute, because they were
// paused, come at once: they go on now, or have been stopped. Those that River
// is about to make available just now it leaves to it.
func (s *Store) WakeTx(ctx context.Context, tx pgx.Tx, campaigns []int64) error {
	_, err := tx.Exec(ctx, `
UPDATE river_job SET scheduled_at = now()
WHERE id IN (
    SELECT id
    FROM river_job
    WHERE kind = $1 AND state = 'scheduled' AND scheduled_at < now() + $2::interval AND (args ->> 'campaign')::bigint = ANY($3)
    FOR UPDATE SKIP LOCKED)`,
		handOver{}.Kind(), 2*holdFor, campaigns)
	if err != nil {
		return fmt.Errorf("wake the jobs of %d campaigns: %w", len(campaigns), err)
	}
	return nil
}
