package portal

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// alertForm is what the pages "alert_new" and "alert_edit" are filled from.
type alertForm struct {
	Form      *page.Form
	Trigger   subscriptions.Trigger
	Title     string
	Help      string
	Fields    []page.Field
	Ladder    []page.Field // a choice for each place on the ladder
	Digests   []page.Choice
	CoolDowns []page.Choice
	Repeats   []page.Choice
	Tomorrow  string // the first day until which an alert may be valid
	Advanced  bool   // a mistake lies there, or something differs from the usual
	Summary   string // of the alert that is changed
	Alert     subscriptions.Subscription
	Ends      ends // of that alert, before something else was entered
	// PreviewURL is where the alert is tried on the past; empty: it cannot be.
	PreviewURL string
	Past       past
}

// offer is a kind of alert to choose.
type offer struct{ Name, Title, Help string }

func (p *portal) chooseAlert(v *visit) error {
	triggers, err := p.Triggers.List(v.Context())
	if err != nil {
		return err
	}
	var offers []offer
	for _, t := range triggers {
		if t.Enabled {
			offers = append(offers, offer{t.Name, t.Title.In(v.Tag), t.Help.In(v.Tag)})
		}
	}
	return v.Show("choose", offers)
}

// onOffer is the trigger that the path names.
func (p *portal) onOffer(v *visit) (subscriptions.Trigger, error) {
	t, err := p.Triggers.Get(v.Context(), v.R.PathValue("trigger"))
	if err != nil {
		return t, err
	}
	if !t.Enabled {
		return t, problem.New(problem.NotFound, "this is not on offer")
	}
	return t, nil
}

func (p *portal) newAlert(v *visit) error {
	t, err := p.onOffer(v)
	if err != nil {
		return err
	}
	values := url.Values{}
	for _, param := range t.Params {
		entered(v.Reader, values, param, param.Default)
	}
	for i, ch := range p.offered(t.Channels) {
		values.Set(rungName(i), string(ch))
	}
	return v.Show("alert_new", p.alertForm(v, v.NewForm(values), t))
}

func (p *portal) createAlert(v *visit) error {
	t, err := p.onOffer(v)
	if err != nil {
		return err
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	o := subscriptions.Order{
		MemberID: v.Member.ID, Trigger: t.Name, Params: params(v.Reader, form, t), Channels: p.channelsFrom(form, t),
		ValidUntil: validUntil(v.Reader, form), MaxNotifications: maxNotifications(form), CoolDown: coolDownFrom(form),
		Digest: form.Get("digest"), Repeats: form.Get("repeats"), Origin: "portal", Actor: actor,
	}
	if form.Failed() {
		return v.ShowStatus(422, "alert_new", p.alertForm(v, form, t))
	}
	s, err := p.Subscriptions.Create(v.Context(), o)
	if err != nil {
		return p.alertAgain(v, err, form, "alert_new", p.alertForm(v, form, t))
	}
	v.Say("alert.created", "what", t.Summarise(s.Params, v.Tag))
	return v.Go("/alerts")
}

func (p *portal) editAlert(v *visit) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	if s.State == subscriptions.Ended {
		return v.Go("/alerts/ended")
	}
	data := p.editing(v, v.NewForm(valuesOf(v.Reader, s, t)), s, t)
	if data.Ends, err = p.ends(v, s); err != nil {
		return err
	}
	return v.Show("alert_edit", data)
}

// editing is the form of an alert that is changed.
func (p *portal) editing(v *visit, form *page.Form, s subscriptions.Subscription, t subscriptions.Trigger) alertForm {
	data := p.alertForm(v, form, t)
	data.Alert, data.Summary = s, t.Summarise(s.Params, v.Tag)
	if data.PreviewURL != "" {
		data.PreviewURL = previewAddress(t, s)
	}
	return data
}

