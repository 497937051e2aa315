package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/app"
	"herald/app/config"
	"herald/matcher"
	"herald/matcher/follower"
	"herald/matcher/index"
	"herald/matcher/predicate"
	"herald/postgres"
)

// shelves is a database of Herald's that holds a mix, and no node.
type shelves struct {
	mix
	*app.Stores
	pool    *pgxpool.Pool
	scratch *postgres.Scratch
}

// openShelves makes a database, or takes the one of a URL, in which anything
// may be changed. Whoever has it closes it.
func openShelves(ctx context.Context, o MatchOptions, m mix) (_ *shelves, err error) {
	cfg := config.Default()
	cfg.Database.URL = o.DatabaseURL
	cfg.SecretKey = "not kept: nothing is signed or encrypted by it"
	s := &shelves{mix: m}
	if s.scratch, err = postgres.NewScratch(""); err != nil {
		return nil, err
	}
	cfg.DataDir = s.scratch.Dir
	if s.Stores, err = app.OpenStores(ctx, cfg, o.Log); err != nil {
		return nil, errors.Join(err, s.scratch.Remove())
	}
	s.pool = s.DB.Pool()
	return s, nil
}

func (s *shelves) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(s.DB.Close(ctx), s.scratch.Remove())
}

// put stores the triggers and subscriptions of the mix. So many rows come
// without the checks of their foreign keys, and the indexes after them.
func (s *shelves) put(ctx context.Context) error {
	for _, k := range s.kinds {
		if err := s.putTrigger(ctx, k); err != nil {
			return err
		}
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	steps := []func(context.Context, *pgx.Conn) error{
		func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, `SET session_replication_role = replica`)
			return err
		},
		s.copySubscriptions,
		s.withoutIndexes(s.copyAnchors),
		func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, `RESET session_replication_role`)
			return err
		},
	}
	for _, step := range steps {
		if err := step(ctx, conn.Conn()); err != nil {
			return fmt.Errorf("put subscriptions into the database: %w", err)
		}
	}
	for _, table := range []string{"subscriptions", "subscription_anchors"} {
		if _, err := conn.Exec(ctx, `VACUUM ANALYZE `+table); err != nil {
			return fmt.Errorf("settle the database: %w", err)
		}
	}
	_, err = conn.Exec(ctx, `CHECKPOINT`)
	return err
}

func (s *shelves) putTrigger(ctx context.Context, k kind) error {
	definition, err := json.Marshal(k.Trigger)
	if err != nil {
		return err
	}
	_, err = s.pool.Exec(ctx, `INSERT INTO triggers (name, event_type, definition) VALUES ($1, $2, $3)`, k.Name, k.EventType, definition)
	if err != nil {
		return fmt.Errorf("put a trigger into the database: %w", err)
	}
	return nil
}

func (s *shelves) copySubscriptions(ctx context.Context, c *pgx.Conn) error {
	var member int64
	err := c.QueryRow(ctx, `INSERT INTO members (account) VALUES ('bench') RETURNING id`).Scan(&member)
	if err != nil {
		return err
	}
	id, began := int64(0), time.Now().UTC()
	_, err = c.CopyFrom(ctx, pgx.Identifier{"subscriptions"},
		[]string{"id", "member_id", "trigger", "params", "channels", "origin", "valid_from", "created_at"},
		pgx.CopyFromFunc(func() ([]any, error) {
			if id == s.total() {
				return nil, nil
			}
			id++
			sub, err := s.subscription(id)
			return []any{id, member, s.kinds[sub.kind].Name, sub.params, []string{"email"}, "import", began, began}, err
		}))
	return err
}

func (s *shelves) copyAnchors(ctx context.Context, c *pgx.Conn) error {
	id := int64(0)
	var sub subscription
	_, err := c.CopyFrom(ctx, pgx.Identifier{"subscription_anchors"}, []string{"subscription_id", "trigger", "key", "bound", "upper"},
		pgx.CopyFromFunc(func() (_ []any, err error) {
			for len(sub.keys) == 0 {
				if id == s.total() {
					return nil, nil
				}
				id++
				if sub, err = s.subscription(id); err != nil {
					return nil, err
				}
			}
			k := sub.keys[0]
			sub.keys = sub.keys[1:]
			return s.row(sub, k), nil
		}))
	return err
}

// row is an anchor as package subscriptions writes it.
func (m mix) row(s subscription, k predicate.Key) []any {
	row := []any{s.id, m.kinds[s.kind].Name, k.Key, nil, nil}
	bound := m.kinds[s.kind].condition.Bound()
	if bound != predicate.NoBound {
		row[3] = k.Bound
	}
	if bound == predicate.Between {
		row[4] = k.Upper
	}
	return row
}

