package fax

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch/fax/pages"
	"herald/problem"
)

// Store keeps the faxes and the jobs that servers were given for them. It is
// safe for many goroutines, and any number of nodes may have one on the same
// database.
type Store struct {
	db  *pgxpool.Pool
	now func() time.Time
}

// NewStore makes a store on Herald's database.
func NewStore(db *pgxpool.Pool) *Store { return &Store{db: db, now: time.Now} }

// The states of a job.
const (
	waiting    = "waiting"    // it is to be submitted when it is due
	submitting = "submitting" // the server may have it
	open       = "open"       // the server has it
	ended      = "ended"
)

// job is a row of faxes.
type job struct {
	Info        string
	Delivery    uuid.UUID
	Attempt     int
	Account     string
	Further     int
	ID          string // the server's
	First       int    // page of the fax, from 1
	Pages       int    // of the whole fax
	State       string
	Outcome     outcome
	Sent        int
	Dials       int
	Tries       int
	Vain        int // dials that a person may have answered
	DialsBefore int
	Code        int
	Text        string
	Kept        bool // what it says is kept still
	Private     bool // what it says is forgotten as soon as it has ended, and shown to nobody
	ExpiresAt   time.Time
	DueAt       time.Time
	SubmittedAt *time.Time
	SentAt      *time.Time // when Sent was seen to grow
	EndedAt     *time.Time
}

// own is how many pages the job has.
func (j job) own() int { return j.Pages - j.First + 1 }

// through is how many pages of the whole fax are confirmed.
func (j job) through() int { return j.First - 1 + j.Sent }

const jobColumns = `
SELECT info, delivery_id, attempt, account, further, job, first_page, pages, state, outcome, sent, dials, tries, vain, dials_before, code, text,
       source IS NOT NULL, private, expires_at, due_at, submitted_at, sent_at, ended_at
FROM faxes
`

const beginSQL = `
INSERT INTO faxes (info, delivery_id, member_id, attempt, account, first_page, pages, state, source, document, private, expires_at, begun_at, due_at, submitted_at)
SELECT CASE WHEN count(*) = 0 THEN $1 ELSE $1 || '.' || count(*) + 1 END, $2, (SELECT member_id FROM deliveries WHERE id = $2), $3, $4, 1, $5,
       'submitting', $6, $7, $8, $9, $10, $10, $10
FROM faxes
WHERE delivery_id = $2
HAVING coalesce(max(attempt), 0) <= $3
ON CONFLICT (delivery_id, account) WHERE state <> 'ended' DO NOTHING
RETURNING info`

// begin notes that a fax is about to be submitted, unless a later attempt at it
// was: whoever comes with this one was taken for dead. false: it has a job under
// way, or may have, and that is given.
func (s *Store) begin(ctx context.Context, wire string, j job, source pages.Fax, document []byte) (job, bool, error) {
	at := s.now()
	err := s.db.QueryRow(ctx, beginSQL, wire, j.Delivery, j.Attempt, j.Account, j.Pages, source, document, j.Private, j.ExpiresAt, at).Scan(&j.Info)
	if err == nil {
		j.State, j.First, j.Kept, j.DueAt, j.SubmittedAt = submitting, 1, true, at, &at
		return j, true, nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		var found bool
		if j, found, err = s.latest(ctx, j.Delivery, j.Account); err == nil && (!found || j.State == ended) {
			err = errors.New("its job ended just now, or a later attempt has begun")
		}
	}
	if err != nil {
		return job{}, false, fmt.Errorf("note that a fax is submitted: %w", err)
	}
	return j, false, nil
}

// latest is the newest job of a delivery on an account; false: there is none.
func (s *Store) latest(ctx context.Context, delivery uuid.UUID, account string) (job, bool, error) {
	found, err := s.jobs(ctx, jobColumns+`WHERE delivery_id = $1 AND account = $2 ORDER BY begun_at DESC, further DESC LIMIT 1`, delivery, account)
	if err != nil || len(found) == 0 {
		return job{}, false, err
	}
	return found[0], true, nil
}

// untold are the jobs of an account that are under way, or of which is not yet
// reported what came of them, the oldest first.
func (s *Store) untold(ctx context.Context, account string) ([]job, error) {
	const most = 10_000
	return s.jobs(ctx, jobColumns+`WHERE account = $1 AND NOT told ORDER BY begun_at LIMIT $2`, account, most)
}

func (s *Store) jobs(ctx context.Context, query string, args ...any) ([]job, error) {
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the jobs of faxes: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	if err != nil {
		return nil, fmt.Errorf("read the jobs of faxes: %w", err)
	}
	return found, nil
}

// source is what the fax of a job says.
func (s *Store) source(ctx context.Context, info string) (source pages.Fax, err error) {
	err = s.db.QueryRow(ctx, `SELECT source FROM faxes WHERE info = $1 AND source IS NOT NULL`, info).Scan(&source)
	if err != nil {
		return source, fmt.Errorf("read what a fax says: %w", err)
	}
	return source, nil
}

// dialledInVain is how often calls of a delivery may have been answered by a
// person.
func (s *Store) dialledInVain(ctx context.Context, delivery uuid.UUID) (n int, err error) {
	err = s.db.QueryRow(ctx, `
SELECT coalesce(sum(vain), 0) FROM faxes
WHERE delivery_id = $1`, delivery).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read how often a number was dialled: %w", err)
	}
	return n, nil
}

// opened notes that the server has a job, and by which id.
func (s *Store) opened(ctx context.Context, info, id string) error {
	return s.change(ctx, `
UPDATE faxes SET state = 'open', job = $2, submitted_at = coalesce(submitted_at, $3)
WHERE info = $1 AND state IN ('waiting', 'submitting')`, info, id, s.now())
}

