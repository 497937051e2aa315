package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/problem"
	"herald/subscriptions"
	"herald/timeid"
)

// Delivery is a notification on one channel to one contact point.
type Delivery struct {
	ID             uuid.UUID             `json:"id"` // version 7
	NotificationID uuid.UUID             `json:"notification_id"`
	MemberID       int64                 `json:"member_id"`
	Member         string                `json:"member"` // the member's account; empty when they are gone
	Trigger        string                `json:"trigger,omitempty"`
	SubscriptionID int64                 `json:"subscription_id,omitempty"`
	Campaign       int64                 `json:"campaign,omitempty"`      // a campaign's run
	CampaignName   string                `json:"campaign_name,omitempty"` // as it was when the run was prepared
	Purpose        subscriptions.Purpose `json:"purpose"`
	Template       string                `json:"template"`
	Rung           int                   `json:"rung"` // place on the ladder, from 0
	Channel        subscriptions.Channel `json:"channel"`
	Address        string                `json:"address"`
	State          State                 `json:"state"`
	// Reason is a code that says why it is in this state: a Refusal of
	// package subscriptions, no_sender, paused or unsubscribed when it is
	// suppressed; refused, address_dead, template_failed, no_sender or expired
	// when it failed; a Class while it is tried again; expired, held, a refusal
	// or any of the other causes when it rests in doubt.
	Reason        string     `json:"reason,omitempty"`
	Attempts      int        `json:"attempts"`
	Repeated      int        `json:"repeated"`          // hand-overs made although an earlier one was in doubt
	Account       string     `json:"account,omitempty"` // the provider's account that was last tried
	ProviderID    string     `json:"provider_id,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	ChangedAt     time.Time  `json:"changed_at"`
}

// Search says which deliveries to find; a zero field does not narrow.
type Search struct {
	IDs      []uuid.UUID           `json:"ids,omitempty"`
	Member   string                `json:"member,omitempty"` // a member's account
	MemberID int64                 `json:"member_id,omitempty"`
	Address  string                `json:"address,omitempty"` // normalised
	Trigger  string                `json:"trigger,omitempty"`
	Campaign int64                 `json:"campaign,omitempty"`
	State    State                 `json:"state,omitempty"`
	Channel  subscriptions.Channel `json:"channel,omitempty"`
	// Reason and Account, the one that was last tried, narrow what has failed,
	// is in doubt or is deferred: the search must name one of these states.
	Reason  string `json:"reason,omitempty"`
	Account string `json:"account,omitempty"`
	// Attention leaves out what nobody needs to look at: what an operator has
	// discarded, and what another channel was tried for.
	Attention bool      `json:"attention,omitempty"`
	Since     time.Time `json:"since,omitzero"` // created at or after it
	Until     time.Time `json:"until,omitzero"` // created before it
	Before    uuid.UUID `json:"-"`              // the Next of the page before
	Limit     int       `json:"-"`              // 0: 50; at most 500
}

// Page is some deliveries, newest first.
type Page struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       uuid.UUID  `json:"next"` // zero on the last page
}

const (
	pageSize    = 50
	pageSizeMax = 500
)

const deliverySQL = `
SELECT d.id, d.notification_id, d.member_id, coalesce(m.account, ''), d.trigger, coalesce(n.subscription_id, 0),
       coalesce(d.campaign_id, 0), coalesce(n.data #>> '{campaign,name}', ''), n.purpose,
       n.template, d.rung, d.channel, d.address, d.state, d.reason, d.attempts, d.repeated, d.account, d.provider_id,
       d.next_attempt_at, d.created_at, d.changed_at
FROM deliveries d
JOIN notifications n ON n.id = d.notification_id
LEFT JOIN members m ON m.id = d.member_id
`

// Find is a page of the deliveries that a search describes.
func (s *Store) Find(ctx context.Context, q Search) (Page, error) {
	limit := min(q.Limit, pageSizeMax)
	if limit <= 0 {
		limit = pageSize
	}
	c, err := q.conditions()
	if err != nil {
		return Page{}, err
	}
	c.args = append(c.args, limit+1) // one more tells whether there is a next page
	sql := deliverySQL + c.sql() + fmt.Sprintf(" ORDER BY d.id DESC LIMIT $%d", len(c.args))
	rows, err := s.pool.Query(ctx, sql, c.args...)
	if err != nil {
		return Page{}, fmt.Errorf("find deliveries: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Delivery])
	if err != nil {
		return Page{}, fmt.Errorf("find deliveries: %w", err)
	}
	page := Page{Deliveries: found}
	if len(found) > limit {
		page.Deliveries = found[:limit]
		page.Next = found[limit-1].ID
	}
	return page, nil
}

// Count is how many deliveries a search describes.
func (s *Store) Count(ctx context.Context, q Search) (int64, error) {
	c, err := q.conditions()
	if err != nil {
		return 0, err
	}
	var n int64
	if err := s.pool.QueryRow(ctx, `SELECT count(*) FROM deliveries d `+c.sql(), c.args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count deliveries: %w", err)
	}
	return n, nil
}

// conditions are for a query of deliveries d.
func (q Search) conditions() (conditions, error) {
	var c conditions
	troubled := q.State == Failed || q.State == InDoubt || q.State == Deferred
	if !troubled && (q.Reason != "" || q.Account != "") {
		var f problem.Fields
		f.Add("state", "trouble", "must be failed, in_doubt or deferred to search for a reason or an account")
		return c, f.Err("this search cannot be made")
	}
	if len(q.IDs) > 0 {
		c.add("d.id = ANY(?)", q.IDs)
	}
	if q.Member != "" {
		c.add("d.member_id = (SELECT id FROM members WHERE account = ?)", q.Member)
	}
	if q.MemberID != 0 {
		c.add("d.member_id = ?", q.MemberID)
	}
	if q.Address != "" {
		c.add("d.address = ?", q.Address)
	}
	if q.Trigger != "" {
		c.add("d.trigger = ?", q.Trigger)
	}
	switch {
	case q.State == "":
	case troubled:
		q.troubled(&c)
	case q.State == Pending:
		c.add("d.state = ?", q.State)
		// Nothing older can be pending, says the ledger.
		c.where = append(c.where, `d.hour >= (
    SELECT min(hour)
    FROM (SELECT hour, sum(n) AS n
          FROM (SELECT hour, n FROM ledger WHERE state = 'pending'
                UNION ALL
                SELECT hour, n FROM ledger_moves WHERE state = 'pending') AS counted
          GROUP BY hour) AS hours
    WHERE n > 0)`)
	default:
		c.add("d.state = ?", q.State)
	}
	if q.Campaign != 0 {
		c.add("d.campaign_id = ?", q.Campaign)
	}
	if q.Channel != "" {
		c.add("d.channel = ?", q.Channel)
	}
	if !q.Since.IsZero() {
		c.add("d.id >= ?", timeid.Floor(q.Since))
	}
	if !q.Until.IsZero() {
		c.add("d.id < ?", timeid.Floor(q.Until))
	}
	if q.Before != uuid.Nil {
		c.add("d.id < ?", q.Before)
	}
	return c, nil
}

// troubled finds what is in a state that is listed apart.
func (q Search) troubled(c *conditions) {
	listed := conditions{args: c.args}
	listed.add("state = ?", q.State)
	if q.Reason != "" {
		listed.add("reason = ?", q.Reason)
	}
	if q.Account != "" {
		listed.add("account = ?", q.Account)
	}
	if q.Attention {
		listed.add("reason <> ?", reasonDiscarded)
		c.where = append(c.where, "d.counts")
	}
	c.args = listed.args
	c.where = append(c.where, "d.id IN (SELECT delivery_id FROM troubles "+listed.sql()+")")
}

// ForMember is a member's deliveries, newest first, from before a cursor: the
// ID of the last one seen, zero for the first page.
func (s *Store) ForMember(ctx context.Context, memberID int64, before uuid.UUID, limit int) ([]Delivery, error) {
	page, err := s.Find(ctx, Search{MemberID: memberID, Before: before, Limit: limit})
	return page.Deliveries, err
}

// Delivery is one delivery; problem.NotFound when there is none. Its
// SubscriptionID and MemberID are whom a link in the message speaks for.
func (s *Store) Delivery(ctx context.Context, id uuid.UUID) (Delivery, error) {
	return s.delivery(ctx, "WHERE d.id = $1", id)
}

// OfNotification is the first delivery of a notification's ladder. Errors:
// NotFound.
func (s *Store) OfNotification(ctx context.Context, id uuid.UUID) (Delivery, error) {
	return s.delivery(ctx, "WHERE d.notification_id = $1 ORDER BY d.rung LIMIT 1", id)
}

func (s *Store) delivery(ctx context.Context, where string, id uuid.UUID) (Delivery, error) {
	rows, err := s.pool.Query(ctx, deliverySQL+where, id)
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Delivery])
	if errors.Is(err, pgx.ErrNoRows) {
		return Delivery{}, problem.New(problem.NotFound, "there is no such delivery")
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}
