package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/subscriptions"
)

const (
	// WaitForPieces is how long a message that comes in waits for its pieces.
	WaitForPieces = 30 * time.Minute
	// sameFor is how long the same piece counts as a repetition.
	sameFor = 24 * time.Hour
	// overdueLimit bounds one look for messages that stayed in pieces.
	overdueLimit = 100
)

const (
	keepPiecesSQL = `
INSERT INTO sms_pieces AS old (account, message, part, content, piece, came_at)
SELECT $1, message, part, content, piece::jsonb, $6
FROM unnest($2::text[], $3::smallint[], $4::text[], $5::text[]) AS p (message, part, content, piece)
ORDER BY message, part, content
ON CONFLICT (account, message, part, content) DO UPDATE
SET piece = excluded.piece, came_at = excluded.came_at, done_at = NULL
WHERE old.done_at < $7`

	waitingSQL = `
SELECT message, part, content, piece
FROM sms_pieces
WHERE account = $1 AND message = ANY($2) AND done_at IS NULL
ORDER BY message, part, came_at DESC, content`

	overdueSQL = `
SELECT DISTINCT message
FROM sms_pieces
WHERE account = $1 AND done_at IS NULL AND came_at < $2
LIMIT $3`

	// What it said is kept by whoever took it.
	donePiecesSQL = `
UPDATE sms_pieces p
SET done_at = $5, piece = '{}'
FROM unnest($2::text[], $3::smallint[], $4::text[]) AS d (message, part, content)
WHERE p.account = $1 AND p.message = d.message AND p.part = d.part AND p.content = d.content`
)

// Collect keeps what an account is written until all pieces of a message are
// there, wherever and in whatever order they come, and gives the messages that
// are whole to take, which tells repetitions by their Key: that of the piece
// where it has one, or else what it says and when. When it returns nil, the provider can be told that the
// pieces were taken: they are durable, or were given. A piece that comes again
// within a day changes nothing.
func (s *Store) Collect(ctx context.Context, account string, pieces []sms.Piece, take func(context.Context, []dispatch.Inbound) error) error {
	var whole []dispatch.Inbound
	var kept keptPieces
	for _, p := range pieces {
		if p.Header.Of < 2 {
			whole = append(whole, inbound(account, digest(contentOf(p)+p.At.String()), sms.Join([]sms.Piece{p})))
			continue
		}
		if err := kept.add(p); err != nil {
			return fmt.Errorf("collect %d pieces: %w", len(pieces), err)
		}
	}
	if len(kept.messages) > 0 {
		err := s.patiently(func() error {
			now := s.now()
			_, err := s.db.Exec(ctx, keepPiecesSQL, account, kept.messages, kept.parts, kept.contents, kept.texts, now, now.Add(-sameFor))
			return err
		})
		if err != nil {
			return fmt.Errorf("keep %d pieces: %w", len(kept.messages), err)
		}
	}
	// What others keep at the same time is seen by the last of us.
	waiting, err := s.waiting(ctx, account, kept.messages)
	if err != nil {
		return err
	}
	waiting = slices.DeleteFunc(waiting, func(m collected) bool { return len(m.pieces) < int(m.pieces[0].Header.Of) })
	return s.give(ctx, account, whole, waiting, take)
}

// Overdue gives take what came of messages whose pieces an account has waited
// for in vain, as far as it came. Any number of nodes may call it now and then,
// as LookOverdue does.
func (s *Store) Overdue(ctx context.Context, account string, take func(context.Context, []dispatch.Inbound) error) error {
	rows, err := s.db.Query(ctx, overdueSQL, account, s.now().Add(-WaitForPieces), overdueLimit)
	if err != nil {
		return fmt.Errorf("find messages that stayed in pieces: %w", err)
	}
	messages, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("find messages that stayed in pieces: %w", err)
	}
	waiting, err := s.waiting(ctx, account, messages)
	if err != nil {
		return err
	}
	return s.give(ctx, account, nil, waiting, take)
}

// overdueEvery is the time between two looks for messages whose pieces did not
// all come.
const overdueEvery = time.Minute

