// Package fax sends messages as faxes, through a HylaFAX server.
//
// A Sender is one server: an account of dispatch. A message's Markdown becomes
// pages (package pages), which a session submits as a job under an id of ours;
// before that, a row in the Store says that it will. A server calls, and calls
// again, by itself: the Sender follows its jobs as a Reporter and reports a
// delivery as delivered only when all of its pages are confirmed, and as bounced
// when the server gave up, with the reason. Pages that are left when others got
// through go in a further job. Where a person answers instead of a fax, the
// number is dialled once more at most, over all jobs of a delivery.
//
// A job stands like this; who dispatch handed it to is the first job's session,
// and the follower of the others:
//
//	submitting ──► open ──► ended
//	  ▲     └────────────────►│     (it surely was not submitted)
//	  └── waiting ◄───────────┘     (a further job, for the pages that are left)
package fax

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"herald/dispatch"
	"herald/dispatch/fax/pages"
	"herald/hardware/fax"
	"herald/problem"
	"herald/subscriptions"
)

// Deps are what a Sender works with. All but Now are required.
type Deps struct {
	Store *Store
	// Font is what the pages are written in.
	Font   *pages.Font
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Sender is one server. It is safe for many goroutines; a session is not.
type Sender struct {
	cfg    Account
	set    settings
	store  *Store
	font   *pages.Font
	logger *slog.Logger
	now    func() time.Time
	news   chan struct{} // a job was submitted
}

var (
	_ dispatch.Sender   = (*Sender)(nil)
	_ dispatch.Resolver = (*Sender)(nil)
	_ dispatch.Reporter = (*Sender)(nil)
)

// New fills in cfg's defaults and checks it; problem.Invalid names the mistakes
// by their fields.
func New(cfg Account, deps Deps) (*Sender, error) {
	var mistakes problem.Fields
	cfg, set := cfg.complete(&mistakes)
	if err := mistakes.Err("the fax server is not set up completely"); err != nil {
		return nil, err
	}
	if deps.Store == nil || deps.Font == nil || deps.Logger == nil {
		return nil, errors.New("fax: a sender needs a store, a font and a logger")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if cfg.tune != nil {
		cfg.tune(&set)
	}
	return &Sender{
		cfg: cfg, set: set, store: deps.Store, font: deps.Font, logger: deps.Logger.With("account", cfg.Name), now: deps.Now,
		news: make(chan struct{}, 1),
	}, nil
}

// Channel is fax.
func (s *Sender) Channel() subscriptions.Channel { return subscriptions.Fax }

// Account is the account's name.
func (s *Sender) Account() string { return s.cfg.Name }

// errNoScheduler is why jobs would lie about.
var errNoScheduler = errors.New("the server's scheduler (faxq) does not run")

// Open signs in, and asks whether faxes can go out. It fails with
// *dispatch.SendError.
func (s *Sender) Open(ctx context.Context) (dispatch.Session, error) {
	conn, err := fax.Open(ctx, s.set.server)
	if err != nil {
		return nil, s.fail(err)
	}
	health, err := conn.Check(ctx)
	if err == nil && !health.Scheduler {
		err = errNoScheduler
	}
	if err != nil {
		_ = conn.Close() // it is of no use
		return nil, s.fail(err)
	}
	return &session{sender: s, conn: conn}, nil
}

// fail says what a failure to speak with the server means.
func (s *Sender) fail(err error) *dispatch.SendError {
	out := &dispatch.SendError{Class: dispatch.SessionFatal, Account: s.cfg.Name, Err: err}
	var refusal *fax.Refusal
	if errors.As(err, &refusal) {
		out.Code = refusal.Command + " " + strconv.Itoa(refusal.Code)
	}
	switch {
	case errors.Is(err, fax.ErrUnanswered):
		out.Class = dispatch.Doubt
	case errors.Is(err, fax.ErrLogin), errors.Is(err, fax.ErrConfig):
		out.Class = dispatch.Configuration
	case errors.Is(err, fax.ErrJob):
		out.Class = dispatch.Permanent
	case errors.Is(err, fax.ErrGone): // whatever it said before
	case refusal != nil && refusal.Temporary():
		out.Class = dispatch.Transient
	case refusal != nil && (refusal.Command == "JPARM" || refusal.Command == "JSUBM"):
		out.Class = dispatch.Permanent // this fax, or its number
	case refusal != nil:
		out.Class = dispatch.Configuration // it lets us store or make nothing
	}
	return out
}

// told wakes the follower of this node.
func (s *Sender) told() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}
