package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/problem"
)

func TestCreate(t *testing.T) {
	d := newDesk(t)
	o := d.order()
	o.Params = map[string]any{"product": " NFLX ", "target": "49"}
	o.Channels = []Channel{SMS, Email}
	o.ValidUntil = pointer(d.time.Add(48*time.Hour + time.Nanosecond))
	o.MaxNotifications = 3
	o.CoolDown = pointer(Duration(36*time.Hour + time.Microsecond))
	o.Digest = "daily"
	created := d.create(t, o)
	want := Subscription{
		ID: created.ID, MemberID: d.member.ID, Trigger: "price_drop",
		Params: map[string]any{"product": "NFLX", "target": 49.0}, Channels: []Channel{SMS, Email},
		State: Active, ValidFrom: d.time, ValidUntil: pointer(d.time.Add(48 * time.Hour)),
		MaxNotifications: 3, CoolDown: o.CoolDown, Digest: "daily", Origin: "portal", Version: 1, CreatedAt: d.time, UpdatedAt: d.time,
	}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("created, want -, got +:\n%s", diff)
	}
	got, err := d.store.Get(t.Context(), created.ID)
	if diff := cmp.Diff(created, got); diff != "" || err != nil {
		t.Errorf("get gives another, %v:\n%s", err, diff)
	}
	if anchors := d.anchors(t, created.ID); len(anchors) != 1 {
		t.Errorf("anchors %v, want one", anchors)
	}
	if diff := cmp.Diff([]string{"created by member"}, d.history(t, created.ID)); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
	consents, err := d.consents.ForMember(t.Context(), d.member.ID)
	if err != nil {
		t.Fatal(err)
	}
	var granted []Channel
	for _, c := range consents {
		if c.Purpose == Service && c.Granted {
			granted = append(granted, c.Channel)
		}
	}
	if slices.Sort(granted); !slices.Equal(granted, []Channel{Email, SMS}) {
		t.Errorf("consent to service on %v", granted)
	}
}

func TestCreateTakesTheTriggersChannelsAndNow(t *testing.T) {
	d := newDesk(t)
	s := d.create(t, d.order())
	if !slices.Equal(s.Channels, []Channel{Email}) || !s.ValidFrom.Equal(d.time) || s.ValidUntil != nil || s.CoolDown != nil {
		t.Errorf("created %+v", s)
	}
	text, err := json.Marshal(Subscription{CoolDown: pointer(Duration(90 * time.Minute))})
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		CoolDown string `json:"cool_down"`
	}
	if err := json.Unmarshal(text, &shown); err != nil || shown.CoolDown != "1h30m0s" {
		t.Errorf("the cool-down is shown as %q, %v", shown.CoolDown, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		mistake    string
		make       func(*Order)
		path, rule string
	}{
		{"an unknown member", func(o *Order) { o.MemberID = 4711 }, "member_id", "unknown"},
		{"an unknown trigger", func(o *Order) { o.Trigger = "nothing" }, "trigger", "unknown"},
		{"a wrong parameter", func(o *Order) { o.Params["target"] = "cheap" }, "params.target", "type"},
		{"a missing parameter", func(o *Order) { o.Params = nil }, "params.product", "required"},
		{"an unknown channel", func(o *Order) { o.Channels = []Channel{Email, "pigeon"} }, "channels[1]", "options"},
		{"a channel twice", func(o *Order) { o.Channels = []Channel{Email, Email} }, "channels[1]", "unique"},
		{"an end that has passed", func(o *Order) { o.ValidUntil = pointer(d.time) }, "valid_until", "future"},
		{"an end before the beginning", func(o *Order) {
			o.ValidFrom, o.ValidUntil = pointer(d.time.Add(2*time.Hour)), pointer(d.time.Add(time.Hour))
		}, "valid_until", "after"},
		{"a repetition without an end", func(o *Order) { o.Repeats = "monthly" }, "valid_until", "required"},
		{"a repetition nobody knows", func(o *Order) { o.Repeats = "hourly" }, "repeats", "options"},
		{"a digest nobody knows", func(o *Order) { o.Digest = "weekly" }, "digest", "options"},
		{"a negative limit", func(o *Order) { o.MaxNotifications = -1 }, "max_notifications", "range"},
		{"a limit that is none", func(o *Order) { o.MaxNotifications = 1 << 40 }, "max_notifications", "range"},
		{"a negative cool-down", func(o *Order) { o.CoolDown = pointer(Duration(-time.Hour)) }, "cool_down", "duration"},
		{"a cool-down finer than is kept", func(o *Order) { o.CoolDown = pointer(Duration(time.Nanosecond)) }, "cool_down", "duration"},
		{"an origin nobody knows", func(o *Order) { o.Origin = "dream" }, "origin", "options"},
		{"nobody", func(o *Order) { o.Actor = "" }, "actor", "required"},
	} {
		t.Run(c.mistake, func(t *testing.T) {
			o := d.order()
			c.make(&o)
			_, err := d.store.Create(t.Context(), o)
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("error %v, want one to mend", err)
			}
			wantField(t, err, c.path, c.rule)
		})
	}
	if err := d.triggers.SetEnabled(t.Context(), "price_drop", false, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	_, err := d.store.Create(t.Context(), d.order())
	wantField(t, err, "trigger", "disabled")
	if n, err := d.store.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d subscriptions were made, %v", n, err)
	}
}

