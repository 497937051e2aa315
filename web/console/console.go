// Package console is the operators' face: what is under way, what went wrong,
// where any message is and why, and what Herald knows of a member.
//
// A request comes in as a page.Visit of a signed-in operator; the handlers
// read the stores, never write to a database themselves, and show a page. What
// an operator may do follows their role.
package console

import (
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"

	"herald/access"
	"herald/calendars"
	"herald/campaigns"
	"herald/collectors"
	"herald/dispatch"
	"herald/dispatch/fax"
	"herald/dispatch/replies"
	"herald/dispatch/sms"
	"herald/dispatch/voice"
	"herald/matcher"
	"herald/problem"
	"herald/subscriptions"
	"herald/templates"
	"herald/web/page"
	"herald/webhooks"
)

//go:embed pages/*.html
var pages embed.FS

// Config is what the console shows and how it is reached. Fields are
// required unless they say otherwise.
type Config struct {
	PublicURL string                     // where operators reach Herald, without a path
	Company   func(locale string) string // see page.Config; may be nil
	Sessions  scs.Store
	Logger    *slog.Logger
	Away      func(error) bool // see page.Config; may be nil
	// Stopping is closed when Herald stops: pages that move by themselves end
	// then, so that the stop need not wait for their readers.
	Stopping <-chan struct{}
	Now      func() time.Time

	Operators     *access.Operators
	Members       *subscriptions.Members
	Contacts      *subscriptions.Contacts
	Consents      *subscriptions.Consents
	Triggers      *subscriptions.Triggers
	Templates     *templates.Store
	Subscriptions *subscriptions.Store
	Deliveries    *dispatch.Store
	Webhooks      *webhooks.Store   // nil: there are no pages of webhooks
	Campaigns     *campaigns.Store  // nil: there are no pages of campaigns
	Calendars     *calendars.Store  // nil: there are no pages of calendars, and none can be chosen for campaigns
	Dates         Dates             // nil: it is not told which dates of triggers come next
	Replies       *replies.Store    // nil: there are no pages of replies
	Collectors    *collectors.Store // nil: there are no pages of collectors
	Calls         *voice.Store      // nil: no recordings are heard, and no faxes seen
	Faxes         *fax.Store        // nil: likewise
	Events        *matcher.Events   // nil: there are no pages of events, as without Previews
	Previews      *matcher.Previews

	// SMS is how texts are written by the accounts that send them, as far as
	// they agree; the zero value is what every phone can read.
	SMS          sms.Options
	PricePerPart float64 // what a part of an SMS costs; 0: not known, and not shown
	Currency     string  // of PricePerPart, ISO 4217; empty: the bare figure is shown
}

// Base is where the console lives.
const Base = "/console"

type console struct{ Config }

// New is the handler of everything under Base.
func New(c Config) (http.Handler, error) {
	files, err := fs.Sub(pages, "pages")
	if err != nil {
		return nil, err
	}
	site, err := page.New(page.Config{
		Name: "console", Layout: page.Console, Pages: files, Home: Base, PublicURL: c.PublicURL, Company: c.Company,
		Sessions: c.Sessions, Now: c.Now, Logger: c.Logger, Away: c.Away,
	})
	if err != nil {
		return nil, err
	}
	return site.Handler(console{c}.routes()), nil
}

