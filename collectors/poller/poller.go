// Package poller collects rows of a PostgreSQL or MySQL database, by a query
// with a column that grows: the cursor.
//
// A Config comes in; the Poller that goes out is a collectors.Source. A run
// reads what lies at and behind the cursor, in its order, page by page, in
// transactions that may only read; the cursor moves with each page's events. Of
// the rows at the cursor itself those that were taken are known by their
// contents, so that rows with the same value are neither lost nor repeated,
// wherever a page ends and whenever they come.
package poller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"herald/collectors"
	"herald/collectors/mapping"
	"herald/matcher/eventform"
	"herald/problem"
)

// Config is one query. Fields are required unless they say otherwise.
type Config struct {
	// URL is postgres://user:password@host/database?…, with the parameters of
	// libpq, or mysql://user:password@host/database, with tls=true and
	// ca=FILE. It is a secret.
	URL string
	// Query selects the rows, {cursor} standing for the cursor's value: it
	// should hold "column >= {cursor}" so that an index finds them. It has no
	// LIMIT, and needs no ORDER BY.
	Query string
	// Cursor is the column of the result that grows in the order in which rows
	// are committed, but for those of the last Lag.
	Cursor string
	// Start is the cursor's value before the first row; empty, where Query
	// holds no {cursor}: all rows are taken.
	Start string
	// Lag is how long a row is left alone: what was committed out of order, in
	// a transaction no longer than this, is not passed over. May be 0.
	Lag     time.Duration
	Page    int           // rows that share a transaction, at most 1,000; 500 when zero
	Timeout time.Duration // of each statement; 30 s when zero
	Mapping mapping.Mapping
	// Types are what the triggers want, read anew for each run.
	Types func(context.Context) (eventform.Types, error)
}

// placeholder stands for the cursor in a query.
const placeholder = "{cursor}"

// after finds conditions that would pass over rows with the cursor's value.
var after = regexp.MustCompile(`>\s*` + regexp.QuoteMeta(placeholder))

// Mistakes are what is wrong with a configuration, by its fields' names.
func (c Config) Mistakes() problem.Fields {
	var f problem.Fields
	if _, err := c.dialect(); err != nil {
		f.Add("url", "url", "%v", err)
	}
	switch {
	case strings.TrimSpace(c.Query) == "":
		f.Add("query", "required", "say what is to be selected")
	case after.MatchString(c.Query):
		f.Add("query", "cursor", "write >= %s: rows that come later with the same value would be lost, and those that were taken are known", placeholder)
	case strings.Contains(c.Query, placeholder) && c.Start == "":
		f.Add("start", "required", "say what %s is before the first row", placeholder)
	}
	if c.Cursor == "" {
		f.Add("cursor", "required", "name the column that grows")
	}
	return f
}

// Poller collects by one query.
type Poller struct {
	cfg     Config
	dialect dialect
}

// New makes a poller; it connects when it collects. Errors are those of
// Mistakes.
func New(c Config) (*Poller, error) {
	if err := c.Mistakes().Err("the query cannot be collected"); err != nil {
		return nil, err
	}
	if c.Page <= 0 {
		c.Page = 500
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	c.Query = strings.TrimRight(strings.TrimSpace(c.Query), ";")
	d, err := c.dialect()
	return &Poller{c, d}, err
}

// dialect is how to speak with the database that the URL names. Its errors do
// not show the URL.
func (c Config) dialect() (dialect, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("cannot be read: a password's special characters are percent-encoded")
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		return newPostgres(c.URL)
	case "mysql", "mariadb":
		return newMySQL(u)
	}
	return nil, errors.New("must begin with postgres:// or mysql://")
}

// dialect opens sessions with one kind of database.
type dialect interface {
	open(ctx context.Context, c Config) (session, error)
	// hide takes secrets out of a text.
	hide(text string) string
}

// session is a connection for one run.
type session interface {
	// columns are the names of the query's columns.
	columns(ctx context.Context) ([]string, error)
	// newest is the highest value of the cursor at and behind from; empty when
	// there is no such row.
	newest(ctx context.Context, from string) (string, error)
	// page are the first rows at and behind from, up to upTo, by the cursor.
	page(ctx context.Context, b bounds) ([]row, error)
	close()
}

// bounds say which rows are wanted; empty texts bound nothing.
type bounds struct {
	from, upTo string
	limit      int
}

// row is one row: its cursor as text and its values, as encoding/json makes
// them of JSON, numbers as json.Number.
type row struct {
	cursor string
	values map[string]any
}

// position is where the poller stands.
type position struct {
	Cursor string `json:"cursor"`
	// Seen are the rows with the cursor's value that were taken, and Ties how
	// many rows the database gave at once that have it.
	Seen []string `json:"seen,omitempty"`
	Ties int      `json:"ties,omitempty"`
}

// tiesMost is how many rows may have one value of the cursor: each of them is
// read again until a higher value comes.
const tiesMost = 20_000

// Collect implements collectors.Source.
func (p *Poller) Collect(ctx context.Context, turn *collectors.Turn) error {
	return p.hidden(p.collect(ctx, turn))
}

