// Package calendars keeps the iCalendar files that a company imports, under
// names that an occasion can give ("calendar:shop").
//
// A file comes in with Save, which reads it whole before it is kept; out come
// the calendar as it was given, and what it says as a calendar.Imported, read
// once for each version.
package calendars

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/calendar"
	"herald/problem"
)

// maxTitle is how long a title may be, in characters.
const maxTitle = 200

// Calendar is one that was imported.
type Calendar struct {
	Name      string    `json:"name"`
	Title     string    `json:"title"`
	Dates     int       `json:"dates"`   // how many it comes to
	Version   int       `json:"version"` // counts the saves
	SavedBy   string    `json:"saved_by"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Store keeps calendars. It is safe for many goroutines.
type Store struct {
	pool *pgxpool.Pool
	now  func() time.Time

	mu   sync.Mutex
	read map[string]version // the latest that was read, by name
}

// version is a calendar as it was read.
type version struct {
	number   int
	imported *calendar.Imported
}

// NewStore keeps calendars in the database that pool leads to.
func NewStore(pool *pgxpool.Pool, now func() time.Time) *Store {
	return &Store{pool: pool, now: now, read: map[string]version{}}
}

// Save keeps a file under a name, in the place of one of the same name. Errors:
// Invalid "name", "title", or "body" with what is wrong with the file.
func (s *Store) Save(ctx context.Context, name, title string, body []byte, by string) (Calendar, error) {
	var bad problem.Fields
	if !calendar.ValidName(name) {
		bad.Add("name", "format", "must be small letters, digits, - and _, at most 63")
	}
	title = strings.TrimSpace(title)
	if title == "" || !utf8.ValidString(title) || utf8.RuneCountInString(title) > maxTitle || strings.ContainsFunc(title, func(r rune) bool { return r < ' ' }) {
		bad.AddArgs("title", "max_len", map[string]any{"max": maxTitle}, "must be one line of at most %d characters", maxTitle)
	}
	imported, err := calendar.Import(bytes.NewReader(body))
	if err != nil {
		bad.Add("body", "calendar", "%s", err.Error())
	} else if bytes.ContainsRune(body, 0) {
		bad.Add("body", "text", "must have no character NUL")
	}
	if err := bad.Err("the calendar cannot be saved"); err != nil {
		return Calendar{}, err
	}
	rows, err := s.pool.Query(ctx, `
INSERT INTO calendars AS c (name, title, body, dates, version, saved_by, updated_at)
VALUES ($1, $2, $3, $4, 1, $5, $6)
ON CONFLICT (name) DO UPDATE
SET title = excluded.title, body = excluded.body, dates = excluded.dates, version = c.version + 1,
    saved_by = excluded.saved_by, updated_at = excluded.updated_at
RETURNING `+columns, name, title, string(body), imported.Len(), by, s.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return Calendar{}, fmt.Errorf("save calendar %s: %w", name, err)
	}
	saved, err := pgx.CollectExactlyOneRow(rows, scan)
	if err != nil {
		return Calendar{}, fmt.Errorf("save calendar %s: %w", name, err)
	}
	return saved, nil
}

const columns = `name, title, dates, version, saved_by, updated_at`

func scan(row pgx.CollectableRow) (Calendar, error) {
	var c Calendar
	err := row.Scan(&c.Name, &c.Title, &c.Dates, &c.Version, &c.SavedBy, &c.UpdatedAt)
	c.UpdatedAt = c.UpdatedAt.UTC()
	return c, err
}

// List is all calendars by name.
func (s *Store) List(ctx context.Context) ([]Calendar, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+columns+` FROM calendars ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list calendars: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("list calendars: %w", err)
	}
	return list, nil
}

// Body is a calendar's file as it was given. Errors: NotFound.
func (s *Store) Body(ctx context.Context, name string) ([]byte, error) {
	var body string
	err := s.pool.QueryRow(ctx, `SELECT body FROM calendars WHERE name = $1`, name).Scan(&body)
	if err != nil {
		return nil, lost(name, err)
	}
	return []byte(body), nil
}

// Imported is what the latest version of a calendar says. Errors: NotFound.
func (s *Store) Imported(ctx context.Context, name string) (*calendar.Imported, error) {
	var number int
	if err := s.pool.QueryRow(ctx, `SELECT version FROM calendars WHERE name = $1`, name).Scan(&number); err != nil {
		return nil, lost(name, err)
	}
	s.mu.Lock()
	known := s.read[name]
	s.mu.Unlock()
	if known.number == number {
		return known.imported, nil
	}
	var body string
	err := s.pool.QueryRow(ctx, `SELECT version, body FROM calendars WHERE name = $1`, name).Scan(&number, &body)
	if err != nil {
		return nil, lost(name, err)
	}
	imported, err := calendar.Import(strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("read calendar %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read[name].number < number {
		s.read[name] = version{number, imported}
	}
	return imported, nil
}

// Using is an occasion with the imported calendar it needs, or as it is where
// it needs none. Errors: NotFound.
func (s *Store) Using(ctx context.Context, o calendar.Occasion) (calendar.Occasion, error) {
	if o.Calendar() == "" {
		return o, nil
	}
	imported, err := s.Imported(ctx, o.Calendar())
	if err != nil {
		return calendar.Occasion{}, err
	}
	return o.Using(imported), nil
}

func lost(name string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.New(problem.NotFound, "there is no calendar %q", name)
	}
	return fmt.Errorf("read calendar %s: %w", name, err)
}
