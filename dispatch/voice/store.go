package voice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// Store keeps the calls that were made: how each went, and what was recorded.
// It is safe for many goroutines, and any number of nodes may have one on the
// same database.
type Store struct {
	db  *pgxpool.Pool
	now func() time.Time
}

// NewStore makes a store on Herald's database.
func NewStore(db *pgxpool.Pool) *Store { return &Store{db: db, now: time.Now} }

// party is who answered.
type party string

// The parties. Empty: nobody did.
const (
	person  party = "person"
	machine party = "machine"
	unknown party = "unknown" // either: it could not be told
)

// outcome is how a call ended. Those of calls that nobody answered are sip's
// classes.
type outcome string

// The outcomes of calls that were answered, and of one whose process died.
const (
	spoken outcome = "spoken"  // to a person, who heard as much as the row says
	left   outcome = "left"    // the message, with a machine
	hungUp outcome = "machine" // a machine answered that gets nothing
	lost   outcome = "lost"    // nobody knows
)

// step is what happened in a call, and when.
type step struct {
	At   time.Time      `json:"at"`
	Code string         `json:"code"` // such as call_dialled
	Args map[string]any `json:"args,omitempty"`
	// Recording is what was recorded; zero: nothing.
	Recording uuid.UUID `json:"recording,omitzero"`
}

// The codes of steps; docs/voice.md lists their figures.
const (
	codeDialled     = "call_dialled"
	codeRinging     = "call_ringing"
	codeAnswered    = "call_answered"
	codeHeard       = "call_heard"
	codePressed     = "call_pressed"
	codeConfirmed   = "call_confirmed"
	codeUnconfirmed = "call_unconfirmed"
	codeStopped     = "call_stopped"
	codeTransferred = "call_transferred"
	codeConsented   = "call_consented"
	codeRecorded    = "call_recorded"
	codeHungUp      = "call_hung_up"
	codeFailed      = "call_failed"
)

// row is a call as it is kept.
type row struct {
	ID         uuid.UUID
	DeliveryID uuid.UUID
	Attempt    int
	Account    string
	CallID     string
	BeganAt    time.Time
	EndedAt    *time.Time // nil: it goes on
	Steps      []step
	AnsweredBy party
	Heard, Of  time.Duration
	Confirmed  bool
	Stopped    bool
	Reached    bool
	Outcome    outcome
	Code       int
}

// answered reports whether somebody, or something, answered.
func (r row) answered() bool { return r.has(codeAnswered) }

func (r row) has(code string) bool {
	for _, s := range r.Steps {
		if s.Code == code {
			return true
		}
	}
	return false
}

// begin writes a call down that is about to be dialled, and gives how many
// tries at its delivery there were before. It is durable when begin returns. It
// refuses an attempt that was disowned: others have the delivery now.
func (s *Store) begin(ctx context.Context, r row) (before int, err error) {
	var made int
	err = s.db.QueryRow(ctx, `
WITH made AS (
    INSERT INTO calls (id, delivery_id, member_id, attempt, account, call_id, began_at)
    SELECT $1, id, member_id, $3, $4, $5, $6
    FROM deliveries
    WHERE id = $2 AND NOT EXISTS (SELECT FROM calls WHERE delivery_id = $2 AND account = $4 AND attempt >= $3 AND call_id = '')
    RETURNING id
)
SELECT (SELECT count(*) FROM made), count(*)
FROM calls
WHERE delivery_id = $2 AND account = $4 AND id <> $1 AND outcome NOT IN ('given_up', 'credentials')`,
		r.ID, r.DeliveryID, r.Attempt, r.Account, r.CallID, r.BeganAt).Scan(&made, &before)
	if err == nil && made == 0 {
		err = errors.New("there is no such delivery, or it is with others")
	}
	if err != nil {
		return 0, fmt.Errorf("write a call down: %w", err)
	}
	return before, nil
}

// disown notes that an attempt of an account was not dialled, and has it never
// be: a process that was taken for dead may still come to it.
func (s *Store) disown(ctx context.Context, delivery uuid.UUID, attempt int, account string, now time.Time) error {
	_, err := s.db.Exec(ctx, `
INSERT INTO calls (id, delivery_id, member_id, attempt, account, call_id, began_at, ended_at, outcome, told)
SELECT $1, id, member_id, $3, $4, '', $5, $5, 'given_up', true
FROM deliveries
WHERE id = $2`, uuid.Must(uuid.NewV7()), delivery, attempt, account, now)
	if err != nil {
		return fmt.Errorf("note that a call was not made: %w", err)
	}
	return nil
}

// update writes how far a call has come, and what it has come to once it is
// over. What is to be reported of it is reported once it is.
func (s *Store) update(ctx context.Context, r row) error {
	steps, err := json.Marshal(r.Steps)
	if err != nil {
		return fmt.Errorf("write what became of a call: %w", err)
	}
	_, err = s.db.Exec(ctx, `
UPDATE calls
SET ended_at = $2, steps = $3, answered_by = $4, heard_ms = $5, of_ms = $6, confirmed = $7, stopped = $8, reached = $9, outcome = $10, code = $11,
    told = $2::timestamptz IS NOT NULL AND NOT $8 AND NOT $9
WHERE id = $1 AND ended_at IS NULL`,
		r.ID, r.EndedAt, steps, r.AnsweredBy, r.Heard.Milliseconds(), r.Of.Milliseconds(), r.Confirmed, r.Stopped, r.Reached, r.Outcome, r.Code)
	if err != nil {
		return fmt.Errorf("write what became of a call: %w", err)
	}
	return nil
}

