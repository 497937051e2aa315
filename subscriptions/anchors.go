package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
	"herald/problem"
)

// anchorPage is how many subscriptions are anchored at a time: a trigger may
// have millions.
const anchorPage = 2000

// memberReads are the columns of members m that make a predicate.Member.
const memberReads = `m.account, m.time_zone, coalesce(to_char(m.birthday, 'MM-DD'), '')`

// anchored is a subscription as anchoring needs it.
type anchored struct {
	id, member int64
	reads      predicate.Member
	params     map[string]any
}

const selectAnchored = `
	SELECT s.id, s.member_id, ` + memberReads + `, s.params
	FROM subscriptions s JOIN members m ON m.id = s.member_id `

func scanAnchored(row pgx.CollectableRow) (a anchored, err error) {
	err = row.Scan(&a.id, &a.member, &a.reads.Account, &a.reads.TimeZone, &a.reads.Birthday, &a.params)
	return a, err
}

// reanchor makes the anchors of all subscriptions of a trigger anew, the
// trigger's row being locked.
func (s *Triggers) reanchor(ctx context.Context, tx pgx.Tx, old, t Trigger, by string) error {
	condition, err := t.Compile()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM subscription_anchors WHERE trigger = $1`, t.Name); err != nil {
		return fmt.Errorf("anchor trigger %s: %w", t.Name, err)
	}
	if err := noteAllAnchors(ctx, tx, t.Name); err != nil {
		return err
	}
	for after := int64(0); ; {
		page, err := anchorable(ctx, tx, t.Name, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		if err := s.reanchorPage(ctx, tx, old, t, condition, page, by); err != nil {
			return err
		}
		after = page[len(page)-1].id
	}
}

func anchorable(ctx context.Context, tx pgx.Tx, trigger string, after int64) ([]anchored, error) {
	rows, err := tx.Query(ctx, selectAnchored+`WHERE s.trigger = $1 AND s.id > $2 ORDER BY s.id LIMIT $3`, trigger, after, anchorPage)
	if err != nil {
		return nil, fmt.Errorf("read subscriptions of %s: %w", trigger, err)
	}
	page, err := pgx.CollectRows(rows, scanAnchored)
	if err != nil {
		return nil, fmt.Errorf("read subscriptions of %s: %w", trigger, err)
	}
	return page, nil
}

func (s *Triggers) reanchorPage(ctx context.Context, tx pgx.Tx, old, t Trigger, condition *predicate.Predicate, page []anchored, by string) error {
	var rows [][]any
	batch := &pgx.Batch{}
	for _, a := range page {
		params, bad := t.CheckParams(withoutDropped(old, t, a.params))
		if len(bad) > 0 {
			return misfit(a.id, problem.Fields(bad).Err(""))
		}
		if err := s.refit(batch, a, params, by); err != nil {
			return err
		}
		keys, err := condition.Keys(params, a.reads)
		if err != nil {
			return misfit(a.id, err)
		}
		rows = appendAnchors(rows, a.id, t.Name, condition.Bound(), keys)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("fit parameters of %s: %w", t.Name, err)
	}
	return insertAnchors(ctx, tx, rows)
}

// misfit tells that a subscription's parameters do not fit a new definition.
func misfit(id int64, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return fmt.Errorf("anchor subscription %d: %w", id, err)
	}
	return &problem.Error{
		Code:    problem.Conflict,
		Message: fmt.Sprintf("the parameters of subscription %d, and perhaps of others, would no longer fit; give a new parameter a default, or make another trigger", id),
		Fields:  p.Fields,
	}
}

// refit writes parameters that a new definition completed or shortened.
func (s *Triggers) refit(batch *pgx.Batch, a anchored, params map[string]any, by string) error {
	fitted, err := asStored(params)
	if err != nil {
		return fmt.Errorf("fit parameters of subscription %d: %w", a.id, err)
	}
	if reflect.DeepEqual(fitted, a.params) {
		return nil
	}
	now := s.now()
	batch.Queue(`UPDATE subscriptions SET params = $2, version = version + 1, updated_at = $3 WHERE id = $1`, a.id, fitted, now)
	batch.Queue(insertRecord, a.id, a.member, "changed", by, map[string]any{"params": a.params}, map[string]any{"params": fitted}, now)
	return nil
}

// withoutDropped leaves out the parameters that t no longer has and old did
// not insist on.
func withoutDropped(old, t Trigger, params map[string]any) map[string]any {
	has := make(map[string]bool, len(t.Params))
	for _, p := range t.Params {
		has[p.Name] = true
	}
	dropped := map[string]bool{}
	for _, p := range old.Params {
		dropped[p.Name] = !has[p.Name] && (p.Optional || p.Default != nil)
	}
	kept := make(map[string]any, len(params))
	for name, v := range params {
		if !dropped[name] {
			kept[name] = v
		}
	}
	return kept
}

// asStored is how parameters read after they went through the database.
func asStored(params map[string]any) (map[string]any, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	var stored map[string]any
	err = json.Unmarshal(text, &stored)
	return stored, err
}

// appendAnchors adds the rows of a subscription; the figures that bound does
// not use are null.
func appendAnchors(rows [][]any, id int64, trigger string, bound predicate.Bound, keys []predicate.Key) [][]any {
	for _, k := range keys {
		row := []any{id, trigger, k.Key, nil, nil}
		if bound != predicate.NoBound {
			row[3] = k.Bound
		}
		if bound == predicate.Between {
			row[4] = k.Upper
		}
		rows = append(rows, row)
	}
	return rows
}

func insertAnchors(ctx context.Context, tx pgx.Tx, rows [][]any) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"subscription_anchors"},
		[]string{"subscription_id", "trigger", "key", "bound", "upper"}, pgx.CopyFromRows(rows))
	if err != nil {
		return fmt.Errorf("write anchors: %w", err)
	}
	return nil
}
