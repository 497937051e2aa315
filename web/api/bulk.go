package api

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"herald/matcher/eventform"
	"herald/problem"
)

const eventsDescription = `CloudEvents 1.0 in every form: structured and batch JSON, binary mode, one JSON event a line in bulk, and XML. ` +
	`Answered when all that was accepted, and all that it caused, is durable. A repeated (source, id) is a duplicate and changes nothing, so that sending again is always safe. ` +
	`A bad event is refused alone, with its place and reason; when every event was refused the answer is 422 with the same results.`

const (
	exampleEvent = `{"specversion":"1.0","id":"p-1001","source":"/shop/prices","type":"price.changed","time":"2026-01-02T15:04:05Z","data":{"product":"kettle","price":48.5}}`
	exampleXML   = `<event xmlns="http://cloudevents.io/xmlformat/V1" specversion="1.0"><id>p-1001</id><source>/shop/prices</source><type>price.changed</type><data><product>kettle</product><price>48.5</price></data></event>`
)

// eventBodies describes the forms of events.
func (a *API) eventBodies() *huma.RequestBody {
	event := &huma.Schema{
		Type: huma.TypeObject, Description: "A CloudEvent.", Required: []string{"specversion", "id", "source", "type"},
		Properties: map[string]*huma.Schema{
			"specversion": {Type: huma.TypeString, Enum: []any{"1.0"}},
			"id":          {Type: huma.TypeString, Description: "Of its own for each event of the source."},
			"source":      {Type: huma.TypeString, Format: "uri-reference"},
			"type":        {Type: huma.TypeString, Description: "What happened: the event_type of a trigger."},
			"subject":     {Type: huma.TypeString},
			"time":        {Type: huma.TypeString, Format: "date-time", Description: "Absent: when it was received."},
			"data":        {Type: huma.TypeObject, Description: "The attributes that the trigger declares.", AdditionalProperties: true},
		},
		AdditionalProperties: true,
	}
	text := &huma.Schema{Type: huma.TypeString}
	a.huma.OpenAPI().Components.Schemas.Map()["CloudEvent"] = event
	ref := &huma.Schema{Ref: "#/components/schemas/CloudEvent"}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/cloudevents+json":       {Schema: ref, Examples: example(jsonValue(exampleEvent))},
		"application/cloudevents-batch+json": {Schema: &huma.Schema{Type: huma.TypeArray, Items: ref}},
		"application/x-ndjson":               {Schema: text, Examples: example(exampleEvent + "\n")},
		"application/cloudevents+xml":        {Schema: text, Examples: example(exampleXML)},
		"application/xml":                    {Schema: text, Examples: example(exampleXML)},
		"application/json":                   {Schema: &huma.Schema{Type: huma.TypeObject, Description: "The data alone, with the attributes in ce- headers.", AdditionalProperties: true}},
	}}
}

func example(value any) map[string]*huma.Example {
	return map[string]*huma.Example{"price": {Summary: "A price has changed", Value: value}}
}

// takeBulk takes events one a line while they arrive, a chunk at a time. It
// holds one chunk and the results.
func (a *API) takeBulk(w http.ResponseWriter, r *http.Request) {
	results := newResults(0)
	err := checkEncoding(r)
	if err == nil {
		err = a.acceptLines(w, r, results)
	}
	if err != nil {
		a.refuse(w, r, a.interrupted(r.Context(), err, results))
		return
	}
	a.answerResults(w, r, results, false)
}

func (a *API) acceptLines(w http.ResponseWriter, r *http.Request, results *EventResults) error {
	lines := eventform.NewLines(http.MaxBytesReader(w, r.Body, a.cfg.MaxBulkBody), a.cfg.Events)
	control := http.NewResponseController(w)
	for {
		a.deadline(control, a.cfg.ReadTimeout)
		chunk, end, err := nextLines(lines, a.cfg.Chunk)
		a.deadline(control, 0)
		if len(chunk)+len(results.Results) > a.cfg.MaxBulk {
			return problem.New(problem.TooLarge, "one request may bring at most %d events; what came before has been dealt with", a.cfg.MaxBulk)
		}
		if len(chunk) > 0 {
			if err := a.accept(r.Context(), chunk, results); err != nil {
				return err
			}
		}
		if err != nil {
			return readError(err)
		}
		if end {
			return nil
		}
	}
}

// nextLines reads up to n events. What was read before an error counts.
func nextLines(lines *eventform.Lines, n int) (chunk []eventform.Item, end bool, err error) {
	for len(chunk) < n {
		item, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return chunk, true, nil
		}
		if err != nil {
			return chunk, false, err
		}
		chunk = append(chunk, item)
	}
	return chunk, false, nil
}

// eventLocation is a mistake's place in its event.
func eventLocation(location string) string {
	return strings.TrimPrefix(strings.TrimPrefix(location, "body"), ".")
}
