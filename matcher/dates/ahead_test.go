package dates

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/calendar"
	"herald/subscriptions"
)

// register is Members of one.
type register subscriptions.Member

func (r register) Get(context.Context, int64) (subscriptions.Member, error) {
	return subscriptions.Member(r), nil
}

func TestWhichDatesComeNext(t *testing.T) {
	w := open(t, "2026-03-01T12:00:00Z")
	a := NewAhead(w.files, register{ID: 1, Account: "wei", TimeZone: "Asia/Shanghai", Birthday: "1990-05-17"}, w.now)
	on := func(occasion, condition string) subscriptions.Trigger {
		return subscriptions.Trigger{Name: "t", Dates: &subscriptions.Dates{Occasion: occasion, Hour: "09:00"}, Condition: condition}
	}
	shown := func(list []calendar.Moment, err error) []string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, m := range list {
			texts = append(texts, m.At.Format(time.RFC3339))
		}
		return texts
	}
	birthday := on("birthday", "event.zone == member.time_zone && event.day == member.birthday")
	feast := on("qixi", "event.zone == member.time_zone")
	until := time.Date(2028, 5, 17, 1, 0, 0, 0, time.UTC) // when a birthday is told
	active := subscriptions.Subscription{MemberID: 1, State: subscriptions.Active}
	later, ends, paused, last, spent := active, active, active, active, active
	later.ValidFrom = time.Date(2027, 5, 17, 1, 0, 0, 0, time.UTC)
	ends.ValidUntil = &until
	paused.State = subscriptions.Paused
	last.MaxNotifications, last.Sent = 3, 2
	spent.MaxNotifications, spent.Sent = 3, 3
	for name, c := range map[string]struct{ got, want []string }{
		"a trigger":             {shown(a.OfTrigger(w.ctx, feast, time.UTC, 2)), []string{"2026-08-19T09:00:00Z", "2027-08-08T09:00:00Z"}},
		"people's own days":     {shown(a.OfTrigger(w.ctx, birthday, time.UTC, 2)), nil},
		"no dates":              {shown(a.OfTrigger(w.ctx, subscriptions.Trigger{}, time.UTC, 2)), nil},
		"a calendar that is no": {shown(a.OfTrigger(w.ctx, on("calendar:none", ""), time.UTC, 2)), nil},
		"a birthday":            {shown(a.OfSubscription(w.ctx, birthday, active, 2)), []string{"2026-05-17T01:00:00Z", "2027-05-17T01:00:00Z"}},
		"valid later":           {shown(a.OfSubscription(w.ctx, birthday, later, 1)), []string{"2027-05-17T01:00:00Z"}},
		"that ends":             {shown(a.OfSubscription(w.ctx, birthday, ends, 3)), []string{"2026-05-17T01:00:00Z", "2027-05-17T01:00:00Z"}},
		"the last that is told": {shown(a.OfSubscription(w.ctx, birthday, last, 3)), []string{"2026-05-17T01:00:00Z"}},
		"all are told":          {shown(a.OfSubscription(w.ctx, birthday, spent, 3)), nil},
		"paused":                {shown(a.OfSubscription(w.ctx, birthday, paused, 3)), nil},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
