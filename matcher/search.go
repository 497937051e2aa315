package matcher

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/matcher/history"
	"herald/problem"
	"herald/timeid"
)

// EventSearch says which events to find; a zero field does not narrow.
type EventSearch struct {
	Type     string
	Source   string
	SourceID string // the sender's id
	Subject  string
	// Data are attributes and what they must be equal to: strings, float64
	// or bool.
	Data  map[string]any
	Since time.Time // received then or later
	Until time.Time // and before this
	// Before is the place to go on from: Next of the page before.
	Before uuid.UUID
	Limit  int           // 50, at most 500: events of a page
	Budget time.Duration // a second: how long to look
}

// EventPage is some of the events that a search finds, the latest first.
type EventPage struct {
	Events []Record
	Next   uuid.UUID // where to go on; zero: there are no more
	// Stopped says that the time was up before the page was full: there may be
	// more events from SearchedTo back.
	Stopped    bool
	SearchedTo time.Time
}

const (
	pageOfEvents    = 50
	maxPageOfEvents = 500
	searchBudget    = time.Second
	maxSearchBudget = 10 * time.Second
	// maxSearchData is how many attributes a search may compare.
	maxSearchData = 10
)

// Search finds events. It reads the days backwards and stops when the page is
// full or the time is up, whatever their number. Errors: Invalid.
func (s *Events) Search(ctx context.Context, q EventSearch) (EventPage, error) {
	if err := q.check(); err != nil {
		return EventPage{}, err
	}
	q = q.withDefaults()
	if q.Source != "" && q.SourceID != "" {
		return s.searchName(ctx, q)
	}
	look, err := q.lookback(ctx, s.pool)
	if err != nil {
		return EventPage{}, err
	}
	var page EventPage
	for len(page.Events) < q.Limit && !look.ended && !look.late() {
		found, err := look.step(ctx, q.Limit-len(page.Events))
		if err != nil {
			return EventPage{}, fmt.Errorf("search events: %w", err)
		}
		page.Events = append(page.Events, found...)
	}
	if !look.ended {
		page.Next = look.from
		page.Stopped = len(page.Events) < q.Limit
	}
	page.SearchedTo = instantOf(look.from)
	return page, nil
}

// searchName finds the one event that has a sender's name.
func (s *Events) searchName(ctx context.Context, q EventSearch) (EventPage, error) {
	page := EventPage{Events: []Record{}, SearchedTo: q.Since}
	r, err := s.BySource(ctx, q.Source, q.SourceID)
	switch {
	case problem.CodeOf(err) == problem.NotFound:
	case err != nil:
		return EventPage{}, err
	case q.finds(r):
		page.Events = append(page.Events, r)
	}
	return page, nil
}

// finds reports whether a search that names an event is about this one.
func (q EventSearch) finds(r Record) bool {
	for name, value := range q.Data {
		if r.Data[name] != value {
			return false
		}
	}
	return (q.Type == "" || q.Type == r.Type) && (q.Subject == "" || q.Subject == r.Subject) &&
		(q.Since.IsZero() || !r.ReceivedAt.Before(q.Since)) && (q.Until.IsZero() || r.ReceivedAt.Before(q.Until)) &&
		(q.Before == uuid.Nil || slices.Compare(r.UUID[:], q.Before[:]) < 0)
}

func (q EventSearch) check() error {
	var bad problem.Fields
	checkText(&bad, "type", q.Type, maxID, false)
	checkText(&bad, "source", q.Source, maxSource, false)
	checkText(&bad, "id", q.SourceID, maxID, false)
	checkText(&bad, "subject", q.Subject, maxSource, false)
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		bad.Add("until", "after", "must be after since")
	}
	if len(q.Data) > maxSearchData {
		bad.AddArgs("data", "max", map[string]any{"max": maxSearchData}, "must be at most %d attributes", maxSearchData)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Data)) {
		checkText(&bad, "data", name, maxID, true)
		if rule, message := checkValue(q.Data[name], 1); rule != "" {
			bad.Add("data."+name, rule, "%s", message)
		}
	}
	return bad.Err("this search cannot be made")
}

func (q EventSearch) withDefaults() EventSearch {
	if q.Limit <= 0 {
		q.Limit = pageOfEvents
	}
	q.Limit = min(q.Limit, maxPageOfEvents)
	if q.Budget <= 0 {
		q.Budget = searchBudget
	}
	q.Budget = min(q.Budget, maxSearchBudget)
	return q
}

