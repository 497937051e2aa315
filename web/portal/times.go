package portal

import (
	"net/url"
	"strconv"

	"herald/subscriptions"
	"herald/web/page"
)

// times is the part of the page "profile" that asks when to write.
type times struct {
	Form  *page.Form
	Help  string
	Hours []page.Choice // of the daily digest
}

// timesOf is filled with what the member said before.
func timesOf(r page.Reader, m subscriptions.Member) *page.Form {
	values := url.Values{"digest_hour": {strconv.Itoa(m.DigestHour)}}
	if m.QuietFrom != nil && m.QuietUntil != nil {
		values.Set("quiet_from", m.QuietFrom.String())
		values.Set("quiet_until", m.QuietUntil.String())
	}
	return r.NewForm(values)
}

func (p *portal) times(r page.Reader, form *page.Form) times {
	t := times{Form: form, Help: r.T("profile.times.none")}
	if p.QuietFrom != p.QuietUntil {
		t.Help = r.T("profile.times.usual", "from", p.QuietFrom, "until", p.QuietUntil)
	}
	for hour := range 24 {
		t.Hours = append(t.Hours, page.Choice{Value: strconv.Itoa(hour), Label: subscriptions.Clock(hour * 60).String()})
	}
	return t
}

func (p *portal) changeTimes(v *visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	from, until := clockFrom(form, "quiet_from"), clockFrom(form, "quiet_until")
	hour, err := strconv.Atoi(form.Get("digest_hour"))
	if err != nil {
		form.Refuse("digest_hour", "options")
	}
	if !form.Failed() {
		_, err := p.Members.Update(v.Context(), v.Member.ID, subscriptions.MemberChange{
			QuietFrom: &from, QuietUntil: &until, DigestHour: &hour,
		})
		if err == nil {
			v.Say("profile.saved")
			return v.Go("/profile")
		}
		if err := form.Blame(err); err != nil {
			return err
		}
	}
	data, err := p.profileOf(v, aboutOf(v), form)
	if err != nil {
		return err
	}
	return v.ShowStatus(422, "profile", data)
}

// clockFrom reads an input of type time; nil: nothing was entered.
func clockFrom(form *page.Form, name string) *subscriptions.Clock {
	entered := form.Get(name)
	if entered == "" {
		return nil
	}
	c := new(subscriptions.Clock)
	if err := c.UnmarshalText([]byte(entered)); err != nil {
		form.Refuse(name, "clock")
	}
	return c
}

// quietHours words the quiet hours that hold for a member; "" where there are none.
func (p *portal) quietHours(r page.Reader, m subscriptions.Member) string {
	from, until := p.QuietFrom, p.QuietUntil
	if m.QuietFrom != nil && m.QuietUntil != nil {
		from, until = *m.QuietFrom, *m.QuietUntil
	}
	if from == until {
		return ""
	}
	return r.T("alerts.quiet", "from", from, "until", until)
}
