package caps

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"herald/problem"
	"herald/subscriptions"
)

const day = 24 * time.Hour

var (
	twiceADay   = Cap{Max: 2, Within: day}
	fiveAWeek   = Cap{Max: 5, Within: 7 * day}
	fewAndRules = Rules{subscriptions.Marketing: {twiceADay, fiveAWeek}}
	noon        = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
)

func TestMistakesInRulesAreNamed(t *testing.T) {
	if err := fewAndRules.Check(); err != nil {
		t.Error(err)
	}
	err := Rules{
		"gossip":                {twiceADay},
		subscriptions.Marketing: {twiceADay, {Max: 0, Within: time.Hour}, {Max: 101, Within: -time.Hour}, {Max: 1, Within: 10000 * time.Hour}},
	}.Check()
	var paths []string
	if e, ok := err.(*problem.Error); ok {
		for _, f := range e.Fields {
			paths = append(paths, f.Path)
		}
	}
	want := []string{"gossip", "marketing[1].max", "marketing[2].max", "marketing[2].within", "marketing[3].within"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("%v: -want +got\n%s", err, diff)
	}
	if _, err := New(Rules{"gossip": nil}); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("caps by such rules: %v", err)
	}
}

// taken makes a count of notifications so long before noon, oldest first.
func taken(ago ...time.Duration) count {
	var c count
	for _, d := range ago {
		c.ids, c.taken = append(c.ids, uuid.New()), append(c.taken, noon.Add(-d))
	}
	return c
}

func TestOneMoreIsJudged(t *testing.T) {
	both := fewAndRules[subscriptions.Marketing]
	for name, c := range map[string]struct {
		rules []Cap
		sent  count
		want  Verdict
	}{
		"the first":                        {both, taken(), Verdict{OK: true, Cap: twiceADay}},
		"the second of two":                {both, taken(time.Hour), Verdict{OK: true, Cap: twiceADay, Sent: 1}},
		"the third waits for the first":    {both, taken(20*time.Hour, time.Hour), Verdict{Cap: twiceADay, Sent: 2, Next: noon.Add(4 * time.Hour)}},
		"as long ago as the span is out":   {both, taken(day, time.Hour), Verdict{OK: true, Cap: twiceADay, Sent: 1}},
		"a moment less is in":              {both, taken(day-1, time.Hour), Verdict{Cap: twiceADay, Sent: 2, Next: noon.Add(1)}},
		"the week is full":                 {both, taken(6*day, 5*day, 4*day, 3*day, 2*day), Verdict{Cap: fiveAWeek, Sent: 5, Next: noon.Add(day)}},
		"the tighter one is told":          {both, taken(6*day, 5*day, 4*day, 3*day), Verdict{OK: true, Cap: fiveAWeek, Sent: 4}},
		"both are full: the longer wait":   {both, taken(4*day, 3*day, 2*day, 2*time.Hour, time.Hour), Verdict{Cap: fiveAWeek, Sent: 5, Next: noon.Add(3 * day)}},
		"what another's clock dates later": {both, taken(-time.Minute, -2*time.Minute), Verdict{Cap: twiceADay, Sent: 2, Next: noon.Add(day + time.Minute)}},
		"more than a lowered cap allows":   {[]Cap{{1, day}}, taken(3*time.Hour, 2*time.Hour), Verdict{Cap: Cap{1, day}, Sent: 2, Next: noon.Add(22 * time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			id := uuid.New()
			got := c.sent.judge(c.rules, id, noon)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
			before := len(c.sent.ids)
			again := c.sent.judge(c.rules, id, noon.Add(time.Hour))
			if got.OK && (!again.OK || len(c.sent.ids) != before) {
				t.Errorf("asked again for the same: %+v, and %d are counted, not %d", again, len(c.sent.ids), before)
			}
		})
	}
}

// model keeps all that was ever sent and looks at every span.
type model struct {
	rules []Cap
	sent  map[uuid.UUID]time.Time
}

func (m model) allows(at time.Time) bool {
	for _, rule := range m.rules {
		n := 0
		for _, t := range m.sent {
			if t.After(at.Add(-rule.Within)) {
				n++
			}
		}
		if n >= rule.Max {
			return false
		}
	}
	return true
}

func drawRules(t *rapid.T) []Cap {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Cap {
		return Cap{Max: rapid.IntRange(1, 6).Draw(t, "max"), Within: time.Duration(rapid.IntRange(1, 50).Draw(t, "hours")) * time.Hour}
	}), 1, 3).Draw(t, "rules")
}

func TestCountsAgreeWithANaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := model{rules: drawRules(t), sent: map[uuid.UUID]time.Time{}}
		var c count
		var ids []uuid.UUID
		at := noon
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "hours later")) * time.Hour)
			if len(ids) > 0 && rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				id := rapid.SampledFrom(ids).Draw(t, "given back")
				c.remove(id)
				delete(m.sent, id)
				continue
			}
			id := uuid.UUID{15: byte(len(ids) + 1)}
			allowed := m.allows(at)
			v := c.judge(m.rules, id, at)
			if v.OK != allowed {
				t.Fatalf("at %s: %+v, the model says %t", at, v, allowed)
			}
			if v.OK {
				ids, m.sent[id] = append(ids, id), at
			} else if m.allows(v.Next.Add(-1)) || !m.allows(v.Next) {
				t.Fatalf("at %s: to be asked again at %s, but the model allows it earlier or not then", at, v.Next)
			}
			if len(c.ids) != len(c.taken) || len(c.ids) > 6 {
				t.Fatalf("%d ids and %d instants are kept", len(c.ids), len(c.taken))
			}
		}
	})
}

// Whatever the order in which clocks that differ give the instants, no span
// holds more than its cap allows.
func TestNoSpanHoldsTooManyWhateverTheClocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		var c count
		var sent []time.Time
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			at := noon.Add(time.Duration(i)*time.Hour + time.Duration(rapid.IntRange(-180, 180).Draw(t, "skew"))*time.Minute)
			if c.judge(rules, uuid.UUID{15: byte(i + 1)}, at).OK {
				sent = append(sent, at)
			}
		}
		for _, rule := range rules {
			for _, start := range sent {
				n := 0
				for _, s := range sent {
					if !s.Before(start) && s.Before(start.Add(rule.Within)) {
						n++
					}
				}
				if n > rule.Max {
					t.Fatalf("%d from %s on, within %s, though %d are allowed", n, start, rule.Within, rule.Max)
				}
			}
		}
	})
}
