package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"herald/matcher/eventform"
)

// MatchOptions say what Match measures, and where.
type MatchOptions struct {
	DatabaseURL   string // empty: a private server in a temporary directory
	Subscriptions int64  // of the mix; some 140,000 more for the longest lists
	Events        int    // drawn for the mix; 0: 200,000
	Log           *slog.Logger
}

// MatchResult is what Match found. Nanoseconds are of one event; those of
// index, map and decoding are the processor's time, that of the join and all
// others are the clock's.
type MatchResult struct {
	IndexNS          map[string]float64  `json:"index_ns"`        // by matches, and of the mix
	MixTogetherNS    float64             `json:"mix_together_ns"` // of the mix, as the matcher looks up the events of a transaction
	MixKinds         map[string]KindCost `json:"mix_kinds"`
	MapMixNS         float64             `json:"map_mix_ns"`
	SQLMixNS         float64             `json:"sql_mix_ns"`
	DecodeNS         float64             `json:"decode_ns"` // from a CloudEvent's bytes to ids
	HeapBytesEach    float64             `json:"heap_bytes_each"`
	RSSBytesEach     float64             `json:"rss_bytes_each"`
	AddsPerSecond    float64             `json:"adds_per_second"`
	RemovesPerSecond float64             `json:"removes_per_second"`
	UnderUpdatesNS   Percentiles         `json:"under_updates_ns"`
	GCMS             float64             `json:"gc_ms"`
	ColdLoadS        float64             `json:"cold_load_s"`
	VisibleP99MS     float64             `json:"visible_p99_ms"`
}

// KindCost is one kind of condition in the mix.
type KindCost struct {
	Subscriptions int     `json:"percent_of_subscriptions"`
	Events        int     `json:"percent_of_events"`
	Found         float64 `json:"found"` // subscriptions by an event, on average
	NS            float64 `json:"ns"`
	TogetherNS    float64 `json:"together_ns"`
}

// mixEvents are drawn for the mix, unless the options say otherwise.
const mixEvents = 200_000

// Match measures how events find subscriptions: by the index, by a plain map,
// and by the SQL join on the same subscriptions. What one of them finds and
// another does not is an error.
func Match(ctx context.Context, o MatchOptions) (_ MatchResult, err error) {
	if o.Subscriptions < 1000 {
		return MatchResult{}, fmt.Errorf("%d subscriptions are too few for the mix: at least 1000", o.Subscriptions)
	}
	m := mix{n: o.Subscriptions}
	if m.kinds, err = kinds(); err != nil {
		return MatchResult{}, err
	}
	var r MatchResult
	o.Log.Info("measuring the index", "subscriptions", m.total())
	events, found, err := r.index(m, max(cmp.Or(o.Events, mixEvents), sampled))
	if err != nil {
		return MatchResult{}, err
	}
	s, err := openShelves(ctx, o, m)
	if err != nil {
		return MatchResult{}, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := r.tables(ctx, s, o, events, found); err != nil {
		return MatchResult{}, err
	}
	return r, nil
}

// sampled are the events of a mix that all ways of matching are compared by,
// and that the join is timed with.
const sampled = 20_000

// index measures the index, then the map, and returns the events of the mix
// and how many subscriptions the sampled ones find. The events are made when
// the index alone has been measured: they are a million objects for the
// collector to look at.
func (r *MatchResult) index(m mix, drawn int) (events []occurrence, found int, err error) {
	f, err := m.fill()
	if err != nil {
		return nil, 0, err
	}
	r.AddsPerSecond, r.HeapBytesEach, r.RSSBytesEach, r.GCMS = f.addsPerSecond, f.heapEach, f.rssEach, f.gcMS
	if events, err = m.events(drawn); err != nil {
		return nil, 0, err
	}
	if err := r.ofEvents(f, events); err != nil {
		return nil, 0, err
	}
	p, err := m.plain()
	if err != nil {
		return nil, 0, err
	}
	r.MapMixNS = p.each(events)
	_, found = f.together(events[:sampled])
	if err := f.compare(p, events[:sampled]); err != nil {
		return nil, 0, err
	}
	p = nil // so that it is not collected again and again while matches are timed
	if r.UnderUpdatesNS, err = f.underUpdates(events); err != nil {
		return nil, 0, err
	}
	r.RemovesPerSecond, err = f.removes()
	return events, found, err
}

// ofEvents measures the index by events.
func (r *MatchResult) ofEvents(f *filled, events []occurrence) (err error) {
	if r.IndexNS, err = f.costs(events); err != nil {
		return err
	}
	r.MixTogetherNS, _ = f.together(events)
	r.MixKinds = f.byKind(events)
	r.DecodeNS, err = f.decode(events)
	return err
}

// tables measures what is done with the database.
func (r *MatchResult) tables(ctx context.Context, s *shelves, o MatchOptions, events []occurrence, found int) (err error) {
	o.Log.Info("putting the subscriptions into the database")
	if err := s.put(ctx); err != nil {
		return err
	}
	var joined int
	if r.SQLMixNS, joined, err = s.join(ctx, events[:sampled]); err != nil {
		return err
	}
	if joined != found {
		return fmt.Errorf("the join finds %d subscriptions, the index %d", joined, found)
	}
	runtime.GC() // a node that starts has nothing of this
	r.ColdLoadS, r.VisibleP99MS, err = s.follow(ctx, o)
	return err
}

// decode is the cost of an event from its bytes to ids, as it comes by HTTP.
func (f *filled) decode(events []occurrence) (each float64, err error) {
	limits, at := eventform.Defaults(), time.Now()
	var found []int64
	each = cost(len(events), func() {
		for _, o := range events {
			found, err = f.decodeOne(o, limits, at, found[:0])
			if err != nil {
				return
			}
		}
	})
	return each, err
}

func (f *filled) decodeOne(o occurrence, limits eventform.Limits, at time.Time, into []int64) ([]int64, error) {
	item, err := eventform.Structured(o.body, limits)
	if err != nil {
		return nil, err
	}
	if item.Err != nil {
		return nil, item.Err
	}
	values, bad := f.kinds[o.kind].CheckEvent(item.Event.Data)
	if len(bad) > 0 {
		return nil, fmt.Errorf("an event of the mix: %v", bad)
	}
	probes, err := f.kinds[o.kind].condition.Probes(values)
	if err != nil {
		return nil, err
	}
	for _, p := range probes {
		into = f.conditions[o.kind].Match(p, at, into)
	}
	return into, nil
}
