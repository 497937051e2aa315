package console

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"herald/access"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

type triggersData struct{ Triggers []subscriptions.Trigger }

func (c console) triggers(v *page.Visit, _ access.Operator) error {
	list, err := c.Triggers.List(v.Context())
	if err != nil {
		return err
	}
	return v.Show("triggers", triggersData{list})
}

// triggerData is a trigger's definition as YAML, to read and to edit.
type triggerData struct {
	Trigger subscriptions.Trigger
	Form    *page.Form // version, definition
	Next    []nextDate // of one on dates
	CanEdit bool
	// Why nothing was saved: a definition has no field of its own for each fault.
	Refusal *problem.Error
}

func (c console) trigger(v *page.Visit, o access.Operator) error {
	data, err := c.readTrigger(v, o)
	if err != nil {
		return err
	}
	text, err := yaml.MarshalWithOptions(data.Trigger, yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		return err
	}
	data.Form = v.NewForm(url.Values{"definition": {string(text)}, "version": {strconv.Itoa(data.Trigger.Version)}})
	return v.Show("trigger", data)
}

func (c console) readTrigger(v *page.Visit, o access.Operator) (triggerData, error) {
	t, err := c.Triggers.Get(v.Context(), v.R.PathValue("name"))
	if err != nil {
		return triggerData{}, err
	}
	next, err := c.triggerDates(v, t)
	return triggerData{Trigger: t, Next: next, CanEdit: o.Role.Includes(access.AdminRole)}, err
}

// saveTrigger makes a new version of a trigger from its edited definition.
func (c console) saveTrigger(v *page.Visit, o access.Operator) error {
	data, err := c.readTrigger(v, o)
	if err != nil {
		return err
	}
	if data.Form, err = v.Form(); err != nil {
		return err
	}
	edited, err := parseTrigger(data.Form, data.Trigger.Name)
	if err == nil && edited.Template != "" {
		err = c.Templates.Require(v.Context(), edited.Template)
	}
	if err == nil {
		_, err = c.Triggers.Save(v.Context(), edited, actor(o))
	}
	if err != nil {
		errors.As(err, &data.Refusal)
		return v.Again(err, data.Form, "trigger", data)
	}
	v.Say("console.trigger.saved")
	return v.Go(Base + "/triggers/" + data.Trigger.Name)
}

// parseTrigger reads an edited definition; it is saved only if nobody has
// saved another since the form was shown.
func parseTrigger(form *page.Form, name string) (subscriptions.Trigger, error) {
	var t subscriptions.Trigger
	err := yaml.NewDecoder(strings.NewReader(form.Values.Get("definition")), yaml.Strict()).Decode(&t)
	version, notNumber := strconv.Atoi(form.Get("version"))
	var f problem.Fields
	switch {
	case err != nil:
		f.Add("definition", "yaml", "%s", yaml.FormatError(err, false, false))
	case t.Name != name:
		f.Add("name", "unchangeable", "a trigger's name cannot be changed; it is %s", name)
	case notNumber != nil || version < 1:
		f.Add("version", "whole", "must be the version that was edited")
	}
	t.Version = version
	return t, f.Err("the definition cannot be saved")
}

// enableTrigger puts a trigger on offer, or takes it off.
func (c console) enableTrigger(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	name, on := v.R.PathValue("name"), form.Get("enabled") == "true"
	if err := c.Triggers.SetEnabled(v.Context(), name, on, actor(o)); err != nil {
		return err
	}
	if on {
		v.Say("console.trigger.enabled")
	} else {
		v.Say("console.trigger.disabled")
	}
	return v.Go(Base + "/triggers/" + name)
}
