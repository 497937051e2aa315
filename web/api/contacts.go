package api

import (
	"context"
	"fmt"
	"net/http"

	"herald/access"
	"herald/subscriptions"
)

// NewContact is an address of a member.
type NewContact struct {
	Channel  subscriptions.Channel `json:"channel" required:"true" enum:"email,sms,voice,fax"`
	Address  string                `json:"address" required:"true" doc:"A mail address, or a number, best with + and country code." example:"wei@example.com"`
	Region   string                `json:"region,omitempty" doc:"The country of a number written without one (ISO 3166)." example:"CN"`
	Verified bool                  `json:"verified,omitempty" doc:"Your company vouches that the address is the member's own; otherwise a code must confirm it."`
}

func contactsOf(list []NewContact) []subscriptions.NewContact {
	contacts := make([]subscriptions.NewContact, len(list))
	for i, c := range list {
		contacts[i] = subscriptions.NewContact(c)
	}
	return contacts
}

// Code is what a member received.
type Code struct {
	Code string `json:"code" required:"true" maxLength:"40" example:"123456"`
}

// ContactPath asks for a contact point of a member.
type ContactPath struct {
	NumberPath
	Contact int64 `path:"contact" minimum:"1" doc:"The contact point's number."`
}

func (a *API) addContacts() {
	const path = "/members/{id}/contacts"
	add(a, operation{
		id: "list-contacts", method: http.MethodGet, path: path, tag: tagMembers, scope: access.MembersRead,
		summary: "List a member's contact points",
	}, a.listContacts)
	add(a, operation{
		id: "add-contact", method: http.MethodPost, path: path, tag: tagMembers, scope: access.MembersWrite,
		summary: "Give a member a contact point", status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, a.addContact)
	add(a, operation{
		id: "remove-contact", method: http.MethodDelete, path: path + "/{contact}", tag: tagMembers, scope: access.MembersWrite,
		summary: "Remove a contact point", status: http.StatusNoContent,
	}, a.removeContact)
	add(a, operation{
		id: "send-code", method: http.MethodPost, path: path + "/{contact}/code", tag: tagMembers, scope: access.MembersWrite,
		summary: "Send a code that confirms a contact point", status: http.StatusAccepted, errors: []int{http.StatusConflict},
		description: "The code before it is void. At most one a minute.",
	}, a.sendCode)
	add(a, operation{
		id: "verify-contact", method: http.MethodPost, path: path + "/{contact}/verification", tag: tagMembers, scope: access.MembersWrite,
		summary: "Confirm a contact point by the code its owner received", status: http.StatusNoContent,
	}, a.verifyContact)
}

func (a *API) listContacts(ctx context.Context, in *NumberPath) (*out[Page[subscriptions.ContactPoint]], error) {
	if _, err := a.cfg.Members.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return whole(a.cfg.Contacts.ForMember(ctx, in.ID))
}

func (a *API) addContact(ctx context.Context, in *struct {
	NumberPath
	Body NewContact
},
) (*created[subscriptions.ContactPoint], error) {
	contact, err := a.cfg.Contacts.Add(ctx, in.ID, subscriptions.NewContact(in.Body))
	if err != nil {
		return nil, err
	}
	at := fmt.Sprintf("%s/members/%d/contacts/%d", root, in.ID, contact.ID)
	return &created[subscriptions.ContactPoint]{Location: at, Body: contact}, nil
}

func (a *API) removeContact(ctx context.Context, in *ContactPath) (*none, error) {
	return nothing(a.cfg.Contacts.Remove(ctx, in.ID, in.Contact))
}

func (a *API) sendCode(ctx context.Context, in *ContactPath) (*none, error) {
	return nothing(a.cfg.Contacts.SendCode(ctx, in.ID, in.Contact))
}

func (a *API) verifyContact(ctx context.Context, in *struct {
	ContactPath
	Body Code
},
) (*none, error) {
	return nothing(a.cfg.Contacts.Verify(ctx, in.ID, in.Contact, in.Body.Code))
}
