package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/subscriptions"
	"herald/timeid"
)

// digest is a job: what gathers for a member, channel and purpose until a
// moment, and then goes together. There is one job for each digest that was
// begun; an item that is committed only after its digest has gone begins
// another, which goes at once.
type digest struct {
	MemberID int64                 `json:"member_id"`
	Channel  subscriptions.Channel `json:"channel"`
	Purpose  subscriptions.Purpose `json:"purpose"`
	DueAt    time.Time             `json:"due_at"` // UTC, in microseconds
}

// Kind is the job's name in River.
func (digest) Kind() string { return "dispatch_digest" }

// compare orders digests as everybody locks them.
func (d digest) compare(e digest) int {
	return cmp.Or(cmp.Compare(d.MemberID, e.MemberID), cmp.Compare(d.Channel, e.Channel), cmp.Compare(d.Purpose, e.Purpose), d.DueAt.Compare(e.DueAt))
}

// digestItem is a delivery that waits for its digest.
type digestItem struct {
	digest
	delivery uuid.UUID
	priority int
}

func newDigestItem(n *Notification, p plan, delivery uuid.UUID) digestItem {
	due := p.due.UTC().Truncate(time.Microsecond) // as PostgreSQL keeps it
	return digestItem{digest{n.MemberID, p.channel, n.Purpose, due}, delivery, n.Priority}
}

const (
	// A digest's row is locked until the transaction ends, also when it was
	// begun by another: the digest cannot go without the new item.
	beginDigestsSQL = `
INSERT INTO digests AS d (member_id, channel, purpose, due_at, first)
SELECT member_id, channel, purpose, due_at, first
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[]) WITH ORDINALITY
  AS new (member_id, channel, purpose, due_at, first, place)
ORDER BY place
ON CONFLICT (member_id, channel, purpose, due_at) DO UPDATE SET first = d.first
RETURNING first`

	insertDigestItemsSQL = `
INSERT INTO digest_items (member_id, channel, purpose, due_at, delivery_id)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[])`
)

// queueDigests adds items to their digests, and begins those that are missing.
// Once the batch is through, begun holds the deliveries that one was begun for.
func queueDigests(batch *pgx.Batch, items []digestItem, begun map[uuid.UUID]bool) {
	slices.SortStableFunc(items, func(a, b digestItem) int { return a.digest.compare(b.digest) })
	first := slices.CompactFunc(slices.Clone(items), func(a, b digestItem) bool { return a.digest == b.digest })
	batch.Queue(beginDigestsSQL, digestColumns(first)...).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
			begun[id] = true
			return nil
		})
		return err
	})
	batch.Queue(insertDigestItemsSQL, digestColumns(items)...)
}

func digestColumns(items []digestItem) []any {
	members, dues, ids := make([]int64, len(items)), make([]time.Time, len(items)), make([]uuid.UUID, len(items))
	channels, purposes := make([]string, len(items)), make([]string, len(items))
	for i, item := range items {
		members[i], channels[i], purposes[i], dues[i], ids[i] = item.MemberID, string(item.Channel), string(item.Purpose), item.DueAt, item.delivery
	}
	return []any{members, channels, purposes, dues, ids}
}

// digestJobs are the jobs of the digests that were begun.
func digestJobs(items []digestItem, begun map[uuid.UUID]bool) []river.InsertManyParams {
	var jobs []river.InsertManyParams
	for _, item := range items {
		if begun[item.delivery] {
			jobs = append(jobs, jobFor(item.digest, item.Channel, item.priority, item.DueAt))
		}
	}
	return jobs
}

// digester is the River worker that sends digests off when they are due.
type digester struct {
	river.WorkerDefaults[digest]
	worker *Worker
}

// NextRetry is for a digest that could not be read or written just now.
func (g *digester) NextRetry(job *river.Job[digest]) time.Time { return tryAgainAt(len(job.Errors)) }

// Work gives the digest's items to a job that hands them over together.
func (g *digester) Work(ctx context.Context, job *river.Job[digest]) error {
	s := g.worker.store
	if left := job.Args.DueAt.Sub(s.now()); left > 0 {
		return river.JobSnooze(left)
	}
	for {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.gatherTx(ctx, tx, job.Args) })
		if !errors.Is(err, errGrew) {
			return err
		}
	}
}

// errGrew says that a digest got further items while its first were locked.
// That ends by itself: it is due.
var errGrew = errors.New("the digest grew meanwhile")

const (
	endDigestSQL = `DELETE FROM digests WHERE member_id = $1 AND channel = $2 AND purpose = $3 AND due_at = $4`

	// Deliveries are locked before digests, as where a ladder leads into one.
	lockDigestItemsSQL = `
SELECT id
FROM deliveries
WHERE id IN (SELECT delivery_id FROM digest_items WHERE member_id = $1 AND channel = $2 AND purpose = $3 AND due_at = $4)
ORDER BY id
FOR UPDATE`

	takeDigestItemsSQL = `
DELETE FROM digest_items WHERE member_id = $1 AND channel = $2 AND purpose = $3 AND due_at = $4
RETURNING delivery_id`

	// Those that ended meanwhile, or were sent by hand, are no longer of it.
	gatherSQL = `
SELECT d.id, d.turn, n.priority
FROM deliveries d
JOIN notifications n ON n.id = d.notification_id
WHERE d.id = ANY($1) AND d.state = 'deferred' AND d.reason = 'digest'
ORDER BY d.id`
)

// gatherTx takes a digest away and makes the job of its items. One that is
// gone was sent by an earlier run.
func (s *Store) gatherTx(ctx context.Context, tx pgx.Tx, d digest) error {
	locked, err := d.items(ctx, tx, lockDigestItemsSQL)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, endDigestSQL, d.MemberID, d.Channel, d.Purpose, d.DueAt)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	// Whoever was adding to it has committed: their items are seen from here on.
	ids, err := d.items(ctx, tx, takeDigestItemsSQL)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(ids, func(id uuid.UUID) bool { return !slices.Contains(locked, id) }) {
		return errGrew
	}
	rows, err := tx.Query(ctx, gatherSQL, ids)
	if err != nil {
		return fmt.Errorf("gather a digest: %w", err)
	}
	together := handOver{Together: len(ids) > 1, Wire: timeid.New(s.now())}
	priority := 0
	var id uuid.UUID
	var turn, its int
	_, err = pgx.ForEachRow(rows, []any{&id, &turn, &its}, func() error {
		together.Deliveries = append(together.Deliveries, id)
		together.Turn = max(together.Turn, turn+1)
		if priority == 0 || its < priority {
			priority = its
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("gather a digest: %w", err)
	}
	if len(together.Deliveries) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE deliveries SET turn = $2 WHERE id = ANY($1)`, together.Deliveries, together.Turn); err != nil {
		return fmt.Errorf("gather a digest: %w", err)
	}
	return s.insertJobs(ctx, tx, []river.InsertManyParams{jobFor(together, d.Channel, priority, time.Time{})})
}

// items are a digest's deliveries, by a statement about its items.
func (d digest) items(ctx context.Context, tx pgx.Tx, sql string) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, sql, d.MemberID, d.Channel, d.Purpose, d.DueAt)
	if err != nil {
		return nil, fmt.Errorf("take a digest's items: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("take a digest's items: %w", err)
	}
	return ids, nil
}
