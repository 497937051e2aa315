package matcher_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
)

func TestAudienceCountsWhomAnEventWouldReach(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	reached := s.member("ann")
	s.subscribe(reached, "kettle", 49)
	for account, change := range map[string]func(*subscriptions.Order){
		"too dear":     func(o *subscriptions.Order) { o.Params["target"] = 10 },
		"another":      func(o *subscriptions.Order) { o.Params["product"] = "lamp" },
		"not yet":      func(o *subscriptions.Order) { from := opening.AddDate(0, 1, 0); o.ValidFrom = &from },
		"unverified":   func(*subscriptions.Order) {},
		"by telephone": func(o *subscriptions.Order) { o.Channels = []subscriptions.Channel{subscriptions.Voice} },
	} {
		s.subscribe(s.member(account), "kettle", 49, change)
	}
	s.exec(`UPDATE contact_points SET verified_at = NULL WHERE address LIKE 'unverified%'`)
	got, err := s.previews(matcher.PreviewConfig{}).Audience(s.ctx, matcher.Occurrence{
		Trigger: "price_drop", Locale: "en", Data: map[string]any{"product": "kettle", "price": 48.0},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Samples) != 3 || got.Samples[0].Summary != "kettle at 49" || got.Samples[0].Account == "" {
		t.Errorf("samples %+v", got.Samples)
	}
	got.Samples = nil
	want := matcher.Audience{
		Asked: 4, Met: 4, Told: 3, HeldBack: map[matcher.Outcome]int{matcher.NotValid: 1}, Complete: true, Sampled: 3,
		Reached: []matcher.AudienceReached{{Channel: subscriptions.Email, Count: 1}},
		Refused: []matcher.AudienceRefused{{Refusal: subscriptions.NoAddress, Count: 1}, {Refusal: subscriptions.NotVerified, Count: 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.expect(map[string]int{"notifications": 0, "matches": 0, "events": 0, "subscriptions WHERE sent > 0": 0})
}

func TestAudienceOfAChangeTakesTheEventBefore(t *testing.T) {
	s := openShop(t)
	trigger := priceDrop()
	trigger.Condition = "event.product == param.product && event.price < previous.price && event.price <= param.target"
	trigger.Change = &subscriptions.ChangeRule{Key: []string{"product"}, Keep: "24h"}
	s.save(trigger)
	s.subscribe(s.member("wei"), "kettle", 49)
	for _, tt := range []struct {
		previous map[string]any
		told     int
	}{{nil, 0}, {map[string]any{"price": 60.0}, 1}, {map[string]any{"price": 40.0}, 0}} {
		got, err := s.previews(matcher.PreviewConfig{}).Audience(s.ctx, matcher.Occurrence{
			Trigger: "price_drop", Data: map[string]any{"product": "kettle", "price": 48.0}, Previous: tt.previous,
		})
		if err != nil || got.Told != tt.told {
			t.Errorf("after %v: %+v (%v)", tt.previous, got, err)
		}
	}
}

func TestAudienceThatIsOutOfTimeSaysSo(t *testing.T) {
	s := openShop(t)
	s.fill(5000)
	s.exec(`UPDATE subscriptions SET params = '{"product": "kettle", "target": 49}'; UPDATE subscription_anchors SET key = 's6:kettle'`)
	o := matcher.Occurrence{Trigger: "price_drop", Data: map[string]any{"product": "kettle", "price": 48.0}}
	got, err := s.previews(matcher.PreviewConfig{Counting: time.Nanosecond}).Audience(s.ctx, o)
	if err != nil || got.Complete || got.Asked != 0 || got.Found != 5000 {
		t.Errorf("in no time: %+v (%v)", got, err)
	}
	got, err = s.previews(matcher.PreviewConfig{Counting: time.Minute}).Audience(s.ctx, o)
	if err != nil || !got.Complete || got.Told != 5000 || got.Sampled != 1000 || got.Reached[0].Count != 1000 {
		t.Errorf("with time: %+v (%v)", got, err)
	}
}

func TestAudienceRefusesWhatIsNoEvent(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	p := s.previews(matcher.PreviewConfig{})
	_, err := p.Audience(s.ctx, matcher.Occurrence{Trigger: "price_drop", Data: map[string]any{"product": "kettle", "price": "cheap"}})
	if problem.CodeOf(err) != problem.Invalid || paths(err)[0] != "data.price" {
		t.Errorf("a price in words: %v", err)
	}
	if _, err := p.Audience(s.ctx, matcher.Occurrence{Trigger: "nothing"}); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("an unknown trigger: %v", err)
	}
}

func TestCompareSaysWhyAnEventDidNotReach(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei := s.member("wei")
	p := s.previews(matcher.PreviewConfig{})
	at := opening.Add(time.Hour)
	for name, tt := range map[string]struct {
		price  float64
		change func(*subscriptions.Order)
		after  string
		want   []matcher.Obstacle
	}{
		"nothing":            {48, nil, ``, []matcher.Obstacle{}},
		"too dear":           {50, nil, ``, []matcher.Obstacle{matcher.Unmet}},
		"paused":             {48, nil, `UPDATE subscriptions SET paused = true`, []matcher.Obstacle{matcher.IsPaused}},
		"too soon":           {48, func(o *subscriptions.Order) { o.CoolDown = hours(3) }, `UPDATE subscriptions SET last_fired_at = valid_from`, []matcher.Obstacle{matcher.CoolingDown}},
		"often enough":       {50, func(o *subscriptions.Order) { o.MaxNotifications = 2 }, `UPDATE subscriptions SET sent = 2`, []matcher.Obstacle{matcher.Unmet, matcher.CapIsReached}},
		"not yet":            {48, func(o *subscriptions.Order) { from := opening.AddDate(0, 1, 0); o.ValidFrom = &from }, ``, []matcher.Obstacle{matcher.NotYetValid}},
		"no more":            {48, func(o *subscriptions.Order) { until := opening.Add(time.Minute); o.ValidUntil = &until }, ``, []matcher.Obstacle{matcher.Expired}},
		"switched off":       {48, nil, `UPDATE triggers SET enabled = false`, []matcher.Obstacle{matcher.TriggerOff}},
		"asked for after it": {48, nil, `UPDATE subscriptions SET created_at = created_at + interval '1 day'`, []matcher.Obstacle{matcher.MadeLater}},
	} {
		sub := s.subscribe(wei, "kettle", 49, func(o *subscriptions.Order) {
			if tt.change != nil {
				tt.change(o)
			}
		})
		if tt.after != "" {
			s.exec(tt.after)
		}
		event, err := s.events.Get(s.ctx, s.happened(at, priceEvent(name, "kettle", tt.price)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Compare(s.ctx, event, sub.ID)
		if err != nil || !cmp.Equal(got.Obstacles, tt.want) || len(got.Terms) != 2 || got.Outcome != "" {
			t.Errorf("%s: %+v (%v), want %v", name, got, err, tt.want)
		}
		if list, err := p.CompareMember(s.ctx, event, wei); err != nil || len(list) == 0 || list[0].Subscription.ID != sub.ID {
			t.Errorf("%s: of the member %+v (%v)", name, list, err)
		}
		s.exec(`UPDATE triggers SET enabled = true`)
		if err := s.subscriptions.End(s.ctx, sub.ID, "cancelled", "member"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCompareKnowsWhatWasDecided(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	sub := s.subscribe(s.member("wei"), "kettle", 49)
	s.accept(s.intake(s.deliveries, matcher.IntakeConfig{}), priceEvent("1", "kettle", 48))
	event, err := s.events.BySource(s.ctx, "/shop", "1")
	if err != nil {
		t.Fatal(err)
	}
	p := s.previews(matcher.PreviewConfig{})
	got, err := p.Compare(s.ctx, event, sub.ID)
	if err != nil || got.Outcome != matcher.Notified || len(got.Obstacles) != 0 || !got.Terms[0].Met {
		t.Errorf("%+v (%v)", got, err)
	}
	counts, err := s.events.Outcomes(s.ctx, event.UUID)
	if err != nil || counts[matcher.Notified] != 1 || len(counts) != 1 {
		t.Errorf("outcomes %v (%v)", counts, err)
	}
	event.Type = "stock.changed"
	if got, err := p.Compare(s.ctx, event, sub.ID); err != nil || len(got.Obstacles) != 1 || got.Obstacles[0] != matcher.OtherType {
		t.Errorf("an event of another type: %+v (%v)", got, err)
	}
	if _, err := p.Compare(s.ctx, event, sub.ID+1); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("nobody's subscription: %v", err)
	}
}
