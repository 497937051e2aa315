package parts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
)

// summed marks the Key of reports that are made here; they are let through
// when they come again.
const summed = "parts:"

// Reports turns what providers say of single parts into what that means for
// the deliveries, and lets all else through untouched:
//
//	delivered            nothing, until all parts are: then the delivery is
//	bounced, expired     the same of the delivery, at once; the first counts
//	all others           the same of the delivery
//
// What a part was is durable when Reports returns; the same reports given
// again lead to the same reports, whose Key tells dispatch.Receipts that it
// has them. So the provider can be told that they were taken after both.
//
// A report that comes before Accepted is one of an id that nobody knows yet,
// and so can be one of a message of one part that comes before its attempt is
// recorded. While a message of several parts is in hand on its account it is
// therefore kept, and given by Run as soon as that can be told: when somebody
// has noted the id, or nobody can any more.
func (s *Store) Reports(ctx context.Context, reports []dispatch.Report) ([]dispatch.Report, error) {
	through, sums, err := s.take(ctx, reports, true)
	if err != nil {
		return nil, fmt.Errorf("take %d reports of parts: %w", len(reports), err)
	}
	return append(through, sums...), nil
}

// take does it; with hold, what cannot be told yet is kept.
func (s *Store) take(ctx context.Context, reports []dispatch.Report, hold bool) (through, sums []dispatch.Report, err error) {
	found, unknown, err := s.find(ctx, reports)
	if err != nil {
		return nil, nil, err
	}
	var held []dispatch.Report
	var known []reported
	through = make([]dispatch.Report, 0, len(reports))
	for i, r := range reports {
		part, ok := found[i]
		switch {
		case ok:
			known = append(known, reported{r, part})
		case hold && unknown[i]:
			held = append(held, r)
		default:
			through = append(through, r)
		}
	}
	if err := s.keep(ctx, held); err != nil {
		return nil, nil, err
	}
	sums, err = s.settle(ctx, known)
	return through, sums, err
}

// asked reports whether a report can be one of a part.
func asked(r dispatch.Report) bool {
	return r.DeliveryID == uuid.Nil && r.ProviderID != "" && !strings.HasPrefix(r.Key, summed)
}

// message names a message of several parts.
type message struct {
	delivery uuid.UUID
	account  string
}

// place names a part of one.
type place struct {
	message
	reference int32
	part      int16
}

// reported is a report of a part.
type reported struct {
	dispatch.Report
	place
}

// inHandFor is how long after its beginning a message may still be in some
// attempt's hands.
const inHandFor = 5 * time.Minute

const (
	// Which ids can be those of parts in hand: none while no message is, and
	// none that an attempt has got. Asked before the parts: when a message is
	// in hand no more, they are found. The attempts are dispatch's, and only
	// read.
	unknownSQL = `
WITH in_hand AS MATERIALIZED (
    SELECT a.account
    FROM (SELECT DISTINCT account FROM unnest($2::text[]) AS u (account)) AS a
    WHERE EXISTS (SELECT FROM sms_messages m WHERE m.account = a.account AND m.missing > 0 AND m.begun_at > $4)
)
SELECT r.i
FROM unnest($1::int[], $2::text[], $3::text[]) AS r (i, account, provider_id)
JOIN in_hand h ON h.account = r.account
WHERE NOT EXISTS (
    SELECT FROM attempts a
    WHERE a.provider_id = r.provider_id AND a.account = r.account AND a.provider_id <> ''
    OFFSET 0)`

	// A provider may use an id again: the newest is meant.
	findSQL = `
SELECT DISTINCT ON (r.i) r.i, p.delivery_id, p.account, p.reference, p.part
FROM unnest($1::int[], $2::text[], $3::text[]) AS r (i, account, provider_id)
CROSS JOIN LATERAL (SELECT * FROM sms_parts WHERE provider_id = r.provider_id AND account = r.account OFFSET 0) AS p
ORDER BY r.i, p.accepted_at DESC`
)

// find says which of the reports are of parts, and which are of ids that may
// yet become those of parts.
func (s *Store) find(ctx context.Context, reports []dispatch.Report) (found map[int]place, unknown map[int]bool, err error) {
	var places []int32
	var accounts, ids []string
	for i, r := range reports {
		if asked(r) {
			places = append(places, int32(i)) //nolint:gosec // a batch is never so long
			accounts, ids = append(accounts, r.Account), append(ids, storable(r.ProviderID))
		}
	}
	if len(places) == 0 {
		return nil, nil, nil
	}
	found, unknown = map[int]place{}, map[int]bool{}
	var i int
	var p place
	var batch pgx.Batch
	batch.Queue(unknownSQL, places, accounts, ids, s.now().Add(-inHandFor)).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&i}, func() error {
			unknown[i] = true
			return nil
		})
		return err
	})
	batch.Queue(findSQL, places, accounts, ids).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&i, &p.delivery, &p.account, &p.reference, &p.part}, func() error {
			found[i] = p
			return nil
		})
		return err
	})
	if err := s.db.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, nil, fmt.Errorf("find the parts: %w", err)
	}
	return found, unknown, nil
}

const (
	// The parts of a message are marked one transaction after the other, so
	// that the last one sees all.
	lockSQL = `
SELECT FROM sms_messages m
WHERE (m.delivery_id, m.account) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))
ORDER BY m.delivery_id, m.account
FOR UPDATE`

	markSQL = `
UPDATE sms_parts p
SET state = r.state, code = r.code, detail = r.detail, address_dead = r.dead, happened_at = r.at
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::timestamptz[])
  AS r (delivery_id, account, reference, part, state, code, detail, dead, at)
WHERE p.delivery_id = r.delivery_id AND p.account = r.account AND p.reference = r.reference AND p.part = r.part
  AND p.state = 'accepted'`

	// A bounce means nothing for a delivery that went on to another account.
	partsSQL = `
SELECT m.delivery_id, m.account, m.reference, m.parts,
       EXISTS (SELECT FROM sms_messages o WHERE o.delivery_id = m.delivery_id AND o.account <> m.account AND o.begun_at > m.begun_at),
       p.part, p.provider_id, p.state, p.code, p.detail, p.address_dead, coalesce(p.happened_at, p.accepted_at)
FROM sms_messages m
JOIN sms_parts p ON p.delivery_id = m.delivery_id AND p.account = m.account AND p.reference = m.reference
WHERE (m.delivery_id, m.account) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))
ORDER BY m.delivery_id, m.account, p.part`
)

// settle notes what became of parts, and says what it means for their
// messages. It costs one round trip.
func (s *Store) settle(ctx context.Context, known []reported) ([]dispatch.Report, error) {
	if len(known) == 0 {
		return nil, nil
	}
	marks := newMarks(known, s.now())
	var sums map[message]*sum
	err := s.patiently(func() error {
		sums = map[message]*sum{}
		var batch pgx.Batch
		batch.Queue(lockSQL, marks.deliveries, marks.accounts)
		if len(marks.states) > 0 {
			batch.Queue(markSQL, marks.columns()...)
		}
		batch.Queue(partsSQL, marks.deliveries, marks.accounts).Query(func(rows pgx.Rows) error { return readSums(rows, sums) })
		return s.db.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return nil, fmt.Errorf("note what became of %d parts: %w", len(known), err)
	}
	return conclude(known, sums), nil
}
