package follower

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// mark is how far the transactions had come at a time of this process's clock:
// none before min was still running.
type mark struct {
	at   time.Time
	line string
	min  uint64
}

// marksKept is how many marks there are in the time that changes are kept.
const marksKept = 60

// prune deletes the changes that are older than they are kept. Every node
// does; whoever comes second finds nothing to do.
func (f *Follower) prune(ctx context.Context) {
	s, now := f.state.Load(), f.cfg.Now()
	if s == nil {
		return
	}
	if n := len(f.marks); n > 0 && (f.marks[n-1].line != s.line || f.marks[n-1].min > s.min) {
		f.marks = nil
	}
	if n := len(f.marks); n > 0 && now.Sub(f.marks[n-1].at) < f.cfg.Keep/marksKept {
		return
	}
	f.marks = append(f.marks, mark{now, s.line, s.min})
	old := -1
	for i, m := range f.marks {
		if now.Sub(m.at) >= f.cfg.Keep {
			old = i
		}
	}
	if old < 0 {
		return
	}
	m := f.marks[old]
	f.marks = f.marks[old+1:]
	deleted, err := pruneBefore(ctx, f.pool, m.line, m.min)
	if err != nil {
		f.failed(ctx, "old changes cannot be deleted", err)
	}
	f.counts.pruned.Add(deleted)
}

// pruneBefore deletes the changes of the transactions before an id, and
// remembers that it did, so that who would need them knows.
func pruneBefore(ctx context.Context, db interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}, line string, before uint64,
) (deleted int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		moved, err := tx.Exec(ctx, `
			UPDATE anchor_changes_pruned SET before = $2
			WHERE before < $2 AND EXISTS (SELECT FROM anchor_line WHERE id = $1::uuid)`, line, before)
		if err != nil || moved.RowsAffected() == 0 {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM anchor_changes WHERE xid < $1`, before)
		deleted = tag.RowsAffected()
		return err
	})
	return deleted, err
}
