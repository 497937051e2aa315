package portal

import (
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/matcher"
	"herald/subscriptions"
)

// ending is an alert of wei, in Shanghai, whose last day is nine days after its
// first, as the portal makes one.
func (s *shop) ending(m subscriptions.Member, repeats string) (sub subscriptions.Subscription, last time.Time) {
	s.t.Helper()
	shanghai, err := time.LoadLocation(m.TimeZone)
	if err != nil {
		s.t.Fatal(err)
	}
	today := s.clock.now().In(shanghai)
	until := time.Date(today.Year(), today.Month(), today.Day()+10, 0, 0, 0, 0, shanghai)
	sub, err = s.config.Subscriptions.Create(s.t.Context(), subscriptions.Order{
		MemberID: m.ID, Trigger: "price_drop", Params: map[string]any{"product": "4411", "target": 499.0},
		ValidUntil: &until, Repeats: repeats, Origin: "portal", Actor: actor,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return sub, until.AddDate(0, 0, -1)
}

func TestAnAlertThatEndsIsExtendedByTheSameTimeAgain(t *testing.T) {
	s := newShop(t)
	sub, last := s.ending(s.register("wei"), "")
	b := s.signedIn("wei")
	path, day := alertPath(sub.ID), func(n int) string { return last.AddDate(0, 0, n).Format("2 Jan 2006") }
	shown := sub.ValidUntil.Format(time.RFC3339Nano)

	b.get(path).has(200, "It is valid until "+day(0)+".", `action="`+path+`/extend"`, "Extend until "+day(10), `value="`+shown+`"`)
	b.get(path+"?lang=zh-CN").has(200, "有效期至", "续期至", "与原来的时长相同。")
	b.post(path+"/extend?lang=en", "until", shown).has(200, "Extended until "+day(10)+": 4411 at 499 or less.", "until "+day(10))
	b.post(path+"/extend", "until", shown).has(200, "It is valid until "+day(10)+".", "Extend until "+day(20)) // pressed twice
	b.post(path+"/extend").has(200, "It is valid until "+day(10)+".")

	s.register("ann")
	s.signedIn("ann").post(path+"/extend", "until", shown).has(404)
	b.post(path + "/stop")
	b.post(path+"/extend", "until", shown).has(200, "Ended alerts")
}

func TestAnAlertThatRepeatsOrHasNoEndIsNotExtended(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	b := s.signedIn("wei")
	endless := s.order(m)
	b.get(alertPath(endless.ID)).has(200).lacks("/extend")
	b.post(alertPath(endless.ID)+"/extend").has(200, "4411 at 499 or less")
	if err := s.config.Subscriptions.End(t.Context(), endless.ID, "cancelled", actor); err != nil {
		t.Fatal(err)
	}
	sub, last := s.ending(m, "weekly")
	page := b.get(alertPath(sub.ID))
	page.has(200, "It is valid until "+last.Format("2 Jan 2006")+" and then begins again every week.")
	page.lacks("Extend until")
}

// The offer is called by its name wherever deliveries are listed, and says why
// it came; its link leads to the page where it is taken.
func TestAnOfferToExtendIsToldAsOne(t *testing.T) {
	s := newShop(t)
	sub, last := s.ending(s.register("wei"), "")
	renewals := matcher.NewRenewals(s.pool, s.config.Triggers.(*subscriptions.Triggers), s.config.Deliveries.(*dispatch.Store),
		matcher.RenewalsConfig{Days: 2, Now: func() time.Time { return last.Add(-36 * time.Hour) }})
	if made, err := renewals.Offer(t.Context()); made != 1 || err != nil {
		t.Fatalf("%d offers, %v", made, err)
	}
	b := s.signedIn("wei")
	b.get("/sent").has(200, "Offer to extend: 4411 at 499 or less")
	b.get("/sent?lang=zh-CN").has(200, "续期提示：")
	found, err := s.config.Deliveries.ForMember(t.Context(), sub.MemberID, [16]byte{}, 1)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	b.get("/sent/"+found[0].ID.String()+"?lang=en").has(200, "Offer to extend: Price drop", "Your alert ends after "+last.Format("2 Jan 2006"), alertPath(sub.ID))
	if link := s.config.Links.Alert(sub.ID); !strings.HasSuffix(link, alertPath(sub.ID)) {
		t.Errorf("the link is %s", link)
	}
}
