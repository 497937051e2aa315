package console

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// eventRoutes are the pages of what came in.
func (c console) eventRoutes(operator func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	if c.Events == nil || c.Previews == nil {
		return nil
	}
	sheet, lines := operator("GET /console/events.csv", c.eventsCSV), operator("GET /console/events.ndjson", c.eventsNDJSON)
	sheet.Live, lines.Live = true, true // they take as long as there are events
	return []page.Route{
		operator("GET /console/events", c.events), sheet, lines,
		operator("GET /console/events/{id}", c.event),
		operator("GET /console/notifications/{id}", c.notification),
		operator("GET /console/triggers/{name}/try", c.tryForm),
		operator("POST /console/triggers/{name}/try", c.tryEvent),
	}
}

// eventsData is a page of found events and the search that found them.
type eventsData struct {
	Form       *page.Form
	Types      []string // of events that triggers wait for
	Found      []eventLine
	Narrowed   bool
	Stopped    bool
	SearchedTo time.Time
	Next       string // the address of the next page; empty on the last
	First      string // the address of the first page, when this is another
	Export     string // the query of an export
}

// eventLine is an event in a list.
type eventLine struct {
	matcher.Record
	Line string // its data in short
}

func (c console) events(v *page.Visit, _ access.Operator) error {
	data, triggers, err := c.eventSearch(v)
	if err != nil {
		return err
	}
	q, err := readEventSearch(data.Form, triggers, v.Zone)
	if err != nil {
		return v.Again(err, data.Form, "events", data)
	}
	found, err := c.Events.Search(v.Context(), q)
	if err != nil {
		return v.Again(err, data.Form, "events", data)
	}
	for _, r := range found.Events {
		data.Found = append(data.Found, eventLine{r, inShort(v, triggers, r)})
	}
	data.Stopped, data.SearchedTo = found.Stopped, found.SearchedTo
	if found.Next != uuid.Nil {
		data.Next = listAddress("/events", eventFilters(data.Form.Values), found.Next.String())
	}
	if q.Before != uuid.Nil {
		data.First = listAddress("/events", eventFilters(data.Form.Values), "")
	}
	return v.Show("events", data)
}

// eventSearch is the page of a search before anything is found.
func (c console) eventSearch(v *page.Visit) (eventsData, []subscriptions.Trigger, error) {
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return eventsData{}, nil, err
	}
	types := map[string]bool{}
	for _, t := range triggers {
		types[t.EventType] = true
	}
	form := v.NewForm(v.R.URL.Query())
	narrowed := eventFilters(form.Values)
	return eventsData{
		Form: form, Types: slices.Sorted(maps.Keys(types)), Narrowed: len(narrowed) > 0, Export: narrowed.Encode(),
	}, triggers, nil
}

// eventFilters are the filters of a query, without the place in the list.
func eventFilters(query url.Values) url.Values {
	return only(query, "type", "source", "event_id", "subject", "attribute", "since", "until")
}

// readEventSearch reads the filters. Several attributes stand with commas
// between them. Days begin at midnight in the operator's zone.
func readEventSearch(form *page.Form, triggers []subscriptions.Trigger, zone *time.Location) (matcher.EventSearch, error) {
	f := eventFilters(form.Values)
	var bad problem.Fields
	q := matcher.EventSearch{
		Type: f.Get("type"), Source: f.Get("source"), SourceID: f.Get("event_id"), Subject: f.Get("subject"),
		Since: readDay(&bad, "since", f.Get("since"), zone, 0), Until: readDay(&bad, "until", f.Get("until"), zone, 1),
	}
	if written := f.Get("attribute"); written != "" {
		var wrong []problem.Field
		q.Data, wrong = matcher.ReadAttributes(triggers, q.Type, strings.FieldsFunc(written, func(r rune) bool { return r == ',' || r == '，' }))
		bad = append(bad, wrong...)
	}
	if before := form.Get("before"); before != "" {
		var err error
		if q.Before, err = uuid.Parse(before); err != nil {
			return q, missing("page")
		}
	}
	return q, bad.Err("this search cannot be made")
}

// inShort says an event in a line, by the first trigger that waits for it, or
// as it came.
func inShort(v *page.Visit, triggers []subscriptions.Trigger, r matcher.Record) string {
	for _, t := range triggers {
		if t.EventType == r.Type {
			if line := v.Event(page.Operator, t, r.Data, ""); line != "" {
				return line
			}
		}
	}
	text, err := json.Marshal(r.Data)
	if err != nil {
		return ""
	}
	const shown = 160
	if runes := []rune(string(text)); len(runes) > shown {
		return string(runes[:shown]) + "…"
	}
	return string(text)
}

// eventsCSV streams all that the search finds, newest first; times are in UTC.
func (c console) eventsCSV(v *page.Visit, _ access.Operator) error {
	out := csv.NewWriter(v.W)
	begin := func() {
		_ = out.Write([]string{"id", "received_at", "time", "type", "source", "event_id", "subject", "data"}) // Error tells of every write
	}
	return c.exportEvents(v, "csv", "text/csv; charset=utf-8", begin, func(list []matcher.Record) error {
		for _, r := range list {
			data, err := json.Marshal(r.Data)
			if err != nil {
				return err
			}
			_ = out.Write([]string{
				r.UUID.String(), r.ReceivedAt.Format(time.RFC3339Nano), r.Time.Format(time.RFC3339Nano),
				cell(r.Type), cell(r.Source), cell(r.ID), cell(r.Subject), string(data),
			})
		}
		out.Flush()
		return out.Error()
	})
}

