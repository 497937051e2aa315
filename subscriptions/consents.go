package subscriptions

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// Consents keeps what members agreed to, with its evidence, and which
// addresses must not be contacted.
type Consents struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewConsents keeps them in the database that pool leads to.
func NewConsents(pool *pgxpool.Pool, now func() time.Time) *Consents {
	return &Consents{pool: pool, now: now}
}

// maxEvidence is the most characters kept of an evidence or a detail.
const maxEvidence = 1000

// consentSources are the values of NewConsent.Source.
var consentSources = []string{"registration", "portal", "api", "import", "one-click", "operator"}

// Record writes down what a member said. Each statement goes into the history,
// also one that repeats what was known: it is evidence too.
//
// Errors: Invalid with the fields as "consents[0].channel"; NotFound for an
// unknown member.
func (c *Consents) Record(ctx context.Context, memberID int64, said ...NewConsent) error {
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		return c.RecordTx(ctx, tx, memberID, said...)
	})
}

// RecordTx is Record inside the caller's transaction, which cannot go on after
// an error other than Invalid.
func (c *Consents) RecordTx(ctx context.Context, tx pgx.Tx, memberID int64, said ...NewConsent) error {
	var fields problem.Fields
	checkConsents(said, &fields)
	if err := fields.Err("this consent cannot be recorded"); err != nil {
		return err
	}
	return recordConsents(ctx, tx, c.now(), memberID, said)
}

// checkConsents notes mistakes under "consents[i]".
func checkConsents(said []NewConsent, fields *problem.Fields) {
	if len(said) > maxConsents {
		fields.AddArgs("consents", "max_items", map[string]any{"max": maxConsents}, "must be at most %d", maxConsents)
		return
	}
	for i, s := range said {
		path := fmt.Sprintf("consents[%d]", i)
		checkChannel(path+".channel", s.Channel, fields)
		if !s.Purpose.Known() {
			fields.AddArgs(path+".purpose", "options", map[string]any{"options": Purposes}, "must be transactional, service or marketing")
		}
		checkOption(path+".source", s.Source, consentSources, fields)
		if strings.TrimSpace(s.Evidence) == "" {
			fields.Add(path+".evidence", "required", "say what was shown or received when this was said")
		}
	}
}

func checkChannel(path string, ch Channel, fields *problem.Fields) {
	if !ch.Known() {
		fields.AddArgs(path, "options", map[string]any{"options": Channels}, "must be email, sms, voice or fax")
	}
}

func checkOption(path, value string, options []string, fields *problem.Fields) {
	for _, o := range options {
		if o == value {
			return
		}
	}
	fields.AddArgs(path, "options", map[string]any{"options": options}, "must be one of %s", strings.Join(options, ", "))
}

// recordConsents writes checked statements, the last one of a channel and
// purpose being the one that holds. What holds is written in the order of its
// key: the member may say the same elsewhere at the same moment.
func recordConsents(ctx context.Context, q Querier, at time.Time, memberID int64, said []NewConsent) error {
	ordered := slices.Clone(said)
	slices.SortStableFunc(ordered, func(a, b NewConsent) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Purpose, b.Purpose))
	})
	for _, s := range ordered {
		_, err := q.Exec(ctx, `
			INSERT INTO consents AS known (member_id, channel, purpose, granted, changed_at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (member_id, channel, purpose) DO UPDATE
			SET granted = excluded.granted, changed_at = excluded.changed_at
			WHERE known.granted <> excluded.granted`,
			memberID, s.Channel, s.Purpose, s.Granted, at)
		if err != nil {
			return memberMissing(fmt.Errorf("record consent of member %d: %w", memberID, err))
		}
	}
	for _, s := range said {
		_, err := q.Exec(ctx, `
			INSERT INTO consent_changes (member_id, channel, purpose, granted, source, evidence, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			memberID, s.Channel, s.Purpose, s.Granted, s.Source, storable(s.Evidence, maxEvidence), at)
		if err != nil {
			return fmt.Errorf("record consent of member %d: %w", memberID, err)
		}
	}
	return nil
}

// storable is text from outside as PostgreSQL can keep it, cut to so many
// characters.
func storable(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit-1]) + "…"
	}
	return s
}

// ForMember is what a member agrees to or refuses now; what was never said is
// not in it.
func (c *Consents) ForMember(ctx context.Context, memberID int64) ([]Consent, error) {
	rows, err := c.pool.Query(ctx, `
		SELECT channel, purpose, granted, changed_at
		FROM consents WHERE member_id = $1 ORDER BY channel, purpose`, memberID)
	if err != nil {
		return nil, fmt.Errorf("consents of member %d: %w", memberID, err)
	}
	consents, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Consent, error) {
		var k Consent
		err := row.Scan(&k.Channel, &k.Purpose, &k.Granted, &k.ChangedAt)
		k.ChangedAt = k.ChangedAt.UTC()
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("consents of member %d: %w", memberID, err)
	}
	return consents, nil
}

// History is everything a member said about consent, oldest first.
func (c *Consents) History(ctx context.Context, memberID int64) ([]ConsentChange, error) {
	rows, err := c.pool.Query(ctx, `
		SELECT channel, purpose, granted, source, evidence, at
		FROM consent_changes WHERE member_id = $1 ORDER BY id`, memberID)
	if err != nil {
		return nil, fmt.Errorf("consent history of member %d: %w", memberID, err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ConsentChange, error) {
		var k ConsentChange
		err := row.Scan(&k.Channel, &k.Purpose, &k.Granted, &k.Source, &k.Evidence, &k.At)
		k.At = k.At.UTC()
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("consent history of member %d: %w", memberID, err)
	}
	return changes, nil
}