// LookOverdue calls Overdue each minute until ctx ends, or it fails otherwise.
func LookOverdue(ctx context.Context, s interface {
	Overdue(ctx context.Context, account string, take func(context.Context, []dispatch.Inbound) error) error
}, account string, take func(context.Context, []dispatch.Inbound) error,
) error {
	again := time.NewTicker(overdueEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
		if err := s.Overdue(ctx, account, take); err != nil && ctx.Err() == nil {
			return fmt.Errorf("give what came in pieces: %w", err)
		}
	}
}

// give gives take messages that came in one piece and others that came in
// several, and notes that it did.
func (s *Store) give(ctx context.Context, account string, others []dispatch.Inbound, pieced []collected, take func(context.Context, []dispatch.Inbound) error) error {
	var done keptPieces
	for _, m := range pieced {
		others = append(others, inbound(account, m.key(), sms.Join(m.pieces)))
		done.messages = append(done.messages, m.messages...)
		done.parts = append(done.parts, m.parts...)
		done.contents = append(done.contents, m.contents...)
	}
	if len(others) == 0 {
		return nil
	}
	if err := take(ctx, others); err != nil {
		return fmt.Errorf("take %d messages: %w", len(others), err)
	}
	if len(done.messages) == 0 {
		return nil
	}
	err := s.patiently(func() error {
		_, err := s.db.Exec(ctx, donePiecesSQL, account, done.messages, done.parts, done.contents, s.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("note that messages were taken: %w", err)
	}
	return nil
}

// keptPieces are pieces, column by column.
type keptPieces struct {
	messages []string
	parts    []int16
	contents []string
	texts    []string
}

// add adds a piece, unless it is there.
func (k *keptPieces) add(p sms.Piece) error {
	p.Key, p.From, p.To = storable(p.Key), storable(p.From), storable(p.To)
	message, content := messageOf(p), contentOf(p)
	for i := range k.messages {
		if k.messages[i] == message && k.contents[i] == content {
			return nil
		}
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	k.messages, k.parts = append(k.messages, message), append(k.parts, int16(p.Header.Part))
	k.contents, k.texts = append(k.contents, content), append(k.texts, string(raw))
	return nil
}

// collected is what came of a message: of each part the piece that came last,
// and the names of all.
type collected struct {
	keptPieces
	pieces []sms.Piece
}

// key tells the message when it is given twice.
func (c collected) key() string {
	all := ""
	for _, p := range c.pieces {
		all += contentOf(p)
	}
	return messageOf(c.pieces[0]) + digest(all)
}

// waiting reads what came of messages and was not given.
func (s *Store) waiting(ctx context.Context, account string, messages []string) ([]collected, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	rows, err := s.db.Query(ctx, waitingSQL, account, messages)
	if err != nil {
		return nil, fmt.Errorf("read the pieces that wait: %w", err)
	}
	var all []collected
	var message, content string
	var part int16
	var piece sms.Piece
	_, err = pgx.ForEachRow(rows, []any{&message, &part, &content, &piece}, func() error {
		if n := len(all); n == 0 || all[n-1].messages[0] != message {
			all = append(all, collected{})
		}
		c := &all[len(all)-1]
		if n := len(c.pieces); n == 0 || int16(c.pieces[n-1].Header.Part) != part {
			c.pieces = append(c.pieces, piece)
		}
		c.messages, c.parts, c.contents = append(c.messages, message), append(c.parts, part), append(c.contents, content)
		piece = sms.Piece{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the pieces that wait: %w", err)
	}
	return all, nil
}

func inbound(account, key string, w sms.Whole) dispatch.Inbound {
	if w.Key != "" {
		key = w.Key
	}
	return dispatch.Inbound{Account: account, Channel: subscriptions.SMS, Key: key, From: w.From, To: w.To, Text: w.Text, At: w.At}
}

// messageOf is what pieces of one message have in common (3GPP 23.040 section
// 9.2.3.24.1).
func messageOf(p sms.Piece) string {
	return digest(fmt.Sprintf("%q %q %d %v %d", p.From, p.To, p.Header.Ref, p.Header.Wide, p.Header.Of))
}

// contentOf is what a piece has that a repetition has, too.
func contentOf(p sms.Piece) string {
	return digest(fmt.Sprintf("%q %q %d %d %x", p.From, p.To, p.Header.Part, p.Encoding, p.Data))
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
