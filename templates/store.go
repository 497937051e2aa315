package templates

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/language"

	"herald/problem"
)

// freshFor is how long a node fills a template without asking whether there is
// a newer version: a change is in force everywhere this long after it is
// saved, and at once on the node that saved it.
const freshFor = 3 * time.Second

// maxKept is how many (name, channel, locale) a node remembers, those that do
// not exist included; beyond it the node begins anew.
const maxKept = 4096

// Store keeps templates in PostgreSQL and fills them. It is safe for many
// goroutines; compiled templates are kept, so that filling one usually asks
// the database nothing.
type Store struct {
	pool    *pgxpool.Pool
	company func(locale string) string
	now     func() time.Time

	mu   sync.Mutex
	kept map[key]entry       // guarded by mu
	near map[string][]string // the fallbacks of a locale; guarded by mu
}

type key struct{ name, channel, locale string }

// entry is what a key was found to be at a time; nil: there is none.
type entry struct {
	compiled *compiled
	at       time.Time
}

// NewStore makes a store. company is whose messages these are, by its name in
// a language (BCP 47); nil, or an empty name: they name nobody. now is the clock.
func NewStore(pool *pgxpool.Pool, company func(locale string) string, now func() time.Time) *Store {
	if company == nil {
		company = func(string) string { return "" }
	}
	return &Store{pool: pool, company: company, now: now, kept: map[key]entry{}, near: map[string][]string{}}
}

const columns = `name, channel, locale, version, subject, html, body, saved_by, saved_at`

func scan(row pgx.CollectableRow) (Template, error) {
	var t Template
	err := row.Scan(&t.Name, &t.Channel, &t.Locale, &t.Version, &t.Subject, &t.HTML, &t.Body, &t.SavedBy, &t.SavedAt)
	return t, err
}

