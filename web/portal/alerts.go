package portal

import (
	"context"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"herald/calendar"
	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// alert is one subscription as pages show it.
type alert struct {
	subscriptions.Subscription
	Title    string
	Summary  string
	Channels string // "by e-mail, then by SMS"
	Limits   string // "at most once a day"; may be empty
	Mute     bool   // no confirmed address on any of its channels
	Next     string // the next dates, of an alert on dates; may be empty
}

// Dates is what *dates.Ahead does.
type Dates interface {
	OfSubscription(ctx context.Context, t subscriptions.Trigger, s subscriptions.Subscription, n int) ([]calendar.Moment, error)
}

// nextDates is how many dates an alert tells ahead.
const nextDates = 3

// next is when an alert on dates comes next, in words.
func (p *portal) next(v *visit, t subscriptions.Trigger, s subscriptions.Subscription) (string, error) {
	if p.Dates == nil {
		return "", nil
	}
	moments, err := p.Dates.OfSubscription(v.Context(), t, s, nextDates)
	if err != nil {
		return "", err
	}
	days := make([]string, len(moments))
	for i, m := range moments {
		days[i] = v.Date(m.At)
	}
	return strings.Join(days, v.T("list.separator")), nil
}

// alertList is what the page "alerts" is filled from.
type alertList struct {
	Alerts []alert
	On     int    // how many are not paused
	Quiet  string // the quiet hours, in words; may be empty
	Recent []sentLine
	// Unconfirmed is an address to confirm, when there is no confirmed one.
	Unconfirmed *subscriptions.ContactPoint
}

const recentShown = 5

func (p *portal) alerts(v *visit) error {
	subs, err := p.Subscriptions.ForMember(v.Context(), v.Member.ID, false)
	if err != nil {
		return err
	}
	contacts, err := p.Contacts.ForMember(v.Context(), v.Member.ID)
	if err != nil {
		return err
	}
	data := alertList{Quiet: p.quietHours(v.Reader, v.Member)}
	if data.Alerts, err = p.worded(v, subs, contacts); err != nil {
		return err
	}
	for _, a := range data.Alerts {
		if a.State == subscriptions.Active {
			data.On++
		}
	}
	data.Unconfirmed = unconfirmed(contacts)
	recent, err := p.Deliveries.ForMember(v.Context(), v.Member.ID, uuid.Nil, recentShown)
	if err != nil {
		return err
	}
	if data.Recent, err = p.sentLines(v, recent, data.Alerts); err != nil {
		return err
	}
	return v.Show("alerts", data)
}

// unconfirmed is the first address to confirm when none is confirmed.
func unconfirmed(contacts []subscriptions.ContactPoint) *subscriptions.ContactPoint {
	for _, c := range contacts {
		if c.VerifiedAt != nil {
			return nil
		}
	}
	if len(contacts) > 0 {
		return &contacts[0]
	}
	return nil
}

func (p *portal) endedAlerts(v *visit) error {
	subs, err := p.Subscriptions.ForMember(v.Context(), v.Member.ID, true)
	if err != nil {
		return err
	}
	list, err := p.worded(v, subs, nil)
	if err != nil {
		return err
	}
	return v.Show("ended", list)
}

// worded puts subscriptions in words. With contacts it also says which of them
// reach nobody.
func (p *portal) worded(v *visit, subs []subscriptions.Subscription, contacts []subscriptions.ContactPoint) ([]alert, error) {
	triggers, err := p.triggers(v.Visit)
	if err != nil {
		return nil, err
	}
	lines := map[string]*subscriptions.Summaries{}
	alerts := make([]alert, len(subs))
	for i, s := range subs {
		t := triggers[s.Trigger]
		alerts[i] = wordAlert(v.Reader, t, s)
		alerts[i].Mute = contacts != nil && mute(s, contacts)
		if alerts[i].Next, err = p.next(v, t, s); err != nil {
			return nil, err
		}
		if lines[t.Name] == nil {
			if lines[t.Name], err = t.Summaries(); err != nil {
				continue // the title stands in
			}
		}
		if line, err := lines[t.Name].Line(s.Params, v.Tag); err == nil && line != "" {
			alerts[i].Summary = line
		}
	}
	return alerts, nil
}

// triggers are all of them by name.
func (p *portal) triggers(v *page.Visit) (map[string]subscriptions.Trigger, error) {
	list, err := p.Triggers.List(v.Context())
	if err != nil {
		return nil, err
	}
	byName := make(map[string]subscriptions.Trigger, len(list))
	for _, t := range list {
		byName[t.Name] = t
	}
	return byName, nil
}

// wordAlert words everything but the summary.
func wordAlert(r page.Reader, t subscriptions.Trigger, s subscriptions.Subscription) alert {
	a := alert{Subscription: s, Title: t.Title.In(r.Tag)}
	if a.Title == "" {
		a.Title = s.Trigger
	}
	a.Channels = ladder(r, s.Channels)
	var limits []string
	if wait := coolDown(t, s); wait > 0 {
		limits = append(limits, r.T("alert.often", "often", often(r, wait)))
	}
	if s.Digest != "" {
		limits = append(limits, r.T("alert.gathered."+s.Digest))
	}
	if s.MaxNotifications > 0 {
		limits = append(limits, r.T("alert.sent_of", "sent", r.Number(s.Sent), "max", r.Number(s.MaxNotifications)))
	}
	if s.ValidUntil != nil {
		limits = append(limits, r.T("alert.until", "until", r.Date(s.ValidUntil.Add(-1))))
	}
	if s.Repeats != "" {
		limits = append(limits, r.T("alert.repeats", "repeats", r.Word("repeats", s.Repeats)))
	}
	a.Limits = strings.Join(limits, " · ")
	return a
}

// ladder words channels in order: "by e-mail, then by SMS".
func ladder(r page.Reader, channels []subscriptions.Channel) string {
	words := make([]string, len(channels))
	for i, ch := range channels {
		words[i] = r.Word("channel.by", ch)
	}
	return strings.Join(words, r.T("list.then"))
}

// mute reports whether none of a subscription's channels has a confirmed address.
func mute(s subscriptions.Subscription, contacts []subscriptions.ContactPoint) bool {
	for _, ch := range s.Channels {
		for _, c := range contacts {
			if c.Channel == ch && c.VerifiedAt != nil {
				return false
			}
		}
	}
	return true
}

// own is the member's own subscription that the path names, with its trigger.
func (p *portal) own(v *visit) (subscriptions.Subscription, subscriptions.Trigger, error) {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return subscriptions.Subscription{}, subscriptions.Trigger{}, noSuchAlert()
	}
	s, err := p.Subscriptions.Get(v.Context(), id)
	if err != nil {
		return s, subscriptions.Trigger{}, err
	}
	if s.MemberID != v.Member.ID {
		return s, subscriptions.Trigger{}, noSuchAlert()
	}
	t, err := p.Triggers.Get(v.Context(), s.Trigger)
	return s, t, err
}

func noSuchAlert() error { return problem.New(problem.NotFound, "there is no such alert") }

// sentLine is one delivery as lists show it.
type sentLine struct {
	dispatch.Delivery
	What string // the alert's summary or title, or what else it was
}

// sentLines words deliveries; alerts that are at hand give their summaries.
// What the shop wanted to tell many and kept from this member is no news.
func (p *portal) sentLines(v *visit, deliveries []dispatch.Delivery, alerts []alert) ([]sentLine, error) {
	triggers, err := p.triggers(v.Visit)
	if err != nil {
		return nil, err
	}
	lines := make([]sentLine, 0, len(deliveries))
	for _, d := range deliveries {
		if d.Campaign != 0 && d.State == dispatch.Suppressed {
			continue
		}
		line := sentLine{Delivery: d, What: unasked(v.Visit, d)}
		if t, ok := triggers[d.Trigger]; ok {
			line.What = t.Title.In(v.Tag)
		}
		for _, a := range alerts {
			if a.ID == d.SubscriptionID && a.Summary != "" {
				line.What = a.Summary
			}
		}
		line.What = asOffer(v.Visit, d, line.What)
		lines = append(lines, line)
	}
	return lines, nil
}