// withoutIndexes takes the indexes of the anchors away for as long as do runs,
// except that of the primary key.
func (s *shelves) withoutIndexes(do func(context.Context, *pgx.Conn) error) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
			FROM pg_index i WHERE i.indrelid = 'subscription_anchors'::regclass AND NOT i.indisprimary`)
		if err != nil {
			return err
		}
		type made struct{ Name, SQL string }
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[made])
		if err != nil {
			return err
		}
		for _, i := range list {
			if _, err := c.Exec(ctx, `DROP INDEX `+i.Name); err != nil {
				return err
			}
		}
		if err := do(ctx, c); err != nil {
			return err
		}
		for _, i := range list {
			if _, err := c.Exec(ctx, i.SQL); err != nil {
				return err
			}
		}
		return nil
	}
}

// joinEvents are looked up by one statement of each kind of bound, as many as
// share a transaction of the matcher.
const joinEvents = 1000

// join is how long an event takes by the SQL join, in nanoseconds, and how
// many subscriptions the events found.
func (s *shelves) join(ctx context.Context, events []occurrence) (each float64, found int, err error) {
	var took []float64
	for chunk := range slices.Chunk(events, joinEvents) {
		began := time.Now()
		n, err := s.joinOnce(ctx, chunk)
		if err != nil {
			return 0, 0, fmt.Errorf("join: %w", err)
		}
		found += n
		took = append(took, float64(time.Since(began).Nanoseconds())/float64(len(chunk)))
	}
	slices.Sort(took)
	return took[len(took)/2], found, nil
}

func (s *shelves) joinOnce(ctx context.Context, events []occurrence) (found int, err error) {
	type probes struct {
		entries, hits  []int32
		triggers, keys []string
		values         []float64
	}
	all := map[predicate.Bound]*probes{}
	for i, o := range events {
		bound := s.kinds[o.kind].condition.Bound()
		p := all[bound]
		if p == nil {
			p = &probes{}
			all[bound] = p
		}
		for _, probe := range o.probes {
			p.entries, p.hits = append(p.entries, int32(i)), append(p.hits, 0)
			p.triggers, p.keys = append(p.triggers, s.kinds[o.kind].Name), append(p.keys, probe.Key)
			p.values = append(p.values, probe.Value)
		}
	}
	batch := &pgx.Batch{}
	for bound, p := range all {
		batch.Queue(matcher.Join(bound), p.entries, p.hits, p.triggers, p.keys, p.values).Query(func(rows pgx.Rows) error {
			var entry, hit int32
			var id int64
			_, err := pgx.ForEachRow(rows, []any{&entry, &hit, &id}, func() error {
				found++
				return nil
			})
			return err
		})
	}
	return found, s.pool.SendBatch(ctx, batch).Close()
}

// follow loads an index from the tables, and times that and how long after
// its commit a new subscription is found.
func (s *shelves) follow(ctx context.Context, o MatchOptions) (loadSeconds, visibleP99 float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	x := index.New()
	f := follower.New(s.pool, x, follower.Config{AuditEvery: -1, Logger: o.Log})
	stopped := make(chan struct{})
	go func() {
		f.Run(ctx)
		close(stopped)
	}()
	defer func() {
		cancel()
		<-stopped
	}()
	if err := f.Sync(ctx); err != nil {
		return 0, 0, err
	}
	loadSeconds = f.Stats().LoadTime.Seconds()
	var took []time.Duration
	for i := range int64(visibleCommits) {
		waited, err := s.visible(ctx, f, x, s.total()+1+i)
		if err != nil {
			return 0, 0, fmt.Errorf("follow a change: %w", err)
		}
		took = append(took, waited)
	}
	slices.Sort(took) // by nearest rank: 99 of 100 took no longer
	return loadSeconds, float64(took[len(took)*99/100-1].Microseconds()) / 1000, nil
}

// visibleCommits are timed.
const visibleCommits = 200

// visible is how long a subscription is not found after its commit.
func (s *shelves) visible(ctx context.Context, f *follower.Follower, x *index.Index, id int64) (time.Duration, error) {
	k := s.kinds[1] // each to its own account
	m := member(id)
	keys, err := k.condition.Keys(nil, m)
	if err != nil {
		return 0, err
	}
	probes, err := k.condition.Probes(map[string]any{"account": m.Account})
	if err != nil {
		return 0, err
	}
	// As package subscriptions does it.
	_, err = s.pool.Exec(ctx, `
		WITH made AS (
			INSERT INTO subscriptions (id, member_id, trigger, params, channels, origin)
			SELECT $1, id, $2, '{}', '{email}', 'api' FROM members WHERE account = 'bench'
			RETURNING id, trigger
		), anchored AS (
			INSERT INTO subscription_anchors (subscription_id, trigger, key) SELECT id, trigger, $3 FROM made
		)
		INSERT INTO anchor_changes (trigger, subscription_id) SELECT trigger, id FROM made`, id, k.Name, keys[0].Key)
	if err != nil {
		return 0, err
	}
	committed := time.Now()
	const look = 500 * time.Microsecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		view, ok := f.View() // as for every event
		if ok && len(view.Index.Condition(k.Name).Match(probes[0], time.Now(), nil)) > 0 {
			return time.Since(committed), nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