func TestTheSameIsNotTakenTwice(t *testing.T) {
	d := newDesk(t)
	first := d.create(t, d.order())
	again := d.order()
	again.Params = map[string]any{"target": "49.0", "product": "NFLX "}
	again.Channels = []Channel{SMS}
	_, err := d.store.Create(t.Context(), again)
	if problem.CodeOf(err) != problem.Conflict {
		t.Errorf("the same in other words: %v", err)
	}
	other := d.order()
	other.Params["target"] = 50.0
	second := d.create(t, other)
	_, err = d.store.Change(t.Context(), second.ID, Change{Params: d.order().Params, Actor: "member"})
	if problem.CodeOf(err) != problem.Conflict {
		t.Errorf("changed into the same: %v", err)
	}
	if err := d.store.End(t.Context(), first.ID, "cancelled", "member"); err != nil {
		t.Fatal(err)
	}
	d.create(t, d.order())
}

func TestOneThatIsOverDoesNotStandInTheWay(t *testing.T) {
	d := newDesk(t)
	o := d.order()
	o.ValidUntil = pointer(d.time.Add(time.Hour))
	d.create(t, o)
	d.time = d.time.Add(time.Hour)
	d.create(t, d.order())
}

func TestTheSameByTwoRequestsAtOnce(t *testing.T) {
	d := newDesk(t)
	errs := make([]error, 4)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = d.store.Create(t.Context(), d.order()) })
	}
	group.Wait()
	conflicts := 0
	for _, err := range errs {
		if problem.CodeOf(err) == problem.Conflict {
			conflicts++
		} else if err != nil {
			t.Error(err)
		}
	}
	if conflicts != len(errs)-1 {
		t.Errorf("%d of %d were refused", conflicts, len(errs))
	}
}

func TestAMemberMayHaveOnlySoMany(t *testing.T) {
	d := newDesk(t)
	_, err := d.pool.Exec(t.Context(), `
		INSERT INTO subscriptions (member_id, trigger, params, channels, origin)
		SELECT $1, 'price_drop', jsonb_build_object('product', 'p' || n, 'target', n), '{email}', 'import'
		FROM generate_series(1, $2::int) n`, d.member.ID, maxPerMember)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.Create(t.Context(), d.order()); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("one too many: %v", err)
	}
}

