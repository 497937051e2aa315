package campaigns

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/problem"
	"herald/subscriptions"
	"herald/templates"
)

// Create keeps a plan as a draft. actor is who does it: "operator:ann".
//
// Errors: Invalid with every mistake by field ("segment.condition",
// "messages[0].subject", "when.cron" …).
func (s *Store) Create(ctx context.Context, p Plan, actor string) (Campaign, error) {
	return s.create(ctx, p, actor, "created", map[string]any{})
}

func (s *Store) create(ctx context.Context, p Plan, actor, change string, detail map[string]any) (Campaign, error) {
	var made Campaign
	f, err := s.checkPlan(ctx, &p)
	if err != nil {
		return made, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		at := s.instant()
		var id int64
		err := tx.QueryRow(ctx, `
INSERT INTO campaigns (state, plan, created_by, created_at, updated_at)
VALUES ('draft', $1, $2, $3, $3)
RETURNING id`, p, actor, at).Scan(&id)
		if err != nil {
			return fmt.Errorf("create a campaign: %w", err)
		}
		name, err := s.saveMessages(ctx, tx, id, 1, p, actor, f)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE campaigns SET template = $2 WHERE id = $1`, id, name); err != nil {
			return fmt.Errorf("create a campaign: %w", err)
		}
		if err := record(ctx, tx, id, change, actor, detail, at); err != nil {
			return err
		}
		made, err = s.get(ctx, tx, id)
		return err
	})
	return made, err
}

// Change replaces the plan of a draft.
//
// Errors: as Create's; NotFound; Conflict when the campaign is no draft any
// more, or when version is not 0 and not the stored one.
func (s *Store) Change(ctx context.Context, id int64, version int, p Plan, actor string) (Campaign, error) {
	var changed Campaign
	f, err := s.checkPlan(ctx, &p)
	if err != nil {
		return changed, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		old, err := s.locked(ctx, tx, id)
		if err != nil {
			return err
		}
		if old.State != Draft {
			return problem.New(problem.Conflict, "only a draft can be changed, this campaign is %s; copy it", old.State)
		}
		if version != 0 && version != old.Version {
			return problem.New(problem.Conflict, "the campaign has changed since version %d: it is now at %d", version, old.Version)
		}
		name := old.Template
		if len(f) > 0 || !reflect.DeepEqual(old.Messages, p.Messages) {
			if name, err = s.saveMessages(ctx, tx, id, old.Version+1, p, actor, f); err != nil {
				return err
			}
			if err := s.cfg.Templates.DropTx(ctx, tx, old.Template); err != nil {
				return err
			}
		}
		at := s.instant()
		_, err = tx.Exec(ctx, `
UPDATE campaigns
SET plan = $2, version = version + 1, template = $3, updated_at = $4
WHERE id = $1`, id, p, name, at)
		if err != nil {
			return fmt.Errorf("change campaign %d: %w", id, err)
		}
		if err := record(ctx, tx, id, "changed", actor, map[string]any{"version": old.Version + 1}, at); err != nil {
			return err
		}
		changed, err = s.get(ctx, tx, id)
		return err
	})
	return changed, err
}

// Copy makes a draft like a campaign. A moment that has passed is left out.
// Errors: NotFound.
func (s *Store) Copy(ctx context.Context, id int64, actor string) (Campaign, error) {
	old, err := s.Get(ctx, id)
	if err != nil {
		return Campaign{}, err
	}
	p := old.Plan
	if name := []rune(p.Name + " (2)"); len(name) <= maxName {
		p.Name = string(name)
	}
	if p.When.At != nil && p.When.At.Before(s.instant()) {
		p.When.At = nil
	}
	return s.create(ctx, p, actor, "copied", map[string]any{"from": id})
}

// Delete removes a draft. Errors: NotFound; Conflict when it is none.
func (s *Store) Delete(ctx context.Context, id int64) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		c, err := s.locked(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.State != Draft {
			return problem.New(problem.Conflict, "only a draft can be deleted, this campaign is %s: what it sent is on record", c.State)
		}
		if err := s.cfg.Templates.DropTx(ctx, tx, c.Template); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM campaigns WHERE id = $1`, id); err != nil {
			return fmt.Errorf("delete campaign %d: %w", id, err)
		}
		return nil
	})
}

