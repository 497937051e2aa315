package console

import (
	"net/url"
	"strings"

	"herald/access"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// suppressionsData is a page of addresses that are not contacted.
type suppressionsData struct {
	Form  *page.Form
	Found []subscriptions.Suppression
	Next  string // the address of the next page; empty on the last
}

const suppressionsPerPage = 50

func (c console) suppressions(v *page.Visit, _ access.Operator) error {
	form := v.NewForm(v.R.URL.Query())
	after := subscriptions.Suppression{Channel: subscriptions.Channel(form.Get("after_channel")), Address: form.Get("after")}
	found, err := c.Consents.Suppressions(v.Context(), subscriptions.SuppressionFilter{
		Address: form.Get("address"), After: after, Limit: suppressionsPerPage + 1,
	})
	if err != nil {
		return err
	}
	data := suppressionsData{Form: form, Found: found}
	if len(found) > suppressionsPerPage {
		data.Found = found[:suppressionsPerPage]
		last := found[suppressionsPerPage-1]
		data.Next = Base + "/suppressions?" + url.Values{"after_channel": {string(last.Channel)}, "after": {last.Address}}.Encode()
	}
	return v.Show("suppressions", data)
}

// suppressionOf is why an address is not contacted, nil when it may be.
func (c console) suppressionOf(v *page.Visit, ch subscriptions.Channel, address string) (*subscriptions.Suppression, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // no address, so nothing that could be suppressed
	}
	found, err := c.Consents.Suppressions(v.Context(), subscriptions.SuppressionFilter{Channel: ch, Address: address, Limit: 1})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// suppress puts an address on the list of those that are not contacted.
func (c console) suppress(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	channel, address := subscriptions.Channel(form.Get("channel")), form.Get("address")
	err = c.Consents.Suppress(v.Context(), subscriptions.Suppression{
		Channel: channel, Address: address, Reason: subscriptions.ByOperator, Detail: actor(o),
	})
	if err != nil {
		return err
	}
	v.Tell(page.Flash{
		Text: v.T("console.suppressed", "address", v.Address(address)),
		Undo: Base + "/suppress/lift", UndoLabel: v.T("console.undo"),
		Fields: map[string]string{"channel": string(channel), "address": address, "back": form.Get("back")},
	})
	return goBack(v, form)
}

// lift takes an address off that list.
func (c console) lift(v *page.Visit, _ access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	address := form.Get("address")
	if err := c.Consents.Lift(v.Context(), subscriptions.Channel(form.Get("channel")), address); err != nil {
		return err
	}
	v.Say("console.lifted", "address", v.Address(address))
	return goBack(v, form)
}

// goBack leads to the page the form was on, which must be one of ours.
func goBack(v *page.Visit, form *page.Form) error {
	back := form.Get("back")
	if back != Base && !strings.HasPrefix(back, Base+"/") {
		return problem.New(problem.Invalid, "back must be a path of the console")
	}
	return v.Go(back)
}