// Save checks t, tries it on the sample data and makes it the version in
// force; its Version, SavedAt and the given SavedBy come back. Mistakes are
// problem.Invalid with the field ("subject", "html", "body") and the line.
func (s *Store) Save(ctx context.Context, t Template) (Template, error) {
	c, err := check(ctx, &t)
	if err != nil {
		return Template{}, err
	}
	t.SavedAt = s.now()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return saveTx(ctx, tx, &t) })
	if err != nil {
		return Template{}, fmt.Errorf("save template %s: %w", t.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{t.Name, t.Channel, t.Locale}
	if old := s.kept[k].compiled; old == nil || old.template.Version < t.Version {
		c.template = t
		s.kept[k] = entry{c, s.now()}
	}
	return t, nil
}

// SaveTx is Save inside the caller's transaction. Whoever fills the template
// has the new version within three seconds of its commit. An Invalid leaves
// the transaction as it was.
func (s *Store) SaveTx(ctx context.Context, tx pgx.Tx, t Template) (Template, error) {
	if _, err := check(ctx, &t); err != nil {
		return Template{}, err
	}
	t.SavedAt = s.now()
	if err := saveTx(ctx, tx, &t); err != nil {
		return Template{}, fmt.Errorf("save template %s: %w", t.Name, err)
	}
	return t, nil
}

// DropTx removes every version of a template that nothing was sent by and
// nothing will be; its name must not be used again.
func (s *Store) DropTx(ctx context.Context, tx pgx.Tx, name string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM templates WHERE name = $1`, name); err != nil {
		return fmt.Errorf("drop template %s: %w", name, err)
	}
	return nil
}

func saveTx(ctx context.Context, tx pgx.Tx, t *Template) error {
	// Two who save the same template at once take their turns.
	_, err := tx.Exec(ctx, `
		SELECT pg_advisory_xact_lock(hashtextextended('template ' || $1 || ' ' || $2 || ' ' || $3, 0))`,
		t.Name, t.Channel, t.Locale)
	if err != nil {
		return err
	}
	return tx.QueryRow(ctx, `
		INSERT INTO templates (name, channel, locale, version, subject, html, body, saved_by, saved_at)
		SELECT $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7, $8
		FROM   templates
		WHERE  name = $1 AND channel = $2 AND locale = $3
		RETURNING version, saved_at`,
		t.Name, t.Channel, t.Locale, t.Subject, t.HTML, t.Body, t.SavedBy, t.SavedAt,
	).Scan(&t.Version, &t.SavedAt)
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// check normalises t's locale, compiles it and fills it from the sample.
func check(ctx context.Context, t *Template) (*compiled, error) {
	var mistakes problem.Fields
	if !validName.MatchString(t.Name) {
		mistakes.Add("name", "format", "use lower-case letters, digits and _, up to 63 of them")
	}
	checkFields(*t, &mistakes)
	tag, err := language.Parse(t.Locale)
	if err != nil || t.Locale == "" {
		mistakes.Add("locale", "format", `use a language tag such as "en" or "zh-CN"`)
	}
	if t.SavedBy == "" {
		mistakes.Add("saved_by", "required", "say who saves it")
	}
	if err := mistakes.Err("the template is not complete"); err != nil {
		return nil, err
	}
	t.Locale = tag.String()
	c, err := compileTemplate(*t)
	if err != nil {
		return nil, err
	}
	if _, err := c.fill(ctx, Sample()); err != nil {
		return nil, err
	}
	return c, nil
}

// checkFields says which fields a template of its channel lacks, and which it
// has too much.
func checkFields(t Template, mistakes *problem.Fields) {
	switch t.Channel {
	case "email":
		if strings.TrimSpace(t.Subject) == "" {
			mistakes.Add("subject", "required", "an e-mail has a subject")
		}
		if t.HTML == "" && t.Body == "" {
			mistakes.Add("html", "required", "write an HTML or a plain text part")
		}
	case "sms", "voice", "fax":
		if t.Body == "" {
			mistakes.Add("body", "required", "write what it says")
		}
	default:
		mistakes.Add("channel", "one_of", "use email, sms, voice or fax")
	}
	if t.Channel == "voice" && t.Subject != "" {
		mistakes.Add("subject", "unused", "a call has no subject: leave it empty, and say it in the script")
	}
	if (t.Channel == "voice" || t.Channel == "fax") && t.HTML != "" {
		mistakes.Add("html", "unused", "a call or a fax has no HTML: leave it empty, and write the body")
	}
}

// Get is the version in force; problem.NotFound when there is none. It does
// not fall back to another locale.
func (s *Store) Get(ctx context.Context, name, channel, locale string) (Template, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT `+columns+`
		FROM   templates
		WHERE  name = $1 AND channel = $2 AND locale = $3
		ORDER  BY version DESC
		LIMIT  1`, name, channel, locale)
	if err != nil {
		return Template{}, fmt.Errorf("get template %s: %w", name, err)
	}
	t, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return Template{}, notFound(name, channel, locale)
	}
	if err != nil {
		return Template{}, fmt.Errorf("get template %s: %w", name, err)
	}
	return t, nil
}

func notFound(name, channel, locale string) error {
	return problem.New(problem.NotFound, "there is no template %s for %s in %s", name, channel, locale)
}

// Require fails with problem.Invalid, field "template", when there is no
// template of that name on any channel in English, the last fallback: what
// names it could never be sent.
func (s *Store) Require(ctx context.Context, name string) error {
	var known bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM templates WHERE name = $1 AND locale = 'en')`, name).Scan(&known)
	if err != nil {
		return fmt.Errorf("look for a template: %w", err)
	}
	var f problem.Fields
	if !known {
		f.Add("template", "known", "there is no template %q in English: word it first, and then save what uses it", name)
	}
	return f.Err("the template is missing")
}

// List is every template in force, by name, channel and locale.
func (s *Store) List(ctx context.Context) ([]Template, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT DISTINCT ON (name, channel, locale) `+columns+`
		FROM   templates
		ORDER  BY name, channel, locale, version DESC`)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	return all, nil
}

// History is every version, the newest first; empty when there was never one.
func (s *Store) History(ctx context.Context, name, channel, locale string) ([]Template, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT `+columns+`
		FROM   templates
		WHERE  name = $1 AND channel = $2 AND locale = $3
		ORDER  BY version DESC`, name, channel, locale)
	if err != nil {
		return nil, fmt.Errorf("read history of template %s: %w", name, err)
	}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("read history of template %s: %w", name, err)
	}
	return all, nil
}
