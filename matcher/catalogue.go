package matcher

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/matcher/absence"
	"herald/matcher/index"
	"herald/matcher/predicate"
	"herald/matcher/states"
	"herald/problem"
	"herald/subscriptions"
)

// watched is an enabled trigger, ready to match.
type watched struct {
	subscriptions.Trigger
	schema                     predicate.Schema
	condition                  *predicate.Predicate
	summaries                  *subscriptions.Summaries
	change                     *states.Rule  // nil: it is no trigger on a change
	absence                    *absence.Rule // nil: nor on an absence
	coolDown, expiry, patience time.Duration
	waiting                    atomic.Pointer[index.Condition] // its part of the index, once asked for
}

// in is the trigger's part of the index, of which a node has but one.
func (w *watched) in(x *index.Index) *index.Condition {
	if c := w.waiting.Load(); c != nil {
		return c
	}
	c := x.Condition(w.Name)
	w.waiting.Store(c)
	return c
}

// catalogue is the triggers as they stood at one moment; it never changes.
type catalogue struct {
	state  string                // as selectState reads it
	byName map[string]*watched   // enabled triggers
	byType map[string][]*watched // those of them that events meet at once, by event type
	// absent are those on an absence, by each type that opens or closes.
	absent map[string][]*watched
	// broken are the event types with a trigger that cannot be used; their
	// events are not taken, because accepted means matched.
	broken map[string]bool
}

// selectState says which versions of which triggers are in force. Versions
// only grow, so when a transaction reads the same state after its join as the
// catalogue it planned with, the join saw anchors of these versions.
const selectState = `
	SELECT coalesce(string_agg(name || ':' || version::text || ':' || enabled::text, ',' ORDER BY name), '')
	FROM triggers`

func newCatalogue(list []subscriptions.Trigger, logger *slog.Logger) *catalogue {
	c := &catalogue{byName: map[string]*watched{}, byType: map[string][]*watched{}, absent: map[string][]*watched{}, broken: map[string]bool{}}
	versions := make([]string, len(list))
	for i, t := range list {
		versions[i] = fmt.Sprintf("%s:%d:%t", t.Name, t.Version, t.Enabled)
		if !t.Enabled {
			continue
		}
		w, err := watch(t)
		if err != nil {
			logger.Error("a stored trigger cannot be used, events of its type are turned away", "trigger", t.Name, "error", err)
			for _, eventType := range typesOf(t) {
				c.broken[eventType] = true
			}
			continue
		}
		c.add(w)
	}
	c.state = strings.Join(versions, ",")
	return c
}

// add puts a trigger where events find it. One on dates is found by its name
// alone.
func (c *catalogue) add(w *watched) {
	c.byName[w.Name] = w
	switch {
	case w.Absence != nil:
		for _, eventType := range typesOf(w.Trigger) {
			if !slices.Contains(c.absent[eventType], w) {
				c.absent[eventType] = append(c.absent[eventType], w)
			}
		}
	case w.Dates == nil:
		c.byType[w.EventType] = append(c.byType[w.EventType], w)
	}
}

// typesOf are the types of the events that a trigger has to do with.
func typesOf(t subscriptions.Trigger) []string {
	if t.Absence == nil {
		return []string{t.EventType}
	}
	return append([]string{t.EventType}, t.Absence.ClosedBy...)
}