const rowSQL = `
SELECT id, delivery_id, attempt, account, call_id, began_at, ended_at, steps, answered_by, heard_ms, of_ms, confirmed, stopped, reached, outcome, code
FROM calls
`

func scanRow(from pgx.CollectableRow) (row, error) {
	var r row
	var heard, of int64
	err := from.Scan(&r.ID, &r.DeliveryID, &r.Attempt, &r.Account, &r.CallID, &r.BeganAt, &r.EndedAt, &r.Steps, &r.AnsweredBy, &heard, &of,
		&r.Confirmed, &r.Stopped, &r.Reached, &r.Outcome, &r.Code)
	r.Heard, r.Of = time.Duration(heard)*time.Millisecond, time.Duration(of)*time.Millisecond
	return r, err
}

// calls are those that an account made for a delivery, in order of time.
func (s *Store) calls(ctx context.Context, delivery uuid.UUID, account string) ([]row, error) {
	rows, err := s.db.Query(ctx, rowSQL+"WHERE delivery_id = $1 AND account = $2 AND call_id <> '' ORDER BY id", delivery, account)
	if err == nil {
		var found []row
		if found, err = pgx.CollectRows(rows, scanRow); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("read the calls of a delivery: %w", err)
}

// untold are calls of an account that were over by a time, and of which
// something is to be reported.
func (s *Store) untold(ctx context.Context, account string, by time.Time) ([]row, error) {
	const most = 100
	rows, err := s.db.Query(ctx, rowSQL+`
WHERE account = $1 AND NOT told AND ended_at <= $2
ORDER BY began_at
LIMIT $3`, account, by, most)
	if err == nil {
		var found []row
		if found, err = pgx.CollectRows(rows, scanRow); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("read which calls are to be reported: %w", err)
}

// markTold notes that calls were reported.
func (s *Store) markTold(ctx context.Context, calls []row) error {
	ids := make([]uuid.UUID, len(calls))
	for i, c := range calls {
		ids[i] = c.ID
	}
	if _, err := s.db.Exec(ctx, `UPDATE calls SET told = true WHERE id = ANY ($1)`, ids); err != nil {
		return fmt.Errorf("note that calls were reported: %w", err)
	}
	return nil
}

// bury ends the calls of an account that began before and whose process died:
// they went on for longer than any call does. What is known of them stays.
func (s *Store) bury(ctx context.Context, account string, before, now time.Time) (int64, error) {
	tag, err := s.db.Exec(ctx, `
UPDATE calls
SET ended_at = $3, outcome = 'lost', told = NOT stopped AND NOT reached
WHERE account = $1 AND NOT told AND ended_at IS NULL AND began_at < $2`, account, before, now)
	if err != nil {
		return 0, fmt.Errorf("end the calls of a process that died: %w", err)
	}
	return tag.RowsAffected(), nil
}

// Recording is what somebody said who had consented to be recorded.
type Recording struct {
	ID         uuid.UUID
	DeliveryID uuid.UUID
	MadeAt     time.Time
	Lasts      time.Duration
	WAV        []byte // G.711 (µ-law), 8,000 samples a second
	KeepUntil  time.Time
}

// keep keeps a recording of a call.
func (s *Store) keep(ctx context.Context, call uuid.UUID, r Recording) error {
	_, err := s.db.Exec(ctx, `
INSERT INTO call_recordings (id, call, made_at, lasts_ms, wav, keep_until)
VALUES ($1, $2, $3, $4, $5, $6)`, r.ID, call, r.MadeAt, r.Lasts.Milliseconds(), r.WAV, r.KeepUntil)
	if err != nil {
		return fmt.Errorf("keep a recording: %w", err)
	}
	return nil
}

// Recording is one by its id; problem.NotFound when there is none, or none any
// more.
func (s *Store) Recording(ctx context.Context, id uuid.UUID) (Recording, error) {
	r := Recording{ID: id}
	var lasts int64
	err := s.db.QueryRow(ctx, `
SELECT c.delivery_id, r.made_at, r.lasts_ms, r.wav, r.keep_until
FROM call_recordings r
JOIN calls c ON c.id = r.call
WHERE r.id = $1 AND r.keep_until > $2`, id, s.now()).Scan(&r.DeliveryID, &r.MadeAt, &lasts, &r.WAV, &r.KeepUntil)
	r.Lasts = time.Duration(lasts) * time.Millisecond
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Recording{}, problem.New(problem.NotFound, "there is no such recording, or not any more")
	case err != nil:
		return Recording{}, fmt.Errorf("read a recording: %w", err)
	}
	return r, nil
}

// sweepLimit bounds one statement of a sweep: recordings are large.
const sweepLimit = 100

// Sweep deletes the recordings whose time is over and says how many those
// were. Any number of nodes may call it, now and then.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	var swept int64
	for {
		tag, err := s.db.Exec(ctx, `
DELETE FROM call_recordings
WHERE id IN (
    SELECT id FROM call_recordings WHERE keep_until <= $1 ORDER BY keep_until LIMIT $2 FOR UPDATE SKIP LOCKED)`, s.now(), sweepLimit)
		if err != nil {
			return swept, fmt.Errorf("sweep recordings: %w", err)
		}
		swept += tag.RowsAffected()
		if tag.RowsAffected() < sweepLimit {
			return swept, nil
		}
	}
}
