package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"herald/access"
	"herald/matcher"
	"herald/matcher/eventform"
	"herald/problem"
	"herald/xmlform"
)

// EventResults say what became of the events of a request, all of which is
// durable by the time it is answered.
type EventResults struct {
	Accepted   int           `json:"accepted" doc:"How many went in."`
	Duplicates int           `json:"duplicates" doc:"How many had gone in before and changed nothing."`
	Refused    int           `json:"refused" doc:"How many cannot be taken; the others are not held up."`
	Results    []EventResult `json:"results" nullable:"false" doc:"One for each event, in the order they were sent."`
}

// EventResult is what became of one event.
type EventResult struct {
	Index         int            `json:"index" doc:"Its place in the request, from 0."`
	Line          int            `json:"line,omitempty" doc:"The line it began at, from 1, where it was sent in lines or in XML."`
	Source        string         `json:"source,omitempty" example:"/shop/prices"`
	ID            string         `json:"id,omitempty" example:"p-1001"`
	Status        matcher.Status `json:"status" enum:"accepted,duplicate,refused"`
	Matches       int            `json:"matches" doc:"The subscriptions that it met."`
	Notifications int            `json:"notifications" doc:"Those of them that are told; the others were held back by a limit."`
	Expanding     int            `json:"expanding,omitempty" doc:"Subscriptions that wait for such an event and are so many that they are held against it, and told, right after this answer. That they will be is as durable as the event."`
	Problem       *EventProblem  `json:"problem,omitempty" doc:"Why it was refused."`
}

// EventProblem is why an event was refused.
type EventProblem struct {
	Code   problem.Code   `json:"code" example:"invalid"`
	Detail string         `json:"detail" example:"the event cannot be taken"`
	Errors []FieldProblem `json:"errors,omitempty" doc:"Each mistake with its attribute."`
}

func (a *API) addEvents() {
	o := operation{
		id: "send-events", method: http.MethodPost, path: "/events", tag: tagEvents, scope: access.EventsWrite,
		summary: "Send events", description: eventsDescription, status: http.StatusAccepted,
		errors: []int{http.StatusRequestTimeout, http.StatusServiceUnavailable},
	}
	op := o.huma()
	op.RequestBody = a.eventBodies()
	op.Responses["202"] = &huma.Response{
		Description: "At least one event is in, with all that it caused, durably.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schemaOf[EventResults](a.huma)}},
	}
	a.huma.OpenAPI().AddOperation(&op)
	a.document(a.huma.OpenAPI().Paths[op.Path], o)
	a.huma.Adapter().Handle(&op, a.huma.Middlewares().Handler(func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		a.takeEvents(w, r)
	}))
}

// takeEvents answers a request with events in any form.
func (a *API) takeEvents(w http.ResponseWriter, r *http.Request) {
	form, err := formOf(r.Header.Get("Content-Type"))
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	switch form {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		a.takeBulk(w, r)
		return
	}
	items, single, err := a.readEvents(w, r, form)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	results := newResults(len(items))
	for len(items) > 0 {
		chunk := items[:min(a.cfg.Chunk, len(items))]
		if err := a.accept(r.Context(), chunk, results); err != nil {
			a.refuse(w, r, a.interrupted(r.Context(), err, results))
			return
		}
		items = items[len(chunk):]
	}
	a.answerResults(w, r, results, single)
}

// readEvents reads all events of a request but a bulk one.
func (a *API) readEvents(w http.ResponseWriter, r *http.Request, form string) (items []eventform.Item, single bool, err error) {
	binary := r.Header.Get("ce-specversion") != ""
	switch form {
	case "application/cloudevents+json", "application/cloudevents-batch+json":
	case "application/cloudevents+xml", "application/cloudevents-batch+xml", "application/xml", "text/xml":
	case "application/json":
		if !binary {
			return nil, false, unsupported("application/json alone is the data of an event whose attributes are in ce- headers; for a whole event send application/cloudevents+json")
		}
	default:
		return nil, false, unsupported("events cannot be read from %q: send application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson or application/cloudevents+xml", form)
	}
	body, err := a.read(w, r, a.cfg.MaxBody)
	if err != nil {
		return nil, false, err
	}
	types := a.eventTypes(r.Context())
	limits := a.cfg.Events
	var item eventform.Item
	switch {
	case form == "application/cloudevents-batch+json":
		items, err = eventform.Batch(body, limits)
		return items, false, err
	case form == "application/cloudevents+json":
		item, err = eventform.Structured(body, limits)
	case binary:
		item, err = eventform.Binary(r.Header.Get, body, types, limits)
	default:
		items, batch, err := eventform.XML(body, types, limits)
		return items, !batch, err
	}
	return []eventform.Item{item}, true, err
}

