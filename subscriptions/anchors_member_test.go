package subscriptions

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// celebrate subscribes the desk's member to birthdays.
func (d *desk) celebrate(t testing.TB) Subscription {
	t.Helper()
	d.save(t, birthday())
	return d.create(t, Order{MemberID: d.member.ID, Trigger: "birthday", Origin: "portal", Actor: "member"})
}

func (d *desk) change(t testing.TB, c MemberChange) {
	t.Helper()
	if _, err := d.members.Update(t.Context(), d.member.ID, c); err != nil {
		t.Fatal(err)
	}
}

func (d *desk) wantAnchors(t testing.TB, id int64, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), d.anchors(t, id)); diff != "" {
		t.Errorf("anchors (-want +got)\n%s", diff)
	}
}

func (d *desk) notes(t testing.TB) (n int) {
	t.Helper()
	if err := d.pool.QueryRow(t.Context(), `SELECT count(*) FROM anchor_changes WHERE trigger = 'birthday'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestANewBirthdayOrTimeZoneMovesWhatWaitsOnIt(t *testing.T) {
	d := newDesk(t)
	other := d.create(t, d.order())
	s := d.celebrate(t)
	d.wantAnchors(t, s.ID)
	d.change(t, MemberChange{Birthday: pointer("1990-02-28")})
	d.wantAnchors(t, s.ID, "s13:Asia/Shanghais5:02-28 none")
	d.change(t, MemberChange{TimeZone: pointer("Pacific/Kiritimati")})
	d.wantAnchors(t, s.ID, "s18:Pacific/Kiritimatis5:02-28 none")
	told := d.notes(t)
	d.change(t, MemberChange{DisplayName: pointer("Wei"), Birthday: pointer("1990-02-28")})
	if n := d.notes(t); n != told {
		t.Errorf("a change of the name alone was noted as one of the anchors")
	}
	d.change(t, MemberChange{Birthday: pointer("")})
	d.wantAnchors(t, s.ID)
	if n := d.notes(t); n != told+1 {
		t.Errorf("%d notes after %d, want one more", n, told)
	}
	d.wantAnchors(t, other.ID, "s4:NFLX 49")
}

func TestAnImportMovesWhatWaitsOnBirthdays(t *testing.T) {
	d := newDesk(t)
	s := d.celebrate(t)
	d.take(t, "account,birthday\nwei,1988-02-29\n", ImportOptions{DryRun: true})
	d.wantAnchors(t, s.ID)
	d.take(t, "account,birthday\nwei,1988-02-29\nann,1990-01-01\n", ImportOptions{})
	d.wantAnchors(t, s.ID, "s13:Asia/Shanghais5:02-29 none")
	told := d.notes(t)
	d.take(t, "account,display_name\nwei,Wei\n", ImportOptions{})
	d.take(t, "account,time_zone\nwei,Europe/Berlin\n", ImportOptions{})
	d.wantAnchors(t, s.ID, "s13:Europe/Berlins5:02-29 none")
	if n := d.notes(t); n != told+1 {
		t.Errorf("%d notes after %d, want one more", n, told)
	}
}

// However a definition and a profile change at once, the anchors are of the
// last of both.
func TestADefinitionAndABirthdayChangeAtOnce(t *testing.T) {
	d := newDesk(t)
	s := d.celebrate(t)
	d.change(t, MemberChange{Birthday: pointer("1990-01-01")})
	byDay := birthday()
	byDay.Condition = "event.day == member.birthday"
	days := []string{"1990-01-02", "1990-01-03", "1990-01-01"}
	for round := range 9 {
		trigger := birthday()
		want := "s13:Asia/Shanghais5:" + days[round%3][5:] + " none"
		if round%2 == 0 {
			trigger, want = byDay, "s5:"+days[round%3][5:]+" none"
		}
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := d.triggers.Save(t.Context(), trigger, "operator:ann"); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if _, err := d.members.Update(t.Context(), d.member.ID, MemberChange{Birthday: &days[round%3]}); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		d.wantAnchors(t, s.ID, want)
	}
}
