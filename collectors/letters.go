package collectors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

const (
	// letterBytes is how much of an original is kept.
	letterBytes = 256 << 10
	// lettersMost is how many dead letters a collector may have before it
	// takes nothing more: something is wrong that somebody must look at.
	lettersMost = 10_000
)

// LetterFilter narrows dead letters; the newest come first.
type LetterFilter struct {
	Collector string
	Before    int64 // only those with a lower id; 0: from the newest
	Limit     int
}

const selectLetters = `
	SELECT id, collector, key, batch, place, reason, original, cut, at, tries, again_at, again_by
	FROM collector_dead_letters `

// Letters are a collector's dead letters, the newest first.
func (s *Store) Letters(ctx context.Context, f LetterFilter) ([]Letter, error) {
	return s.letters(ctx, selectLetters+`
		WHERE collector = $1 AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, f.Collector, f.Before, f.Limit)
}

func (s *Store) letters(ctx context.Context, sql string, args ...any) ([]Letter, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanLetter)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return list, nil
}

func scanLetter(row pgx.CollectableRow) (Letter, error) {
	var l Letter
	err := row.Scan(&l.ID, &l.Collector, &l.Key, &l.Batch, &l.Place, &l.Reason, &l.Original, &l.Cut, &l.At, &l.Tries, &l.AgainAt, &l.AgainBy)
	return l, err
}

// Again asks for a new try of one dead letter, or of all of a collector when id
// is 0, and says of how many. The node that runs the collector makes it, within
// seconds: what can be taken then is a dead letter no more. Errors: NotFound
// where there is no such letter, or it was cut.
func (s *Store) Again(ctx context.Context, collector string, id int64, by string) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		UPDATE collector_dead_letters SET again_at = $3, again_by = $4
		WHERE id IN (
			SELECT id FROM collector_dead_letters WHERE collector = $1 AND ($2 = 0 OR id = $2) AND NOT cut
			ORDER BY id FOR UPDATE)`, collector, id, s.now(), by)
	return s.touched(ctx, collector, id, int(tag.RowsAffected()), err)
}

// Discard throws one dead letter away, or all of a collector up to the one with
// the id upTo, and says how many. Errors: NotFound.
func (s *Store) Discard(ctx context.Context, collector string, id, upTo int64) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		DELETE FROM collector_dead_letters
		WHERE id IN (
			SELECT id FROM collector_dead_letters WHERE collector = $1 AND ($2 = 0 AND id <= $3 OR id = $2)
			ORDER BY id FOR UPDATE)`, collector, id, upTo)
	return s.touched(ctx, collector, id, int(tag.RowsAffected()), err)
}

func (s *Store) touched(ctx context.Context, collector string, id int64, n int, err error) (int, error) {
	if err != nil {
		return 0, fmt.Errorf("change dead letters: %w", err)
	}
	if n > 0 {
		return n, nil
	}
	if id != 0 {
		return 0, problem.New(problem.NotFound, "there is no such dead letter that could be tried again")
	}
	_, err = s.Get(ctx, collector)
	return 0, err
}

// askedAgain are dead letters of which a new try was asked for, the oldest first.
func (s *Store) askedAgain(ctx context.Context, collector string, limit int) ([]Letter, error) {
	return s.letters(ctx, selectLetters+`
		WHERE collector = $1 AND again_at IS NOT NULL ORDER BY id LIMIT $2`, collector, limit)
}

// ofBatch are the dead letters of a batch in the order they were found.
func (s *Store) ofBatch(ctx context.Context, collector, batch string, after int64, limit int) ([]Letter, error) {
	return s.letters(ctx, selectLetters+`
		WHERE collector = $1 AND batch = $2 AND id > $3 ORDER BY id LIMIT $4`, collector, batch, after, limit)
}

// dead is an item that could not be taken, and why.
type dead struct {
	Item
	reason string
}

// buryTx keeps items as dead letters. One that is there already, found again
// after a crash, stays as it is. It fails, so that nothing more is taken, when
// there are too many.
func (s *Store) buryTx(ctx context.Context, tx pgx.Tx, collector string, items []dead) error {
	if len(items) == 0 {
		return nil
	}
	var left int
	err := tx.QueryRow(ctx, `
		SELECT count(*) FROM (SELECT 1 FROM collector_dead_letters WHERE collector = $1 LIMIT $2) AS letters`, collector, lettersMost).Scan(&left)
	if err != nil {
		return fmt.Errorf("count dead letters: %w", err)
	}
	if left >= lettersMost {
		return problem.New(problem.Conflict, "there are %d dead letters: nothing more is taken until they have been tried again or thrown away", left)
	}
	n := len(items)
	keys, batches, places, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	originals, cut := make([][]byte, n), make([]bool, n)
	for i, item := range items {
		keys[i], batches[i], places[i], reasons[i] = text(item.Key), text(item.Batch), text(item.Place), text(item.reason)
		originals[i], cut[i] = item.Original[:min(len(item.Original), letterBytes)], len(item.Original) > letterBytes
		if originals[i] == nil {
			originals[i] = []byte{}
		}
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO collector_dead_letters (collector, key, batch, place, reason, original, cut, at)
		SELECT $1, key, batch, place, reason, original, cut, $8
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::boolean[])
			AS d (key, batch, place, reason, original, cut)
		ON CONFLICT (collector, key) DO NOTHING`,
		collector, keys, batches, places, reasons, originals, cut, s.now())
	if err != nil {
		return fmt.Errorf("keep dead letters: %w", err)
	}
	return nil
}

// text is s as PostgreSQL can keep it; names of files may be anything.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// resolveTx removes dead letters that were taken, and notes of the others that
// the new try was in vain.
func (s *Store) resolveTx(ctx context.Context, tx pgx.Tx, taken, refused []int64, reasons []string) error {
	// In one order with whoever discards them, or asks for another try.
	_, err := tx.Exec(ctx, `SELECT FROM collector_dead_letters WHERE id = ANY($1) ORDER BY id FOR UPDATE`, slices.Concat(taken, refused))
	if err != nil {
		return fmt.Errorf("resolve dead letters: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM collector_dead_letters WHERE id = ANY($1)`, taken); err != nil {
		return fmt.Errorf("resolve dead letters: %w", err)
	}
	_, err = tx.Exec(ctx, `
		UPDATE collector_dead_letters d SET tries = d.tries + 1, again_at = NULL, reason = r.reason
		FROM unnest($1::bigint[], $2::text[]) AS r (id, reason) WHERE d.id = r.id`, refused, reasons)
	if err != nil {
		return fmt.Errorf("resolve dead letters: %w", err)
	}
	return nil
}
