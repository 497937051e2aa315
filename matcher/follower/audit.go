package follower

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/matcher/index"
)

const (
	auditPage   = 2000 // subscriptions looked at between two pauses
	auditShare  = 5    // an audit is at work one part of so many of the time
	auditRounds = 5    // how often a subscription is looked at that is changing
)

// auditUntil audits on schedule until ctx ends.
func (f *Follower) auditUntil(ctx context.Context) {
	ticker := time.NewTicker(f.cfg.AuditEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := f.Audit(ctx); err != nil && !errors.Is(err, errGivenUp) {
			f.failed(ctx, "the index cannot be compared with the tables", err)
		}
	}
}

// Audit holds the index against the tables, subscription by subscription in
// both directions, and returns how many differ; if any do, the index is loaded
// anew. What is changing meanwhile is no difference. One pass runs at a time,
// and takes its time. The error says why it did not come to the end.
func (f *Follower) Audit(ctx context.Context) (differences int, err error) {
	f.auditing.Lock()
	defer f.auditing.Unlock()
	a := &audit{Follower: f, usable: map[string]*index.Condition{}, suspects: map[int64]string{}}
	for _, step := range []func(context.Context) error{a.begin, a.forward, a.backward, a.lookAgain} {
		if err := step(ctx); err != nil {
			return 0, err
		}
	}
	f.counts.audits.Add(1)
	if a.different > 0 {
		f.counts.differences.Add(int64(a.different))
		f.Distrust(fmt.Sprintf("%d subscriptions wait otherwise in the tables, such as %d", a.different, a.example))
	}
	return a.different, nil
}

// audit is one pass.
type audit struct {
	*Follower
	usable    map[string]*index.Condition // by trigger
	suspects  map[int64]string            // subscriptions that may differ, with their triggers
	different int
	example   int64
}

// begin finds out which triggers are in the index.
func (a *audit) begin(ctx context.Context) error {
	rows, err := a.pool.Query(ctx, selectDefinitions, []string(nil))
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	var name string
	var definition []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		if _, err := boundOf(definition); err == nil {
			a.usable[name] = a.index.Condition(name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	return nil
}

// forward looks for what the tables have and the index has otherwise.
func (a *audit) forward(ctx context.Context) error {
	for after, n := int64(0), 1; n > 0; {
		began := time.Now()
		n = 0
		err := a.read(ctx, func(s *anchored) {
			n, after = n+1, s.id
			if !a.same(string(s.trigger), s) {
				a.suspects[s.id] = string(s.trigger)
			}
		}, `WHERE s.id IN (SELECT id FROM subscriptions WHERE id > $1 ORDER BY id LIMIT $2)`, after, auditPage)
		if err != nil {
			return err
		}
		a.counts.audited.Add(int64(n))
		if err := pause(ctx, time.Since(began)); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) read(ctx context.Context, do func(*anchored), where string, args ...any) error {
	rows, err := a.pool.Query(ctx, selectAnchors+` `+where+` ORDER BY s.id`, append([]any{binaryAnchors}, args...)...)
	if err == nil {
		err = eachAnchored(rows, func(s *anchored) error {
			do(s)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("read anchors: %w", err)
	}
	return nil
}

// same reports whether the index has of a subscription what the tables have.
func (a *audit) same(trigger string, s *anchored) bool {
	c := a.usable[trigger]
	if c == nil {
		return true // not in the index, and no event of it is taken
	}
	if len(s.keys) == 0 {
		return c.Holds(s.id, nil, index.Window{})
	}
	return c.Holds(s.id, s.keys, s.window)
}

// pause gives others the greater part of the time.
func pause(ctx context.Context, worked time.Duration) error {
	select {
	case <-time.After((auditShare - 1) * worked):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const selectUnknown = `
	SELECT held.id FROM unnest($1::bigint[]) AS held (id)
	WHERE NOT EXISTS (SELECT FROM subscription_anchors a WHERE a.subscription_id = held.id AND a.trigger = $2)`

// backward looks for what only the index has.
func (a *audit) backward(ctx context.Context) error {
	for trigger, c := range a.usable {
		page := make([]int64, 0, auditPage)
		for id := range c.IDs() {
			if page = append(page, id); len(page) < auditPage {
				continue
			}
			if err := a.suspectUnknown(ctx, trigger, page); err != nil {
				return err
			}
			page = page[:0]
		}
		if err := a.suspectUnknown(ctx, trigger, page); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) suspectUnknown(ctx context.Context, trigger string, ids []int64) error {
	began := time.Now()
	rows, err := a.pool.Query(ctx, selectUnknown, ids, trigger)
	if err != nil {
		return fmt.Errorf("look for subscriptions that the index has: %w", err)
	}
	unknown, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for subscriptions that the index has: %w", err)
	}
	for _, id := range unknown {
		a.suspects[id] = trigger
	}
	return pause(ctx, time.Since(began))
}

// lookAgain tells differences from changes under way. What has changed each
// time is left to the next audit.
func (a *audit) lookAgain(ctx context.Context) error {
	for range auditRounds {
		if len(a.suspects) == 0 {
			return nil
		}
		if err := a.Sync(ctx); err != nil {
			return err
		}
		for some := range slices.Chunk(slices.Collect(maps.Keys(a.suspects)), auditPage) {
			if err := a.examine(ctx, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// examine looks at suspects. Where the tables have not changed from what the
// index had taken in before the first look until after the last one, the two
// must be the same.
func (a *audit) examine(ctx context.Context, ids []int64) error {
	before := a.state.Load()
	if before == nil {
		return errGivenUp
	}
	differ, err := a.compare(ctx, ids)
	if err != nil {
		return err
	}
	found, err := since(ctx, a.pool, before.cursor)
	if err != nil {
		return err
	}
	if !(View{follower: a.Follower, state: before}).holds() {
		return errGivenUp
	}
	for _, id := range ids {
		_, changing := found.single[id]
		switch {
		case !differ[id]:
			delete(a.suspects, id)
		case !changing && !found.whole[a.suspects[id]]:
			delete(a.suspects, id)
			a.different, a.example = a.different+1, id
		}
	}
	return nil
}

// compare reads suspects anew and says which of them are not the same now.
func (a *audit) compare(ctx context.Context, ids []int64) (differ map[int64]bool, err error) {
	differ = make(map[int64]bool, len(ids))
	for _, id := range ids {
		differ[id] = !a.same(a.suspects[id], &anchored{id: id}) // as long as the tables have nothing of it
	}
	err = a.read(ctx, func(s *anchored) {
		differ[s.id] = !a.same(a.suspects[s.id], s)
	}, `WHERE s.id = ANY($1)`, ids)
	return differ, err
}
