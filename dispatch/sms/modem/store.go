package modem

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
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store keeps what modems must not forget: the references of their messages,
// what their SIMs sent, the PINs that were tried, the balances. It is safe for
// many goroutines, and any number of nodes may have one on the same database.
type Store struct {
	db  *pgxpool.Pool
	now func() time.Time
}

// NewStore makes a store on Herald's database.
func NewStore(db *pgxpool.Pool) *Store { return &Store{db: db, now: time.Now} }

// The states of a part.
const (
	waiting  = "waiting"  // it was not sent
	doubt    = "doubt"    // it may have been taken
	accepted = "accepted" // it was taken
	refused  = "refused"  // it surely was not
)

// part is a part of a delivery as it stands.
type part struct {
	Number     int
	Reference  byte // TP-MR
	State      string
	ProviderID string
	Detail     string
	// Shared says that another part has had the same reference, to the same
	// recipient or later, or that the modem gives references of its own: what
	// the centre says of it may be said of either.
	Shared     bool
	of         int     // parts of the whole message
	text       int64   // hash of the whole message
	sim        string  // that it goes by
	day, month *string // the periods it counts in; nil: none
}

// untold reports whether the centre's word on the reference of a part in doubt
// would not tell a SIM whether it has that part.
func (p part) untold(sim string) bool { return p.State == doubt && (p.Shared || p.sim != sim) }

// whole is a message on its way: the delivery's, on one account and SIM.
type whole struct {
	Delivery  uuid.UUID
	Account   string
	SIM       string
	Recipient int64
	Text      int64
	Of        int
}

// digitsThatTell is how many of a number's last digits stand for it: an
// operator may write it with or without its country.
const digitsThatTell = 8

// hashNumber is what is kept of a number.
func hashNumber(number string) int64 {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	return hash(digits[max(0, len(digits)-digitsThatTell):])
}

// hash keeps what need only be told apart.
func hash(text string) int64 {
	sum := sha256.Sum256([]byte(text))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // all its bits
}

// sharedSQL is part.Shared of a row p.
const sharedSQL = `EXISTS (
    SELECT FROM modem_parts o
    WHERE o.sim = p.sim AND o.reference = p.reference AND o.state IN ('accepted', 'doubt') AND (o.recipient = p.recipient OR o.at > p.at)
      AND (o.delivery_id, o.account, o.part) <> (p.delivery_id, p.account, p.part))
  OR EXISTS (SELECT FROM modem_references r WHERE r.sim = p.sim AND r.own)`

const (
	lockPartsSQL = `
SELECT part, reference, state, provider_id, detail, day, month, sim, text <> $3 OR of <> $4, ` + sharedSQL + `
FROM modem_parts p
WHERE delivery_id = $1 AND account = $2
ORDER BY part
FOR UPDATE OF p`

	forgetPartsSQL = `
DELETE FROM modem_parts WHERE delivery_id = $1 AND account = $2`

	writePartsSQL = `
INSERT INTO modem_parts (delivery_id, account, part, of, text, sim, reference, recipient, state, day, month, at)
SELECT $1, $2, w.part, $3, $4, $5, w.reference, $6, $12, $7, $8, $9
FROM unnest($10::smallint[], $11::smallint[]) AS w (part, reference)
ON CONFLICT (delivery_id, account, part) DO UPDATE
SET sim = excluded.sim, reference = excluded.reference, state = excluded.state, day = excluded.day, month = excluded.month, at = excluded.at,
    detail = ''`
)

