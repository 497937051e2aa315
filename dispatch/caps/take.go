package caps

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

// Caps counts what is sent and judges it by rules.
type Caps struct{ rules Rules }

// New judges by rules; its error is that of Rules.Check.
func New(rules Rules) (*Caps, error) {
	if err := rules.Check(); err != nil {
		return nil, err
	}
	return &Caps{rules: rules}, nil
}

// TakeTx asks for each of the notifications, in their order, whether one more
// may be sent at an instant, and counts those that may. The verdicts come in
// the same order. Asking again for one that is counted already allows it and
// counts nothing.
//
// That is two round trips whatever the number of members, some 10 to 30 ms for
// a thousand. The members' counts are locked, in one order for everybody,
// until tx, which must be READ COMMITTED, ends; when it is rolled back nothing
// was counted. A transaction that asks more than once must ask for members in
// the order of their IDs, or it may deadlock with another that does.
func (c *Caps) TakeTx(ctx context.Context, tx pgx.Tx, at time.Time, wants []Want) ([]Verdict, error) {
	at = at.UTC().Truncate(time.Microsecond) // as PostgreSQL keeps it
	verdicts := make([]Verdict, len(wants))
	for i, w := range wants {
		verdicts[i].OK = len(c.rules[w.Purpose]) == 0
	}
	keys, places := c.limited(wants)
	if len(keys) == 0 {
		return verdicts, nil
	}
	firsts := make([]uuid.UUID, len(keys))
	for i, k := range keys {
		firsts[i] = wants[places[k][0]].ID
	}
	stored, err := beginAndLock(ctx, tx, keys, firsts, at)
	if err != nil {
		return nil, fmt.Errorf("ask for frequency caps: %w", err)
	}
	var changes changes
	for i, k := range keys {
		is := stored[k].clone()
		if slices.Equal(is.ids, firsts[i:i+1]) && is.taken[0].Equal(at) {
			is = count{} // begun a moment ago for what is to be judged now
		}
		for _, place := range places[k] {
			verdicts[place] = is.judge(c.rules[k.purpose], wants[place].ID, at)
		}
		changes.note(k, stored[k], is)
	}
	if err := changes.write(ctx, tx); err != nil {
		return nil, fmt.Errorf("count for frequency caps: %w", err)
	}
	return verdicts, nil
}

// Question asks about a notification that nobody has made.
type Question struct {
	MemberID int64
	Purpose  subscriptions.Purpose
	At       time.Time
}

// Ask says of each question by itself what TakeTx would say at its instant if
// nothing else were sent before. It counts and locks nothing.
func (c *Caps) Ask(ctx context.Context, q subscriptions.Querier, questions []Question) ([]Verdict, error) {
	verdicts, wants := make([]Verdict, len(questions)), make([]Want, len(questions))
	for i, one := range questions {
		verdicts[i].OK = true
		wants[i] = Want{MemberID: one.MemberID, Purpose: one.Purpose}
	}
	keys, places := c.limited(wants)
	if len(keys) == 0 {
		return verdicts, nil
	}
	members, purposes := columns(keys)
	rows, err := q.Query(ctx, readSQL, members, purposes)
	if err != nil {
		return nil, fmt.Errorf("foresee frequency caps: %w", err)
	}
	stored, err := collect(rows, len(keys))
	if err != nil {
		return nil, fmt.Errorf("foresee frequency caps: %w", err)
	}
	for _, k := range keys {
		for _, place := range places[k] {
			is := stored[k].clone()
			verdicts[place] = is.judge(c.rules[k.purpose], uuid.Nil, questions[place].At)
		}
	}
	return verdicts, nil
}

// GiveBackTx takes notifications that ended without having gone out of the
// counts, so that others may go instead. What is not counted is passed over.
func (c *Caps) GiveBackTx(ctx context.Context, tx pgx.Tx, wants []Want) error {
	keys, places := c.limited(wants)
	if len(keys) == 0 {
		return nil
	}
	stored, err := lock(ctx, tx, keys)
	if err != nil {
		return fmt.Errorf("give back to frequency caps: %w", err)
	}
	var changes changes
	for k, was := range stored {
		is := was.clone()
		for _, place := range places[k] {
			is.remove(wants[place].ID)
		}
		changes.note(k, was, is)
	}
	if err := changes.write(ctx, tx); err != nil {
		return fmt.Errorf("give back to frequency caps: %w", err)
	}
	return nil
}

// key is what is counted together.
type key struct {
	member  int64
	purpose subscriptions.Purpose
}

func (w Want) key() key { return key{w.MemberID, w.Purpose} }

func compare(a, b key) int {
	return cmp.Or(cmp.Compare(a.member, b.member), cmp.Compare(a.purpose, b.purpose))
}

// limited are the keys that have caps, in the order in which everybody locks
// them, and for each the places of its notifications among the wants.
func (c *Caps) limited(wants []Want) (keys []key, places map[key][]int) {
	places = map[key][]int{}
	for i, w := range wants {
		if len(c.rules[w.Purpose]) == 0 {
			continue
		}
		if places[w.key()] == nil {
			keys = append(keys, w.key())
		}
		places[w.key()] = append(places[w.key()], i)
	}
	slices.SortFunc(keys, compare)
	return keys, places
}
