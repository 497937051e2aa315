package subscriptions

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

// Usage is a contact point that was chosen for a member, a channel and a purpose.
type Usage struct {
	MemberID  int64
	ContactID int64
	Channel   Channel
	Purpose   Purpose
}

// Usable answers a Usage: the member, whether the contact point may be used as
// it was chosen, and its address. Where it may not, Reach and Choose say why,
// or name another. Member is zero when there is no such member any more.
type Usable struct {
	Member  Member
	Address string // empty unless OK
	OK      bool
}

// StillUsable answers every question in order, in one round trip whatever
// their number. It is the quick half of Reach: it says yes only where Choose
// would still accept the contact point.
func (c *Consents) StillUsable(ctx context.Context, q Querier, asked []Usage) ([]Usable, error) {
	members, contacts := make([]int64, len(asked)), make([]int64, len(asked))
	channels, purposes := make([]string, len(asked)), make([]string, len(asked))
	for i, u := range asked {
		members[i], contacts[i], channels[i], purposes[i] = u.MemberID, u.ContactID, string(u.Channel), string(u.Purpose)
	}
	rows, err := q.Query(ctx, stillUsableSQL, members, contacts, channels, purposes)
	if err != nil {
		return nil, fmt.Errorf("ask whether %d contact points may be used: %w", len(asked), err)
	}
	defer rows.Close()
	answers := make([]Usable, len(asked))
	for rows.Next() {
		var n int
		var a Usable
		if err := rows.Scan(append([]any{&n, &a.OK, &a.Address}, a.Member.destinations()...)...); err != nil {
			return nil, fmt.Errorf("ask whether contact points may be used: %w", err)
		}
		answers[n-1] = a
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ask whether contact points may be used: %w", err)
	}
	return answers, nil
}

const stillUsableSQL = `
SELECT u.n, u.ok, CASE WHEN u.ok THEN u.address ELSE '' END, m.*
FROM (
    SELECT q.n, q.member_id,
           c.id IS NOT NULL
               AND coalesce(k.granted, q.purpose = 'transactional')
               AND (SELECT true FROM suppressions s
                    WHERE s.channel = c.channel AND s.address = lower(c.address COLLATE "C") COLLATE "default" LIMIT 1) IS NULL AS ok,
           coalesce(c.address, '') AS address
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) WITH ORDINALITY AS q (member_id, contact_id, channel, purpose, n)
    LEFT JOIN LATERAL (
        SELECT * FROM contact_points
        WHERE id = q.contact_id AND member_id = q.member_id AND channel = q.channel AND verified_at IS NOT NULL AND standing <> 'dead'
        OFFSET 0) c ON true
    LEFT JOIN LATERAL (
        SELECT granted FROM consents WHERE member_id = q.member_id AND channel = q.channel AND purpose = q.purpose OFFSET 0) k ON true
) u
CROSS JOIN LATERAL (SELECT ` + memberColumns + ` FROM members WHERE id = u.member_id) m`

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