// eventsNDJSON streams them as one JSON object a line.
func (c console) eventsNDJSON(v *page.Visit, _ access.Operator) error {
	out := json.NewEncoder(v.W)
	return c.exportEvents(v, "ndjson", "application/x-ndjson", func() {}, func(list []matcher.Record) error {
		for _, r := range list {
			if err := out.Encode(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// exportEvents reads all that the search finds, page by page. Once it has
// begun, a failure can only be told by breaking it off.
func (c console) exportEvents(v *page.Visit, kind, contentType string, begin func(), write func([]matcher.Record) error) error {
	data, triggers, err := c.eventSearch(v)
	if err != nil {
		return err
	}
	q, err := readEventSearch(data.Form, triggers, v.Zone)
	if err != nil {
		return err
	}
	q.Limit = exportBatch
	found, err := c.Events.Search(v.Context(), q)
	if err != nil {
		return err
	}
	h := v.W.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="events-%s.%s"`, c.Now().In(v.Zone).Format(time.DateOnly), kind))
	begin()
	for {
		if err := write(found.Events); err != nil || found.Next == uuid.Nil {
			return nil // the reader has gone, or it is complete
		}
		q.Before = found.Next
		if found, err = c.Events.Search(v.Context(), q); err != nil {
			if v.Context().Err() == nil {
				c.Logger.ErrorContext(v.Context(), "an export broke off", "request", v.RequestID, "error", err)
			}
			panic(http.ErrAbortHandler)
		}
	}
}

// eventData is one event: what came, what it met, and why something else missed it.
type eventData struct {
	Event    matcher.Record
	Line     string
	Data     []fact
	Outcomes []outcomeCount
	Met      int64
	Meetings []matcher.Meeting
	Older    string // the address of further meetings; empty: there are none

	Form        *page.Form // member, subscription
	Compared    bool
	Comparisons []comparisonLine
}

type outcomeCount struct {
	Outcome matcher.Outcome
	Count   int64
}

// comparisonLine is a comparison in words.
type comparisonLine struct {
	matcher.Comparison
	Title   string // of its trigger
	Summary string
	Terms   []page.TermLine
}

const meetingsShown = 50

func (c console) event(v *page.Visit, _ access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("event")
	}
	event, err := c.Events.Get(v.Context(), id)
	if gone(err) {
		return v.ShowStatus(http.StatusNotFound, "event-gone", nil)
	}
	if err != nil {
		return err
	}
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return err
	}
	data := eventData{Event: event, Line: inShort(v, triggers, event), Form: v.NewForm(v.R.URL.Query())}
	if data.Data, err = attributes(event.Data); err != nil {
		return err
	}
	if err := c.meetings(v, &data); err != nil {
		return err
	}
	if err := c.whyNot(v, &data, triggers); err != nil {
		return v.Again(err, data.Form, "event", data)
	}
	return v.Show("event", data)
}

// meetings fills in what the event met.
func (c console) meetings(v *page.Visit, data *eventData) error {
	counts, err := c.Events.Outcomes(v.Context(), data.Event.UUID)
	if err != nil {
		return err
	}
	for _, o := range []matcher.Outcome{matcher.Notified, matcher.InCoolDown, matcher.CapReached, matcher.WasPaused, matcher.NotValid} {
		if n := counts[o]; n > 0 {
			data.Outcomes = append(data.Outcomes, outcomeCount{o, n})
			data.Met += n
		}
	}
	after, _ := strconv.ParseInt(data.Form.Get("after"), 10, 64) // no number: from the first
	list, err := c.Events.Meetings(v.Context(), data.Event.UUID, after, meetingsShown+1)
	if err != nil {
		return err
	}
	if data.Meetings = list; len(list) > meetingsShown {
		data.Meetings = list[:meetingsShown]
		data.Older = fmt.Sprintf("%s/events/%s?after=%d", Base, data.Event.UUID, list[meetingsShown-1].SubscriptionID)
	}
	return nil
}

// whyNot compares the event with what the operator names. Errors: Invalid by
// field.
func (c console) whyNot(v *page.Visit, data *eventData, triggers []subscriptions.Trigger) error {
	account, number := strings.ToLower(data.Form.Get("member")), data.Form.Get("subscription")
	var list []matcher.Comparison
	switch {
	case number != "":
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return unknown("subscription")
		}
		one, err := c.Previews.Compare(v.Context(), data.Event, id)
		if gone(err) {
			return unknown("subscription")
		}
		if err != nil {
			return err
		}
		list = []matcher.Comparison{one}
	case account != "":
		member, err := c.Members.ByAccount(v.Context(), account)
		if gone(err) {
			return unknown("member")
		}
		if err != nil {
			return err
		}
		if list, err = c.Previews.CompareMember(v.Context(), data.Event, member.ID); err != nil {
			return err
		}
	default:
		return nil
	}
	data.Compared = true
	for _, one := range list {
		data.Comparisons = append(data.Comparisons, compared(v, triggers, data.Event, one))
	}
	return nil
}

func unknown(field string) error {
	var f problem.Fields
	f.Add(field, "unknown", "there is no such %s", field)
	return f.Err("nothing can be compared")
}

func compared(v *page.Visit, triggers []subscriptions.Trigger, event matcher.Record, one matcher.Comparison) comparisonLine {
	line := comparisonLine{Comparison: one, Title: one.Subscription.Trigger}
	for _, t := range triggers {
		if t.Name == one.Subscription.Trigger {
			line.Title, line.Summary = t.Title.In(v.Tag), t.Summarise(one.Subscription.Params, v.Tag)
			line.Terms = v.Terms(t, event.Data, one.Terms)
		}
	}
	return line
}

// notification leads to the delivery of a notification.
func (c console) notification(v *page.Visit, _ access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("notification")
	}
	d, err := c.Deliveries.OfNotification(v.Context(), id)
	if err != nil {
		return err
	}
	return v.Go(Base + "/deliveries/" + d.ID.String())
}
