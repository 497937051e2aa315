package dispatch

import (
	"context"
	"time"

	"herald/dispatch/caps"
	"herald/subscriptions"
)

// Prospect is a notification that somebody thinks of making.
type Prospect struct {
	Member    subscriptions.Member
	Purpose   subscriptions.Purpose
	Priority  int
	At        time.Time // when it would be made
	ExpiresAt time.Time
	Uncapped  bool // frequency caps are not asked
}

// Foreseen is what would become of a Prospect whose member can be reached:
// Pending, it would go at once; Deferred, it would wait for the end of quiet
// hours; Suppressed, it would not go, and Reason says why: "frequency_cap" or
// "expired".
type Foreseen struct {
	State  State
	Reason string
}

// Foresee says what EnqueueTx would decide by quiet hours and frequency caps.
// It makes and counts nothing: caps are held against what has been sent so
// far, for each prospect as if it were the only one.
func (s *Store) Foresee(ctx context.Context, q subscriptions.Querier, list []Prospect) ([]Foreseen, error) {
	plans := make([]plan, len(list))
	var questions []caps.Question
	var places []int
	for i, one := range list {
		plans[i] = plan{state: Pending}
		s.wait(&plans[i], &Notification{Priority: one.Priority, ExpiresAt: one.ExpiresAt}, one.Member, one.At)
		if plans[i].state != Suppressed && !one.Uncapped {
			questions = append(questions, caps.Question{MemberID: one.Member.ID, Purpose: one.Purpose, At: one.At})
			places = append(places, i)
		}
	}
	verdicts, err := s.caps.Ask(ctx, q, questions)
	if err != nil {
		return nil, err
	}
	for i, v := range verdicts {
		if !v.OK {
			plans[places[i]] = plan{state: Suppressed, reason: reasonCapped}
		}
	}
	foreseen := make([]Foreseen, len(list))
	for i, p := range plans {
		foreseen[i] = Foreseen{p.state, p.reason}
	}
	return foreseen, nil
}