func watch(t subscriptions.Trigger) (*watched, error) {
	condition, err := t.Compile()
	if err != nil {
		return nil, err
	}
	summaries, err := t.Summaries()
	if err != nil {
		return nil, err
	}
	coolDown, expiry, patience, err := t.Durations()
	if err != nil {
		return nil, err
	}
	w := &watched{
		Trigger: t, schema: t.Schema(), condition: condition,
		summaries: summaries, coolDown: coolDown, expiry: expiry, patience: patience,
	}
	if t.Change != nil {
		if w.change, err = states.RuleOf(t); err != nil {
			return nil, err
		}
	}
	if t.Absence != nil {
		if w.absence, err = absence.RuleOf(t); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// summary says a subscription in a line, falling back to the trigger's title.
func (w *watched) summary(params map[string]any, locale string) string {
	line, err := w.summaries.Line(params, locale)
	if err != nil || line == "" {
		return w.Title.In(locale)
	}
	return line
}

// plan is what an event is looked up by, for each trigger of its type.
type plan struct {
	of    *catalogue
	hits  []hit
	turns []turn
}

// turn is an event that opens or closes the watches of a trigger on an absence.
type turn struct {
	rule *absence.Rule
	key  string
}

// hit is an event that may meet subscriptions of a trigger.
type hit struct {
	trigger *watched
	event   map[string]any    // the data, typed by the trigger
	probes  []predicate.Probe // none: it is only remembered

	// Of a trigger on a change, set within the transaction: the event before
	// this one, if one is known, and whether this one is older than that.
	previous    map[string]any
	known, late bool
}

// plan checks an event's data against every trigger of its type. The error is
// a *problem.Error: Invalid with the mistakes.
func (c *catalogue) plan(e Event) (plan, error) {
	if c.broken[e.Type] {
		return plan{}, unavailable(fmt.Errorf("a trigger on %q cannot be used", e.Type))
	}
	p := plan{of: c}
	var bad problem.Fields
	for _, w := range c.watching(e) {
		values, wrong := w.CheckEvent(e.Data)
		if len(wrong) > 0 {
			bad = appendNew(bad, wrong)
			continue
		}
		probes, err := w.condition.Probes(values)
		if err != nil {
			return plan{}, unavailable(fmt.Errorf("look %s up: %w", w.Name, err))
		}
		if len(probes) > 0 || w.change != nil {
			p.hits = append(p.hits, hit{trigger: w, event: values, probes: probes})
		}
	}
	if e.Trigger == "" {
		bad = c.planTurns(e, &p, bad)
	}
	return p, bad.Err(refusal)
}

// planTurns finds the watches that an event opens or closes. One that opens
// must fit the trigger, which may come back to it.
func (c *catalogue) planTurns(e Event, p *plan, bad problem.Fields) problem.Fields {
	for _, w := range c.absent[e.Type] {
		key, wrong := w.absence.Key(e.Data)
		if w.absence.Opens(e.Type) {
			_, wrong = w.CheckEvent(e.Data)
		}
		if bad = appendNew(bad, wrong); len(wrong) == 0 && key != "" {
			p.turns = append(p.turns, turn{w.absence, key})
		}
	}
	return bad
}

// retype types the attributes of an event that was kept as JSON, as those of a
// new event; what does not fit the trigger any more is left out.
func (w *watched) retype(values map[string]any) map[string]any {
	typed, _ := w.CheckEvent(values)
	if typed = maps.Clone(typed); typed == nil {
		typed = map[string]any{}
	}
	if text, ok := values["time"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			typed["time"] = at
		}
	}
	return typed
}

// watching are the triggers that an event is held against.
func (c *catalogue) watching(e Event) []*watched {
	if e.Trigger == "" {
		return c.byType[e.Type]
	}
	if w := c.byName[e.Trigger]; w != nil {
		return []*watched{w}
	}
	return nil // disabled since
}

// appendNew leaves out the mistakes that another trigger has told already.
func appendNew(bad, more problem.Fields) problem.Fields {
	told := map[string]bool{}
	for _, f := range bad {
		told[f.Path+" "+f.Message] = true
	}
	for _, f := range more {
		if !told[f.Path+" "+f.Message] {
			bad = append(bad, f)
		}
	}
	return bad
}

// shelf holds the latest catalogue that this node has read.
type shelf struct {
	pool     *pgxpool.Pool
	triggers *subscriptions.Triggers
	logger   *slog.Logger
	latest   atomic.Pointer[catalogue]
	reading  sync.Mutex // held while one goroutine reads for all
}

// current is the latest catalogue; it is read where there is none yet.
func (s *shelf) current(ctx context.Context) (*catalogue, error) {
	if c := s.latest.Load(); c != nil {
		return c, nil
	}
	return s.replace(ctx, nil)
}

// replace reads the triggers anew, unless another caller has done so since the
// catalogue that turned out to be stale.
func (s *shelf) replace(ctx context.Context, stale *catalogue) (*catalogue, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if c := s.latest.Load(); c != stale {
		return c, nil
	}
	list, err := s.triggers.List(ctx)
	if err != nil {
		return nil, err
	}
	c := newCatalogue(list, s.logger)
	s.latest.Store(c)
	return c, nil
}

// confirm is c while it is still in force, and otherwise what is.
func (s *shelf) confirm(ctx context.Context, c *catalogue) (*catalogue, error) {
	var state string
	if err := s.pool.QueryRow(ctx, selectState).Scan(&state); err != nil {
		return nil, fmt.Errorf("read the triggers' versions: %w", err)
	}
	if state == c.state {
		return c, nil
	}
	return s.replace(ctx, c)
}
