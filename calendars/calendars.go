// Package calendars keeps the iCalendar files that a company imports, under
// names that an occasion can give ("calendar:shop").
//
// A file comes in with Save, which reads it whole before it is kept; out come
// the calendar as it was given, and what it says as a calendar.Imported, read
// once for each version. Delete takes out what no trigger and no campaign uses.
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
	read map[string]version // the last that was read, by name
}

// version is a calendar as it was read. A name that was deleted and taken again
// counts from one again, so the moment of the save belongs to it.
type version struct {
	number   int
	at       time.Time
	imported *calendar.Imported
}

// NewStore keeps calendars in the database that pool leads to.
func NewStore(pool *pgxpool.Pool, now func() time.Time) *Store {
	return &Store{pool: pool, now: now, read: map[string]version{}}
}

// File is a calendar as it is given.
type File struct {
	Name  string // as calendar.ValidName has it
	Title string // one line for those who choose it
	Body  []byte // iCalendar, at most calendar.MaxFile bytes
}

// Check is what a file says, if it can be kept. Errors: Invalid "name",
// "title", or "body" with what is wrong with the file; of that, the line,
// the event and the reason are among the rule's figures.
func (f File) Check() (*calendar.Imported, error) {
	var bad problem.Fields
	if !calendar.ValidName(f.Name) {
		bad.Add("name", "format", "must be small letters, digits, - and _, at most 63")
	}
	title := strings.TrimSpace(f.Title)
	if title == "" || !utf8.ValidString(title) || utf8.RuneCountInString(title) > maxTitle || strings.ContainsFunc(title, func(r rune) bool { return r < ' ' }) {
		bad.AddArgs("title", "max_len", map[string]any{"max": maxTitle}, "must be one line of at most %d characters", maxTitle)
	}
	imported, err := calendar.Import(bytes.NewReader(f.Body))
	if err != nil {
		bad.AddArgs("body", "calendar", figuresOf(err), "%s", err.Error())
	} else if bytes.ContainsRune(f.Body, 0) {
		bad.Add("body", "text", "must have no character NUL")
	}
	return imported, bad.Err("the calendar cannot be saved")
}

// figuresOf are the parts of what is wrong with a file: the reason is a rule
// with figures of its own. Their "type" says what is known of the place:
// "event", "line", or nothing of it.
func figuresOf(err error) map[string]any {
	fault, is := errors.AsType[*calendar.Fault](err)
	switch {
	case !is:
		return map[string]any{"reason": err.Error()}
	case fault.Line == 0:
		return map[string]any{"reason": fault.Reason}
	case fault.Event == "":
		return map[string]any{"reason": fault.Reason, "line": fault.Line, "type": "line"}
	}
	return map[string]any{"reason": fault.Reason, "line": fault.Line, "event": fault.Event, "type": "event"}
}

// Save keeps a file, in the place of one of the same name. Errors: those of
// File.Check.
func (s *Store) Save(ctx context.Context, f File, by string) (Calendar, error) {
	return s.save(ctx, f, nil, by)
}

// Replace keeps a file in the place of a version that was seen: 0, where there
// was none. Errors: as Save; Conflict: it is another version by now.
func (s *Store) Replace(ctx context.Context, f File, seen int, by string) (Calendar, error) {
	return s.save(ctx, f, &seen, by)
}

// save keeps a file in the place of the version that was seen, or of any.
func (s *Store) save(ctx context.Context, f File, seen *int, by string) (Calendar, error) {
	imported, err := f.Check()
	if err != nil {
		return Calendar{}, err
	}
	rows, err := s.pool.Query(ctx, `
INSERT INTO calendars AS c (name, title, body, dates, version, saved_by, updated_at)
SELECT $1, $2, $3, $4::integer, 1, $5, $6::timestamptz
WHERE coalesce($7::integer = 0, true) OR EXISTS (SELECT FROM calendars WHERE name = $1)
ON CONFLICT (name) DO UPDATE
SET title = excluded.title, body = excluded.body, dates = excluded.dates, version = c.version + 1,
    saved_by = excluded.saved_by, updated_at = excluded.updated_at
WHERE coalesce(c.version = $7::integer, true)
RETURNING `+columns, f.Name, strings.TrimSpace(f.Title), string(f.Body), imported.Len(), by, s.now().UTC().Truncate(time.Microsecond), seen)
	if err != nil {
		return Calendar{}, fmt.Errorf("save calendar %s: %w", f.Name, err)
	}
	saved, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return Calendar{}, problem.New(problem.Conflict, "the calendar %q was changed in the meantime", f.Name)
	}
	if err != nil {
		return Calendar{}, fmt.Errorf("save calendar %s: %w", f.Name, err)
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

// Get is one calendar. Errors: NotFound.
func (s *Store) Get(ctx context.Context, name string) (Calendar, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+columns+` FROM calendars WHERE name = $1`, name)
	if err != nil {
		return Calendar{}, lost(name, err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scan)
	if err != nil {
		return Calendar{}, lost(name, err)
	}
	return c, nil
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
	var latest version
	if err := s.pool.QueryRow(ctx, `SELECT version, updated_at FROM calendars WHERE name = $1`, name).Scan(&latest.number, &latest.at); err != nil {
		return nil, lost(name, err)
	}
	s.mu.Lock()
	known := s.read[name]
	s.mu.Unlock()
	if known.number == latest.number && known.at.Equal(latest.at) {
		return known.imported, nil
	}
	var body string
	err := s.pool.QueryRow(ctx, `SELECT version, updated_at, body FROM calendars WHERE name = $1`, name).Scan(&latest.number, &latest.at, &body)
	if err != nil {
		return nil, lost(name, err)
	}
	if latest.imported, err = calendar.Import(strings.NewReader(body)); err != nil {
		return nil, fmt.Errorf("read calendar %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[name] = latest
	return latest.imported, nil
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
