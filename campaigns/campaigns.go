// Package campaigns is what marketers plan: a question about members, a
// message for each channel and language, and when it is told.
//
// A Plan comes in from the API and the console, is checked and kept by the
// Store, and is started. Each firing of a campaign (at once, at its moment, by
// its schedule, on a birthday) is a Run. Workers read the members a run is
// meant for in batches and give each as a notification to an Enqueuer, in one
// transaction with the place they have come to, so that nobody is passed over
// and nobody is told twice. The run is the CampaignID of its notifications,
// and it is finished when its ledger says that nothing is open any more.
//
// A campaign's state moves like this; from the states on the left side an
// operator may also stop it, and that is final, as finished is:
//
//	draft ──start──► scheduled ──due──► preparing ──all read──► sending ──ledger──► finished
//	                   ▲  │ ▲              │ │                    │ │
//	                   │  │ └──────────────┼─┼── it recurs ───────┘ │
//	                   │  └──────pause──┐  │ │                      │
//	                 resume             ▼  ▼ ▼       pause          │
//	                   └───────────── paused ◄──────────────────────┘
//
// A draft started at once begins as preparing. Resumed, a campaign goes on
// where its runs stand. One that recurs is scheduled again when its runs have
// ended, until it is stopped.
//
// # Locks
//
// Whatever changes a campaign's state holds its row FOR UPDATE; a batch of
// preparation locks its range, and then the campaign's row FOR SHARE. So after
// Pause or Stop have returned no more notifications are made.
package campaigns

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/calendar"
	"herald/dispatch"
	"herald/subscriptions"
	"herald/templates"
)

// State is where a campaign stands. Runs use preparing, sending, finished and
// stopped of them.
type State string

// The states.
const (
	Draft     State = "draft"     // being written; nothing happens
	Scheduled State = "scheduled" // waits for its moment, or for its next one
	Preparing State = "preparing" // its members are being read
	Sending   State = "sending"   // every notification is made, some are not yet final
	Paused    State = "paused"    // held by somebody, until resumed
	Finished  State = "finished"  // every notification has come to its end
	Stopped   State = "stopped"   // ended by somebody; what had not left was suppressed
)

// States are all of them, in the order of a campaign's life.
var States = []State{Draft, Scheduled, Preparing, Sending, Paused, Finished, Stopped}

// Plan is what a marketer fills in.
type Plan struct {
	Name     string                  `json:"name"`
	Purpose  subscriptions.Purpose   `json:"purpose"`  // empty: marketing
	Priority int                     `json:"priority"` // 3 or 4; 0: 4
	Segment  Segment                 `json:"segment"`
	Channels []subscriptions.Channel `json:"channels"` // the ladder, first choice first
	// Messages say it, at least one for each of the channels. The first of a
	// channel is for all whose language has none of its own.
	Messages []Wording `json:"messages,omitempty"`
	When     When      `json:"when"`
	Expiry   string    `json:"expiry"` // how long a message is worth sending, as a Go duration; empty: "24h"
	// Patience is how long a channel of the ladder has to be confirmed before
	// the next one is tried, as a Go duration; empty: only what fails leads on.
	Patience string `json:"patience,omitempty"`
	Rate     int    `json:"rate,omitempty"` // messages a second at most; 0: no limit of its own
}

// Segment says whom a campaign is meant for: all members, or the subscribers
// of a trigger, or those who meet a condition, or both of these.
type Segment struct {
	All       bool   `json:"all,omitempty"`
	Trigger   string `json:"trigger,omitempty"`
	Condition string `json:"condition,omitempty"` // package segment
}

// Wording is what a campaign says on a channel in a language; see templates.
type Wording struct {
	Channel subscriptions.Channel `json:"channel"`
	Locale  string                `json:"locale"` // BCP 47
	Subject string                `json:"subject,omitempty"`
	HTML    string                `json:"html,omitempty"`
	Body    string                `json:"body,omitempty"`
}

// When says when a campaign is told. With none of At, Cron and Occasion it is
// told as soon as it is started.
type When struct {
	At *time.Time `json:"at,omitempty"`
	// Cron is a schedule in five fields, by the wall clock of TimeZone. An
	// hour that a change of the clock leaves out is told as much later, one
	// that comes twice is told once.
	Cron     string `json:"cron,omitempty"`
	TimeZone string `json:"time_zone,omitempty"` // IANA; empty: UTC. Ages are as of its date.
	// Occasion is a date as calendar.Parse reads it, such as "birthday",
	// "mid_autumn", "12-25" or "calendar:shop": each member is told when their
	// own clock shows Hour on it; of a birthday, those whose it is.
	Occasion string `json:"occasion,omitempty"`
	Hour     string `json:"hour,omitempty"` // "09:00"
	// LeapDay is when an anniversary of 29 February is kept in other years:
	// "feb28" or "mar1"; empty: "feb28".
	LeapDay calendar.LeapDay `json:"leap_day,omitempty"`
	// Until is the last date of a Cron or an Occasion, "2026-12-31", by the
	// clock that it goes by; empty: there is no end.
	Until string `json:"until,omitempty"`
	// Missed says what becomes of firings of a Cron or an Occasion that could
	// not be in time: "skip" none, "once" the latest of them (of birthdays
	// each: they concern others), "all" each; empty: "once". What is older
	// than Expiry never fires.
	Missed calendar.Missed `json:"missed,omitempty"`
}

