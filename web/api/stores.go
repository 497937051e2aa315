package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/matcher"
	"herald/subscriptions"
	"herald/templates"
)

// What the API asks of the rooms below it. Every error is a problem where the
// sender can act on it.

// Intake is the matcher's; *matcher.Intake does it.
type Intake interface {
	Accept(ctx context.Context, events []matcher.Event) ([]matcher.Result, error)
}

// Keys is what *access.Keys does.
type Keys interface {
	Authenticate(ctx context.Context, secret string) (access.Key, error)
}

// Replays is what *access.Replays does.
type Replays interface {
	Begin(ctx context.Context, a access.Attempt) (*access.Answer, error)
	Finish(ctx context.Context, a access.Attempt, with access.Answer) error
	Abandon(ctx context.Context, a access.Attempt) error
}

// History is what *matcher.Events does.
type History interface {
	Search(ctx context.Context, q matcher.EventSearch) (matcher.EventPage, error)
	Get(ctx context.Context, id uuid.UUID) (matcher.Record, error)
	Matches(ctx context.Context, event uuid.UUID, limit int) ([]matcher.Match, error)
	Outcomes(ctx context.Context, event uuid.UUID) (map[matcher.Outcome]int64, error)
}

// Previews is what *matcher.Previews does.
type Previews interface {
	Preview(ctx context.Context, w matcher.Wish) (matcher.Preview, error)
	Audience(ctx context.Context, o matcher.Occurrence) (matcher.Audience, error)
	Compare(ctx context.Context, event matcher.Record, subscription int64) (matcher.Comparison, error)
	CompareMember(ctx context.Context, event matcher.Record, member int64) ([]matcher.Comparison, error)
}

// Members is what *subscriptions.Members does.
type Members interface {
	Register(ctx context.Context, r subscriptions.Registration) (subscriptions.Member, error)
	Get(ctx context.Context, id int64) (subscriptions.Member, error)
	ByAccount(ctx context.Context, account string) (subscriptions.Member, error)
	Find(ctx context.Context, f subscriptions.MemberFilter) ([]subscriptions.Member, error)
	Update(ctx context.Context, id int64, c subscriptions.MemberChange) (subscriptions.Member, error)
}

// Contacts is what *subscriptions.Contacts does.
type Contacts interface {
	Add(ctx context.Context, memberID int64, n subscriptions.NewContact) (subscriptions.ContactPoint, error)
	ForMember(ctx context.Context, memberID int64) ([]subscriptions.ContactPoint, error)
	Remove(ctx context.Context, memberID, id int64) error
	SendCode(ctx context.Context, memberID, id int64) error
	Verify(ctx context.Context, memberID, id int64, code string) error
}

// Consents is what *subscriptions.Consents does.
type Consents interface {
	Record(ctx context.Context, memberID int64, said ...subscriptions.NewConsent) error
	ForMember(ctx context.Context, memberID int64) ([]subscriptions.Consent, error)
	Suppress(ctx context.Context, s subscriptions.Suppression) error
	Lift(ctx context.Context, ch subscriptions.Channel, address string) error
	Suppressions(ctx context.Context, f subscriptions.SuppressionFilter) ([]subscriptions.Suppression, error)
}

// Triggers is what *subscriptions.Triggers does.
type Triggers interface {
	Save(ctx context.Context, t subscriptions.Trigger, by string) (subscriptions.Trigger, error)
	Get(ctx context.Context, name string) (subscriptions.Trigger, error)
	List(ctx context.Context) ([]subscriptions.Trigger, error)
	SetEnabled(ctx context.Context, name string, on bool, by string) error
}

// Templates is what *templates.Store does.
type Templates interface {
	Save(ctx context.Context, t templates.Template) (templates.Template, error)
	Get(ctx context.Context, name, channel, locale string) (templates.Template, error)
	Require(ctx context.Context, name string) error
	List(ctx context.Context) ([]templates.Template, error)
	History(ctx context.Context, name, channel, locale string) ([]templates.Template, error)
	Preview(ctx context.Context, t templates.Template, data map[string]any) (templates.Content, error)
}

// Subscriptions is what *subscriptions.Store does.
type Subscriptions interface {
	Create(ctx context.Context, o subscriptions.Order) (subscriptions.Subscription, error)
	Change(ctx context.Context, id int64, c subscriptions.Change) (subscriptions.Subscription, error)
	End(ctx context.Context, id int64, by, actor string) error
	Get(ctx context.Context, id int64) (subscriptions.Subscription, error)
	ForMember(ctx context.Context, memberID int64, ended bool) ([]subscriptions.Subscription, error)
	Find(ctx context.Context, f subscriptions.SubscriptionFilter) ([]subscriptions.Subscription, error)
	History(ctx context.Context, id int64) ([]subscriptions.Record, error)
}

// Deliveries is what *dispatch.Store does.
type Deliveries interface {
	Find(ctx context.Context, q dispatch.Search) (dispatch.Page, error)
	Delivery(ctx context.Context, id uuid.UUID) (dispatch.Delivery, error)
	Timeline(ctx context.Context, id uuid.UUID) (dispatch.Timeline, error)
	Rule(ctx context.Context, ruling dispatch.Ruling, id uuid.UUID, actor string) error
	Count(ctx context.Context, q dispatch.Search) (int64, error)
	BeginBulk(ctx context.Context, ruling dispatch.Ruling, q dispatch.Search, actor string) (dispatch.BulkAction, error)
	BulkAction(ctx context.Context, id int64) (dispatch.BulkAction, error)
	BulkActions(ctx context.Context, before int64, limit int) ([]dispatch.BulkAction, error)
	CancelBulk(ctx context.Context, id int64) (dispatch.BulkAction, error)
	Ledger(ctx context.Context, f dispatch.Filter) (dispatch.Ledger, error)
	Days(ctx context.Context, f dispatch.Filter, zone *time.Location) ([]dispatch.DayLedger, error)
	CheckLedger(ctx context.Context, since time.Time, actor string) (dispatch.LedgerCheck, error)
	LedgerChecks(ctx context.Context, before int64, limit int) ([]dispatch.LedgerCheck, error)
	Recount(ctx context.Context, actor string) (dispatch.LedgerCheck, error)
	Accounts(ctx context.Context) ([]dispatch.AccountState, error)
}
