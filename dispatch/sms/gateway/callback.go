package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"

	"herald/dispatch"
)

// Kind is what a callback is about, and the last part of its address.
type Kind string

// The kinds of callback.
const (
	KindReceipt Kind = "receipt" // what became of messages
	KindInbound Kind = "inbound" // messages that came in
)

// Base is the path below which the callbacks of all accounts come in, each at
// its name and kind.
const Base = "/receipts/gateway/"

// The parameters of a callback's address that are ours.
const (
	deliveryKey = "herald-delivery" // the delivery it is about
	tokenKey    = "herald-token"    // what proves that it was we who gave the address out
)

// Call is a callback that has come in whole.
type Call struct {
	Kind   Kind
	Method string
	URL    *url.URL // as it was called: path and query
	Header http.Header
	Body   []byte
	From   netip.Addr
}

// News is what a callback tells.
type News struct {
	Reports []dispatch.Report
	Inbound []dispatch.Inbound
	// Unreadable is how many items of a list could not be read: they would not
	// be more readable if the others had to come with them again.
	Unreadable int
}

// Terms are how a provider calls, and what it is answered once its news are kept.
type Terms struct {
	Methods    []string
	Password   bool // it signs in by HTTP Basic, for which it may have to be asked
	Status     int
	Type, Body string
}

// The errors of Read; anything else is not the provider's fault.
var (
	ErrNoCallback = errors.New("the gateway does not call like that")
	ErrForged     = errors.New("the signature is not right")
	ErrStale      = errors.New("the request is too old, or from the future")
	ErrUnreadable = errors.New("the request cannot be read")
)

// CallbackAddress is the address that the provider calls, with the token that
// it must bear; it is a secret then.
func (g *Gateway) CallbackAddress(k Kind) string {
	address := g.cfg.CallbackURL + Base + g.cfg.Name + "/" + string(k)
	if g.token != "" {
		address += "?" + tokenKey + "=" + g.token
	}
	return address
}

// Terms are those of a kind of callback; false where it is not described.
func (g *Gateway) Terms(k Kind) (Terms, bool) {
	c := g.description.callback(k)
	if c == nil || g.cfg.CallbackURL == "" {
		return Terms{}, false
	}
	r := c.spec.Reply
	return Terms{Methods: c.spec.Methods, Password: g.description.spec.Trust.Basic != nil, Status: r.Status, Type: r.Type, Body: r.Body}, true
}

// Read checks whose a callback is, and reads it. What says nothing of a
// delivery, such as that a message was sent, is left out.
func (g *Gateway) Read(c Call) (News, error) {
	d := g.description.callback(c.Kind)
	if d == nil || g.cfg.CallbackURL == "" || !slices.Contains(d.spec.Methods, c.Method) {
		return News{}, ErrNoCallback
	}
	if err := g.verify(c); err != nil {
		return News{}, err
	}
	whole := &said{header: c.Header, query: c.URL.Query(), body: c.Body}
	items := []*said{whole}
	if d.each != nil {
		list, is := d.each.list(whole)
		if !is {
			return News{}, fmt.Errorf("%w: there is no list in it", ErrUnreadable)
		}
		items = items[:0]
		for _, doc := range list {
			items = append(items, whole.item(doc))
		}
	}
	var news News
	for _, item := range items {
		err := g.readItem(d, c.Kind, item, &news)
		switch {
		case err == nil:
		case errors.Is(err, ErrUnreadable) && len(items) > 1:
			news.Unreadable++
		default:
			return News{}, err
		}
	}
	return news, nil
}

func (g *Gateway) readItem(d *callback, k Kind, item *said, news *News) error {
	if k == KindInbound {
		in, err := g.readInbound(d, item)
		if err == nil {
			news.Inbound = append(news.Inbound, in)
		}
		return err
	}
	report, tells, err := g.readReport(d, item)
	if err == nil && tells {
		news.Reports = append(news.Reports, report)
	}
	return err
}
