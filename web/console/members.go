package console

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch/replies"
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
	Attributes    []fact
	Deliveries    deliveryRows
	Replies       []replyLine
	HasReplies    bool // there is a store of them
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

const (
	recentDeliveries = 20
	recentReplies    = 20
)

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
	data.Deliveries.Reader = v.Reader
	if data.Deliveries.Titles, err = c.titles(v); err != nil {
		return err
	}
	if data.Deliveries.List, err = c.Deliveries.ForMember(v.Context(), id, uuid.Nil, recentDeliveries); err != nil {
		return err
	}
	if data.HasReplies = c.Replies != nil; data.HasReplies {
		written, err := c.Replies.Find(v.Context(), replies.Filter{MemberID: id, Limit: recentReplies})
		if err != nil {
			return err
		}
		data.Replies = replyLines(written)
	}
	if data.Attributes, err = attributes(data.Member.Attributes); err != nil {
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
		lines[i].Suppressed, err = c.suppressionOf(v, point.Channel, point.Address)
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// subscriptionLines are the subscriptions in force, then the ended ones.
func (c console) subscriptionLines(v *page.Visit, memberID int64) ([]subscriptionLine, error) {
	list, err := c.Subscriptions.ForMember(v.Context(), memberID, false)
	if err != nil {
		return nil, err
	}
	ended, err := c.Subscriptions.ForMember(v.Context(), memberID, true)
	if err != nil {
		return nil, err
	}
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return nil, err
	}
	lines := make([]subscriptionLine, 0, len(list)+len(ended))
	for _, s := range slices.Concat(list, ended) {
		line := subscriptionLine{Subscription: s, Title: s.Trigger}
		if i := slices.IndexFunc(triggers, func(t subscriptions.Trigger) bool { return t.Name == s.Trigger }); i >= 0 {
			line.Title, line.Summary = triggers[i].Title.In(v.Tag), triggers[i].Summarise(s.Params, v.Tag)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// attributes are a member's attributes by name: text as it is, anything else
// as JSON.
func attributes(given map[string]any) ([]fact, error) {
	var list []fact
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value, isText := given[name].(string)
		if !isText {
			raw, err := json.Marshal(given[name])
			if err != nil {
				return nil, err
			}
			value = string(raw)
		}
		list = append(list, fact{name, value})
	}
	return list, nil
}