// giveUp notes that a job which may have been submitted was not, or that nobody
// knows any more.
func (s *Store) giveUp(ctx context.Context, info string, why outcome, text string) error {
	return s.change(ctx, `
UPDATE faxes SET state = 'ended', outcome = $2, text = $3, ended_at = $4, told = true,
    source = CASE WHEN NOT private THEN source END, document = CASE WHEN NOT private THEN document END,
    submitted_at = CASE WHEN $2 = 'unsent' THEN NULL ELSE submitted_at END
WHERE info = $1 AND state = 'submitting'`, info, string(why), text, s.now())
}

// claim notes that a job that waited is about to be submitted, and when; false:
// somebody else does that.
func (s *Store) claim(ctx context.Context, info string) (at time.Time, mine bool, err error) {
	err = s.db.QueryRow(ctx, `
UPDATE faxes SET state = 'submitting', submitted_at = $2
WHERE info = $1 AND state = 'waiting'
RETURNING submitted_at`, info, s.now()).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, false, nil
	}
	if err != nil {
		return at, false, fmt.Errorf("note that a fax is submitted: %w", err)
	}
	return at, true, nil
}

// putBack lets a job that was not submitted wait again until it is due. at is
// when it was tried; another node may have tried it since.
func (s *Store) putBack(ctx context.Context, info string, at, due time.Time) error {
	return s.change(ctx, `
UPDATE faxes SET state = 'waiting', due_at = $3
WHERE info = $1 AND state = 'submitting' AND submitted_at = $2`, info, at, due)
}

// progress notes how far a job has come.
func (s *Store) progress(ctx context.Context, j job) error {
	return s.change(ctx, `
UPDATE faxes SET sent = $2, dials = $3, tries = $4, vain = $5, text = $6, sent_at = CASE WHEN sent < $2 THEN $7 ELSE sent_at END
WHERE info = $1 AND state = 'open'`, j.Info, j.Sent, j.Dials, j.Tries, j.Vain, j.Text, s.now())
}

const (
	endSQL = `
UPDATE faxes SET state = 'ended', outcome = $2, sent = $3, dials = $4, tries = $5, code = $6, text = $7, ended_at = $8, told = $9, vain = $10,
    sent_at = CASE WHEN sent < $3 THEN $8 ELSE sent_at END
WHERE info = $1 AND state <> 'ended'`

	furtherSQL = `
INSERT INTO faxes (info, delivery_id, member_id, attempt, account, further, first_page, pages, state, dials_before, source, private, expires_at, begun_at, due_at)
SELECT $1 || '-' || further + 1, delivery_id, member_id, attempt, account, further + 1, $3, pages, 'waiting', dials_before + dials, source, private, expires_at, $4, $5
FROM faxes
WHERE info = $2`

	forgetSQL = `UPDATE faxes SET source = NULL, document = NULL WHERE info = $1 AND private`
)

// end notes what came of a job. With next, a further one is to be submitted
// then, for the pages that are left, and nothing is to be reported yet. What is
// private is forgotten, but for what the further one is made of.
func (s *Store) end(ctx context.Context, j job, next time.Time) error {
	at := s.now()
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, endSQL, j.Info, string(j.Outcome), j.Sent, j.Dials, j.Tries, j.Code, j.Text, at, !next.IsZero(), j.Vain)
		if err != nil || done.RowsAffected() == 0 { // another node was faster
			return err
		}
		if !next.IsZero() {
			if _, err := tx.Exec(ctx, furtherSQL, j.root(), j.Info, j.through()+1, at, next); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, forgetSQL, j.Info)
		return err
	})
	if err != nil {
		return fmt.Errorf("note what came of a fax: %w", err)
	}
	return nil
}

// root is the id of the attempt's first job.
func (j job) root() string {
	if j.Further == 0 {
		return j.Info
	}
	return j.Info[:len(j.Info)-len("-"+strconv.Itoa(j.Further))]
}

// tell notes that what came of jobs was reported.
func (s *Store) tell(ctx context.Context, infos []string) error {
	return s.change(ctx, `UPDATE faxes SET told = true WHERE info = ANY($1)`, infos)
}

func (s *Store) change(ctx context.Context, query string, args ...any) error {
	if _, err := s.db.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("note how a fax stands: %w", err)
	}
	return nil
}

// Document is the fax of a delivery as PDF, as it was handed over last;
// problem.NotFound when there is none, it is private, or not kept any more.
func (s *Store) Document(ctx context.Context, delivery uuid.UUID) ([]byte, error) {
	var document []byte
	err := s.db.QueryRow(ctx, `
SELECT document FROM faxes
WHERE delivery_id = $1 AND document IS NOT NULL AND NOT private
ORDER BY begun_at DESC
LIMIT 1`, delivery).Scan(&document)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, problem.New(problem.NotFound, "there is no fax of this delivery, or it is not kept any more")
	}
	if err != nil {
		return nil, fmt.Errorf("read a fax: %w", err)
	}
	return document, nil
}

// Sweep forgets what faxes said that are older than keep and have ended, and
// says how many those were. Any number of nodes may call it, now and then.
func (s *Store) Sweep(ctx context.Context, keep time.Duration) (int64, error) {
	done, err := s.db.Exec(ctx, `
UPDATE faxes SET source = NULL, document = NULL
WHERE begun_at < $1 AND expires_at < $2 AND (document IS NOT NULL OR source IS NOT NULL)`, s.now().Add(-keep), s.now())
	if err != nil {
		return 0, fmt.Errorf("forget old faxes: %w", err)
	}
	return done.RowsAffected(), nil
}