// begin says how far a message has come and makes its missing parts ready to
// be sent: each has a reference, durable, and is counted in its quotas. It
// fails with *exhausted when a quota has no room for them all. missing are
// those that the caller has no other word of.
//
// A part that was taken stays so, whatever SIM is in the modem now. One in doubt
// keeps its reference: with that it is sent again. Where that would tell
// nothing, because the reference is shared or another SIM's, it is given
// another if renew says so.
func (s *Store) begin(ctx context.Context, w whole, missing []int, q Quotas, renew bool) (parts []part, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		known, stale, err := lockParts(ctx, tx, w)
		if err != nil {
			return err
		}
		if stale {
			if err := s.forget(ctx, tx, w, known); err != nil {
				return err
			}
			clear(known)
		}
		var fresh, shared []int
		for _, n := range missing {
			switch p, found := known[n]; {
			case !found || p.State == refused:
				fresh = append(fresh, n)
			case p.State == waiting && p.sim != w.SIM:
				if err := uncount(ctx, tx, p.sim, p.day, p.month); err != nil {
					return err
				}
				fresh = append(fresh, n)
			case renew && p.untold(w.SIM):
				shared = append(shared, n)
			}
		}
		if err := s.prepare(ctx, tx, w, waiting, fresh, q, known); err != nil {
			return err
		}
		if err := s.prepare(ctx, tx, w, doubt, shared, q, known); err != nil {
			return err
		}
		parts = parts[:0]
		for _, n := range missing {
			parts = append(parts, known[n])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("begin a message of %d parts: %w", w.Of, err)
	}
	return parts, nil
}

// lockParts reads what is known of a message's parts. stale says that it was
// another text.
func lockParts(ctx context.Context, tx pgx.Tx, w whole) (known map[int]part, stale bool, err error) {
	rows, err := tx.Query(ctx, lockPartsSQL, w.Delivery, w.Account, w.Text, w.Of)
	if err != nil {
		return nil, false, err
	}
	known = map[int]part{}
	var p part
	var reference int16
	var other bool
	_, err = pgx.ForEachRow(rows, []any{&p.Number, &reference, &p.State, &p.ProviderID, &p.Detail, &p.day, &p.month, &p.sim, &other, &p.Shared}, func() error {
		p.Reference = byte(reference)
		known[p.Number] = p
		stale = stale || other
		return nil
	})
	return known, stale, err
}

// forget gives back what the parts of another text were counted, those that
// were never sent.
func (s *Store) forget(ctx context.Context, tx pgx.Tx, w whole, known map[int]part) error {
	for _, p := range known {
		if p.State == waiting {
			if err := uncount(ctx, tx, p.sim, p.day, p.month); err != nil {
				return err
			}
		}
	}
	_, err := tx.Exec(ctx, forgetPartsSQL, w.Delivery, w.Account)
	return err
}

// prepare gives parts references and counts them, and adds them to known. Those
// that are in doubt stay so, under their new references.
func (s *Store) prepare(ctx context.Context, tx pgx.Tx, w whole, state string, fresh []int, q Quotas, known map[int]part) error {
	if len(fresh) == 0 {
		return nil
	}
	now := s.now()
	day, month := q.periods(now)
	if err := count(ctx, tx, w.SIM, len(fresh), q, day, month); err != nil {
		return err
	}
	references, err := nextReferences(ctx, tx, w, len(fresh))
	if err != nil {
		return err
	}
	numbers := make([]int16, len(fresh))
	for i, n := range fresh {
		numbers[i] = int16(n) //nolint:gosec // 255 at most
		known[n] = part{
			Number: n, Reference: byte(references[i]), State: state, Shared: state == doubt, //nolint:gosec // likewise
			sim: w.SIM, day: &day, month: &month,
		}
	}
	_, err = tx.Exec(ctx, writePartsSQL, w.Delivery, w.Account, w.Of, w.Text, w.SIM, w.Recipient, day, month, now, numbers, references, state)
	return err
}

// intend notes that a part is about to be sent: from now on it may have been.
func (s *Store) intend(ctx context.Context, w whole, n int) error {
	tag, err := s.db.Exec(ctx, `
UPDATE modem_parts SET state = 'doubt', at = $4
WHERE delivery_id = $1 AND account = $2 AND part = $3 AND state IN ('waiting', 'doubt')`, w.Delivery, w.Account, n, s.now())
	if err == nil && tag.RowsAffected() == 0 {
		err = errors.New("somebody else has it in hand")
	}
	if err != nil {
		return fmt.Errorf("note the intent to send a part: %w", err)
	}
	return nil
}

