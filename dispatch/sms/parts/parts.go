// Package parts keeps what must be known of text messages that go in several
// parts: the reference that holds a message together, which of its parts the
// provider has taken, and what it reported of each.
//
// A driver asks Begin before it hands messages over and tells Accepted what
// was taken; what a provider reports of single parts goes through Reports,
// which says what it means for the deliveries. Messages of one part never come
// here. What comes in piece by piece is kept by Collect.
package parts

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store keeps the parts of messages. It is safe for many goroutines, and any
// number of nodes may have one on the same database.
type Store struct {
	db        *pgxpool.Pool
	now       func() time.Time
	lookEvery time.Duration // between two looks of Run
}

// NewStore makes a store on Herald's database.
func NewStore(db *pgxpool.Pool) *Store {
	return &Store{db: db, now: time.Now, lookEvery: 2 * time.Second}
}

// Start is a message of several parts that is about to be handed over.
type Start struct {
	DeliveryID uuid.UUID
	Address    string // the recipient's
	Of         int    // how many parts, 2 to 255
	// Text is what it says; only a hash is kept. An attempt that says something
	// else than the one before is another message.
	Text string
}

// Progress is how far a message has come.
type Progress struct {
	// Reference is that of the concatenation header; a narrow one is its lower
	// eight bits.
	Reference uint16
	// Accepted says for each part, from 0, whether the provider has it, and
	// ProviderIDs by what name.
	Accepted    []bool
	ProviderIDs []string
}

// tries is how often a batch is tried that met others' locks.
const tries = 5

const (
	// What cannot be finished is begun anew: another text, or one of which a
	// part will never arrive and that somebody wants sent again.
	forgetSQL = `
DELETE FROM sms_messages m
USING unnest($2::uuid[], $3::smallint[], $4::bigint[]) AS w (delivery_id, parts, text)
WHERE m.delivery_id = w.delivery_id
  AND m.account = $1
  AND (m.parts <> w.parts OR m.text <> w.text OR EXISTS (
        SELECT FROM sms_parts p
        WHERE p.delivery_id = m.delivery_id AND p.account = m.account AND p.reference = m.reference
          AND p.state IN ('bounced', 'expired')))`

	againSQL = `
UPDATE sms_messages
SET begun_at = $3
WHERE delivery_id = ANY($2) AND account = $1 AND begun_at < $3`

	// The references of a recipient are given under the lock of its row, which
	// rows are taken in their order.
	beginSQL = `
WITH fresh AS (
    SELECT w.delivery_id, w.parts, w.text, w.address,
           row_number() OVER of_address AS turn, count(*) OVER (PARTITION BY w.address) AS n
    FROM unnest($2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY AS w (delivery_id, parts, text, address, place)
    WHERE NOT EXISTS (SELECT FROM sms_messages m WHERE m.delivery_id = w.delivery_id AND m.account = $1)
    WINDOW of_address AS (PARTITION BY w.address ORDER BY w.place)
), counted AS (
    INSERT INTO sms_references AS r (account, address, first, given, used_on)
    SELECT $1, address, floor(random() * 65536), count(*), $6::timestamptz::date
    FROM fresh
    GROUP BY address
    ORDER BY address
    ON CONFLICT (account, address) DO UPDATE SET given = r.given + excluded.given, used_on = excluded.used_on
    RETURNING address, first + given AS last
)
INSERT INTO sms_messages (delivery_id, account, reference, parts, missing, text, begun_at)
SELECT f.delivery_id, $1, (c.last - f.n + f.turn) % 65536, f.parts, f.parts, f.text, $6
FROM fresh f
JOIN counted c USING (address)
ORDER BY f.delivery_id
ON CONFLICT (delivery_id, account) DO NOTHING`

	progressSQL = `
SELECT w.place, m.reference, p.part, p.provider_id
FROM unnest($2::uuid[]) WITH ORDINALITY AS w (delivery_id, place)
JOIN sms_messages m ON m.delivery_id = w.delivery_id AND m.account = $1
LEFT JOIN sms_parts p ON p.delivery_id = m.delivery_id AND p.account = m.account AND p.reference = m.reference`
)

