package subscriptions

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// Usage asks for a contact point of a member for a channel and a purpose: the
// one with ContactID or, where that is 0, the first that was added.
type Usage struct {
	MemberID  int64
	ContactID int64
	Channel   Channel
	Purpose   Purpose
}

// Usable answers a Usage. Where OK, Contact may be used, and it is what Choose
// would choose if ContactID was 0; where not, Reach and Choose say why, or
// name another. Member has what a message is made of and when it may go, and
// is zero when there is no such member any more.
type Usable struct {
	Member  Member
	Contact ContactPoint
	OK      bool
}

// Reach is as much of how the member can be reached as the answer tells.
func (u Usable) Reach(p Purpose) Reach {
	return Reach{
		Member: u.Member, Contacts: []ContactPoint{u.Contact},
		Consents: []Consent{{Channel: u.Contact.Channel, Purpose: p, Granted: true}},
	}
}

// Usable answers every question in order, in one round trip whatever their
// number. It is the quick half of Reach.
func (c *Consents) Usable(ctx context.Context, q Querier, asked []Usage) ([]Usable, error) {
	members, contacts := make([]int64, len(asked)), make([]int64, len(asked))
	channels, purposes := make([]string, len(asked)), make([]string, len(asked))
	for i, u := range asked {
		members[i], contacts[i], channels[i], purposes[i] = u.MemberID, u.ContactID, string(u.Channel), string(u.Purpose)
	}
	rows, err := q.Query(ctx, usableSQL, members, contacts, channels, purposes)
	if err != nil {
		return nil, fmt.Errorf("ask whether %d contact points may be used: %w", len(asked), err)
	}
	defer rows.Close()
	answers := make([]Usable, len(asked))
	var n int
	var into []any
	for rows.Next() {
		var a Usable
		a.Contact.Standing = Good
		into = append(into[:0], &n, &a.OK, &a.Contact.ID, &a.Contact.Address, &a.Contact.VerifiedAt,
			&a.Member.ID, &a.Member.Account, &a.Member.DisplayName, &a.Member.Locale, &a.Member.TimeZone,
			&a.Member.Birthday, &a.Member.Attributes, &a.Member.QuietFrom, &a.Member.QuietUntil, &a.Member.DigestHour)
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("ask whether contact points may be used: %w", err)
		}
		a.Contact.MemberID, a.Contact.Channel = a.Member.ID, asked[n-1].Channel
		answers[n-1] = a
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ask whether contact points may be used: %w", err)
	}
	return answers, nil
}

// Everything is looked up one by one by its key, whatever the planner thinks
// of the tables: that is what OFFSET 0 is for.
const usableSQL = `
SELECT q.n,
       c.verified_at IS NOT NULL AND c.standing <> 'dead'
           AND coalesce(k.granted, q.purpose = 'transactional')
           AND (SELECT true FROM suppressions s
                WHERE s.channel = c.channel AND s.address = lower(c.address COLLATE "C") COLLATE "default" LIMIT 1) IS NULL,
       coalesce(c.id, 0), coalesce(c.address, ''), c.verified_at, m.*
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) WITH ORDINALITY AS q (member_id, contact_id, channel, purpose, n)
CROSS JOIN LATERAL (
    SELECT id, account, display_name, locale, time_zone, coalesce(to_char(birthday, 'YYYY-MM-DD'), ''), attributes,
           quiet_from, quiet_until, digest_hour
    FROM members WHERE id = q.member_id OFFSET 0) m
LEFT JOIN LATERAL (
    SELECT * FROM contact_points
    WHERE member_id = q.member_id AND channel = q.channel AND (q.contact_id = 0 OR id = q.contact_id)
    ORDER BY id
    LIMIT 1) c ON true
LEFT JOIN LATERAL (
    SELECT granted FROM consents WHERE member_id = q.member_id AND channel = q.channel AND purpose = q.purpose OFFSET 0) k ON true`

// Silenced says of each subscription that no longer wants its message why:
// "paused", or how it, or what followed it, was ended by its owner
// ("cancelled", "unsubscribed"). One that merely expired still wants it.
func (s *Store) Silenced(ctx context.Context, ids []int64) (map[int64]string, error) {
	why := map[int64]string{}
	rows, err := s.pool.Query(ctx, `SELECT id, paused FROM subscriptions WHERE id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("ask for %d subscriptions: %w", len(ids), err)
	}
	inForce := map[int64]bool{}
	var id int64
	var paused bool
	_, err = pgx.ForEachRow(rows, []any{&id, &paused}, func() error {
		inForce[id] = true
		if paused {
			why[id] = "paused"
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask for %d subscriptions: %w", len(ids), err)
	}
	for _, id := range ids {
		if inForce[id] {
			continue
		}
		inForce[id] = true // asked once
		reason, err := s.silencedSince(ctx, id)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			why[id] = reason
		}
	}
	return why, nil
}

// silencedSince is Silenced of a subscription that has ended.
func (s *Store) silencedSince(ctx context.Context, id int64) (string, error) {
	latest, err := s.Latest(ctx, id)
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		return "cancelled", nil
	case err != nil:
		return "", fmt.Errorf("ask for subscription %d: %w", id, err)
	case latest.State == Paused:
		return "paused", nil
	case latest.State == Ended && (latest.EndedBy == "cancelled" || latest.EndedBy == "unsubscribed"):
		return latest.EndedBy, nil
	}
	return "", nil
}
