package replies

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herald/dispatch"
	"herald/subscriptions"
)

// takeTries is how often a batch is tried that met others' locks.
const takeTries = 5

// incoming is a reply on its way into the store.
type incoming struct {
	Reply
	key    string // among those of its account
	number bool   // From can be written to
	owners []subscriptions.ContactPoint
	point  int64 // of owners: where an answer goes
}

// Take takes messages, all or none of them; nil means that they are durable
// and that what they ask for is done. A message that was taken before, by its
// Key, changes nothing. One without a Key is told by what it says and when; one
// that has no time either is always new.
func (s *Store) Take(ctx context.Context, messages []dispatch.Inbound) error {
	if len(messages) == 0 {
		return nil
	}
	for try := 1; ; try++ {
		list := make([]incoming, len(messages))
		for i, m := range messages {
			list[i] = s.read(m)
		}
		var fresh []*incoming
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
			fresh, err = s.takeTx(ctx, tx, list)
			return err
		})
		if err == nil {
			s.count(list, fresh)
			return nil
		}
		if try == takeTries || !isCollision(err) {
			return fmt.Errorf("take %d replies: %w", len(messages), err)
		}
	}
}

// isCollision reports whether a transaction was ended for another's sake, or
// because a member was removed while it ran: it goes another way next time.
func isCollision(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && slices.Contains([]string{"40P01", "40001", "23503"}, failure.Code)
}

func (s *Store) count(list []incoming, fresh []*incoming) {
	taken := map[*incoming]bool{}
	for _, one := range fresh {
		taken[one] = true
	}
	for i := range list {
		outcome := "known"
		if taken[&list[i]] {
			outcome = "taken"
		}
		s.taken.WithLabelValues(string(list[i].Kind), outcome).Inc()
	}
}

// read makes a reply of what came, bounded and storable whatever it was.
func (s *Store) read(m dispatch.Inbound) incoming {
	now := s.cfg.Now()
	one := incoming{key: keyOf(m), Reply: Reply{
		Account: storable(m.Account, maxName), Channel: m.Channel, From: storable(m.From, maxName), To: storable(m.To, maxName),
		Text: storable(m.Text, maxText), Kind: Message, SentAt: m.At, TakenAt: now,
	}}
	// A modem's clock may never have been set.
	if m.At.Before(now.Add(-10*365*day)) || m.At.After(now.Add(day)) {
		one.SentAt = now
	}
	if address, err := subscriptions.Normalise(m.Channel, m.From, ""); err == nil {
		one.From, one.number = address, true
	}
	if m.Channel == subscriptions.SMS {
		one.Kind = s.words.kind(m.Text)
	}
	return one
}

// keyOf tells a message that is given twice.
func keyOf(m dispatch.Inbound) string {
	said := m.Key
	if said == "" {
		if m.At.IsZero() {
			return rand.Text()
		}
		said = fmt.Sprintf("%q %q %q %s", m.From, m.To, m.Text, m.At.UTC().Format(time.RFC3339Nano))
	}
	sum := sha256.Sum256([]byte(said))
	return hex.EncodeToString(sum[:16])
}

// takeTx takes what is new of the list, and gives it.
func (s *Store) takeTx(ctx context.Context, tx pgx.Tx, list []incoming) ([]*incoming, error) {
	fresh, err := s.unknown(ctx, tx, list)
	if err != nil || len(fresh) == 0 {
		return nil, err
	}
	if err := s.recognise(ctx, tx, fresh); err != nil {
		return nil, err
	}
	if err := s.actAll(ctx, tx, fresh); err != nil {
		return nil, err
	}
	if err := keep(ctx, tx, fresh); err != nil {
		return nil, err
	}
	return fresh, s.announce(ctx, tx, fresh)
}

const rememberSQL = `
INSERT INTO inbound_taken (account, key, taken_at)
SELECT account, key, $3 FROM unnest($1::text[], $2::text[]) AS k (account, key)
ON CONFLICT (account, key) DO NOTHING
RETURNING account, key`

// unknown are those of the list that were not taken before, in their order.
// Their keys are written in one order, so that two who are given the same
// messages wait for each other.
func (s *Store) unknown(ctx context.Context, tx pgx.Tx, list []incoming) ([]*incoming, error) {
	type name struct{ account, key string }
	names := make([]name, len(list))
	for i, one := range list {
		names[i] = name{one.Account, one.key}
	}
	slices.SortFunc(names, func(a, b name) int { return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.key, b.key)) })
	var accounts, keys []string
	for _, n := range slices.Compact(names) {
		accounts, keys = append(accounts, n.account), append(keys, n.key)
	}
	rows, err := tx.Query(ctx, rememberSQL, accounts, keys, s.cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("remember what was taken: %w", err)
	}
	written := map[name]bool{}
	var n name
	_, err = pgx.ForEachRow(rows, []any{&n.account, &n.key}, func() error {
		written[n] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("remember what was taken: %w", err)
	}
	var fresh []*incoming
	for i := range list {
		n := name{list[i].Account, list[i].key}
		if written[n] {
			delete(written, n) // the second of the same batch is known
			fresh = append(fresh, &list[i])
		}
	}
	return fresh, nil
}

