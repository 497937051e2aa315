package matcher

import (
	"github.com/jackc/pgx/v5"

	"herald/matcher/predicate"
)

// joins find candidates, by how the condition's range term compares: the
// event's value stands on the right, so the comparison is turned around.
var joins = map[predicate.Bound]string{
	predicate.NoBound: selectCandidates,
	predicate.Below:   selectCandidates + ` AND a.bound > p.value`,
	predicate.AtMost:  selectCandidates + ` AND a.bound >= p.value`,
	predicate.Above:   selectCandidates + ` AND a.bound < p.value`,
	predicate.AtLeast: selectCandidates + ` AND a.bound <= p.value`,
	predicate.Between: selectCandidates + ` AND a.bound <= p.value AND a.upper >= p.value`,
}

// Indexes: subscription_anchors_lookup (trigger, key, bound) and, of Between,
// subscription_anchors_between (trigger, key, bound, upper).
const selectCandidates = `
	SELECT p.entry, p.hit, a.subscription_id
	FROM unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::float8[]) AS p (entry, hit, trigger, key, value)
	JOIN subscription_anchors a ON a.trigger = p.trigger AND a.key = p.key`

// Join is the SQL that finds candidates in the tables where the condition's
// range term compares so. Its arguments are those of probes.
func Join(bound predicate.Bound) string { return joins[bound] }

// probes are the arguments of one join, one element of each for each probe:
// what it was made of (an event, and a trigger of that), and what it looks up.
type probes struct {
	entries, hits  []int32
	triggers, keys []string
	values         []float64
}

func probesOf(entries []*entry) map[predicate.Bound]*probes {
	all := map[predicate.Bound]*probes{}
	for i, e := range entries {
		for j, h := range e.plan.hits {
			p := all[h.trigger.condition.Bound()]
			if p == nil {
				p = &probes{}
				all[h.trigger.condition.Bound()] = p
			}
			for _, probe := range h.probes {
				p.entries, p.hits = append(p.entries, int32(i)), append(p.hits, int32(j))
				p.triggers, p.keys = append(p.triggers, h.trigger.Name), append(p.keys, probe.Key)
				p.values = append(p.values, probe.Value)
			}
		}
	}
	return all
}

// queueJoins looks entries up in the tables.
func queueJoins(batch *pgx.Batch, entries []*entry, found *[]candidate) {
	for bound, probes := range probesOf(entries) {
		probes.queue(batch, Join(bound), entries, found)
	}
}

func (p *probes) queue(batch *pgx.Batch, sql string, entries []*entry, found *[]candidate) {
	args := []any{p.entries, p.hits, p.triggers, p.keys, p.values}
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var entry int
			var c candidate
			if err := rows.Scan(&entry, &c.hit, &c.subscription); err != nil {
				return err
			}
			c.entry = entries[entry]
			*found = append(*found, c)
		}
		return rows.Err()
	})
}
