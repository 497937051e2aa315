package webhooks

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheScheduleSpansThreeDays(t *testing.T) {
	total := time.Duration(0)
	for tries := 1; ; tries++ {
		wait, again := nextWait(tries, 0, 0)
		if !again {
			if tries != 10 {
				t.Errorf("given up after %d tries", tries)
			}
			break
		}
		total += wait
	}
	if want := 75*time.Hour + 35*time.Minute + 5*time.Second; total != want {
		t.Errorf("%v, want %v", total, want)
	}
}

func TestWaitsAreWithinTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tries := rapid.IntRange(1, 12).Draw(t, "tries")
		wish := time.Duration(rapid.Int64Range(0, int64(maxWish)).Draw(t, "wish"))
		wait, again := nextWait(tries, wish, rapid.Float64Range(0, 1).Draw(t, "chance"))
		if again != (tries < 10) {
			t.Fatalf("again %v", again)
		}
		if again && (wait < wish || wait < waits()[tries-1] || wait > time.Duration(1.2*float64(max(wish, waits()[tries-1])))+1) {
			t.Fatalf("wait %v", wait)
		}
		if hold := holdFor(tries, wish); hold < minHold || hold > max(maxHold, wish) || hold < wish {
			t.Fatalf("hold %v", hold)
		}
	})
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "-5": 0, "soon": 0, "1.5": 0,
		"86400": maxWish, "999999999999999999": maxWish, "99999999999999999999999": 0,
		now.Add(time.Hour).Format(http.TimeFormat): time.Hour, now.Add(-time.Hour).Format(http.TimeFormat): 0,
		now.AddDate(1, 0, 0).Format(http.TimeFormat): maxWish,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q is %v, want %v", header, got, want)
		}
	}
}

func TestAVerdictIsPendingOrFinalAndNothingElse(t *testing.T) {
	now := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	w := &Worker{store: &Store{now: func() time.Time { return now }}, cfg: WorkerConfig{DisableAfter: 5 * 24 * time.Hour}, chance: func() float64 { return 0.5 }}
	classes := []Class{"", Forbidden, NoName, NoConnect, NoTLS, TimedOut, Broken, Redirected, Throttled, Refused, SaidGone, SwitchedOff, NoSecret}
	rapid.Check(t, func(t *rapid.T) {
		since := now.Add(-time.Duration(rapid.IntRange(0, 300).Draw(t, "hours failing")) * time.Hour)
		tries := rapid.IntRange(0, 12).Draw(t, "tries")
		job := task{name: rapid.SampledFrom([]string{"delivery.failed", Ping}).Draw(t, "type"), tries: tries}
		job.endpoint.FailingSince = &since
		o := outcome{class: rapid.SampledFrom(classes).Draw(t, "class"), status: rapid.SampledFrom([]int{0, 500, 503}).Draw(t, "status")}
		v := w.judge(job, o)
		switch {
		case (v.state == Pending) != (v.wait > 0):
			t.Fatalf("%+v waits without being tried again, or the other way round", v)
		case (v.state == Delivered) != (o.class == "") || v.healthy != (o.class == ""):
			t.Fatalf("%+v", v)
		case v.state == Pending && (tries >= 9 || job.name == Ping):
			t.Fatalf("%+v is tried again for ever", v)
		case v.off == Failing && (v.state != Failed || now.Sub(since) < w.cfg.DisableAfter):
			t.Fatalf("%+v is switched off too early", v)
		case v.off == Gone && o.class != SaidGone, job.name == Ping && (v.ailing || v.off != ""):
			t.Fatalf("%+v", v)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "Tue, 03 Mar 2026 09:00:00 GMT", "-1", "9223372036854775808"} {
		f.Add(seed)
	}
	now := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string) {
		if wait := retryAfter(header, now); wait < 0 || wait > maxWish {
			t.Errorf("%q is %v", header, wait)
		}
	})
}

func TestAGateIsOneEndpointsOwn(t *testing.T) {
	g := newGates(4) // three for one endpoint
	var leaves []func()
	for range 3 {
		leave, ok := g.enter(t.Context(), 1, true)
		if !ok {
			t.Fatal("a free gate is shut")
		}
		leaves = append(leaves, leave)
	}
	if _, ok := g.enter(t.Context(), 1, true); ok {
		t.Error("a fourth came through")
	}
	if _, ok := g.enter(t.Context(), 2, true); !ok {
		t.Error("another endpoint has to wait")
	}
	leaves[0]()
	if _, ok := g.enter(t.Context(), 1, true); !ok {
		t.Error("the place that was given back is not there")
	}
	leave, ok := g.enter(t.Context(), 1, false)
	if _, second := g.enter(t.Context(), 1, false); !ok || second {
		t.Error("an endpoint that fails is tried one at a time")
	}
	leave()
	if _, ok := g.enter(t.Context(), 1, false); !ok {
		t.Error("the place that was given back is not there")
	}
}
