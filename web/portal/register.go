package portal

import (
	"net/url"
	"slices"
	"strings"

	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// registration is what the page "register" is filled from.
type registration struct {
	Form      *page.Form
	Languages []page.Choice
	Zones     []page.Choice
}

// emailField is the name of the e-mail address's input: the path by which the
// store names the first contact.
const emailField = "contacts[0].address"

func (p *portal) home(v *page.Visit) error {
	if v.UserID() != 0 {
		return v.Go("/alerts")
	}
	return v.Show("home", nil)
}

func (p *portal) register(v *page.Visit) error {
	if v.UserID() != 0 {
		return v.Go("/alerts")
	}
	zone := v.GuessZone()
	form := v.NewForm(url.Values{"locale": {v.Tag}, "time_zone": {zone}})
	return v.Show("register", registration{form, languages(v), zones(v.Reader, zone)})
}

func (p *portal) doRegister(v *page.Visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	data := registration{form, languages(v), zones(v.Reader, form.Get("time_zone"))}
	for _, name := range []string{"account", "password", emailField} {
		if form.Get(name) == "" {
			form.Refuse(name, "required")
		}
	}
	if form.Failed() {
		return v.ShowStatus(422, "register", data)
	}
	if err := p.newcomers.admit(v.Remote(), v.Now); err != nil {
		return v.Again(err, form, "register", data)
	}
	m, err := p.Members.Register(v.Context(), registrationFrom(v, form))
	if problem.CodeOf(err) == problem.Conflict {
		form.Refuse("account", "taken")
		return v.ShowStatus(409, "register", data)
	}
	if err != nil {
		return v.Again(err, form, "register", data)
	}
	if err := v.SignIn(m.ID, m.PasswordMark, m.Locale, m.TimeZone); err != nil {
		return err
	}
	return p.confirmFirst(v, m)
}

func registrationFrom(v *page.Visit, form *page.Form) subscriptions.Registration {
	r := subscriptions.Registration{
		Account: form.Get("account"), Password: form.Values.Get("password"), DisplayName: form.Get("display_name"),
		Locale: form.Get("locale"), TimeZone: form.Get("time_zone"), Origin: "portal",
		Contacts: []subscriptions.NewContact{{Channel: subscriptions.Email, Address: form.Get(emailField)}},
	}
	if form.Checked("offers") {
		r.Consents = []subscriptions.NewConsent{{
			Channel: subscriptions.Email, Purpose: subscriptions.Marketing, Granted: true, Source: "registration",
			Evidence: "ticked “" + v.T("register.offers") + "” when registering",
		}}
	}
	return r
}

// confirmFirst sends the code for the address that was registered and leads to
// where it is typed in.
func (p *portal) confirmFirst(v *page.Visit, m subscriptions.Member) error {
	contacts, err := p.Contacts.ForMember(v.Context(), m.ID)
	if err != nil {
		return err
	}
	if len(contacts) == 0 {
		return v.Go("/alerts")
	}
	v.Say("register.done", "name", called(m))
	if err := p.Contacts.SendCode(v.Context(), m.ID, contacts[0].ID); err != nil && !mendable(err) {
		return err
	}
	return v.Go(confirmPath(contacts[0].ID))
}

// mendable reports whether a code that could not be sent can be asked for
// again on the page that comes next.
func mendable(err error) bool {
	code := problem.CodeOf(err)
	return code == problem.Throttled || code == problem.Conflict
}

func languages(v *page.Visit) []page.Choice {
	choices := make([]page.Choice, len(page.Languages))
	for i, tag := range page.Languages {
		choices[i] = page.Choice{Value: tag, Label: v.In(tag).T("language.name")}
	}
	return choices
}

// commonZones are offered for choice, from west to east.
var commonZones = strings.Fields(`
	Pacific/Honolulu America/Anchorage America/Los_Angeles America/Denver America/Chicago America/Mexico_City
	America/New_York America/Toronto America/Bogota America/Halifax America/Santiago America/Sao_Paulo
	Atlantic/Azores UTC Europe/London Europe/Lisbon Africa/Lagos Europe/Berlin Europe/Paris Europe/Madrid Europe/Rome
	Africa/Cairo Africa/Johannesburg Europe/Athens Europe/Kyiv Europe/Istanbul Europe/Moscow Africa/Nairobi
	Asia/Riyadh Asia/Tehran Asia/Dubai Asia/Karachi Asia/Kolkata Asia/Kathmandu Asia/Dhaka Asia/Yangon Asia/Bangkok
	Asia/Ho_Chi_Minh Asia/Jakarta Asia/Shanghai Asia/Urumqi Asia/Hong_Kong Asia/Taipei Asia/Singapore Asia/Manila Australia/Perth
	Asia/Tokyo Asia/Seoul Australia/Adelaide Australia/Brisbane Australia/Sydney Pacific/Auckland`)

// zones are the time zones to choose from, each with the time it has there
// now, which is how people know their own. The one in use is always among them.
func zones(r page.Reader, current string) []page.Choice {
	names := commonZones
	if current != "" && !slices.Contains(names, current) {
		names = append([]string{current}, names...)
	}
	choices := make([]page.Choice, 0, len(names))
	for _, name := range names {
		zone, ok := page.Zone(name)
		if !ok {
			continue
		}
		place := r.Word("zone", name)
		if place == name {
			place = strings.ReplaceAll(name[strings.LastIndexByte(name, '/')+1:], "_", " ")
		}
		choices = append(choices, page.Choice{Value: name, Label: r.T("zone.choice", "place", place, "time", r.Now.In(zone).Format("15:04"))})
	}
	return choices
}
