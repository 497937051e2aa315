package portal

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"herald/matcher/predicate"
	"herald/subscriptions"
	"herald/web/page"
)

// fewOptions is up to how many options are all shown at once.
const fewOptions = 4

// paramField is the input of one parameter, made from its definition.
func paramField(r page.Reader, form *page.Form, param subscriptions.Param) page.Field {
	f := form.Input("params."+param.Name, param.Title.In(r.Tag))
	f.Help, f.Optional = param.Help.In(r.Tag), param.Optional
	for _, o := range param.Options {
		f.Options = append(f.Options, page.Choice{Value: o.Value, Label: o.Title.In(r.Tag)})
	}
	switch predicate.Type(param.Type) {
	case predicate.Boolean:
		f.Type = "checkbox"
	case predicate.Time:
		f.Type = "datetime-local"
	case predicate.Number:
		f.Unit = unit(r, param.Unit)
		f.Attrs = []page.Attr{{Name: "inputmode", Value: "decimal"}, {Name: "autocomplete", Value: "off"}}
		if f.Help == "" {
			f.Help = bounds(r, param)
		}
	case predicate.Strings:
		if len(f.Options) > 0 {
			f.Type = "checks"
		} else if f.Help == "" {
			f.Help = r.T("alert.list.help")
		}
	default:
		f.Type = textType(f.Options, param.Optional)
		if f.Type == "text" && param.Unit == subscriptions.UnitDate {
			f.Type = "date"
			break
		}
		if f.Type == "select" && param.Optional {
			f.Options = append([]page.Choice{{Label: r.T("alert.any")}}, f.Options...)
		}
		if f.Type == "text" && param.MaxLen > 0 {
			f.Attrs = []page.Attr{{Name: "maxlength", Value: strconv.Itoa(param.MaxLen)}}
		}
	}
	return f
}

func textType(options []page.Choice, optional bool) string {
	switch {
	case len(options) == 0:
		return "text"
	case len(options) <= fewOptions && !optional:
		return "radio"
	}
	return "select"
}

// unit is how a parameter's unit is shown beside its input. An amount in the
// currency of whatever event comes has none.
func unit(r page.Reader, code string) string {
	if code == "currency" {
		return ""
	}
	if page.IsCurrency(code) {
		return r.Symbol(code)
	}
	return r.Word("unit", code)
}

// bounds says between which values a number must lie.
func bounds(r page.Reader, param subscriptions.Param) string {
	switch {
	case param.Min != nil && param.Max != nil:
		return r.T("alert.between", "min", r.Number(*param.Min), "max", r.Number(*param.Max))
	case param.Max != nil:
		return r.T("alert.at_most", "max", r.Number(*param.Max))
	}
	return ""
}

// entered puts a parameter's value into a form as one would enter it.
func entered(r page.Reader, values url.Values, param subscriptions.Param, value any) {
	name := "params." + param.Name
	switch v := value.(type) {
	case nil:
	case float64:
		values.Set(name, strconv.FormatFloat(v, 'f', -1, 64))
	case time.Time:
		values.Set(name, v.In(r.Zone).Format(momentInput))
	case []any:
		for _, item := range v {
			values.Add(name, fmt.Sprint(item))
		}
	case []string:
		values[name] = v
	case string:
		if predicate.Type(param.Type) == predicate.Time {
			if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
				v = at.In(r.Zone).Format(momentInput)
			}
		}
		values.Set(name, v)
	default:
		values.Set(name, fmt.Sprint(v))
	}
	if predicate.Type(param.Type) == predicate.Strings && len(param.Options) == 0 && len(values[name]) > 0 {
		values.Set(name, strings.Join(values[name], r.T("list.separator")))
	}
}

// valuesOf fills a form with an alert as it is.
func valuesOf(r page.Reader, s subscriptions.Subscription, t subscriptions.Trigger) url.Values {
	values := url.Values{"version": {strconv.Itoa(s.Version)}, "digest": {s.Digest}, "repeats": {s.Repeats}}
	for _, param := range t.Params {
		entered(r, values, param, s.Params[param.Name])
	}
	for i, ch := range s.Channels {
		values.Set(rungName(i), string(ch))
	}
	if s.ValidUntil != nil {
		values.Set("valid_until", s.ValidUntil.Add(-1).In(r.Zone).Format(time.DateOnly))
	}
	if s.MaxNotifications > 0 {
		values.Set("max_notifications", strconv.Itoa(s.MaxNotifications))
	}
	if s.CoolDown != nil {
		values.Set("cool_down", s.CoolDown.String())
	}
	return values
}

// coolDown is the least time between two messages of a subscription.
func coolDown(t subscriptions.Trigger, s subscriptions.Subscription) time.Duration {
	if s.CoolDown != nil {
		return time.Duration(*s.CoolDown)
	}
	usual, err := time.ParseDuration(t.CoolDown)
	if err != nil {
		return 0 // empty: none
	}
	return usual
}

// often words a cool-down: "once a day".
func often(r page.Reader, wait time.Duration) string {
	if key := "alert.once." + wait.String(); r.Has(key) {
		return r.T(key)
	}
	return r.T("alert.once", "every", r.Duration(wait))
}

// coolDowns are the lengths to choose from: the usual one, some others, and
// the one that is set.
func coolDowns(r page.Reader, t subscriptions.Trigger, current string) []page.Choice {
	usual := r.T("alert.cool_down.none")
	if wait := coolDown(t, subscriptions.Subscription{}); wait > 0 {
		usual = often(r, wait)
	}
	choices := []page.Choice{{Label: r.T("alert.cool_down.usual", "usual", usual)}}
	found := current == ""
	for _, wait := range []time.Duration{0, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		label := often(r, wait)
		if wait == 0 {
			label = r.T("alert.cool_down.none")
		}
		choices = append(choices, page.Choice{Value: wait.String(), Label: label})
		found = found || current == wait.String()
	}
	if wait, err := time.ParseDuration(current); !found && err == nil {
		choices = append(choices, page.Choice{Value: current, Label: often(r, wait)})
	}
	return choices
}

// digests are the ways to get an alert's messages; daily ones come at an hour
// of the member's own.
func digests(r page.Reader, hour int) []page.Choice {
	return []page.Choice{
		{Label: r.T("alert.digest.none")},
		{Value: "hourly", Label: r.T("alert.digest.hourly")},
		{Value: "daily", Label: r.T("alert.digest.daily", "hour", subscriptions.Clock(hour*60))},
	}
}

func repetitions(r page.Reader) []page.Choice {
	choices := []page.Choice{{Label: r.T("alert.repeats.none")}}
	for _, every := range []string{"daily", "weekly", "monthly", "yearly"} {
		choices = append(choices, page.Choice{Value: every, Label: r.Word("repeats", every)})
	}
	return choices
}
