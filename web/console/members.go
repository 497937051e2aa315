package console

import (
	"strconv"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

const membersPerPage = 50

// membersData is a page of members.
type membersData struct {
	Form  *page.Form
	Found []subscriptions.Member
	Total int64
	Next  string // the address of the next page; empty on the last
}

func (c console) members(v *page.Visit, _ access.Operator) error {
	form := v.NewForm(v.R.URL.Query())
	after, _ := strconv.ParseInt(form.Get("after"), 10, 64) // no number: from the first
	found, err := c.Members.Find(v.Context(), subscriptions.MemberFilter{Query: form.Get("q"), After: after, Limit: membersPerPage + 1})
	if err != nil {
		return err
	}
	data := membersData{Form: form, Found: found}
	if len(found) > membersPerPage {
		data.Found = found[:membersPerPage]
		query := v.R.URL.Query()
		query.Set("after", strconv.FormatInt(found[membersPerPage-1].ID, 10))
		data.Next = Base + "/members?" + query.Encode()
	}
	if data.Total, err = c.Members.Count(v.Context()); err != nil {
		return err
	}
	return v.Show("members", data)
}

// memberData is what Herald knows of one member.
type memberData struct {
	Member        subscriptions.Member
	Contacts      []contactLine
	Consents      []subscriptions.Consent
	Subscriptions []subscriptionLine
	Deliveries    []dispatch.Delivery
}

type contactLine struct {
	subscriptions.ContactPoint
	Suppressed *subscriptions.Suppression
}

type subscriptionLine struct {
	subscriptions.Subscription
	Title   string
	Summary string
}

const recentDeliveries = 20

func (c console) member(v *page.Visit, _ access.Operator) error {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return missing("member")
	}
	var data memberData
	if data.Member, err = c.Members.Get(v.Context(), id); err != nil {
		return err
	}
	if data.Contacts, err = c.contactLines(v, id); err != nil {
		return err
	}
	if data.Consents, err = c.Consents.ForMember(v.Context(), id); err != nil {
		return err
	}
	if data.Subscriptions, err = c.subscriptionLines(v, id); err != nil {
		return err
	}
	if data.Deliveries, err = c.Deliveries.ForMember(v.Context(), id, uuid.Nil, recentDeliveries); err != nil {
		return err
	}
	return v.Show("member", data)
}

func (c console) contactLines(v *page.Visit, memberID int64) ([]contactLine, error) {
	contacts, err := c.Contacts.ForMember(v.Context(), memberID)
	if err != nil {
		return nil, err
	}
	lines := make([]contactLine, len(contacts))
	for i, point := range contacts {
		lines[i].ContactPoint = point
		lines[i].Suppressed, err = c.suppressionOf(v, dispatch.Delivery{Channel: point.Channel, Address: point.Address})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func (c console) subscriptionLines(v *page.Visit, memberID int64) ([]subscriptionLine, error) {
	list, err := c.Subscriptions.ForMember(v.Context(), memberID, true)
	if err != nil {
		return nil, err
	}
	triggers, err := c.triggersByName(v)
	if err != nil {
		return nil, err
	}
	lines := make([]subscriptionLine, len(list))
	for i, s := range list {
		lines[i] = subscriptionLine{Subscription: s, Title: s.Trigger}
		if t, ok := triggers[s.Trigger]; ok {
			lines[i].Title, lines[i].Summary = t.Title.In(v.Tag), t.Summarise(s.Params, v.Tag)
		}
	}
	return lines, nil
}

func (c console) triggersByName(v *page.Visit) (map[string]subscriptions.Trigger, error) {
	list, err := c.Triggers.List(v.Context())
	if err != nil {
		return nil, err
	}
	byName := make(map[string]subscriptions.Trigger, len(list))
	for _, t := range list {
		byName[t.Name] = t
	}
	return byName, nil
}

// suppressionsData is a page of addresses that are not contacted.
type suppressionsData struct {
	Form  *page.Form
	Found []subscriptions.Suppression
}

const suppressionsShown = 200

func (c console) suppressions(v *page.Visit, _ access.Operator) error {
	form := v.NewForm(v.R.URL.Query())
	found, err := c.Consents.Suppressions(v.Context(), subscriptions.SuppressionFilter{Address: form.Get("address"), Limit: suppressionsShown})
	if problem.CodeOf(err) == problem.Invalid {
		found, err = nil, nil // what is no address is on no list
	}
	if err != nil {
		return err
	}
	return v.Show("suppressions", suppressionsData{form, found})
}