// took notes that a part was taken, under a reference that may be another than
// we gave it.
func (s *Store) took(ctx context.Context, w whole, n int, reference byte, providerID string) error {
	_, err := s.db.Exec(ctx, `
UPDATE modem_parts SET state = 'accepted', reference = $4, provider_id = $5, at = $6
WHERE delivery_id = $1 AND account = $2 AND part = $3 AND state = 'doubt'`, w.Delivery, w.Account, n, int16(reference), providerID, s.now())
	if err != nil {
		return fmt.Errorf("note a part as taken: %w", err)
	}
	return nil
}

const refuseSQL = `
UPDATE modem_parts p SET state = 'refused', detail = $4, day = NULL, month = NULL, at = $5
FROM (SELECT day, month, sim FROM modem_parts WHERE delivery_id = $1 AND account = $2 AND part = $3 FOR UPDATE) AS was
WHERE delivery_id = $1 AND account = $2 AND part = $3 AND state IN ('waiting', 'doubt')
RETURNING was.day, was.month, was.sim`

// refuse notes that a part was surely not taken, and gives back what it counted.
func (s *Store) refuse(ctx context.Context, w whole, n int, detail string) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var day, month *string
		var sim string
		err := tx.QueryRow(ctx, refuseSQL, w.Delivery, w.Account, n, detail, s.now()).Scan(&day, &month, &sim)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return uncount(ctx, tx, sim, day, month)
	})
	if err != nil {
		return fmt.Errorf("note a part as refused: %w", err)
	}
	return nil
}

// unsent notes that a part was not sent after all.
func (s *Store) unsent(ctx context.Context, w whole, n int) error {
	return s.move(ctx, w, n, doubt, waiting)
}

// lose notes that a part that was taken will never arrive. It was sent, so it
// stays counted.
func (s *Store) lose(ctx context.Context, w whole, n int) error {
	return s.move(ctx, w, n, accepted, refused)
}

// move notes that a part is in another state; one that left the first meanwhile
// stays where it is.
func (s *Store) move(ctx context.Context, w whole, n int, from, to string) error {
	_, err := s.db.Exec(ctx, `
UPDATE modem_parts SET state = $5, at = $6
WHERE delivery_id = $1 AND account = $2 AND part = $3 AND state = $4`, w.Delivery, w.Account, n, from, to, s.now())
	if err != nil {
		return fmt.Errorf("note a part as %s: %w", to, err)
	}
	return nil
}

// release forgets the parts of a message that were not sent, and gives back
// what they counted: the message may go another way.
func (s *Store) release(ctx context.Context, w whole) error {
	_, err := s.drop(ctx, `
DELETE FROM modem_parts
WHERE delivery_id = $1 AND account = $2 AND state = 'waiting'
RETURNING sim, day, month`, w.Delivery, w.Account)
	if err != nil {
		return fmt.Errorf("give back what was not sent: %w", err)
	}
	return nil
}

// drop runs a statement that deletes parts which were not sent, and gives back
// what they counted.
func (s *Store) drop(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		type counted struct {
			SIM        string
			Day, Month *string
		}
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		dropped, err := pgx.CollectRows(rows, pgx.RowToStructByPos[counted])
		if err != nil {
			return err
		}
		n = int64(len(dropped))
		for _, d := range dropped {
			if err := uncount(ctx, tx, d.SIM, d.Day, d.Month); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// parts is how far a delivery has come on an account, in order.
func (s *Store) parts(ctx context.Context, delivery uuid.UUID, account string) ([]part, error) {
	rows, err := s.db.Query(ctx, `
SELECT part, reference, state, provider_id, detail, of, text, sim
FROM modem_parts
WHERE delivery_id = $1 AND account = $2
ORDER BY part`, delivery, account)
	if err != nil {
		return nil, fmt.Errorf("read the parts of a delivery: %w", err)
	}
	parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p part, err error) {
		var reference int16
		err = row.Scan(&p.Number, &reference, &p.State, &p.ProviderID, &p.Detail, &p.of, &p.text, &p.sim)
		p.Reference = byte(reference)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the parts of a delivery: %w", err)
	}
	return parts, nil
}
