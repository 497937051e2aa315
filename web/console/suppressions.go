package console

import (
	"net/url"
	"strings"
	"unicode/utf8"

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

// suppressionNewData is the form of an address that shall not be contacted.
type suppressionNewData struct {
	Form     *page.Form
	Channels []page.Choice
}

func newSuppression(v *page.Visit, form *page.Form) suppressionNewData {
	data := suppressionNewData{Form: form}
	for _, ch := range subscriptions.Channels {
		data.Channels = append(data.Channels, page.Choice{Value: string(ch), Label: v.Word("channel", ch)})
	}
	return data
}

func (c console) suppressionForm(v *page.Visit, _ access.Operator) error {
	return v.Show("suppression-new", newSuppression(v, v.NewForm(nil)))
}

// maxNote is the most characters of what an operator notes of a suppression.
const maxNote = 500

// addSuppression puts an address that an operator wrote on the list. One that
// was on it already keeps its reason, which the operator is told.
func (c console) addSuppression(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	channel, address, note := subscriptions.Channel(form.Get("channel")), form.Get("address"), form.Get("note")
	var f problem.Fields
	if utf8.RuneCountInString(note) > maxNote {
		f.AddArgs("note", "max_len", map[string]any{"max_len": maxNote}, "must be at most %d characters", maxNote)
	}
	err = f.Err("this note cannot be kept")
	if err == nil {
		err = c.Consents.Suppress(v.Context(), subscriptions.Suppression{
			Channel: channel, Address: address, Reason: subscriptions.ByOperator, Detail: noted(o, note),
		})
	}
	if err != nil {
		return v.Again(err, form, "suppression-new", newSuppression(v, form))
	}
	kept, err := c.suppressionOf(v, channel, address)
	if err != nil {
		return err
	}
	if kept != nil && (kept.Reason != subscriptions.ByOperator || kept.Detail != noted(o, note)) {
		v.Tell(page.Flash{Text: v.T("console.suppressed.already", "address", v.Address(kept.Address), "reason", v.Word("console.suppressed_for", kept.Reason))})
		return v.Go(Base + "/suppressions")
	}
	c.tellSuppressed(v, channel, address, Base+"/suppressions")
	return v.Go(Base + "/suppressions")
}

// noted is the detail of a suppression: by whom, and what they noted.
func noted(o access.Operator, note string) string {
	if note == "" {
		return actor(o)
	}
	return actor(o) + ": " + note
}

// tellSuppressed says on the next page that an address is not contacted any
// more, with a way back.
func (c console) tellSuppressed(v *page.Visit, channel subscriptions.Channel, address, back string) {
	v.Tell(page.Flash{
		Text: v.T("console.suppressed", "address", v.Address(address)),
		Undo: Base + "/suppress/lift", UndoLabel: v.T("console.undo"),
		Fields: map[string]string{"channel": string(channel), "address": address, "back": back},
	})
}

// suppress puts the address of a page on the list of those that are not contacted.
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
	c.tellSuppressed(v, channel, address, form.Get("back"))
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
