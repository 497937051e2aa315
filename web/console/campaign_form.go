package console

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"herald/access"
	"herald/calendar"
	"herald/campaigns"
	"herald/problem"
	"herald/subscriptions"
	"herald/templates"
	"herald/web/page"
)

// campaignFormData is the form of a plan.
type campaignFormData struct {
	ID       int64 // 0: a new one
	Form     *page.Form
	Triggers []page.Choice
	Channels []page.Choice // with one for none
	Spoken   []page.Choice // the channels without that one
	Messages []messageFields

	Audiences, Hows, Purposes, Priorities, Expiries, Patiences []page.Choice
	Occasions, LeapDays, Missed                                []page.Choice

	Next []nextDate // when the plan would be told, of one that recurs
}

// messageFields are a message in the form, and how it reads.
type messageFields struct {
	Path    string // "messages[0]"
	Number  int    // from 1
	Preview *templates.Content
	SMS     *smsSize // of an SMS
}

// wallLayout is how an input of type datetime-local writes a moment.
const wallLayout = "2006-01-02T15:04"

// maxMessages is how many messages the form takes.
const maxMessages = 20

func (c console) newCampaign(v *page.Visit, _ access.Operator) error {
	form := v.NewForm(url.Values{
		"audience": {"some"}, "channels[0]": {"email"}, "purpose": {string(subscriptions.Marketing)}, "priority": {"4"},
		"how": {"now"}, "when.time_zone": {v.Zone.String()}, "when.hour": {"09:00"}, "expiry": {"24h"},
		"messages[0].channel": {"email"}, "messages[0].locale": {v.Tag},
	})
	return c.showCampaignForm(v, 0, form, nil)
}

func (c console) editCampaign(v *page.Visit, _ access.Operator) error {
	id, err := campaignID(v)
	if err != nil {
		return err
	}
	campaign, err := c.Campaigns.Get(v.Context(), id)
	if err != nil {
		return err
	}
	values := planValues(campaign.Plan, v.Zone)
	values.Set("version", strconv.Itoa(campaign.Version))
	return c.showCampaignForm(v, id, v.NewForm(values), nil)
}

func (c console) createCampaign(v *page.Visit, o access.Operator) error {
	return c.saveCampaign(v, 0, func(p campaigns.Plan, _ int) (campaigns.Campaign, error) {
		return c.Campaigns.Create(v.Context(), p, actor(o))
	})
}

func (c console) changeCampaign(v *page.Visit, o access.Operator) error {
	id, err := campaignID(v)
	if err != nil {
		return err
	}
	return c.saveCampaign(v, id, func(p campaigns.Plan, version int) (campaigns.Campaign, error) {
		return c.Campaigns.Change(v.Context(), id, version, p, actor(o))
	})
}

// saveCampaign saves what was entered, or shows it once more with another
// message, or as its readers will see it.
func (c console) saveCampaign(v *page.Visit, id int64, save func(campaigns.Plan, int) (campaigns.Campaign, error)) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	plan, readErr := readPlan(form, v.Zone)
	do, version := form.Get("do"), form.Get("version")
	shown := v.NewForm(planValues(plan, v.Zone))
	for _, name := range []string{"how", "when.at", "when.cron", "when.hour", "when.occasion", "when.day", "audience", "rate", "version", "segment.trigger", "segment.condition"} {
		shown.Values[name] = form.Values[name]
	}
	switch do {
	case "add":
		path := fmt.Sprintf("messages[%d]", len(plan.Messages))
		shown.Values.Set(path+".channel", string(firstOf(plan.Channels)))
		shown.Values.Set(path+".locale", "")
		return c.showCampaignForm(v, id, shown, nil)
	case "preview":
		return c.previewCampaign(v, id, shown, plan)
	}
	number, err := strconv.Atoi(version)
	if err != nil {
		number = 0
	}
	err = readErr
	var saved campaigns.Campaign
	if err == nil {
		saved, err = save(plan, number)
	}
	if err != nil {
		data, dataErr := c.campaignFormData(v, id, shown, nil)
		if dataErr != nil {
			return dataErr
		}
		return v.Again(err, shown, "campaign-form", data)
	}
	v.Say("campaign.saved")
	return v.Go(campaignPath(saved.ID))
}

func firstOf(channels []subscriptions.Channel) subscriptions.Channel {
	if len(channels) == 0 {
		return subscriptions.Email
	}
	return channels[0]
}

// previewCampaign shows the messages as a reader would see them.
func (c console) previewCampaign(v *page.Visit, id int64, form *page.Form, plan campaigns.Plan) error {
	previews := make([]*templates.Content, len(plan.Messages))
	for i, m := range plan.Messages {
		content, err := c.previewWording(v.Context(), m, id, plan.Name)
		if err != nil {
			if err := form.Blame(prefixed(err, fmt.Sprintf("messages[%d].", i))); err != nil {
				return err
			}
			continue
		}
		previews[i] = &content
	}
	data, err := c.campaignFormData(v, id, form, previews)
	if err != nil {
		return err
	}
	if plan.When.Check() == nil { // its mistakes are told when it is saved
		if data.Next, err = c.nextDates(v, plan.When); err != nil {
			return err
		}
	}
	return v.Show("campaign-form", data)
}

