package matcher

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsTellWhatAnIntakeHasDone(t *testing.T) {
	i := NewIntake(nil, nil, nil, IntakeConfig{})
	t.Cleanup(func() { _ = i.Close(t.Context()) })
	i.counts.accepted.Add(3)
	i.counts.throttled.Add(2)
	i.waiting.Add(1)
	want := `
# HELP herald_matcher_events_total Events, by what became of them: accepted, duplicate, refused, or throttled because the queue was full.
# TYPE herald_matcher_events_total counter
herald_matcher_events_total{status="accepted"} 3
herald_matcher_events_total{status="duplicate"} 0
herald_matcher_events_total{status="refused"} 0
herald_matcher_events_total{status="throttled"} 2
# HELP herald_matcher_waiting_events Events that wait for the database.
# TYPE herald_matcher_waiting_events gauge
herald_matcher_waiting_events 1
`
	if err := testutil.CollectAndCompare(i, strings.NewReader(want), "herald_matcher_events_total", "herald_matcher_waiting_events"); err != nil {
		t.Error(err)
	}
}