// checkPlan normalises a plan and collects its mistakes, but for those of its
// messages' wording. The error is another than a mistake.
func (s *Store) checkPlan(ctx context.Context, p *Plan) (problem.Fields, error) {
	p.normalise()
	f := p.check()
	if err := s.checkCalendar(ctx, p.When, &f); err != nil {
		return f, err
	}
	err := s.checkTriggers(ctx, p.Segment, &f)
	return f, err
}

// templateName is what the messages of a campaign's version are kept under.
const templateName = "campaign_%d_%d"

// OwnsTemplate reports whether a template of this name is the messages of a
// campaign, and of which.
func OwnsTemplate(name string) (id int64, owns bool) {
	var version int
	if _, err := fmt.Sscanf(name, templateName, &id, &version); err != nil || name != fmt.Sprintf(templateName, id, version) {
		return 0, false // the scan alone takes 01 for 1, and what stands behind
	}
	return id, true
}

// saveMessages keeps what a plan says as templates, and gives the name they
// have: one for each version, so that a language that was taken out is gone.
// It fails for the mistakes found so far too.
func (s *Store) saveMessages(ctx context.Context, tx pgx.Tx, id int64, version int, p Plan, actor string, f problem.Fields) (string, error) {
	name := fmt.Sprintf(templateName, id, version)
	for i, m := range p.Messages {
		if !m.Channel.Known() {
			continue // told by check
		}
		t := templates.Template{Name: name, Channel: string(m.Channel), Locale: m.Locale, Subject: m.Subject, HTML: m.HTML, Body: m.Body, SavedBy: actor}
		if _, err := s.cfg.Templates.SaveTx(ctx, tx, t); err != nil {
			if under(&f, fmt.Sprintf("messages[%d].", i), err) {
				continue
			}
			return "", err
		}
		if t.Locale == lastFallback || !p.speaksForAll(i) {
			continue
		}
		t.Locale = lastFallback
		if _, err := s.cfg.Templates.SaveTx(ctx, tx, t); err != nil {
			return "", err
		}
	}
	return name, f.Err(refusal)
}

// lastFallback is the language that templates takes when there is no nearer one.
const lastFallback = "en"

// speaksForAll reports whether message i is for those whose language has none
// of its own: the first of its channel, where none is in English.
func (p Plan) speaksForAll(i int) bool {
	for j, m := range p.Messages {
		if m.Channel == p.Messages[i].Channel && (m.Locale == lastFallback || j < i) {
			return false
		}
	}
	return true
}

// Those who change a campaign take their turns with the batches that are read
// of it. Locks of its row alone would let batches that overlap go first for as
// long as there are any, and nobody could pause what is being prepared: unlike
// those, advisory locks are given in the order in which they were asked for.
const (
	turnSQL      = `SELECT pg_advisory_xact_lock(hashtextextended('campaign ' || $1::bigint, 0))`
	batchTurnSQL = `
SELECT pg_advisory_xact_lock_shared(hashtextextended('campaign ' || r.campaign_id, 0))
FROM campaign_ranges p
JOIN campaign_runs r ON r.id = p.run_id
WHERE p.id = $1`
)

// locked reads a campaign and keeps others from changing it until the
// transaction ends.
func (s *Store) locked(ctx context.Context, tx pgx.Tx, id int64) (Campaign, error) {
	if _, err := tx.Exec(ctx, turnSQL, id); err != nil {
		return Campaign{}, fmt.Errorf("lock campaign %d: %w", id, err)
	}
	var found int64
	err := tx.QueryRow(ctx, `SELECT id FROM campaigns WHERE id = $1 FOR UPDATE`, id).Scan(&found)
	if errors.Is(err, pgx.ErrNoRows) {
		return Campaign{}, noSuchCampaign()
	}
	if err != nil {
		return Campaign{}, fmt.Errorf("lock campaign %d: %w", id, err)
	}
	return s.get(ctx, tx, id)
}

// record adds a line to a campaign's history.
func record(ctx context.Context, q subscriptions.Querier, id int64, change, actor string, detail map[string]any, at time.Time) error {
	_, err := q.Exec(ctx, `
INSERT INTO campaign_changes (campaign_id, change, actor, detail, at)
VALUES ($1, $2, $3, $4, $5)`, id, change, actor, detail, at)
	if err != nil {
		return fmt.Errorf("record the history of campaign %d: %w", id, err)
	}
	return nil
}