// eventTypes are the attributes' types by the type of event, as the triggers
// have them, read when the first event asks. When that fails the events say
// their types themselves or are refused by the matcher, which reads the same
// triggers.
func (a *API) eventTypes(ctx context.Context) eventform.Types {
	var known eventform.Types
	return func(eventType string) xmlform.Members {
		if known == nil {
			triggers, err := a.cfg.Triggers.List(ctx)
			if err != nil {
				a.log.ErrorContext(ctx, "the triggers could not be read", "request_id", requestID(ctx), "error", err)
			}
			known = eventform.TypesOf(triggers)
		}
		return known(eventType)
	}
}

func newResults(n int) *EventResults { return &EventResults{Results: make([]EventResult, 0, n)} }

// accept hands the readable ones of the items to the intake and adds a result
// for each. An error means that none of them went in.
func (a *API) accept(ctx context.Context, items []eventform.Item, results *EventResults) error {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	events := make([]matcher.Event, 0, len(items))
	for _, item := range items {
		if item.Err == nil {
			events = append(events, item.Event)
		}
	}
	var accepted []matcher.Result
	if len(events) > 0 {
		var err error
		if accepted, err = a.cfg.Intake.Accept(ctx, events); err != nil {
			return err
		}
	}
	for _, item := range items {
		result := matcher.Result{Source: item.Event.Source, ID: item.Event.ID, Status: matcher.Refused}
		if item.Err != nil {
			result.Err = item.Err
		} else {
			result, accepted = accepted[0], accepted[1:]
		}
		results.add(a.result(ctx, result, item.Line))
	}
	return nil
}

func (e *EventResults) add(r EventResult) {
	r.Index = len(e.Results)
	switch r.Status {
	case matcher.Accepted:
		e.Accepted++
	case matcher.Duplicate:
		e.Duplicates++
	default:
		e.Refused++
	}
	e.Results = append(e.Results, r)
}

func (a *API) result(ctx context.Context, r matcher.Result, line int) EventResult {
	result := EventResult{
		Line: line, Source: r.Source, ID: r.ID, Status: r.Status, Matches: r.Matches, Notifications: r.Notifications,
		Expanding: r.Expanding,
	}
	if r.Err != nil {
		p := a.problem(ctx, r.Err)
		result.Problem = &EventProblem{Code: p.Code, Detail: p.Detail, Errors: p.Errors}
		for i := range p.Errors { // places in the event, not in the body
			p.Errors[i].Location = eventLocation(p.Errors[i].Location)
		}
	}
	return result
}

// interrupted is the problem of a request that stopped after some of its
// events had gone in: sent again, they are duplicates.
func (a *API) interrupted(ctx context.Context, err error, results *EventResults) error {
	if len(results.Results) == 0 {
		return err
	}
	p := a.problem(ctx, err)
	p.Processed = len(results.Results)
	p.Results = results.Results
	return p
}

// answerResults answers 202 when anything went in. When all was refused the
// answer is a problem: of a single event its own, of several all of them.
func (a *API) answerResults(w http.ResponseWriter, r *http.Request, results *EventResults, single bool) {
	if results.Refused < len(results.Results) || len(results.Results) == 0 {
		a.answer(w, r, http.StatusAccepted, results)
		return
	}
	first := results.Results[0].Problem
	status := http.StatusUnprocessableEntity
	if own := first.Code.Status(); single && own != 0 {
		status = own
	}
	p := newProblem(status, first.Code, "all %d events were refused", len(results.Results))
	if single {
		p.Detail, p.Errors = first.Detail, first.Errors
	}
	p.Results = results.Results
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		p.headers.Set("Retry-After", "1")
	}
	a.answer(w, r, status, p)
}
