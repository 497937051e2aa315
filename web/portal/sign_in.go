package portal

import (
	"herald/web/page"
)

type signIn struct{ Form *page.Form }

func (p *portal) signIn(v *page.Visit) error {
	if v.UserID() != 0 {
		return v.Go("/alerts")
	}
	return v.Show("sign_in", signIn{v.NewForm(nil)})
}

// doSignIn signs a member in. How often it may be tried is limited by the
// store, by account and by address.
func (p *portal) doSignIn(v *page.Visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	m, err := p.Members.Authenticate(v.Context(), form.Get("account"), form.Values.Get("password"), v.Remote())
	if err != nil {
		return v.Again(err, form, "sign_in", signIn{form})
	}
	if err := v.SignIn(m.ID, m.PasswordMark, m.Locale, m.TimeZone); err != nil {
		return err
	}
	return v.Go(v.Next("/alerts"))
}

func (p *portal) signOut(v *page.Visit) error {
	if err := v.SignOut(); err != nil {
		return err
	}
	return v.Go("/")
}