// lookback is the search's way back through the events.
func (q EventSearch) lookback(ctx context.Context, db querier) (*lookback, error) {
	l := &lookback{db: db, until: time.Now().Add(q.Budget), window: firstWindow, to: timeid.Floor(q.Since)}
	l.from = uuid.Max
	if !q.Until.IsZero() {
		l.from = timeid.Floor(q.Until)
	}
	if q.Before != uuid.Nil && slices.Compare(q.Before[:], l.from[:]) < 0 {
		l.from = q.Before
	}
	if q.Type != "" {
		l.indexed = l.arg(" AND type = ?", q.Type)
	}
	for _, text := range []struct{ where, value string }{
		{" AND source = ?", q.Source}, {" AND source_id = ?", q.SourceID}, {" AND subject = ?", q.Subject},
	} {
		if text.value != "" {
			l.where += l.arg(text.where, text.value)
		}
	}
	if len(q.Data) > 0 {
		data, err := json.Marshal(q.Data)
		if err != nil {
			return nil, fmt.Errorf("search events: %w", err)
		}
		l.where += l.arg(" AND data @> ?::jsonb", string(data))
		if l.byDay, err = history.Indexed(ctx, db); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const (
	// firstWindow is how many events the first step looks at.
	firstWindow = 5_000
	// A step is made to take about stepTime.
	stepTime             = 25 * time.Millisecond
	minWindow, maxWindow = 1_000, 100_000
)

// lookback reads the events that meet a condition, the latest first, window by
// window, so that it can stop at any time and say how far it came.
type lookback struct {
	db    querier
	until time.Time // when the time is up

	indexed string // a condition that an index serves: AND type = $3
	// byDay are the days on which an index serves the other conditions, too:
	// they are looked at whole. See package history.
	byDay map[time.Time]bool
	where string // conditions on what the index finds
	args  []any  // of both, from $3 on

	from   uuid.UUID // everything from here on has been looked at
	to     uuid.UUID // the first id that is looked for
	window int       // events of the next step
	ended  bool      // everything has been looked at
	cut    bool      // the time was up in the middle of a step
}

// arg is a condition whose ? stands for a value.
func (l *lookback) arg(condition string, value any) string {
	l.args = append(l.args, value)
	return strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(l.args)+2))
}

// late reports whether the time is up.
func (l *lookback) late() bool { return l.cut || !time.Now().Before(l.until) }

// step looks at the next window and returns what it finds there, limit events
// at most. When the time is up before it is through, nothing of the window
// counts as looked at.
func (l *lookback) step(ctx context.Context, limit int) ([]Record, error) {
	timed, cancel := context.WithDeadline(ctx, l.until)
	defer cancel()
	found, err := l.look(timed, limit)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		l.cut = true
		return nil, nil
	}
	return found, err
}

func (l *lookback) look(ctx context.Context, limit int) ([]Record, error) {
	began := time.Now()
	edge := l.to
	if l.where != "" {
		var err error
		if edge, err = l.edge(ctx); err != nil {
			return nil, err
		}
	}
	sql := fmt.Sprintf(`%sWHERE id < $1 AND id >= $2%s%s ORDER BY id DESC LIMIT %d`, selectEvents, l.indexed, l.where, limit)
	rows, err := l.db.Query(ctx, sql, append([]any{l.from, edge}, l.args...)...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, scanRecord)
	if err != nil {
		return nil, err
	}
	if len(found) == limit {
		l.from = found[limit-1].UUID
		return found, nil
	}
	l.from, l.ended = edge, edge == l.to
	l.adapt(time.Since(began))
	return found, nil
}

// edge is the id of the last event in the window.
func (l *lookback) edge(ctx context.Context) (uuid.UUID, error) {
	if day := instantOf(l.from).Add(-time.Millisecond).Truncate(24 * time.Hour); l.byDay[day] {
		if edge := timeid.Floor(day); slices.Compare(edge[:], l.to[:]) > 0 {
			return edge, nil
		}
		return l.to, nil
	}
	args := []any{l.from, l.to}
	if l.indexed != "" {
		args = append(args, l.args[0])
	}
	sql := fmt.Sprintf(`SELECT id FROM events WHERE id < $1 AND id >= $2%s ORDER BY id DESC OFFSET %d LIMIT 1`, l.indexed, l.window-1)
	rows, err := l.db.Query(ctx, sql, args...)
	if err != nil {
		return uuid.Nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil || len(ids) == 0 {
		return l.to, err
	}
	return ids[0], nil
}

// adapt makes the next window larger or smaller, by how long the last took.
func (l *lookback) adapt(took time.Duration) {
	factor := float64(stepTime) / float64(max(took, time.Millisecond))
	l.window = int(float64(l.window) * min(max(factor, 0.25), 4))
	l.window = min(max(l.window, minWindow), maxWindow)
}

// instantOf is the time in an id of version 7, to the millisecond.
func instantOf(id uuid.UUID) time.Time {
	if id == timeid.Floor(time.Time{}) || id == uuid.Max {
		return time.Time{}
	}
	return time.Unix(id.Time().UnixTime()).UTC()
}