// previewWording fills a campaign's message from the sample data.
func (c console) previewWording(ctx context.Context, m campaigns.Wording, id int64, name string) (templates.Content, error) {
	data := templates.Sample()
	data["campaign"] = map[string]any{"id": id, "name": name}
	return c.Templates.Preview(ctx, templates.Template{Channel: string(m.Channel), Locale: m.Locale, Subject: m.Subject, HTML: m.HTML, Body: m.Body}, data)
}

// prefixed puts a path before those of a problem's fields.
func prefixed(err error, path string) error {
	p, ok := err.(*problem.Error) //nolint:errorlint // only the problem itself has fields to move
	if !ok {
		return err
	}
	moved := *p
	moved.Fields = nil
	for _, f := range p.Fields {
		f.Path = path + f.Path
		moved.Fields = append(moved.Fields, f)
	}
	return &moved
}

func (c console) showCampaignForm(v *page.Visit, id int64, form *page.Form, previews []*templates.Content) error {
	data, err := c.campaignFormData(v, id, form, previews)
	if err != nil {
		return err
	}
	return v.Show("campaign-form", data)
}

func (c console) campaignFormData(v *page.Visit, id int64, form *page.Form, previews []*templates.Content) (campaignFormData, error) {
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return campaignFormData{}, err
	}
	data := campaignFormData{
		ID: id, Form: form, Triggers: []page.Choice{{Value: "", Label: v.T("campaign.no_trigger")}},
		Audiences:  choices(v, "campaign.audience", "all", "some"),
		Hows:       choices(v, "campaign.how", "now", "at", "cron", "birthday", "occasion"),
		LeapDays:   choices(v, "campaign.leap_day", "feb28", "mar1"),
		Missed:     choices(v, "campaign.missed", "once", "skip", "all"),
		Purposes:   choices(v, "console.purpose", "marketing", "service", "transactional"),
		Priorities: choices(v, "campaign.priority", "3", "4"),
		Expiries:   choices(v, "campaign.expiry", "1h", "6h", "24h", "72h", "168h"),
	}
	if own := form.Get("expiry"); own != "" && !slices.ContainsFunc(data.Expiries, func(c page.Choice) bool { return c.Value == own }) {
		data.Expiries = append(data.Expiries, page.Choice{Value: own, Label: own}) // written by the API
	}
	data.Patiences = append([]page.Choice{{Label: v.T("campaign.patience.none")}}, choices(v, "campaign.patience", "10m", "1h", "6h", "24h")...)
	if own := form.Get("patience"); own != "" && !slices.ContainsFunc(data.Patiences, func(c page.Choice) bool { return c.Value == own }) {
		data.Patiences = append(data.Patiences, page.Choice{Value: own, Label: own}) // likewise
	}
	if data.Occasions, err = c.occasions(v); err != nil {
		return campaignFormData{}, err
	}
	for _, t := range triggers {
		data.Triggers = append(data.Triggers, page.Choice{Value: t.Name, Label: t.Title.In(v.Tag)})
	}
	data.Channels = []page.Choice{{Value: "", Label: v.T("campaign.no_channel")}}
	for _, ch := range subscriptions.Channels {
		data.Channels = append(data.Channels, page.Choice{Value: string(ch), Label: v.Word("channel", ch)})
	}
	data.Spoken = data.Channels[1:]
	sizes, err := c.formSizer(v, id, form)
	if err != nil {
		return campaignFormData{}, err
	}
	for i := range maxMessages {
		path := fmt.Sprintf("messages[%d]", i)
		if _, there := form.Values[path+".channel"]; !there {
			break
		}
		fields := messageFields{Path: path, Number: i + 1}
		if i < len(previews) {
			fields.Preview = previews[i]
		}
		if fields.SMS, err = sizes.of(i); err != nil {
			return campaignFormData{}, err
		}
		data.Messages = append(data.Messages, fields)
	}
	return data, nil
}

// choices are values and their words, <family>.<value>.
func choices(v *page.Visit, family string, values ...string) []page.Choice {
	list := make([]page.Choice, len(values))
	for i, value := range values {
		list[i] = page.Choice{Value: value, Label: v.Word(family, value)}
	}
	return list
}

