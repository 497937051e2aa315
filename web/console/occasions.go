package console

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"time"

	"herald/calendar"
	"herald/campaigns"
	"herald/subscriptions"
	"herald/web/page"
)

// nextDate is when a plan is told next, in words.
type nextDate struct {
	Occasion string // empty: of a schedule
	Told     string // a moment in the reader's zone; of an occasion the date and the hour of each member
}

// shownDates is how many dates are shown ahead.
const shownDates = 3

// Dates is what *dates.Ahead does.
type Dates interface {
	OfTrigger(ctx context.Context, t subscriptions.Trigger, zone *time.Location, n int) ([]calendar.Moment, error)
}

// triggerDates are the next dates of a trigger, at its hour wherever a member
// lives.
func (c console) triggerDates(v *page.Visit, t subscriptions.Trigger) ([]nextDate, error) {
	if c.Dates == nil || t.Dates == nil {
		return nil, nil
	}
	moments, err := c.Dates.OfTrigger(v.Context(), t, v.Zone, shownDates)
	if err != nil {
		return nil, err
	}
	return datesInWords(v, moments, t.Dates.Hour), nil
}

// datesInWords are moments as dates, each with the hour at which members hear.
func datesInWords(v *page.Visit, moments []calendar.Moment, hour string) []nextDate {
	list := make([]nextDate, len(moments))
	for i, m := range moments {
		noon := time.Date(m.Date.Year, m.Date.Month, m.Date.Day, 12, 0, 0, 0, v.Zone)
		list[i] = nextDate{Occasion: v.Occasion(m.Occasion, m.Title), Told: v.Date(noon) + " " + cmp.Or(m.Hour, hour)}
	}
	return list
}

// nextDates are the next of a plan that recurs.
func (c console) nextDates(v *page.Visit, w campaigns.When) ([]nextDate, error) {
	moments, err := c.Campaigns.NextDates(v.Context(), w, shownDates)
	if err != nil {
		return nil, err
	}
	if w.Occasion != "" {
		return datesInWords(v, moments, w.Hour), nil
	}
	list := make([]nextDate, len(moments))
	for i, m := range moments {
		list[i].Told = v.Minute(m.At)
	}
	return list, nil
}

// occasions are those to choose from: the festivals, and the calendars that
// were imported.
func (c console) occasions(v *page.Visit) ([]page.Choice, error) {
	list := []page.Choice{{Value: "", Label: v.T("campaign.no_occasion")}}
	for _, f := range calendar.Festivals() {
		list = append(list, page.Choice{Value: f.Name, Label: f.In(v.Tag)})
	}
	if c.Calendars == nil {
		return list, nil
	}
	imported, err := c.Calendars.List(v.Context())
	if err != nil {
		return nil, err
	}
	for _, i := range imported {
		list = append(list, page.Choice{Value: "calendar:" + i.Name, Label: i.Title})
	}
	return list, nil
}

// setOccasion enters an occasion where it is chosen, or written.
func setOccasion(values url.Values, occasion string) {
	known := slices.ContainsFunc(calendar.Festivals(), func(f calendar.Festival) bool { return f.Name == occasion })
	if o, err := calendar.Parse(occasion); known || err == nil && o.Calendar() != "" {
		values.Set("when.occasion", occasion)
		return
	}
	values.Set("when.day", occasion)
}
