package portal

import (
	"net/url"

	"herald/subscriptions"
	"herald/web/page"
)

// profile is what the page "profile" is filled from.
type profile struct {
	Form      *page.Form
	Member    subscriptions.Member
	Languages []page.Choice
	Zones     []page.Choice
	Times     times
	Contacts  []subscriptions.ContactPoint
	Channels  []subscriptions.Channel // those that consent can be given for
	Consents  []consentRow
}

// consentRow is one purpose, with whether the member agrees on each channel.
type consentRow struct {
	Purpose subscriptions.Purpose
	Cells   []consentCell
}

type consentCell struct {
	Channel subscriptions.Channel
	Name    string // of the input
	Granted bool
}

func (p *portal) profile(v *visit) error {
	data, err := p.profileOf(v, aboutOf(v), timesOf(v.Reader, v.Member))
	if err != nil {
		return err
	}
	return v.Show("profile", data)
}

// aboutOf is filled with what the member said of themselves.
func aboutOf(v *visit) *page.Form {
	m := v.Member
	return v.NewForm(url.Values{
		"display_name": {m.DisplayName}, "locale": {v.In(m.Locale).Tag}, "time_zone": {m.TimeZone}, "birthday": {m.Birthday},
	})
}

func (p *portal) profileOf(v *visit, about, times *page.Form) (profile, error) {
	contacts, err := p.Contacts.ForMember(v.Context(), v.Member.ID)
	if err != nil {
		return profile{}, err
	}
	consents, err := p.Consents.ForMember(v.Context(), v.Member.ID)
	if err != nil {
		return profile{}, err
	}
	channels := channelsOf(contacts)
	return profile{
		Form: about, Times: p.times(v.Reader, times), Member: v.Member, Languages: languages(v.Visit), Zones: zones(v.Reader, v.Member.TimeZone),
		Contacts: contacts, Channels: channels, Consents: consentTable(channels, consents),
	}, nil
}

// channelsOf are the channels that somebody can be reached on, in the order
// pages show them.
func channelsOf(contacts []subscriptions.ContactPoint) []subscriptions.Channel {
	var out []subscriptions.Channel
	for _, ch := range subscriptions.Channels {
		for _, c := range contacts {
			if c.Channel == ch {
				out = append(out, ch)
				break
			}
		}
	}
	return out
}

func consentTable(channels []subscriptions.Channel, consents []subscriptions.Consent) []consentRow {
	var rows []consentRow
	for _, purpose := range subscriptions.Purposes {
		row := consentRow{Purpose: purpose}
		for _, ch := range channels {
			granted := subscriptions.Reach{Consents: consents}.Agreed(ch, purpose)
			row.Cells = append(row.Cells, consentCell{ch, string(ch) + ":" + string(purpose), granted})
		}
		rows = append(rows, row)
	}
	return rows
}

func (p *portal) changeProfile(v *visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	name, locale, zone, birthday := form.Get("display_name"), form.Get("locale"), form.Get("time_zone"), form.Get("birthday")
	if v.In(v.Member.Locale).Tag == locale {
		locale = v.Member.Locale // "en-GB" is not made "en" by a look at the page
	}
	m, err := p.Members.Update(v.Context(), v.Member.ID, subscriptions.MemberChange{
		DisplayName: &name, Locale: &locale, TimeZone: &zone, Birthday: &birthday,
	})
	if err != nil {
		data, dataErr := p.profileOf(v, form, timesOf(v.Reader, v.Member))
		if dataErr != nil {
			return dataErr
		}
		return v.Again(err, form, "profile", data)
	}
	v.Prefer(m.Locale, m.TimeZone)
	v.Say("profile.saved")
	return v.Go("/profile")
}

// changeConsents records what was ticked differently from what holds.
func (p *portal) changeConsents(v *visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	data, err := p.profileOf(v, form, timesOf(v.Reader, v.Member))
	if err != nil {
		return err
	}
	var said []subscriptions.NewConsent
	for _, row := range data.Consents {
		for _, cell := range row.Cells {
			if granted := form.Checked(cell.Name); granted != cell.Granted {
				said = append(said, subscriptions.NewConsent{
					Channel: cell.Channel, Purpose: row.Purpose, Granted: granted, Source: "portal",
					Evidence: consentEvidence(v, row.Purpose, cell.Channel, granted),
				})
			}
		}
	}
	if len(said) > 0 {
		if err := p.Consents.Record(v.Context(), v.Member.ID, said...); err != nil {
			return err
		}
	}
	v.Say("consents.saved")
	return v.Go("/profile")
}

// consentEvidence says what was shown and what was done.
func consentEvidence(v *visit, purpose subscriptions.Purpose, ch subscriptions.Channel, granted bool) string {
	what := "unticked"
	if granted {
		what = "ticked"
	}
	return what + " “" + v.Word("purpose", purpose) + "”, “" + v.Word("channel", ch) + "” on the profile page"
}

type passwordChange struct{ Form *page.Form }

func (p *portal) password(v *visit) error { return v.Show("password", passwordChange{v.NewForm(nil)}) }

func (p *portal) changePassword(v *visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	err = p.Members.SetPassword(v.Context(), v.Member.ID, form.Values.Get("old_password"), form.Values.Get("password"))
	if err != nil {
		return v.Again(err, form, "password", passwordChange{form})
	}
	// Every session of the member is over now; this one begins anew.
	m, err := p.Members.Get(v.Context(), v.Member.ID)
	if err != nil {
		return err
	}
	if err := v.SignIn(m.ID, m.PasswordMark, m.Locale, m.TimeZone); err != nil {
		return err
	}
	v.Say("password.saved")
	return v.Go("/profile")
}
