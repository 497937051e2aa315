package subscriptions

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"herald/problem"
)

// priceDrop is the starter trigger most tests use.
func priceDrop(t testing.TB) Trigger {
	t.Helper()
	text, err := starterFiles.ReadFile("starter/price_drop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	trigger, err := ParseTrigger(text)
	if err != nil {
		t.Fatal(err)
	}
	return trigger
}

// birthday is a trigger on dates, as short as it may be written.
func birthday() Trigger {
	return Trigger{
		Name: "birthday", Title: Text{"en": "Birthday"}, Summary: Text{"en": "Your birthday"},
		Dates:     &Dates{Occasion: "daily", Hour: "09:00"},
		Condition: "event.zone == member.time_zone && event.day == member.birthday",
		Channels:  []Channel{Email}, Purpose: Service, Priority: 3, Expiry: "12h", Template: "birthday",
	}
}

func TestATriggerOnDatesIsCompleted(t *testing.T) {
	want := birthday()
	want.EventType, want.Attributes = DateEventType, dateAttributes()
	want.Dates = &Dates{Occasion: "daily", Hour: "09:00", LeapDay: "feb28", Missed: "once"}
	if diff := cmp.Diff(want, birthday().completed()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, trigger := range []Trigger{birthday(), want} {
		if err := trigger.Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckNamesThePlace(t *testing.T) {
	for _, c := range []struct {
		mistake    string
		make       func(*Trigger)
		path, rule string
	}{
		{"a name with capitals", func(d *Trigger) { d.Name = "PriceDrop" }, "name", "format"},
		{"no English title", func(d *Trigger) { d.Title = Text{"zh": "降价"} }, "title.en", "required"},
		{"an empty wording", func(d *Trigger) { d.Title = Text{"en": "a", "zh": " "} }, "title.zh", "required"},
		{"a language nobody knows", func(d *Trigger) { d.Help = Text{"en": "a", "no language": "b"} }, "help.no language", "locale"},
		{"an event type with a space", func(d *Trigger) { d.EventType = "price changed" }, "event_type", "format"},
		{"an attribute twice", func(d *Trigger) { d.Attributes[1].Name = "product" }, "attributes[1].name", "unique"},
		{"an attribute of no type", func(d *Trigger) { d.Attributes[0].Type = "money" }, "attributes[0].type", "option"},
		{"a list attribute", func(d *Trigger) { d.Attributes[0].Type = "strings" }, "attributes[0].type", "option"},
		{"an attribute without a title", func(d *Trigger) { d.Attributes[0].Title = nil }, "attributes[0].title.en", "required"},
		{"a parameter twice", func(d *Trigger) { d.Params[1].Name = "product" }, "params[1].name", "unique"},
		{"bounds that exclude all", func(d *Trigger) { d.Params[1].Max = pointer(0.001) }, "params[1].min", "max"},
		{"a list longer than can be looked up", func(d *Trigger) { d.Params[0].Type, d.Params[0].Max = "strings", pointer(1e6) }, "params[0].max", "range"},
		{"bounds on text", func(d *Trigger) { d.Params[0].Min = pointer(1.0) }, "params[0].min", "applies"},
		{"a length for a number", func(d *Trigger) { d.Params[1].MaxLen = 5 }, "params[1].max_len", "applies"},
		{"a length beyond what is indexed", func(d *Trigger) { d.Params[0].MaxLen = 100000 }, "params[0].max_len", "max"},
		{"a default out of bounds", func(d *Trigger) { d.Params[1].Default = 0 }, "params[1].default", "min"},
		{"a default of another type", func(d *Trigger) { d.Params[1].Default = "x" }, "params[1].default", "type"},
		{"an empty default", func(d *Trigger) { d.Params[0].Default = " " }, "params[0].default", "required"},
		{"an option twice", func(d *Trigger) {
			d.Params[0].Options = []Option{{Value: "a", Title: Text{"en": "A"}}, {Value: "a", Title: Text{"en": "A"}}}
		}, "params[0].options[1].value", "unique"},
		{"an option that reads as two", func(d *Trigger) { d.Params[0].Options = []Option{{Value: "a,b", Title: Text{"en": "A"}}} }, "params[0].options[0].value", "format"},
		{"options for a number", func(d *Trigger) { d.Params[1].Options = []Option{{Value: "1", Title: Text{"en": "1"}}} }, "params[1].options", "applies"},
		{"a condition that is none", func(d *Trigger) { d.Condition = "event.product ==" }, "condition", "syntax"},
		{"a condition on nothing it can be looked up by", func(d *Trigger) { d.Condition = "event.price > 0.0" }, "condition", "anchor"},
		{"a summary that does not parse", func(d *Trigger) { d.Summary["zh"] = "{% if %}" }, "summary.zh", "syntax"},
		{"a summary of another parameter", func(d *Trigger) { d.Summary["en"] = "{{ param.colour }}" }, "summary.en", "unknown"},
		{"a summary that loops", func(d *Trigger) { d.Summary["en"] = "{% for i in (1..9) %}{% endfor %}" }, "summary.en", "syntax"},
		{"a summary that reads files", func(d *Trigger) { d.Summary["en"] = "{%- include '/etc/passwd' %}" }, "summary.en", "syntax"},
		{"no channel", func(d *Trigger) { d.Channels = nil }, "channels", "required"},
		{"a channel twice", func(d *Trigger) { d.Channels = []Channel{Email, Email} }, "channels[1]", "unique"},
		{"a channel nobody has", func(d *Trigger) { d.Channels = []Channel{"pigeon"} }, "channels[0]", "options"},
		{"no purpose", func(d *Trigger) { d.Purpose = "" }, "purpose", "option"},
		{"a priority beyond the last", func(d *Trigger) { d.Priority = 5 }, "priority", "range"},
		{"a cool-down in days", func(d *Trigger) { d.CoolDown = "1d" }, "cool_down", "duration"},
		{"no expiry", func(d *Trigger) { d.Expiry = "" }, "expiry", "duration"},
		{"patience that cannot be", func(d *Trigger) { d.Patience = "soon" }, "patience", "duration"},
		{"no patience at all", func(d *Trigger) { d.Patience = "1ms" }, "patience", "duration"},
		{"an event type of Herald's own", func(d *Trigger) { d.EventType = DateEventType }, "event_type", "reserved"},
		{"a change of nothing", func(d *Trigger) { d.Change = &ChangeRule{Keep: "24h"} }, "change.key", "required"},
		{"a change of what is no attribute", func(d *Trigger) { d.Change = &ChangeRule{Key: []string{"colour"}, Keep: "24h"} }, "change.key[0]", "unknown"},
		{"a change of one attribute twice", func(d *Trigger) { d.Change = &ChangeRule{Key: []string{"product", "product"}, Keep: "24h"} }, "change.key[1]", "unique"},
		{"a change that is kept for nothing", func(d *Trigger) { d.Change = &ChangeRule{Key: []string{"product"}} }, "change.keep", "duration"},
		{"a change whose attribute hides its time", func(d *Trigger) {
			d.Change = &ChangeRule{Key: []string{"product"}, Keep: "24h"}
			d.Attributes[0].Name = "time"
		}, "attributes[0].name", "reserved"},
		{"the event before where there is none", func(d *Trigger) { d.Condition += " && previous.known" }, "condition", "name"},
		{"an absence that nothing closes", func(d *Trigger) { d.Absence = &Absence{Key: []string{"product"}, Within: "24h"} }, "absence.closed_by", "required"},
		{"an absence that lasts for ever", func(d *Trigger) {
			d.Absence = &Absence{Key: []string{"product"}, ClosedBy: []string{"a"}, Within: "9000h"}
		}, "absence.within", "duration"},
		{"an absence and a change", func(d *Trigger) {
			d.Absence = &Absence{Key: []string{"product"}, ClosedBy: []string{"a"}, Within: "24h"}
			d.Change = &ChangeRule{Key: []string{"product"}, Keep: "24h"}
		}, "condition", "alone"},
		{"dates of another event", func(d *Trigger) { *d = birthday(); d.EventType = "price.changed" }, "event_type", "applies"},
		{"dates with attributes", func(d *Trigger) { *d = birthday(); d.Attributes = priceDrop(t).Attributes }, "attributes", "applies"},
		{"dates of no occasion", func(d *Trigger) { *d = birthday(); d.Dates.Occasion = " " }, "dates.occasion", "occasion"},
		{"dates at no hour", func(d *Trigger) { *d = birthday(); d.Dates.Hour = "" }, "dates.hour", "clock"},
		{"a leap day of its own", func(d *Trigger) { *d = birthday(); d.Dates.LeapDay = "feb29" }, "dates.leap_day", "option"},
		{"missed dates that pile up", func(d *Trigger) { *d = birthday(); d.Dates.Missed = "twice" }, "dates.missed", "option"},
		{"dates long before", func(d *Trigger) { *d = birthday(); d.Dates.Lead = 61 }, "dates.lead", "range"},
		{"no template", func(d *Trigger) { d.Template = "" }, "template", "required"},
	} {
		t.Run(c.mistake, func(t *testing.T) {
			trigger := priceDrop(t)
			c.make(&trigger)
			err := trigger.Check()
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("error %v, want one to mend", err)
			}
			wantField(t, err, c.path, c.rule)
		})
	}
}

func TestCheckNamesAllMistakesAtOnce(t *testing.T) {
	err := Trigger{}.Check()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatal(err)
	}
	for _, path := range []string{"name", "title.en", "event_type", "condition", "summary.en", "channels", "purpose", "priority", "expiry", "template"} {
		found := false
		for _, f := range p.Fields {
			found = found || f.Path == path
		}
		if !found {
			t.Errorf("no mistake at %s", path)
		}
	}
}