func TestChange(t *testing.T) {
	d := newDesk(t)
	s := d.create(t, d.order())
	before := d.anchors(t, s.ID)
	d.time = d.time.Add(time.Minute)
	until := d.time.Add(time.Hour)
	changed, err := d.store.Change(t.Context(), s.ID, Change{
		Version: 1, Params: map[string]any{"product": "NFLX", "target": "45"}, Channels: []Channel{Email, SMS},
		ValidUntil: pointer(&until), MaxNotifications: pointer(5), CoolDown: pointer(pointer(Duration(time.Hour))),
		Digest: pointer("hourly"), Repeats: pointer("daily"), Actor: "operator:ann",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := s
	want.Params = map[string]any{"product": "NFLX", "target": 45.0}
	want.Channels, want.ValidUntil, want.MaxNotifications = []Channel{Email, SMS}, &until, 5
	want.CoolDown, want.Repeats, want.Version, want.UpdatedAt = pointer(Duration(time.Hour)), "daily", 2, d.time
	want.Digest = "hourly"
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed, want -, got +:\n%s", diff)
	}
	got, err := d.store.Get(t.Context(), s.ID)
	if diff := cmp.Diff(changed, got); diff != "" || err != nil {
		t.Errorf("get gives another, %v:\n%s", err, diff)
	}
	if after := d.anchors(t, s.ID); len(after) != 1 || after[0] == before[0] {
		t.Errorf("anchors %v, before %v", after, before)
	}
	records, err := d.store.History(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	last := records[len(records)-1]
	wantBefore := map[string]any{"params": map[string]any{"product": "NFLX", "target": 49.0}, "channels": []any{"email"}}
	if diff := cmp.Diff(wantBefore, last.Before); diff != "" || last.Change != "changed" || last.Actor != "operator:ann" {
		t.Errorf("%s by %s; before, want -, got +:\n%s", last.Change, last.Actor, diff)
	}
	wantAfter := map[string]any{
		"params": map[string]any{"product": "NFLX", "target": 45.0}, "channels": []any{"email", "sms"},
		"valid_until": until.Format(time.RFC3339), "max_notifications": 5.0, "cool_down": "1h0m0s", "digest": "hourly", "repeats": "daily",
	}
	if diff := cmp.Diff(wantAfter, last.After); diff != "" {
		t.Errorf("after, want -, got +:\n%s", diff)
	}

	back, err := d.store.Change(t.Context(), s.ID, Change{
		ValidUntil: new(*time.Time), CoolDown: new(*Duration), MaxNotifications: pointer(0), Digest: pointer(""), Repeats: pointer(""), Actor: "member",
	})
	if err != nil || back.ValidUntil != nil || back.CoolDown != nil || back.MaxNotifications != 0 || back.Digest != "" {
		t.Errorf("taken back: %+v, %v", back, err)
	}
}

func TestPauseAndResume(t *testing.T) {
	d := newDesk(t)
	s := d.create(t, d.order())
	for _, step := range []struct {
		paused  bool
		state   State
		version int
	}{{true, Paused, 2}, {true, Paused, 2}, {false, Active, 3}} {
		got, err := d.store.Change(t.Context(), s.ID, Change{Paused: &step.paused, Actor: "member"})
		if err != nil || got.State != step.state || got.Version != step.version {
			t.Errorf("paused %v: state %s, version %d, %v", step.paused, got.State, got.Version, err)
		}
	}
	want := []string{"created by member", "paused by member", "resumed by member"}
	if diff := cmp.Diff(want, d.history(t, s.ID)); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
}

func TestChangeRefuses(t *testing.T) {
	d := newDesk(t)
	s := d.create(t, d.order())
	if _, err := d.pool.Exec(t.Context(), `UPDATE subscriptions SET sent = 3`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mistake    string
		change     Change
		path, rule string
	}{
		{"a wrong parameter", Change{Params: map[string]any{"product": "NFLX", "target": 0.0}}, "params.target", "min"},
		{"no channel left", Change{Channels: []Channel{}}, "channels", "required"},
		{"an end that has passed", Change{ValidUntil: pointer(pointer(d.time))}, "valid_until", "future"},
		{"fewer than were sent", Change{MaxNotifications: pointer(3)}, "max_notifications", "min"},
		{"a digest nobody knows", Change{Digest: pointer("sometimes")}, "digest", "options"},
		{"a repetition without an end", Change{Repeats: pointer("daily")}, "valid_until", "required"},
	} {
		t.Run(c.mistake, func(t *testing.T) {
			c.change.Actor = "member"
			_, err := d.store.Change(t.Context(), s.ID, c.change)
			wantField(t, err, c.path, c.rule)
		})
	}
	paused := Change{Version: 7, Paused: pointer(true), Actor: "member"}
	if _, err := d.store.Change(t.Context(), s.ID, paused); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("a change of another version: %v", err)
	}
	if _, err := d.store.Change(t.Context(), 4711, Change{Actor: "member"}); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("a change of nothing: %v", err)
	}
	if err := d.store.End(t.Context(), s.ID, "cancelled", "member"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.Change(t.Context(), s.ID, Change{Paused: pointer(true), Actor: "member"}); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("a change of what has ended: %v", err)
	}
}

func TestLists(t *testing.T) {
	d := newDesk(t)
	var ids []int64
	for target := range 5 {
		o := d.order()
		o.Params["target"] = float64(target + 1)
		ids = append(ids, d.create(t, o).ID)
	}
	if err := d.store.End(t.Context(), ids[1], "cancelled", "member"); err != nil {
		t.Fatal(err)
	}
	idsOf := func(list []Subscription, err error) []int64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, s := range list {
			got = append(got, s.ID)
		}
		return got
	}
	for _, c := range []struct {
		list      string
		got, want []int64
	}{
		{"in force", idsOf(d.store.ForMember(t.Context(), d.member.ID, false)), []int64{ids[4], ids[3], ids[2], ids[0]}},
		{"ended", idsOf(d.store.ForMember(t.Context(), d.member.ID, true)), []int64{ids[1]}},
		{"first page", idsOf(d.store.Find(t.Context(), SubscriptionFilter{Trigger: "price_drop", Limit: 2})), []int64{ids[0], ids[2]}},
		{"next page", idsOf(d.store.Find(t.Context(), SubscriptionFilter{MemberID: d.member.ID, After: ids[2]})), []int64{ids[3], ids[4]}},
		{"of nobody", idsOf(d.store.Find(t.Context(), SubscriptionFilter{MemberID: 4711})), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.list, c.got, c.want)
		}
	}
	if n, err := d.store.Count(t.Context()); n != 4 || err != nil {
		t.Errorf("%d in force, %v", n, err)
	}
	if _, err := d.store.Get(t.Context(), 4711); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("get of what there is not: %v", err)
	}
}

// Nothing is half done when the caller goes away.
func TestCreateAfterItsCallerWentAway(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.store.Create(ctx, d.order()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n, err := d.store.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d in force, %v", n, err)
	}
}
