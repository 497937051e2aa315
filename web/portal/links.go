package portal

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"herald/problem"
)

// Signer makes and checks the tokens in links; *access.Signer does.
type Signer interface {
	Sign(purpose, value string) (token string)
	Verify(purpose, token string) (value string, err error)
}

// Links makes the addresses that messages carry: dispatch.Links.
type Links struct {
	signer Signer
	base   string
}

// Where the links lead, and what their signatures are for.
const (
	deliveryPath       = "/why/"
	unsubscribePath    = "/unsubscribe/"
	deliveryPurpose    = "delivery"
	unsubscribePurpose = "unsubscribe"
)

// NewLinks makes links below a public URL such as "https://herald.example.com".
func NewLinks(signer Signer, publicURL string) (*Links, error) {
	base, err := url.Parse(publicURL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("links: public URL %q is not an address like https://herald.example.com", publicURL)
	}
	return &Links{signer: signer, base: base.Scheme + "://" + base.Host}, nil
}

// Unsubscribe ends a subscription (0: consent to the delivery's purpose on its
// channel) by GET with a page and by one-click POST.
func (l *Links) Unsubscribe(deliveryID uuid.UUID, subscriptionID int64) string {
	return l.base + l.unsubscribePath(deliveryID, subscriptionID)
}

func (l *Links) unsubscribePath(deliveryID uuid.UUID, subscriptionID int64) string {
	return unsubscribePath + l.signer.Sign(unsubscribePurpose, fmt.Sprintf("%s/%d", deliveryID, subscriptionID))
}

// Delivery answers why the member got this.
func (l *Links) Delivery(deliveryID uuid.UUID) string {
	return l.base + deliveryPath + l.signer.Sign(deliveryPurpose, deliveryID.String())
}

// Alerts is the member's own list.
func (l *Links) Alerts() string { return l.base + "/alerts" }

// Alert is where the member changes or extends one of them.
func (l *Links) Alert(subscriptionID int64) string { return l.base + alertPath(subscriptionID) }

// delivery is whom a link made by Delivery speaks for.
func (l *Links) delivery(token string) (uuid.UUID, error) {
	value, err := l.signer.Verify(deliveryPurpose, token)
	if err != nil {
		return uuid.Nil, noSuchLink(err)
	}
	id, err := uuid.Parse(value)
	if err != nil {
		return uuid.Nil, noSuchLink(err)
	}
	return id, nil
}

// unsubscription is what a link made by Unsubscribe ends.
func (l *Links) unsubscription(token string) (deliveryID uuid.UUID, subscriptionID int64, err error) {
	value, err := l.signer.Verify(unsubscribePurpose, token)
	if err != nil {
		return uuid.Nil, 0, noSuchLink(err)
	}
	delivery, subscription, _ := strings.Cut(value, "/")
	if deliveryID, err = uuid.Parse(delivery); err != nil {
		return uuid.Nil, 0, noSuchLink(err)
	}
	if subscriptionID, err = strconv.ParseInt(subscription, 10, 64); err != nil {
		return uuid.Nil, 0, noSuchLink(err)
	}
	return deliveryID, subscriptionID, nil
}

func noSuchLink(err error) error {
	return &problem.Error{Code: problem.NotFound, Message: "this link is not complete", Err: err}
}
