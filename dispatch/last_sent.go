package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"herald/subscriptions"
	"herald/timeid"
)

// Line is an account and an address that it writes to.
type Line struct {
	Account string
	Channel subscriptions.Channel
	Address string // as contact points have it
}

// Sent is a message that went out; zero for none.
type Sent struct {
	DeliveryID uuid.UUID
	MemberID   int64
}

// answerable is how long after a message an answer to it may come.
const answerable = 30 * 24 * time.Hour

// Each line's are read newest first from the index of addresses.
const lastSentSQL = `
SELECT l.n, d.id, d.member_id
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS l (account, channel, address, n)
CROSS JOIN LATERAL (
    SELECT id, member_id
    FROM deliveries
    WHERE address = l.address AND id >= $4 AND channel = l.channel AND account = l.account
      AND state IN ('accepted', 'delivered', 'in_doubt')
    ORDER BY id DESC
    LIMIT 1) AS d`

// LastSent is for each line the last message that may have arrived there, in
// the last thirty days: what somebody who writes back probably answers.
func (s *Store) LastSent(ctx context.Context, q subscriptions.Querier, lines []Line) ([]Sent, error) {
	accounts, channels, addresses := make([]string, len(lines)), make([]string, len(lines)), make([]string, len(lines))
	for i, l := range lines {
		accounts[i], channels[i], addresses[i] = storable(l.Account), string(l.Channel), storable(l.Address)
	}
	rows, err := q.Query(ctx, lastSentSQL, accounts, channels, addresses, timeid.Floor(s.now().Add(-answerable)))
	if err != nil {
		return nil, fmt.Errorf("find what was last sent: %w", err)
	}
	defer rows.Close()
	found := make([]Sent, len(lines))
	for rows.Next() {
		var n int
		var last Sent
		if err := rows.Scan(&n, &last.DeliveryID, &last.MemberID); err != nil {
			return nil, fmt.Errorf("find what was last sent: %w", err)
		}
		found[n-1] = last
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find what was last sent: %w", err)
	}
	return found, nil
}
