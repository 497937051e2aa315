package replies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/subscriptions"
)

// template is what a keyword is answered by: reply_stop, reply_start or
// reply_help. Its data are word (what was written), member and links.
func (k Kind) template() string { return "reply_" + string(k) }

const (
	// answerEvery is how often the same word from an address is answered: two
	// machines that answer each other fall silent at once.
	answerEvery = day
	// answerExpiry is how long an answer is worth sending.
	answerExpiry = time.Hour
)

// actAll does what messages ask for, address by address, and of each in their
// order: so that two batches about the same addresses wait for each other and
// never in a circle.
func (s *Store) actAll(ctx context.Context, tx pgx.Tx, fresh []*incoming) error {
	ordered := slices.Clone(fresh)
	slices.SortStableFunc(ordered, func(a, b *incoming) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.From, b.From))
	})
	starts := map[subscriptions.Channel][]string{}
	for _, one := range ordered {
		if one.Kind == Start && one.number && len(ordered) > 1 {
			starts[one.Channel] = append(starts[one.Channel], one.From)
		}
	}
	for _, channel := range slices.Sorted(maps.Keys(starts)) {
		if err := s.cfg.Suppressions.BeforeRestartTx(ctx, tx, channel, starts[channel]); err != nil {
			return err
		}
	}
	for _, one := range ordered {
		if err := s.act(ctx, tx, one); err != nil {
			return err
		}
	}
	return nil
}

// act does what a message asks for, and says so in it.
func (s *Store) act(ctx context.Context, tx pgx.Tx, one *incoming) error {
	if one.Kind == Message {
		one.Inbox = true
		return nil
	}
	if !one.number { // what cannot be stopped by itself, a person may want to see
		one.Inbox, one.Answer = true, NoAddress
		return nil
	}
	switch one.Kind {
	case Stop:
		return s.stop(ctx, tx, one)
	case Start:
		return s.start(ctx, tx, one)
	default:
		if err := s.answer(ctx, tx, one); err != nil {
			return err
		}
		one.Inbox = one.Answer == Stranger
		return nil
	}
}

func (s *Store) stop(ctx context.Context, tx pgx.Tx, one *incoming) error {
	changed, err := s.cfg.Suppressions.StopTx(ctx, tx, one.Channel, one.From, one.evidence())
	if err != nil {
		return err
	}
	if one.Done = Unchanged; changed {
		one.Done = Stopped
	}
	return s.answer(ctx, tx, one)
}

// start lifts what a STOP set. Where there is none the word means something
// else, such as that a stranger wants to order, unless it only repeats a START.
func (s *Store) start(ctx context.Context, tx pgx.Tx, one *incoming) error {
	lifted, err := s.cfg.Suppressions.RestartTx(ctx, tx, one.Channel, one.From)
	if err != nil {
		return err
	}
	if lifted {
		one.Done = Restarted
		return s.answer(ctx, tx, one)
	}
	one.Done = Unchanged
	before, err := s.answeredBefore(ctx, tx, one)
	if err != nil {
		return err
	}
	if one.Inbox = !before; before {
		one.Answer = Repeated
	}
	return nil
}

// evidence says how an address was stopped.
func (one *incoming) evidence() string {
	return fmt.Sprintf("%s written to %s at %s", storable(one.Text, maxWord), one.Account, one.SentAt.UTC().Format(time.RFC3339))
}

// answer sends our answer to a keyword, at most one a day for each word and
// address, to where it came from. Only to members: a message of ours always
// has one.
func (s *Store) answer(ctx context.Context, tx pgx.Tx, one *incoming) error {
	if len(one.owners) == 0 {
		one.Answer = Stranger
		return nil
	}
	first, err := s.claim(ctx, tx, one)
	if err != nil {
		return err
	}
	if one.Answer = Repeated; !first {
		return nil
	}
	now := s.cfg.Now()
	n := []dispatch.Notification{{
		MemberID: one.MemberID, Purpose: subscriptions.Transactional, Priority: 1, Template: one.Kind.template(),
		Data: map[string]any{"word": storable(one.Text, maxWord)}, Channels: []subscriptions.Channel{one.Channel},
		ContactPoint: one.point, Answers: true, ExpiresAt: now.Add(answerExpiry),
		Decision: dispatch.Decision{{At: now, Code: "reply_received", OK: true, Args: map[string]any{
			"kind": one.Kind, "done": one.Done, "account": one.Account, "channel": one.Channel,
		}}},
	}}
	if err := s.cfg.Deliveries.EnqueueTx(ctx, tx, n); err != nil {
		return err
	}
	if one.Answer = Answered; !n[0].Decision[len(n[0].Decision)-1].OK {
		one.Answer = Refused
	}
	return nil
}

// claim reports whether nobody has answered this word to this address within
// the last day, and notes that we do.
func (*Store) claim(ctx context.Context, tx pgx.Tx, one *incoming) (first bool, err error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO reply_answers AS known (channel, address, kind, answered_at)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (channel, address, kind) DO UPDATE SET answered_at = excluded.answered_at
		WHERE known.answered_at <= $5`,
		one.Channel, one.From, one.Kind, one.TakenAt, one.TakenAt.Add(-answerEvery))
	if err != nil {
		return false, fmt.Errorf("claim an answer: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// answeredBefore reports whether this word was answered within the last day.
func (*Store) answeredBefore(ctx context.Context, tx pgx.Tx, one *incoming) (bool, error) {
	var at time.Time
	err := tx.QueryRow(ctx, `SELECT answered_at FROM reply_answers WHERE channel = $1 AND address = $2 AND kind = $3`,
		one.Channel, one.From, one.Kind).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an answer: %w", err)
	}
	return at.After(one.TakenAt.Add(-answerEvery)), nil
}
