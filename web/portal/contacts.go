package portal

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// confirmation is what the page "confirm" is filled from.
type confirmation struct {
	Form    *page.Form
	Contact subscriptions.ContactPoint
}

func confirmPath(id int64) string { return fmt.Sprintf("/contacts/%d/confirm", id) }

// contact is the member's own contact point that the path names.
func (p *portal) contact(v *visit) (subscriptions.ContactPoint, error) {
	id, err := pathID(v)
	if err != nil {
		return subscriptions.ContactPoint{}, err
	}
	contacts, err := p.Contacts.ForMember(v.Context(), v.Member.ID)
	if err != nil {
		return subscriptions.ContactPoint{}, err
	}
	for _, c := range contacts {
		if c.ID == id {
			return c, nil
		}
	}
	return subscriptions.ContactPoint{}, problem.New(problem.NotFound, "there is no such address")
}

// pathID is the number in the path; what is none is no page.
func pathID(v *visit) (int64, error) {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return 0, problem.New(problem.NotFound, "there is no such page")
	}
	return id, nil
}

func (p *portal) confirm(v *visit) error {
	c, err := p.contact(v)
	if err != nil {
		return err
	}
	if c.VerifiedAt != nil {
		return v.Go("/profile")
	}
	return v.Show("confirm", confirmation{v.NewForm(nil), c})
}

func (p *portal) doConfirm(v *visit) error {
	c, err := p.contact(v)
	if err != nil {
		return err
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	if form.Get("code") == "" {
		form.Refuse("code", "required")
		return v.ShowStatus(422, "confirm", confirmation{form, c})
	}
	if err := p.Contacts.Verify(v.Context(), v.Member.ID, c.ID, form.Get("code")); err != nil {
		return v.Again(err, form, "confirm", confirmation{form, c})
	}
	v.Say("confirm.done", "address", v.Address(c.Address))
	return v.Go("/alerts")
}

// sendCode sends a new code. When it cannot be sent now, the page says why.
func (p *portal) sendCode(v *visit) error {
	c, err := p.contact(v)
	if err != nil {
		return err
	}
	err = p.Contacts.SendCode(v.Context(), v.Member.ID, c.ID)
	var refused *problem.Error
	switch {
	case err == nil:
		v.Say("confirm.sent", "address", v.Address(c.Address))
	case !errors.As(err, &refused) || !mendable(err):
		return err
	case refused.Code == problem.Throttled:
		v.Tell(page.Flash{Bad: true, Text: v.T("form.throttled", "after", v.Duration(refused.After))})
	default:
		v.Tell(page.Flash{Bad: true, Text: v.T("confirm.refused")})
	}
	return v.Go(confirmPath(c.ID))
}

// addition is what the page "contact" is filled from.
type addition struct {
	Form     *page.Form
	Channels []page.Choice
}

func (p *portal) newContact(v *visit) error {
	channel := v.R.URL.Query().Get("channel")
	if channel == "" && len(p.Channels) > 0 {
		channel = string(p.Channels[0])
	}
	return v.Show("contact", p.addition(v, v.NewForm(url.Values{"channel": {channel}})))
}

func (p *portal) addition(v *visit, form *page.Form) addition {
	return addition{form, channelChoices(v.Reader, p.Channels)}
}

func channelChoices(r page.Reader, channels []subscriptions.Channel) []page.Choice {
	choices := make([]page.Choice, len(channels))
	for i, ch := range channels {
		choices[i] = page.Choice{Value: string(ch), Label: r.Word("channel", ch)}
	}
	return choices
}

func (p *portal) addContact(v *visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	c, err := p.Contacts.Add(v.Context(), v.Member.ID, subscriptions.NewContact{
		Channel: subscriptions.Channel(form.Get("channel")), Address: form.Get("address"),
	})
	if problem.CodeOf(err) == problem.Conflict {
		form.Refuse("address", "duplicate")
		return v.ShowStatus(409, "contact", p.addition(v, form))
	}
	if err != nil {
		return v.Again(err, form, "contact", p.addition(v, form))
	}
	if err := p.Contacts.SendCode(v.Context(), v.Member.ID, c.ID); err != nil && !mendable(err) {
		return err
	}
	return v.Go(confirmPath(c.ID))
}

func (p *portal) askRemoveContact(v *visit) error {
	c, err := p.contact(v)
	if err != nil {
		return err
	}
	return v.Show("contact_remove", c)
}

func (p *portal) removeContact(v *visit) error {
	c, err := p.contact(v)
	if err != nil {
		return err
	}
	if err := p.Contacts.Remove(v.Context(), v.Member.ID, c.ID); err != nil {
		return err
	}
	v.Say("contact.removed", "address", v.Address(c.Address))
	return v.Go("/profile")
}
