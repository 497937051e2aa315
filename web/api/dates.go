package api

import (
	"context"
	"net/http"
	"time"

	"herald/access"
	"herald/calendar"
	"herald/calendars"
	"herald/campaigns"
	"herald/subscriptions"
)

// Dates is what *dates.Ahead does.
type Dates interface {
	OfTrigger(ctx context.Context, t subscriptions.Trigger, zone *time.Location, n int) ([]calendar.Moment, error)
	OfSubscription(ctx context.Context, t subscriptions.Trigger, s subscriptions.Subscription, n int) ([]calendar.Moment, error)
}

// Calendars is what *calendars.Store does.
type Calendars interface {
	Save(ctx context.Context, f calendars.File, by string) (calendars.Calendar, error)
	List(ctx context.Context) ([]calendars.Calendar, error)
	Body(ctx context.Context, name string) ([]byte, error)
	Delete(ctx context.Context, name string) error
}

// nextDates is how many dates are told ahead.
const nextDates = 3

// NextDate is a date that comes, and when people hear of it.
type NextDate struct {
	Date     string    `json:"date" format:"date" example:"2026-09-25" doc:"The day of the occasion."`
	At       time.Time `json:"at" doc:"When people hear of it: by the clock of the member, of the plan's time zone, or else UTC."`
	Occasion string    `json:"occasion" example:"mid_autumn"`
	Title    string    `json:"title,omitempty" doc:"What an imported calendar calls it."`
}

func ahead(moments []calendar.Moment) []NextDate {
	list := make([]NextDate, len(moments))
	for i, m := range moments {
		list[i] = NextDate{Date: m.Date.String(), At: m.At, Occasion: m.Occasion, Title: m.Title}
	}
	return list
}

// DatedTrigger is a trigger and the dates that come next.
type DatedTrigger struct {
	subscriptions.Trigger
	NextDates []NextDate `json:"next_dates,omitempty" doc:"Of a trigger on dates, the next three where the clock is UTC; none of birthdays and other days of people's own."`
}

// DatedSubscription is a subscription and the dates that come next.
type DatedSubscription struct {
	subscriptions.Subscription
	NextDates []NextDate `json:"next_dates,omitempty" doc:"Of a trigger on dates, the next three that the member will hear of."`
}

// DatedCampaign is a campaign and the dates that come next.
type DatedCampaign struct {
	campaigns.Campaign
	NextDates []NextDate `json:"next_dates,omitempty" doc:"Of a schedule or an occasion, the next three in the plan's time zone; none of birthdays."`
}

// CalendarPath asks for an imported calendar.
type CalendarPath struct {
	Name string `path:"name" maxLength:"63" doc:"The calendar's name." example:"shop"`
}

// CalendarFile is an iCalendar file to be kept.
type CalendarFile struct {
	Title string `json:"title" example:"Our fairs" doc:"One line for those who choose it."`
	Body  string `json:"body" doc:"The file (iCalendar, RFC 5545), at most 1 MiB."`
}

// CalendarText is an imported file as it was given.
type CalendarText struct {
	Name string `json:"name"`
	Body string `json:"body"`
}

func (a *API) addCalendars() {
	const path = "/calendars/{name}"
	add(a, operation{
		id: "list-calendars", method: http.MethodGet, path: "/calendars", tag: tagTriggers, scope: access.TriggersRead,
		summary: "List the imported calendars", description: "All of them, by name. An occasion names one as `calendar:<name>`.",
	}, a.listCalendars)
	add(a, operation{
		id: "get-calendar", method: http.MethodGet, path: path, tag: tagTriggers, scope: access.TriggersRead,
		summary: "Read an imported calendar", description: "The file as it was given.",
	}, a.getCalendar)
	add(a, operation{
		id: "put-calendar", method: http.MethodPut, path: path, tag: tagTriggers, scope: access.TriggersWrite,
		summary:     "Import a calendar",
		description: "In the place of one of the same name. It is read whole first: events of whole days or with an hour, RRULE, RDATE, EXDATE and moved occurrences, up to the end of 2100; at most 5,000 events and 50,000 dates.",
	}, a.putCalendar)
	add(a, operation{
		id: "delete-calendar", method: http.MethodDelete, path: path, tag: tagTriggers, scope: access.TriggersWrite,
		summary: "Delete an imported calendar", status: http.StatusNoContent, errors: []int{http.StatusConflict},
		description: "Refused while a trigger goes by it, or a campaign that is not over; the detail names them.",
	}, a.deleteCalendar)
}

func (a *API) listCalendars(ctx context.Context, _ *struct{}) (*out[Page[calendars.Calendar]], error) {
	return whole(a.cfg.Calendars.List(ctx))
}

func (a *API) getCalendar(ctx context.Context, in *CalendarPath) (*out[CalendarText], error) {
	text, err := a.cfg.Calendars.Body(ctx, in.Name)
	return body(CalendarText{Name: in.Name, Body: string(text)}, err)
}

func (a *API) putCalendar(ctx context.Context, in *struct {
	CalendarPath
	Body CalendarFile
},
) (*out[calendars.Calendar], error) {
	file := calendars.File{Name: in.Name, Title: in.Body.Title, Body: []byte(in.Body.Body)}
	return body(a.cfg.Calendars.Save(ctx, file, callerOf(ctx).actor()))
}

func (a *API) deleteCalendar(ctx context.Context, in *CalendarPath) (*none, error) {
	return nothing(a.cfg.Calendars.Delete(ctx, in.Name))
}

// datedTrigger adds the dates that come next to a trigger.
func (a *API) datedTrigger(ctx context.Context, t subscriptions.Trigger) (DatedTrigger, error) {
	d := DatedTrigger{Trigger: t}
	if a.cfg.Dates == nil {
		return d, nil
	}
	moments, err := a.cfg.Dates.OfTrigger(ctx, t, time.UTC, nextDates)
	d.NextDates = ahead(moments)
	return d, err
}

// datedSubscription adds the dates that come next to a subscription.
func (a *API) datedSubscription(ctx context.Context, s subscriptions.Subscription) (DatedSubscription, error) {
	d := DatedSubscription{Subscription: s}
	if a.cfg.Dates == nil || s.State == subscriptions.Ended {
		return d, nil
	}
	t, err := a.cfg.Triggers.Get(ctx, s.Trigger)
	if err != nil {
		return d, err
	}
	moments, err := a.cfg.Dates.OfSubscription(ctx, t, s, nextDates)
	d.NextDates = ahead(moments)
	return d, err
}

// datedCampaign adds the dates that come next to a campaign that may still be
// told.
func (a *API) datedCampaign(ctx context.Context, c campaigns.Campaign) (DatedCampaign, error) {
	d := DatedCampaign{Campaign: c}
	if c.State == campaigns.Finished || c.State == campaigns.Stopped {
		return d, nil
	}
	moments, err := a.cfg.Campaigns.NextDates(ctx, c.When, nextDates)
	d.NextDates = ahead(moments)
	return d, err
}