// recognise finds who wrote, and what they answer.
func (s *Store) recognise(ctx context.Context, tx pgx.Tx, fresh []*incoming) error {
	addresses := map[subscriptions.Channel][]string{}
	lines := make([]dispatch.Line, len(fresh))
	for i, one := range fresh {
		addresses[one.Channel] = append(addresses[one.Channel], one.From)
		lines[i] = dispatch.Line{Account: one.Account, Channel: one.Channel, Address: one.From}
	}
	sent, err := s.cfg.Deliveries.LastSent(ctx, tx, lines)
	if err != nil {
		return err
	}
	for channel, list := range addresses {
		owners, err := s.cfg.Contacts.Owners(ctx, tx, channel, list)
		if err != nil {
			return err
		}
		for i, one := range fresh {
			if one.Channel != channel {
				continue
			}
			one.DeliveryID = sent[i].DeliveryID
			one.owners = owners[one.From]
			one.attribute(sent[i].MemberID)
		}
	}
	return nil
}

// attribute says which of the owners probably wrote: the one we last wrote to,
// or else the first.
func (one *incoming) attribute(lastTo int64) {
	if len(one.owners) == 0 {
		return
	}
	at := slices.IndexFunc(one.owners, func(p subscriptions.ContactPoint) bool { return p.MemberID == lastTo })
	writer := one.owners[max(0, at)]
	one.MemberID, one.point = writer.MemberID, writer.ID
}

const keepSQL = `
WITH kept AS (
    INSERT INTO replies (account, channel, address, sent_to, text, kind, done, answer, inbox, member_id, delivery_id, sent_at, taken_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10::bigint, 0), nullif($11::uuid, '00000000-0000-0000-0000-000000000000'), $12, $13)
    RETURNING id
), linked AS (
    INSERT INTO reply_members (member_id, reply_id)
    SELECT DISTINCT m.id, kept.id FROM kept CROSS JOIN unnest($14::bigint[]) AS m (id)
)
SELECT id FROM kept`

// keep writes replies down, with everybody whose address it is.
func keep(ctx context.Context, tx pgx.Tx, fresh []*incoming) error {
	var batch pgx.Batch
	for _, one := range fresh {
		members := make([]int64, len(one.owners))
		for i, owner := range one.owners {
			members[i] = owner.MemberID
		}
		r := &one.Reply
		batch.Queue(keepSQL, r.Account, r.Channel, r.From, r.To, r.Text, r.Kind, r.Done, r.Answer, r.Inbox, r.MemberID, r.DeliveryID,
			r.SentAt, r.TakenAt, members).QueryRow(func(row pgx.Row) error { return row.Scan(&r.ID) })
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("keep %d replies: %w", len(fresh), err)
	}
	return nil
}

// The types that are announced.
const (
	saysReceived = "reply.received"
	saysContact  = "contact.suppressed"
)

// announce tells of what came into the inbox, and of addresses that stopped.
func (s *Store) announce(ctx context.Context, tx pgx.Tx, fresh []*incoming) error {
	to := s.cfg.Announcer
	if to == nil {
		return nil
	}
	var news []dispatch.Announcement
	for _, one := range fresh {
		if one.Inbox && to.Listening(saysReceived) {
			news = append(news, dispatch.Announcement{Type: saysReceived, At: one.TakenAt, Data: one.news()})
		}
		if one.Done != Stopped || !to.Listening(saysContact) {
			continue
		}
		for _, owner := range one.owners {
			news = append(news, dispatch.Announcement{Type: saysContact, At: one.TakenAt, Data: map[string]any{
				"member_id": owner.MemberID, "contact_point_id": owner.ID, "channel": one.Channel, "reason": subscriptions.Stopped,
			}})
		}
	}
	if len(news) == 0 {
		return nil
	}
	return to.AnnounceTx(ctx, tx, news)
}

// news is what is told of a reply: not who wrote what, which is read here.
func (one *incoming) news() map[string]any {
	data := map[string]any{
		"reply_id": one.ID, "channel": one.Channel, "account": one.Account, "sent_at": one.SentAt.UTC(),
	}
	if one.MemberID != 0 {
		data["member_id"] = one.MemberID
	}
	if one.DeliveryID != uuid.Nil {
		data["delivery_id"] = one.DeliveryID
	}
	return data
}
