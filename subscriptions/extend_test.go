package subscriptions

import (
	"testing"
	"time"
)

// As many days again as were given last, to the same hour of the zone's clock.
func TestExtension(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		t.Helper()
		instant, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return instant
	}
	for name, c := range map[string]struct {
		from, first string
		moved       []string // the ends it was given later
		want        string
	}{
		"a month, begun in the afternoon":       {"2027-06-01 15:37", "2027-07-01 00:00", nil, "2027-07-31 00:00"},
		"over the change of the clock":          {"2027-03-01 09:00", "2027-03-20 09:00", nil, "2027-04-08 09:00"},
		"to an hour that is left out":           {"2027-03-26 02:30", "2027-03-27 02:30", nil, "2027-03-28 03:30"},
		"within a day":                          {"2027-06-01 10:00", "2027-06-01 18:00", nil, "2027-06-02 18:00"},
		"extended before: not twice as long":    {"2027-06-01 15:37", "2027-07-01 00:00", []string{"2027-07-31 00:00"}, "2027-08-30 00:00"},
		"lengthened by its owner":               {"2027-06-01 15:37", "2027-07-01 00:00", []string{"2027-07-31 00:00", "2027-08-05 00:00"}, "2027-08-10 00:00"},
		"shortened: as long as it then is":      {"2027-06-01 15:37", "2027-07-01 00:00", []string{"2027-06-11 00:00"}, "2027-06-21 00:00"},
		"had no end in between: what it is now": {"2027-06-01 15:37", "2027-07-01 00:00", []string{"", "2027-06-11 00:00"}, "2027-06-21 00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.time = at("2027-01-01 12:00")
			o := d.order()
			from, until := at(c.from), at(c.first)
			o.ValidFrom, o.ValidUntil = &from, &until
			s := d.create(t, o)
			for _, end := range c.moved {
				var moved *time.Time
				if end != "" {
					until := at(end)
					moved = &until
				}
				if s, err = d.store.Change(t.Context(), s.ID, Change{ValidUntil: &moved, Actor: "member"}); err != nil {
					t.Fatal(err)
				}
			}
			got, ok, err := d.store.Extension(t.Context(), s, berlin)
			if err != nil || !ok || !got.Equal(at(c.want)) {
				t.Errorf("until %s, %t, %v, want %s", got.In(berlin), ok, err, at(c.want))
			}
		})
	}
}

func TestWhatHasNoEndOrRepeatsIsNotExtended(t *testing.T) {
	d := newDesk(t)
	end := d.time.AddDate(0, 1, 0)
	for name, s := range map[string]Subscription{
		"no end": {}, "repeats": {ValidUntil: &end, Repeats: "monthly"}, "ended": {ValidUntil: &end, State: Ended},
	} {
		if until, ok, err := d.store.Extension(t.Context(), s, time.UTC); ok || err != nil {
			t.Errorf("%s: extended until %s, %v", name, until, err)
		}
	}
}