// Begin gives messages their references on an account, in the order of starts,
// and says which parts were taken at earlier attempts. A message keeps its
// reference at every attempt until it has arrived or its text changes; a
// recipient is not given the same one again before all others, of eight bits
// as of sixteen.
//
// A message of which a part will never arrive is begun anew: somebody wants it
// sent again. It costs one round trip, however many they are.
func (s *Store) Begin(ctx context.Context, account string, starts []Start) ([]Progress, error) {
	if len(starts) == 0 {
		return nil, nil
	}
	ids, of := make([]uuid.UUID, len(starts)), make([]int16, len(starts))
	texts, addresses := make([]int64, len(starts)), make([]int64, len(starts))
	for i, m := range starts {
		if m.Of < 2 || m.Of > 255 {
			return nil, fmt.Errorf("begin a message of %d parts: it has 2 to 255", m.Of)
		}
		ids[i], of[i], texts[i], addresses[i] = m.DeliveryID, int16(m.Of), hash(m.Text), hash(m.Address)
	}
	var progress []Progress
	err := s.patiently(func() error {
		progress = make([]Progress, len(starts))
		for i, m := range starts {
			progress[i] = Progress{Accepted: make([]bool, m.Of), ProviderIDs: make([]string, m.Of)}
		}
		found := 0
		now := s.now()
		var batch pgx.Batch
		batch.Queue(forgetSQL, account, ids, of, texts)
		batch.Queue(againSQL, account, ids, now)
		batch.Queue(beginSQL, account, ids, of, texts, addresses, now)
		batch.Queue(progressSQL, account, ids).Query(func(rows pgx.Rows) error {
			return readProgress(rows, progress, &found)
		})
		if err := s.db.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		if found < len(starts) {
			return errGone
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("begin %d messages of several parts: %w", len(starts), err)
	}
	return progress, nil
}

// errGone is the error of a message that was not there, or not any more.
var errGone = errors.New("another attempt of a message of several parts took its place")

func readProgress(rows pgx.Rows, progress []Progress, found *int) error {
	var (
		place     int
		reference int32
		part      *int16
		id        *string
		seen      = make([]bool, len(progress))
	)
	_, err := pgx.ForEachRow(rows, []any{&place, &reference, &part, &id}, func() error {
		p := &progress[place-1]
		if !seen[place-1] {
			seen[place-1] = true
			*found++
		}
		p.Reference = uint16(reference)
		if part != nil && int(*part) < len(p.Accepted) {
			p.Accepted[*part], p.ProviderIDs[*part] = true, *id
		}
		return nil
	})
	return err
}

// Part is a part that the provider took.
type Part struct {
	DeliveryID uuid.UUID
	Part       int    // from 0
	ProviderID string // the part's own; may be empty
}

const acceptSQL = `
WITH taken AS (
    INSERT INTO sms_parts (delivery_id, account, reference, part, provider_id, accepted_at)
    SELECT m.delivery_id, m.account, m.reference, t.part, t.provider_id, $5
    FROM unnest($2::uuid[], $3::smallint[], $4::text[]) AS t (delivery_id, part, provider_id)
    JOIN sms_messages m ON m.delivery_id = t.delivery_id AND m.account = $1
    WHERE t.part >= 0 AND t.part < m.parts
    ORDER BY m.delivery_id, t.part
    ON CONFLICT (delivery_id, account, reference, part) DO NOTHING
    RETURNING delivery_id
)
UPDATE sms_messages m
SET missing = m.missing - n
FROM (SELECT delivery_id, count(*) AS n FROM taken GROUP BY delivery_id) AS t
WHERE m.delivery_id = t.delivery_id AND m.account = $1`

// Accepted notes parts that the provider of an account took, of messages that
// were begun there. Call it as soon as an attempt knows, with all it knows,
// and before the attempt is over: what is noted is never sent again. To note a
// part twice changes nothing.
func (s *Store) Accepted(ctx context.Context, account string, taken ...Part) error {
	if len(taken) == 0 {
		return nil
	}
	ids, places, names := make([]uuid.UUID, len(taken)), make([]int16, len(taken)), make([]string, len(taken))
	for i, t := range taken {
		if t.Part < 0 || t.Part > 254 {
			return fmt.Errorf("note part %d as taken: they are 0 to 254", t.Part)
		}
		ids[i], places[i], names[i] = t.DeliveryID, int16(t.Part), storable(t.ProviderID)
	}
	err := s.patiently(func() error {
		_, err := s.db.Exec(ctx, acceptSQL, account, ids, places, names, s.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("note %d parts as taken: %w", len(taken), err)
	}
	return nil
}

// patiently does it again when it ended for another transaction's sake.
func (s *Store) patiently(do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == tries || !isCollision(err) {
			return err
		}
	}
}

func isCollision(err error) bool {
	var failure *pgconn.PgError
	return errors.Is(err, errGone) || errors.As(err, &failure) && (failure.Code == "40P01" || failure.Code == "40001")
}

// hash keeps what need only be told apart.
func hash(text string) int64 {
	sum := sha256.Sum256([]byte(text))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // all its bits
}

// storable is a provider's text as PostgreSQL takes it.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}
