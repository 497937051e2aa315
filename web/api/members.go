package api

import (
	"context"
	"net/http"
	"strconv"

	"herald/access"
	"herald/problem"
	"herald/subscriptions"
)

// origin is how histories name what came in by the API.
const origin = "api"

// NewMember is a member as they are registered.
type NewMember struct {
	Account      string               `json:"account" required:"true" doc:"What the member signs in with; kept in lower case, never changes." example:"wei"`
	Password     string               `json:"password,omitempty" doc:"The query password; none: the member sets one later." writeOnly:"true"`
	CustomerType string               `json:"customer_type,omitempty" enum:"person,company" default:"person"`
	DisplayName  string               `json:"display_name,omitempty" example:"Wei Zhang"`
	Locale       string               `json:"locale,omitempty" doc:"BCP 47." default:"en" example:"zh-CN"`
	TimeZone     string               `json:"time_zone,omitempty" doc:"IANA name." default:"UTC" example:"Asia/Shanghai"`
	Birthday     string               `json:"birthday,omitempty" format:"date" example:"1990-02-28"`
	QuietFrom    *subscriptions.Clock `json:"quiet_from,omitempty" pattern:"^([01]?[0-9]|2[0-3]):[0-5][0-9]$" doc:"By the member's clock: from then on only urgent messages come. Given with quiet_until; absent: the company's quiet hours." example:"22:00"`
	QuietUntil   *subscriptions.Clock `json:"quiet_until,omitempty" pattern:"^([01]?[0-9]|2[0-3]):[0-5][0-9]$" doc:"Until before then. The same as quiet_from: no quiet hours." example:"08:00"`
	DigestHour   *int                 `json:"digest_hour,omitempty" minimum:"0" maximum:"23" default:"9" doc:"The hour of the member's day at which daily digests come."`
	Attributes   map[string]any       `json:"attributes,omitempty" doc:"Whatever the company knows of the member: JSON of any types."`
	Contacts     []NewContact         `json:"contacts,omitempty" doc:"The first of each channel is the one used."`
	Consents     []NewConsent         `json:"consents,omitempty"`
}

// MemberPatch is what may be changed of a member; what is absent stays.
type MemberPatch struct {
	CustomerType *string                        `json:"customer_type,omitempty" enum:"person,company"`
	DisplayName  *string                        `json:"display_name,omitempty"`
	Locale       *string                        `json:"locale,omitempty"`
	TimeZone     *string                        `json:"time_zone,omitempty"`
	Birthday     *string                        `json:"birthday,omitempty" doc:"Empty: no longer told."`
	QuietFrom    Clearable[subscriptions.Clock] `json:"quiet_from,omitzero" pattern:"^([01]?[0-9]|2[0-3]):[0-5][0-9]$" doc:"null, with quiet_until: the company's quiet hours." example:"22:00"`
	QuietUntil   Clearable[subscriptions.Clock] `json:"quiet_until,omitzero" pattern:"^([01]?[0-9]|2[0-3]):[0-5][0-9]$" doc:"The same as quiet_from: no quiet hours." example:"08:00"`
	DigestHour   *int                           `json:"digest_hour,omitempty" minimum:"0" maximum:"23"`
	Attributes   map[string]any                 `json:"attributes,omitempty" doc:"Merged into those there are, by name; null takes one away."`
}

// MemberDetails are a member with the ways to reach them.
type MemberDetails struct {
	subscriptions.Member
	Contacts []subscriptions.ContactPoint `json:"contacts" nullable:"false"`
}

func (a *API) addMembers() {
	add(a, operation{
		id: "register-member", method: http.MethodPost, path: "/members", tag: tagMembers, scope: access.MembersWrite,
		summary: "Register a member", status: http.StatusCreated, errors: []int{http.StatusConflict},
		description: "Creates the profile, the contact points and the consents in one. Give an Idempotency-Key, so that a repetition after a lost answer is no conflict.",
	}, a.registerMember)
	add(a, operation{
		id: "list-members", method: http.MethodGet, path: "/members", tag: tagMembers, scope: access.MembersRead,
		summary: "Find members", description: "In the order of registration. `account` finds the one with exactly that account.",
	}, a.listMembers)
	add(a, operation{
		id: "get-member", method: http.MethodGet, path: "/members/{id}", tag: tagMembers, scope: access.MembersRead,
		summary: "Read a member",
	}, a.getMember)
	add(a, operation{
		id: "change-member", method: http.MethodPatch, path: "/members/{id}", tag: tagMembers, scope: access.MembersWrite,
		summary: "Change a member",
	}, a.changeMember)
}

func (a *API) registerMember(ctx context.Context, in *struct{ Body NewMember }) (*created[MemberDetails], error) {
	b := in.Body
	member, err := a.cfg.Members.Register(ctx, subscriptions.Registration{
		Account: b.Account, Password: b.Password, CustomerType: b.CustomerType, DisplayName: b.DisplayName,
		Locale: b.Locale, TimeZone: b.TimeZone, Birthday: b.Birthday,
		QuietFrom: b.QuietFrom, QuietUntil: b.QuietUntil, DigestHour: b.DigestHour, Attributes: b.Attributes,
		Contacts: contactsOf(b.Contacts), Consents: consentsOf(b.Consents, callerOf(ctx)), Origin: origin,
	})
	if err != nil {
		return nil, err
	}
	full, err := a.withContacts(ctx, member)
	return &created[MemberDetails]{Location: root + "/members/" + strconv.FormatInt(member.ID, 10), Body: full}, err
}

func (a *API) listMembers(ctx context.Context, in *struct {
	PageQuery
	Query   string `query:"query" maxLength:"200" doc:"The beginning of an account or a display name, or a whole address."`
	Account string `query:"account" maxLength:"200" doc:"Exactly this account."`
},
) (*out[Page[subscriptions.Member]], error) {
	if in.Account != "" {
		member, err := a.cfg.Members.ByAccount(ctx, in.Account)
		if problem.CodeOf(err) == problem.NotFound {
			return whole([]subscriptions.Member{}, nil)
		}
		return whole([]subscriptions.Member{member}, err)
	}
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Members.Find(ctx, subscriptions.MemberFilter{Query: in.Query, After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(m subscriptions.Member) string { return idCursor(m.ID) }), nil
}

func (a *API) getMember(ctx context.Context, in *NumberPath) (*out[MemberDetails], error) {
	member, err := a.cfg.Members.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return body(a.withContacts(ctx, member))
}

func (a *API) changeMember(ctx context.Context, in *struct {
	NumberPath
	Body MemberPatch
},
) (*out[MemberDetails], error) {
	b := in.Body
	member, err := a.cfg.Members.Update(ctx, in.ID, subscriptions.MemberChange{
		CustomerType: b.CustomerType, DisplayName: b.DisplayName, Locale: b.Locale,
		TimeZone: b.TimeZone, Birthday: b.Birthday,
		QuietFrom: b.QuietFrom.change(), QuietUntil: b.QuietUntil.change(), DigestHour: b.DigestHour, Attributes: b.Attributes,
	})
	if err != nil {
		return nil, err
	}
	return body(a.withContacts(ctx, member))
}

func (a *API) withContacts(ctx context.Context, member subscriptions.Member) (MemberDetails, error) {
	contacts, err := a.cfg.Contacts.ForMember(ctx, member.ID)
	if contacts == nil {
		contacts = []subscriptions.ContactPoint{}
	}
	return MemberDetails{Member: member, Contacts: contacts}, err
}