func (p *Poller) collect(ctx context.Context, turn *collectors.Turn) error {
	at := position{Cursor: p.cfg.Start}
	if err := turn.Position(&at); err != nil {
		return err
	}
	m, err := p.mapping(ctx)
	if err != nil {
		return err
	}
	s, err := p.dialect.open(ctx, p.cfg)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer s.close()
	if err := p.checkColumns(ctx, s); err != nil {
		return err
	}
	upTo := ""
	if p.cfg.Lag > 0 {
		if upTo, err = s.newest(ctx, at.Cursor); err != nil || upTo == "" {
			return err
		}
		if err := settle(ctx, p.cfg.Lag); err != nil {
			return err
		}
	}
	for {
		limit := p.cfg.Page + at.Ties
		rows, err := s.page(ctx, bounds{from: at.Cursor, upTo: upTo, limit: limit})
		if err != nil {
			return err
		}
		items, next := p.items(rows, at, m)
		if next.Ties > tiesMost {
			return fmt.Errorf("more than %d rows have the same %s: choose a column that tells them apart", tiesMost, p.cfg.Cursor)
		}
		if len(items) > 0 || next.Ties != at.Ties {
			if err := turn.Take(ctx, items, next); err != nil {
				return err
			}
		}
		at = next
		if len(rows) < limit {
			return nil
		}
	}
}

// settle lets the transactions end that were under way.
func settle(ctx context.Context, lag time.Duration) error {
	timer := time.NewTimer(lag)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// items are the rows of a page that were not taken before, and the position
// behind it.
func (p *Poller) items(rows []row, at position, m mapping.Mapping) ([]collectors.Item, position) {
	if len(rows) == 0 {
		return nil, at
	}
	next := position{Cursor: rows[len(rows)-1].cursor}
	if next.Cursor == at.Cursor { // the database may give rows that are alike in any order
		next.Seen = slices.Clone(at.Seen)
	}
	seen := map[string]bool{}
	for _, print := range at.Seen {
		seen[print] = true
	}
	var items []collectors.Item
	for _, r := range rows {
		original, err := json.Marshal(r.values)
		if err != nil { // it was JSON before
			original = []byte(fmt.Sprint(r.values))
		}
		print := fingerprint(original)
		if !seen[print] {
			seen[print] = true
			item := p.item(r.values, original, print, m)
			item.Place = p.cfg.Cursor + " = " + r.cursor
			items = append(items, item)
		}
		if r.cursor == next.Cursor {
			next.Ties++
			next.Seen = append(next.Seen, print)
		}
	}
	if next.Cursor == at.Cursor {
		next.Ties = max(next.Ties, at.Ties)
	}
	slices.Sort(next.Seen)
	next.Seen = slices.Compact(next.Seen)
	return items, next
}

// fingerprint is what a row is known by: 128 bits are enough for 10¹² rows.
func fingerprint(original []byte) string {
	sum := sha256.Sum256(original)
	return hex.EncodeToString(sum[:16])
}

func (p *Poller) item(values map[string]any, original []byte, print string, m mapping.Mapping) collectors.Item {
	event, mistakes := m.Event(values, print)
	return collectors.Item{
		Event: event, Err: mistakes.Err("the row is no event"), Original: original, Key: print,
	}
}

// Reread implements collectors.Source.
func (p *Poller) Reread(ctx context.Context, key string, original []byte) (collectors.Item, error) {
	m, err := p.mapping(ctx)
	if err != nil {
		return collectors.Item{}, err
	}
	values, err := decode(original)
	if err != nil {
		return collectors.Item{}, err
	}
	return p.item(values, original, key, m), nil
}

// Check implements collectors.Source.
func (p *Poller) Check(ctx context.Context) error {
	s, err := p.dialect.open(ctx, p.cfg)
	if err != nil {
		return p.hidden(fmt.Errorf("connect: %w", err))
	}
	defer s.close()
	return p.hidden(p.checkColumns(ctx, s))
}

// checkColumns makes sure that the query can be asked and has the columns that
// are wanted of it.
func (p *Poller) checkColumns(ctx context.Context, s session) error {
	have, err := s.columns(ctx)
	if err != nil {
		return err
	}
	for _, want := range append(p.cfg.Mapping.Columns(), p.cfg.Cursor) {
		if !slices.Contains(have, want) {
			return fmt.Errorf("the query has no column %q: it has %.60q", want, have[:min(len(have), 20)])
		}
	}
	return nil
}

func (p *Poller) mapping(ctx context.Context) (mapping.Mapping, error) {
	m := p.cfg.Mapping
	types, err := p.cfg.Types(ctx)
	m.Types = types
	return m, err
}

// hidden is an error whose text shows no secret.
func (p *Poller) hidden(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if told := p.dialect.hide(text); told != text {
		return hiddenError{told, err}
	}
	return err
}

type hiddenError struct {
	text string
	err  error
}

func (e hiddenError) Error() string { return e.text }
func (e hiddenError) Unwrap() error { return e.err }

// decode reads a row's values as JSON.
func decode(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return nil, fmt.Errorf("read a row: %w", err)
	}
	return values, nil
}
