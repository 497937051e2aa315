package campaigns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"herald/problem"
	"herald/subscriptions"
)

// Config is what a Store works with. Announcer may be nil, everything else is
// needed.
type Config struct {
	Templates Templates
	Triggers  Triggers
	Calendars Calendars
	Consents  Consents
	Enqueuer  Enqueuer
	Ledgers   Ledgers
	Announcer Announcer
	Channels  []subscriptions.Channel // those that somebody can send on
	Now       func() time.Time
	Logger    *slog.Logger
}

// Store keeps campaigns and carries them out. It is safe for many goroutines.
type Store struct {
	pool  *pgxpool.Pool
	cfg   Config
	river *river.Client[pgx.Tx] // inserts only
	holds holds
}

// NewStore keeps campaigns in the database that pool leads to.
func NewStore(pool *pgxpool.Pool, cfg Config) (*Store, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("make the inserting River client: %w", err)
	}
	return &Store{pool: pool, cfg: cfg, river: client, holds: holds{known: map[int64]hold{}, mu: sync.Mutex{}}}, nil
}

// instant is now as PostgreSQL keeps it.
func (s *Store) instant() time.Time { return s.cfg.Now().UTC().Truncate(time.Microsecond) }

// campaignSQL reads campaigns c and the latest run of each. $1 says whether
// the messages are wanted.
const campaignSQL = `
SELECT c.id, CASE WHEN $1 THEN c.plan ELSE c.plan - 'messages' END, c.state, c.version, c.template, c.due_at,
       c.created_by, c.created_at, c.updated_at, r.*
FROM campaigns c
LEFT JOIN LATERAL (
    SELECT ` + runColumns + `
    FROM campaign_runs n
    WHERE n.campaign_id = c.id
    ORDER BY n.id DESC
    LIMIT 1) r ON TRUE`

// runColumns read runs n.
const runColumns = `n.id AS run_id, n.campaign_id, n.due_at AS run_due_at, n.state AS run_state, n.expires_at,
       n.created_at AS run_created_at, n.prepared_at, n.ended_at,
       (SELECT coalesce(sum(targeted), 0) FROM campaign_ranges WHERE run_id = n.id)::bigint AS targeted,
       (SELECT coalesce(sum(next_id - first_id)::float8 / nullif(sum(last_id + 1 - first_id), 0), 1)
        FROM campaign_ranges WHERE run_id = n.id) AS prepared`

func scanCampaign(row pgx.CollectableRow) (Campaign, error) {
	var (
		c Campaign
		r optionalRun
	)
	err := row.Scan(append([]any{&c.ID, &c.Plan, &c.State, &c.Version, &c.Template, &c.DueAt, &c.CreatedBy, &c.CreatedAt, &c.UpdatedAt}, r.destinations()...)...)
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	c.Run = r.run()
	return c, err
}

// optionalRun is a run of an outer join.
type optionalRun struct {
	id, campaign, targeted *int64
	due, expires, created  *time.Time
	preparedAt, endedAt    *time.Time
	state                  *State
	prepared               *float64
}

func (r *optionalRun) destinations() []any {
	return []any{&r.id, &r.campaign, &r.due, &r.state, &r.expires, &r.created, &r.preparedAt, &r.endedAt, &r.targeted, &r.prepared}
}

func (r *optionalRun) run() *Run {
	if r.id == nil {
		return nil
	}
	return &Run{
		ID: *r.id, CampaignID: *r.campaign, DueAt: r.due.UTC(), State: *r.state, ExpiresAt: r.expires.UTC(), CreatedAt: r.created.UTC(),
		PreparedAt: r.preparedAt, EndedAt: r.endedAt, Targeted: *r.targeted, Prepared: *r.prepared,
	}
}

func noSuchCampaign() error { return problem.New(problem.NotFound, "there is no such campaign") }

// Get finds a campaign. Errors: NotFound.
func (s *Store) Get(ctx context.Context, id int64) (Campaign, error) {
	return s.get(ctx, s.pool, id)
}

func (s *Store) get(ctx context.Context, q subscriptions.Querier, id int64) (Campaign, error) {
	rows, err := q.Query(ctx, campaignSQL+` WHERE c.id = $2`, true, id)
	if err != nil {
		return Campaign{}, fmt.Errorf("read campaign %d: %w", id, err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanCampaign)
	if errors.Is(err, pgx.ErrNoRows) {
		return Campaign{}, noSuchCampaign()
	}
	if err != nil {
		return Campaign{}, fmt.Errorf("read campaign %d: %w", id, err)
	}
	return c, nil
}

// ListFilter asks for campaigns.
type ListFilter struct {
	State  State // empty: all
	Before int64 // the id before which to go on; 0: from the newest
	Limit  int   // 0: 50, at most 200
}

// List is campaigns, the newest first, without their messages.
func (s *Store) List(ctx context.Context, f ListFilter) ([]Campaign, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	where, args := ` WHERE ($2 = 0 OR c.id < $2)`, []any{false, f.Before, min(f.Limit, 200)}
	if f.State != "" {
		where += ` AND c.state = $4`
		args = append(args, f.State)
	}
	rows, err := s.pool.Query(ctx, campaignSQL+where+` ORDER BY c.id DESC LIMIT $3`, args...)
	if err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanCampaign)
	if err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	return list, nil
}

// maxRuns is how many runs and lines of history are shown.
const maxRuns = 50

// Runs are the latest 50 runs of a campaign, the newest first.
func (s *Store) Runs(ctx context.Context, id int64) ([]Run, error) {
	rows, err := s.pool.Query(ctx, `
SELECT `+runColumns+`
FROM campaign_runs n
WHERE n.campaign_id = $1
ORDER BY n.id DESC
LIMIT $2`, id, maxRuns)
	if err != nil {
		return nil, fmt.Errorf("list runs of campaign %d: %w", id, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Run, error) {
		var r optionalRun
		if err := row.Scan(r.destinations()...); err != nil {
			return Run{}, err
		}
		return *r.run(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("list runs of campaign %d: %w", id, err)
	}
	return list, nil
}

// History is the latest 50 changes of a campaign, the newest first.
func (s *Store) History(ctx context.Context, id int64) ([]Change, error) {
	rows, err := s.pool.Query(ctx, `
SELECT change, actor, detail, at
FROM campaign_changes
WHERE campaign_id = $1
ORDER BY id DESC
LIMIT $2`, id, maxRuns)
	if err != nil {
		return nil, fmt.Errorf("read the history of campaign %d: %w", id, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Change])
	if err != nil {
		return nil, fmt.Errorf("read the history of campaign %d: %w", id, err)
	}
	return list, nil
}
