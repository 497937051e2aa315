// Package portal is the website for customers: they register, confirm their
// addresses, choose alerts, see what was sent and why, and stop it again. Every
// page works without JavaScript.
//
// Requests come in at the routes of routes.go; each handler is a method of
// portal named after its page, reads and writes through the stores of Config,
// and answers through package page. Links in messages are made by Links and
// lead to pages that need no signing in: a signature says whom they speak for.
package portal

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// Members is what the portal asks of *subscriptions.Members.
type Members interface {
	Register(ctx context.Context, r subscriptions.Registration) (subscriptions.Member, error)
	Authenticate(ctx context.Context, account, password, remote string) (subscriptions.Member, error)
	Get(ctx context.Context, id int64) (subscriptions.Member, error)
	Update(ctx context.Context, id int64, c subscriptions.MemberChange) (subscriptions.Member, error)
	SetPassword(ctx context.Context, id int64, old, password string) error
}

// Contacts is what the portal asks of *subscriptions.Contacts.
type Contacts interface {
	Add(ctx context.Context, memberID int64, n subscriptions.NewContact) (subscriptions.ContactPoint, error)
	ForMember(ctx context.Context, memberID int64) ([]subscriptions.ContactPoint, error)
	Remove(ctx context.Context, memberID, id int64) error
	SendCode(ctx context.Context, memberID, id int64) error
	Verify(ctx context.Context, memberID, id int64, code string) error
}

// Consents is what the portal asks of *subscriptions.Consents.
type Consents interface {
	Record(ctx context.Context, memberID int64, said ...subscriptions.NewConsent) error
	ForMember(ctx context.Context, memberID int64) ([]subscriptions.Consent, error)
}

// Triggers is what the portal asks of *subscriptions.Triggers.
type Triggers interface {
	Get(ctx context.Context, name string) (subscriptions.Trigger, error)
	List(ctx context.Context) ([]subscriptions.Trigger, error)
}

// Subscriptions is what the portal asks of *subscriptions.Store.
type Subscriptions interface {
	Create(ctx context.Context, o subscriptions.Order) (subscriptions.Subscription, error)
	Change(ctx context.Context, id int64, c subscriptions.Change) (subscriptions.Subscription, error)
	End(ctx context.Context, id int64, by, actor string) error
	Get(ctx context.Context, id int64) (subscriptions.Subscription, error)
	Extension(ctx context.Context, s subscriptions.Subscription, zone *time.Location) (until time.Time, ok bool, err error)
	ForMember(ctx context.Context, memberID int64, ended bool) ([]subscriptions.Subscription, error)
}

// Deliveries is what the portal asks of *dispatch.Store.
type Deliveries interface {
	Delivery(ctx context.Context, id uuid.UUID) (dispatch.Delivery, error)
	Timeline(ctx context.Context, id uuid.UUID) (dispatch.Timeline, error)
	ForMember(ctx context.Context, memberID int64, before uuid.UUID, limit int) ([]dispatch.Delivery, error)
}

// Config says what the portal works on. Every field is required
// unless it says otherwise, but Now.
type Config struct {
	PublicURL     string                     // where readers reach it, such as https://herald.example.com
	Company       func(locale string) string // see page.Config; may be nil
	Links         *Links
	Members       Members
	Contacts      Contacts
	Consents      Consents
	Triggers      Triggers
	Subscriptions Subscriptions
	Deliveries    Deliveries
	Previews      Previews // may be nil: alerts are not tried on the past then
	Dates         Dates    // may be nil: it is not told when alerts on dates come next
	// Channels are those that can be sent on: no other is offered.
	Channels []subscriptions.Channel
	// QuietFrom and QuietUntil are the quiet hours of members who chose none,
	// by each member's own clock; equal ones: there are none.
	QuietFrom, QuietUntil subscriptions.Clock

	Sessions scs.Store
	Now      func() time.Time
	Logger   *slog.Logger
	Away     func(error) bool // see page.Config; may be nil
}

type portal struct {
	Config
	site      *page.Site
	newcomers *newcomers
}

//go:embed pages/*.html
var pageFiles embed.FS

// sessionLifetime is how long a customer stays signed in.
const sessionLifetime = 14 * 24 * time.Hour

// New makes the portal, to be served at the root of the public URL.
func New(c Config) (http.Handler, error) {
	if c.Links == nil || c.Members == nil || c.Contacts == nil || c.Consents == nil || c.Triggers == nil || c.Subscriptions == nil || c.Deliveries == nil {
		return nil, fmt.Errorf("portal: links and all stores are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	pages, err := fs.Sub(pageFiles, "pages")
	if err != nil {
		return nil, err
	}
	site, err := page.New(page.Config{
		Name: "portal", Layout: page.Portal, Pages: pages, PublicURL: c.PublicURL, Company: c.Company, Sessions: c.Sessions,
		Lifetime: sessionLifetime, Now: c.Now, Logger: c.Logger, Away: c.Away,
	})
	if err != nil {
		return nil, err
	}
	p := &portal{Config: c, site: site, newcomers: &newcomers{networks: map[string]*rate.Limiter{}}}
	return site.Handler(p.routes()), nil
}

// actor is how the portal's changes are recorded in a subscription's history.
const actor = "member"

// visit is a request of a member who has signed in.
type visit struct {
	*page.Visit
	Member subscriptions.Member
}

// member lets only those in who have signed in; others sign in first and come
// back.
func (p *portal) member(handle func(*visit) error) func(*page.Visit) error {
	return func(v *page.Visit) error {
		id := v.UserID()
		if id == 0 {
			v.Return()
			return v.Go("/sign-in")
		}
		m, err := p.Members.Get(v.Context(), id)
		if problem.CodeOf(err) == problem.NotFound || (err == nil && v.Outdated(m.PasswordMark)) {
			if err := v.SignOut(); err != nil {
				return err
			}
			return v.Go("/sign-in")
		}
		if err != nil {
			return err
		}
		v.Name = called(m)
		return handle(&visit{Visit: v, Member: m})
	}
}

// called is what a member is called on pages.
func called(m subscriptions.Member) string {
	if m.DisplayName != "" {
		return m.DisplayName
	}
	return m.Account
}

// offered are the channels of a ladder that can be sent on.
func (p *portal) offered(ladder []subscriptions.Channel) []subscriptions.Channel {
	var out []subscriptions.Channel
	for _, ch := range ladder {
		if slices.Contains(p.Channels, ch) {
			out = append(out, ch)
		}
	}
	return out
}
