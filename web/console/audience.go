package console

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"herald/access"
	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// audienceData is the page on which an event is tried on a trigger.
type audienceData struct {
	Trigger subscriptions.Trigger
	Form    *page.Form // event, data, previous
	Asked   bool
	Found   matcher.Audience
	Share   float64        // of the sample who can be reached, 0 to 1
	Refusal *problem.Error // why it is no event: an example has no field for each mistake
}

func (c console) tryForm(v *page.Visit, _ access.Operator) error {
	t, err := c.Triggers.Get(v.Context(), v.R.PathValue("name"))
	if err != nil {
		return err
	}
	values := url.Values{"event": {v.R.URL.Query().Get("event")}}
	if values.Get("event") == "" {
		example, err := json.MarshalIndent(exampleOf(t), "", "  ")
		if err != nil {
			return err
		}
		values.Set("data", string(example))
	}
	return v.Show("audience", audienceData{Trigger: t, Form: v.NewForm(values)})
}

// exampleOf is an event that a trigger could wait for.
func exampleOf(t subscriptions.Trigger) map[string]any {
	data := map[string]any{}
	for _, a := range t.Attributes {
		switch a.Type {
		case "number":
			data[a.Name] = 1
		case "boolean":
			data[a.Name] = true
		case "time":
			data[a.Name] = "2026-01-31T12:00:00Z"
		default:
			data[a.Name] = "…"
		}
	}
	return data
}

// tryEvent counts whom the event in the form would reach.
func (c console) tryEvent(v *page.Visit, _ access.Operator) error {
	t, err := c.Triggers.Get(v.Context(), v.R.PathValue("name"))
	if err != nil {
		return err
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	data := audienceData{Trigger: t, Form: form}
	o, err := c.occurrence(v, form, t)
	if err == nil {
		data.Found, err = c.Previews.Audience(v.Context(), o)
	}
	if err != nil {
		errors.As(err, &data.Refusal)
		return v.Again(err, form, "audience", data)
	}
	data.Asked = true
	return v.Show("audience", data)
}

// occurrence reads the form: an event that came, or example data.
func (c console) occurrence(v *page.Visit, form *page.Form, t subscriptions.Trigger) (matcher.Occurrence, error) {
	o := matcher.Occurrence{Trigger: t.Name, Locale: v.Tag}
	var bad problem.Fields
	if name := form.Get("event"); name != "" {
		id, err := uuid.Parse(name)
		if err != nil {
			bad.Add("event", "unknown", "must be an event's id")
			return o, bad.Err("this cannot be tried")
		}
		event, err := c.Events.Get(v.Context(), id)
		if gone(err) {
			bad.Add("event", "unknown", "there is no such event")
			return o, bad.Err("this cannot be tried")
		}
		o.Data = event.Data
		return o, err
	}
	o.Data = readObject(&bad, "data", form.Get("data"))
	if before := form.Get("previous"); before != "" {
		o.Previous = readObject(&bad, "previous", before)
	}
	return o, bad.Err("this cannot be tried")
}

// readObject reads a JSON object of a form.
func readObject(bad *problem.Fields, name, text string) map[string]any {
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&object); err != nil || object == nil || d.More() {
		bad.Add(name, "json", "must be a JSON object")
	}
	return object
}