// routes is every page of the console.
func (c console) routes() []page.Route {
	operator := func(pattern string, handle func(*page.Visit, access.Operator) error) page.Route {
		return page.Route{Pattern: pattern, Handle: c.signedIn(access.OperatorRole, handle)}
	}
	admin := func(pattern string, handle func(*page.Visit, access.Operator) error) page.Route {
		return page.Route{Pattern: pattern, Handle: c.signedIn(access.AdminRole, handle)}
	}
	marketer := func(pattern string, handle func(*page.Visit, access.Operator) error) page.Route {
		return page.Route{Pattern: pattern, Handle: c.signedIn(access.MarketerRole, handle)}
	}
	export := operator("GET /console/deliveries.csv", c.deliveriesCSV)
	export.Live = true // it takes as long as there are deliveries
	return slices.Concat(c.webhookRoutes(operator, admin), c.campaignRoutes(operator, marketer), c.calendarRoutes(operator, marketer), c.attentionRoutes(operator), c.ledgerRoutes(operator), c.replyRoutes(operator), c.collectorRoutes(operator, admin), c.accountRoutes(operator), c.eventRoutes(operator), c.evidenceRoutes(operator), c.templateRoutes(operator), []page.Route{
		{Pattern: "GET /console/sign-in", Handle: c.signInPage},
		{Pattern: "POST /console/sign-in", Handle: c.signIn},
		{Pattern: "POST /console/sign-out", Handle: c.signOut},

		operator("GET /console", c.overview),
		{Pattern: "GET /console/{elsewhere...}", Handle: c.nothing},
		{Pattern: "GET /console/live", Handle: c.live, Live: true},
		operator("GET /console/deliveries", c.deliveries),
		export,
		operator("GET /console/deliveries/{id}", c.delivery),
		operator("POST /console/suppress", c.suppress),
		operator("POST /console/suppress/lift", c.lift),
		operator("GET /console/suppressions", c.suppressions),
		operator("GET /console/suppressions/new", c.suppressionForm),
		operator("POST /console/suppressions/new", c.addSuppression),
		operator("GET /console/members", c.members),
		operator("GET /console/members/{id}", c.member),
		operator("GET /console/triggers", c.triggers),
		operator("GET /console/triggers/{name}", c.trigger),
		admin("POST /console/triggers/{name}", c.saveTrigger),
		admin("POST /console/triggers/{name}/enabled", c.enableTrigger),
	})
}

// signedIn lets an operator through whose role includes the one needed, and
// leads everybody else to the sign-in.
func (c console) signedIn(role access.Role, handle func(*page.Visit, access.Operator) error) func(*page.Visit) error {
	return func(v *page.Visit) error {
		operator, err := c.who(v)
		if problem.CodeOf(err) == problem.Unauthorized {
			v.Return()
			return v.Go(Base + "/sign-in")
		}
		if err != nil {
			return err
		}
		v.Name = operator.Name
		if !operator.Role.Includes(role) {
			return problem.New(problem.Forbidden, "this is for role %s; you are %s", role, operator.Role)
		}
		return handle(v, operator)
	}
}

// who is the operator who reads, read anew each time so that one who was
// disabled, or got a new password, is out at once. It is problem.Unauthorized when it is nobody.
func (c console) who(v *page.Visit) (access.Operator, error) {
	nobody := problem.New(problem.Unauthorized, "nobody is signed in")
	id := v.UserID()
	if id == 0 {
		return access.Operator{}, nobody
	}
	operator, err := c.Operators.Get(v.Context(), id)
	if gone(err) || (err == nil && (operator.DisabledAt != nil || v.Outdated(operator.PasswordMark))) {
		return access.Operator{}, nobody
	}
	return operator, err
}

// actor is how an operator is named in histories.
func actor(o access.Operator) string { return "operator:" + o.Name }

type signInData struct{ Form *page.Form }

func (c console) signInPage(v *page.Visit) error {
	if _, err := c.who(v); err == nil {
		return v.Go(Base)
	}
	return v.Show("sign-in", signInData{v.NewForm(nil)})
}

func (c console) signIn(v *page.Visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	operator, err := c.Operators.Authenticate(v.Context(), form.Get("name"), form.Values.Get("password"), v.Remote())
	if err != nil {
		return v.Again(err, form, "sign-in", signInData{form})
	}
	zone := v.Zone
	if own, known := page.Zone(form.Get("zone")); known { // filled in by a script, if it runs
		zone = own
	}
	if err := v.SignIn(operator.ID, operator.PasswordMark, v.Tag, zone.String()); err != nil {
		return err
	}
	return v.Go(v.Next(Base))
}

func (c console) signOut(v *page.Visit) error {
	if err := v.SignOut(); err != nil {
		return err
	}
	return v.Go(Base + "/sign-in")
}

// nothing answers an address that has no page; who is signed in keeps the bar
// that leads back.
func (c console) nothing(v *page.Visit) error {
	if operator, err := c.who(v); err == nil {
		v.Name = operator.Name
	}
	return missing("page")
}

// missing is a page for something that is not there.
func missing(what string) error { return problem.New(problem.NotFound, "there is no such %s", what) }

// gone reports whether a store said that something is not there.
func gone(err error) bool { return problem.CodeOf(err) == problem.NotFound }