func (p *portal) changeAlert(v *visit) error {
	s, t, err := p.own(v)
	if err != nil {
		return err
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	until, most, wait := validUntil(v.Reader, form), maxNotifications(form), coolDownFrom(form)
	digest, repeats := form.Get("digest"), form.Get("repeats")
	version, _ := strconv.Atoi(form.Get("version")) // 0, for none, is taken as it is now
	c := subscriptions.Change{
		Version: version, Params: params(v.Reader, form, t), Channels: p.channelsFrom(form, t),
		MaxNotifications: &most, CoolDown: &wait, Digest: &digest, Repeats: &repeats, Actor: actor,
	}
	if !sameMoment(until, s.ValidUntil) {
		c.ValidUntil = &until
	}
	if form.Failed() {
		return v.ShowStatus(422, "alert_edit", p.editing(v, form, s, t))
	}
	changed, err := p.Subscriptions.Change(v.Context(), s.ID, c)
	if err != nil {
		return p.alertAgain(v, err, form, "alert_edit", p.editing(v, form, s, t))
	}
	v.Say("alert.changed", "what", t.Summarise(changed.Params, v.Tag))
	return v.Go("/alerts")
}

// alertAgain shows the form once more. Its fields are made before the mistakes
// are known, so they are made again.
func (p *portal) alertAgain(v *visit, err error, form *page.Form, name string, data alertForm) error {
	if blamed := form.Blame(err); blamed != nil {
		return blamed
	}
	var conflict *problem.Error
	if errors.As(err, &conflict) && conflict.Code == problem.Conflict {
		form.Summary = v.T("alert.conflict")
	}
	fresh := p.alertForm(v, form, data.Trigger)
	fresh.Alert, fresh.Summary, fresh.PreviewURL = data.Alert, data.Summary, data.PreviewURL
	return v.ShowStatus(page.Status(err), name, fresh)
}

func (p *portal) alertForm(v *visit, form *page.Form, t subscriptions.Trigger) alertForm {
	data := alertForm{
		Form: form, Trigger: t, Title: t.Title.In(v.Tag), Help: t.Help.In(v.Tag),
		Digests: digests(v.Reader, v.Member.DigestHour), CoolDowns: coolDowns(v.Reader, t, form.Get("cool_down")),
		Repeats:  repetitions(v.Reader),
		Tomorrow: v.Now.In(v.Zone).AddDate(0, 0, 1).Format(time.DateOnly),
	}
	if p.Previews != nil {
		v.AllowScripts()
		data.PreviewURL = previewAddress(t, subscriptions.Subscription{})
	}
	for _, param := range t.Params {
		data.Fields = append(data.Fields, paramField(v.Reader, form, param))
	}
	if len(p.Channels) > 1 {
		data.Ladder = p.ladderFields(v.Reader, form)
	}
	for _, name := range []string{"valid_until", "max_notifications", "cool_down", "repeats"} {
		data.Advanced = data.Advanced || form.Get(name) != ""
	}
	for _, fault := range form.Faults() {
		data.Advanced = data.Advanced || !strings.HasPrefix(fault.Name, "params.")
	}
	return data
}

// ladderFields let the member put the channels in order: one choice for each
// place, of which all but the first may be left empty.
func (p *portal) ladderFields(r page.Reader, form *page.Form) []page.Field {
	fields := make([]page.Field, len(p.Channels))
	for i := range p.Channels {
		key := "alert.channel.then"
		if i == 0 {
			key = "alert.channel.first"
		}
		fields[i] = form.Input(rungName(i), r.T(key))
		fields[i].Type = "select"
		fields[i].Options = channelChoices(r, p.Channels)
		if i > 0 {
			fields[i].Options = append([]page.Choice{{Label: r.T("alert.channel.none")}}, fields[i].Options...)
		}
	}
	return fields
}

func rungName(i int) string { return fmt.Sprintf("channels[%d]", i) }

// channelsFrom is the ladder that was chosen, without its gaps. Where there is
// nothing to choose it is what can be sent on.
func (p *portal) channelsFrom(form *page.Form, t subscriptions.Trigger) []subscriptions.Channel {
	var chosen []subscriptions.Channel
	for i := range p.Channels {
		ch := subscriptions.Channel(form.Get(rungName(i)))
		if ch != "" && !slices.Contains(chosen, ch) {
			chosen = append(chosen, ch)
		}
	}
	if len(chosen) > 0 {
		return chosen
	}
	if able := p.offered(t.Channels); len(able) > 0 {
		return able
	}
	return p.Channels
}

// params are the trigger's parameters as they were entered, for CheckParams.
func params(r page.Reader, form *page.Form, t subscriptions.Trigger) map[string]any {
	raw := map[string]any{}
	for _, param := range t.Params {
		values, given := form.Values["params."+param.Name]
		if !given {
			continue
		}
		if predicate.Type(param.Type) == predicate.Time {
			for i, value := range values {
				values[i] = localMoment(r, value)
			}
		}
		raw[param.Name] = values
	}
	return raw
}

// momentInput is how a browser's input of type datetime-local writes a moment.
const momentInput = "2006-01-02T15:04"

// localMoment reads what such an input sends by the reader's own clock.
func localMoment(r page.Reader, value string) string {
	at, err := time.ParseInLocation(momentInput, strings.TrimSpace(value), r.Zone)
	if err != nil {
		return value
	}
	return at.Format(time.RFC3339)
}

// validUntil is the end of the day that was chosen as the last.
func validUntil(r page.Reader, form *page.Form) *time.Time {
	entered := form.Get("valid_until")
	if entered == "" {
		return nil
	}
	day, err := time.ParseInLocation(time.DateOnly, entered, r.Zone)
	if err != nil {
		form.Refuse("valid_until", "date")
		return nil
	}
	end := day.AddDate(0, 0, 1)
	return &end
}

func sameMoment(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

func maxNotifications(form *page.Form) int {
	entered := form.Get("max_notifications")
	if entered == "" {
		return 0
	}
	n, err := strconv.Atoi(entered)
	if err != nil || n < 1 {
		form.Refuse("max_notifications", "whole")
	}
	return n
}

func coolDownFrom(form *page.Form) *subscriptions.Duration {
	entered := form.Get("cool_down")
	if entered == "" {
		return nil
	}
	wait, err := time.ParseDuration(entered)
	if err != nil {
		form.Refuse("cool_down", "duration")
		return nil
	}
	d := subscriptions.Duration(wait)
	return &d
}
