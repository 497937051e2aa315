package caps

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Rows are begun and locked in the order of their keys, so that transactions
// wait for each other and never in a circle.
const (
	// A member who was never counted begins with the first notification, which
	// no cap forbids: most members of a campaign need nothing further.
	beginSQL = `
INSERT INTO cap_counts (member_id, purpose, ids, taken)
SELECT member_id, purpose, ARRAY[id], ARRAY[$4::timestamptz]
FROM unnest($1::bigint[], $2::text[], $3::uuid[]) WITH ORDINALITY AS want (member_id, purpose, id, place)
ORDER BY place
ON CONFLICT DO NOTHING`

	readSQL = `
SELECT member_id, purpose, ids, taken
FROM cap_counts
WHERE (member_id, purpose) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))`

	lockSQL = readSQL + `
ORDER BY member_id, purpose COLLATE "C"
FOR UPDATE`

	writeSQL = `
UPDATE cap_counts c
SET ids = new.ids::uuid[], taken = new.taken::timestamptz[]
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS new (member_id, purpose, ids, taken)
WHERE c.member_id = new.member_id AND c.purpose = new.purpose`
)

// beginAndLock begins the counts of keys that are missing with the first
// notification of each at an instant, and locks them all.
func beginAndLock(ctx context.Context, tx pgx.Tx, keys []key, firsts []uuid.UUID, at time.Time) (map[key]count, error) {
	members, purposes := columns(keys)
	var counts map[key]count
	var batch pgx.Batch
	batch.Queue(beginSQL, members, purposes, firsts, at)
	batch.Queue(lockSQL, members, purposes).Query(func(rows pgx.Rows) (err error) {
		counts, err = collect(rows, len(keys))
		return err
	})
	err := tx.SendBatch(ctx, &batch).Close()
	return counts, err
}

// lock locks the counts of keys, as far as there are any.
func lock(ctx context.Context, tx pgx.Tx, keys []key) (map[key]count, error) {
	members, purposes := columns(keys)
	rows, err := tx.Query(ctx, lockSQL, members, purposes)
	if err != nil {
		return nil, err
	}
	return collect(rows, len(keys))
}

func columns(keys []key) (members []int64, purposes []string) {
	members, purposes = make([]int64, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		members[i], purposes[i] = k.member, string(k.purpose)
	}
	return members, purposes
}

func collect(rows pgx.Rows, expected int) (map[key]count, error) {
	counts := make(map[key]count, expected)
	var k key
	var c count
	_, err := pgx.ForEachRow(rows, []any{&k.member, &k.purpose, &c.ids, &c.taken}, func() error {
		counts[k] = c
		c = count{} // the next row must not be read into these slices
		return nil
	})
	return counts, err
}

// changes are counts to write, column by column.
type changes struct {
	members    []int64
	purposes   []string
	ids, taken []string // arrays as PostgreSQL reads them
}

// note notes a count if it is no longer what it was.
func (ch *changes) note(k key, was, is count) {
	if slices.Equal(was.ids, is.ids) {
		return
	}
	ch.members = append(ch.members, k.member)
	ch.purposes = append(ch.purposes, string(k.purpose))
	ids, taken := make([]string, len(is.ids)), make([]string, len(is.taken))
	for i := range is.ids {
		ids[i], taken[i] = is.ids[i].String(), is.taken[i].UTC().Format(time.RFC3339Nano)
	}
	ch.ids = append(ch.ids, "{"+strings.Join(ids, ",")+"}")
	ch.taken = append(ch.taken, "{"+strings.Join(taken, ",")+"}")
}

func (ch *changes) write(ctx context.Context, tx pgx.Tx) error {
	if len(ch.members) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, writeSQL, ch.members, ch.purposes, ch.ids, ch.taken)
	return err
}