// Birthday is the occasion of When that concerns those whose day it is.
const Birthday = "birthday"

// Recurs reports whether there is more than one firing.
func (w When) Recurs() bool { return w.Cron != "" || w.Occasion != "" }

// Campaign is a plan and where it stands.
type Campaign struct {
	ID       int64  `json:"id"`
	Plan            // a List leaves its messages out
	State    State  `json:"state"`
	Version  int    `json:"version"`  // counts the saves of the plan
	Template string `json:"template"` // the name that its messages have in templates
	// DueAt is the next moment it fires, or of an occasion the next moment it
	// looks for somebody; nil: none is planned.
	DueAt     *time.Time `json:"due_at,omitempty"`
	CreatedBy string     `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	Run       *Run       `json:"run,omitempty"` // the latest
}

// Run is one firing of a campaign.
type Run struct {
	ID         int64      `json:"id"` // the CampaignID of its notifications
	CampaignID int64      `json:"campaign_id"`
	DueAt      time.Time  `json:"due_at"`
	State      State      `json:"state"` // preparing, sending, finished, stopped
	ExpiresAt  time.Time  `json:"expires_at"`
	CreatedAt  time.Time  `json:"created_at"`
	PreparedAt *time.Time `json:"prepared_at,omitempty"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	Targeted   int64      `json:"targeted"` // notifications made so far
	Prepared   float64    `json:"prepared"` // the share of the members read so far, 0 to 1
}

// Change is a line of a campaign's history.
type Change struct {
	Change string         `json:"change"` // created, changed, copied, started, fired, missed, paused, resumed, finished, stopped
	Actor  string         `json:"actor"`  // "operator:ann", "key:shop", "herald"
	Detail map[string]any `json:"detail"`
	At     time.Time      `json:"at"`
}

// Enqueuer makes deliveries of notifications; *dispatch.Store does.
type Enqueuer interface {
	EnqueueTx(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error
	// Foresee says what EnqueueTx would decide of messages by quiet hours and
	// frequency caps, without making them.
	Foresee(ctx context.Context, q subscriptions.Querier, list []dispatch.Prospect) ([]dispatch.Foreseen, error)
	// WakeTx lets what waits of these runs be looked at again at once.
	WakeTx(ctx context.Context, tx pgx.Tx, runs []int64) error
}

// Ledgers count what became of a run's notifications.
type Ledgers interface {
	RunLedger(ctx context.Context, runID int64) (dispatch.Ledger, error)
}

// LedgerFunc is Ledgers by a function.
type LedgerFunc func(ctx context.Context, runID int64) (dispatch.Ledger, error)

// RunLedger calls f.
func (f LedgerFunc) RunLedger(ctx context.Context, runID int64) (dispatch.Ledger, error) {
	return f(ctx, runID)
}

// Announcer tells other systems, in the caller's transaction, that
// campaign.started, .paused, .finished or .stopped happened. The data are
// campaign and state, and as far as they are known run, reason (who did it),
// started_at, finished_at, targeted and what became of them.
type Announcer interface {
	AnnounceTx(ctx context.Context, tx pgx.Tx, event string, data map[string]any) error
}

// AnnounceFunc is an Announcer by a function.
type AnnounceFunc func(ctx context.Context, tx pgx.Tx, event string, data map[string]any) error

// AnnounceTx calls f.
func (f AnnounceFunc) AnnounceTx(ctx context.Context, tx pgx.Tx, event string, data map[string]any) error {
	return f(ctx, tx, event, data)
}

// Templates keep what campaigns say; *templates.Store does.
type Templates interface {
	SaveTx(ctx context.Context, tx pgx.Tx, t templates.Template) (templates.Template, error)
	DropTx(ctx context.Context, tx pgx.Tx, name string) error
	Render(ctx context.Context, name, channel, locale string, data map[string]any) (templates.Content, error)
}

// RunLedger is what became of a run's notifications so far.
func (s *Store) RunLedger(ctx context.Context, runID int64) (dispatch.Ledger, error) {
	return s.cfg.Ledgers.RunLedger(ctx, runID)
}

// Triggers are those that a segment may name; *subscriptions.Triggers does.
type Triggers interface {
	Get(ctx context.Context, name string) (subscriptions.Trigger, error)
}

// Calendars give an occasion the imported calendar that it needs;
// *calendars.Store does. Errors: NotFound.
type Calendars interface {
	Using(ctx context.Context, o calendar.Occasion) (calendar.Occasion, error)
}

// Consents say whether and where members may be contacted;
// *subscriptions.Consents does.
type Consents interface {
	Reach(ctx context.Context, q subscriptions.Querier, memberIDs []int64) (map[int64]subscriptions.Reach, error)
}