// readPlan makes a plan of what was entered; messages without words are left
// out. Its error says what is no plan at all.
func readPlan(form *page.Form, zone *time.Location) (campaigns.Plan, error) {
	var f problem.Fields
	p := campaigns.Plan{
		Name: form.Get("name"), Purpose: subscriptions.Purpose(form.Get("purpose")), Expiry: form.Get("expiry"), Patience: form.Get("patience"),
		When: campaigns.When{TimeZone: form.Get("when.time_zone")},
	}
	var err error
	if p.Priority, err = strconv.Atoi(form.Get("priority")); err != nil {
		f.Add("priority", "whole", "must be 3 or 4")
	}
	if rate := form.Get("rate"); rate != "" {
		if p.Rate, err = strconv.Atoi(rate); err != nil {
			f.Add("rate", "whole", "must be a whole number")
		}
	}
	if form.Get("audience") == "all" {
		p.Segment.All = true
	} else {
		p.Segment.Trigger, p.Segment.Condition = form.Get("segment.trigger"), form.Get("segment.condition")
	}
	for i := range subscriptions.Channels {
		if ch := form.Get(fmt.Sprintf("channels[%d]", i)); ch != "" {
			p.Channels = append(p.Channels, subscriptions.Channel(ch))
		}
	}
	for i := range maxMessages {
		if m, written := readWording(form, i); written {
			p.Messages = append(p.Messages, m)
		}
	}
	readWhen(form, zone, &p.When, &f)
	return p, f.Err("the campaign cannot be saved")
}

// readWording is message i of a form, and whether it has any words.
func readWording(form *page.Form, i int) (_ campaigns.Wording, written bool) {
	path := fmt.Sprintf("messages[%d].", i)
	m := campaigns.Wording{
		Channel: subscriptions.Channel(form.Get(path + "channel")), Locale: form.Get(path + "locale"), Subject: form.Get(path + "subject"),
		HTML: form.Values.Get(path + "html"), Body: form.Values.Get(path + "body"),
	}
	return m, strings.TrimSpace(m.Subject+m.HTML+m.Body) != ""
}

func readWhen(form *page.Form, zone *time.Location, w *campaigns.When, f *problem.Fields) {
	switch form.Get("how") {
	case "at":
		at, err := time.ParseInLocation(wallLayout, form.Get("when.at"), zone)
		if err != nil {
			f.Add("when.at", "required", "choose a date and a time")
			return
		}
		at = at.UTC()
		w.At = &at
	case "cron":
		if w.Cron = form.Get("when.cron"); w.Cron == "" {
			f.Add("when.cron", "required", "write a schedule")
		}
	case "birthday":
		w.Occasion = campaigns.Birthday
	case "occasion":
		if w.Occasion = cmp.Or(form.Get("when.day"), form.Get("when.occasion")); w.Occasion == "" {
			f.Add("when.occasion", "required", "choose an occasion, or write one below")
		}
	}
	if w.Occasion != "" {
		w.Hour, w.LeapDay = form.Get("when.hour"), calendar.LeapDay(form.Get("when.leap_day"))
	}
	if w.Recurs() {
		w.Missed, w.Until = calendar.Missed(form.Get("when.missed")), form.Get("when.until")
	}
}

// planValues is a plan as the form enters it.
func planValues(p campaigns.Plan, zone *time.Location) url.Values {
	values := url.Values{
		"name": {p.Name}, "purpose": {string(p.Purpose)}, "priority": {strconv.Itoa(p.Priority)}, "expiry": {p.Expiry}, "patience": {p.Patience},
		"audience": {"some"}, "segment.trigger": {p.Segment.Trigger}, "segment.condition": {p.Segment.Condition},
		"how": {"now"}, "when.time_zone": {p.When.TimeZone}, "when.cron": {p.When.Cron}, "when.hour": {p.When.Hour},
		"when.leap_day": {string(p.When.LeapDay)}, "when.missed": {string(p.When.Missed)},
		"when.until": {p.When.Until},
	}
	if p.Segment.All {
		values.Set("audience", "all")
	}
	if p.Rate > 0 {
		values.Set("rate", strconv.Itoa(p.Rate))
	}
	switch {
	case p.When.At != nil:
		values.Set("how", "at")
		values.Set("when.at", p.When.At.In(zone).Format(wallLayout))
	case p.When.Cron != "":
		values.Set("how", "cron")
	case p.When.Occasion == campaigns.Birthday:
		values.Set("how", "birthday")
	case p.When.Occasion != "":
		values.Set("how", "occasion")
		setOccasion(values, p.When.Occasion)
	}
	if p.When.Hour == "" {
		values.Set("when.hour", "09:00")
	}
	for i, ch := range p.Channels {
		values.Set(fmt.Sprintf("channels[%d]", i), string(ch))
	}
	for i, m := range p.Messages {
		path := fmt.Sprintf("messages[%d].", i)
		for name, value := range map[string]string{"channel": string(m.Channel), "locale": m.Locale, "subject": m.Subject, "html": m.HTML, "body": m.Body} {
			values.Set(path+name, value)
		}
	}
	if len(p.Messages) == 0 {
		values.Set("messages[0].channel", string(firstOf(p.Channels)))
	}
	return values
}
