package bench_test

import (
	"log/slog"
	"testing"

	"herald/bench"
)

// The three ways of matching find the same, or Match says so.
func TestMatchMeasuresEverything(t *testing.T) {
	t.Parallel()
	r, err := bench.Match(t.Context(), bench.MatchOptions{Subscriptions: 5000, Events: 20_000, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, matches := range []string{"0", "1", "10", "1000", "100000", "mix"} {
		if r.IndexNS[matches] <= 0 {
			t.Errorf("nothing for %s matches", matches)
		}
	}
	for _, kind := range []string{"price_at_most", "own_order", "rate_between", "brand_new", "earthquake_near"} {
		if cost := r.MixKinds[kind]; cost.NS <= 0 || cost.TogetherNS <= 0 || cost.Found <= 0 {
			t.Errorf("%s: %+v", kind, cost)
		}
	}
	for name, figure := range map[string]float64{
		"together": r.MixTogetherNS, "map": r.MapMixNS, "join": r.SQLMixNS, "decoding": r.DecodeNS, "heap": r.HeapBytesEach, "adds": r.AddsPerSecond,
		"removes": r.RemovesPerSecond, "updates": r.UnderUpdatesNS.P999, "collection": r.GCMS, "load": r.ColdLoadS, "visible": r.VisibleP99MS,
	} {
		if figure <= 0 {
			t.Errorf("%s: %v", name, figure)
		}
	}
}

func TestMatchRefusesAMixThatIsTooSmall(t *testing.T) {
	t.Parallel()
	if _, err := bench.Match(t.Context(), bench.MatchOptions{Subscriptions: 10}); err == nil {
		t.Error("ten subscriptions were measured")
	}
}
