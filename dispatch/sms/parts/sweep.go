package parts

import (
	"context"
	"fmt"
	"time"
)

// sweepLimit bounds one statement of a sweep.
const sweepLimit = 5000

// Rows in use are skipped.
var sweeps = [...]string{
	`DELETE FROM sms_parts
WHERE (delivery_id, account, reference, part) IN (
    SELECT delivery_id, account, reference, part FROM sms_parts WHERE accepted_at < $1 ORDER BY accepted_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,

	`DELETE FROM sms_messages
WHERE (delivery_id, account) IN (
    SELECT delivery_id, account FROM sms_messages WHERE begun_at < $1 ORDER BY begun_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,

	`DELETE FROM sms_references
WHERE (account, address) IN (
    SELECT account, address FROM sms_references WHERE used_on < $1::timestamptz::date ORDER BY used_on LIMIT $2 FOR UPDATE SKIP LOCKED)`,

	`DELETE FROM sms_pieces
WHERE (account, message, part, content) IN (
    SELECT account, message, part, content FROM sms_pieces WHERE came_at < $1 ORDER BY came_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
}

// Sweep forgets what is older than the retention and says how many rows that
// were: messages, whose late reports then mean nothing any more, and the
// references of recipients not written to since. A provider reports for three
// days at most and a phone keeps half a message about as long; a week is a
// good retention. Any number of nodes may call it, now and then.
func (s *Store) Sweep(ctx context.Context, retention time.Duration) (int64, error) {
	var swept int64
	before := s.now().Add(-retention)
	for _, statement := range sweeps {
		for {
			tag, err := s.db.Exec(ctx, statement, before, sweepLimit)
			if err != nil {
				return swept, fmt.Errorf("sweep the parts of messages: %w", err)
			}
			swept += tag.RowsAffected()
			if tag.RowsAffected() < sweepLimit {
				break
			}
		}
	}
	return swept, nil
}
