package e2e

import (
	"fmt"
	"mime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// owed are the mails that must come, as mailKey has them.
func (s *siege) owed(prices []int) map[string]bool {
	var subjects []string
	for _, p := range prices {
		subjects = append(subjects, subjectOf(p))
	}
	for i := range s.mailing {
		subjects = append(subjects, campaignSubject(i))
	}
	owed := map[string]bool{}
	for _, subject := range subjects {
		for i := range s.members {
			owed[mailKey(fmt.Sprintf("waiter%05d@example.com", i), subject)] = true
		}
	}
	return owed
}

// judge holds what came against what was owed.
func (s *siege) judge(l ledger, prices []int) {
	owed := s.owed(prices)
	if int(l.Accepted) != len(owed) || l.Targeted != l.Accepted || !l.Balanced {
		s.t.Errorf("ledger = %+v, want %d targeted and accepted", l, len(owed))
	}
	marked := map[string]int{}
	for _, d := range s.nodes[0].deliveries() {
		marked[d.ID] = d.Repeated
		if d.State != "accepted" {
			s.t.Errorf("delivery %s is %s", d.ID, d.State)
		}
	}
	repeats, wrong := 0, 0
	blame := func(format string, args ...any) {
		if wrong++; wrong <= 10 {
			s.t.Errorf(format, args...)
		}
	}
	arrivals, words := s.sink.arrivals(), mime.WordDecoder{}
	for id, a := range arrivals {
		subject, err := words.DecodeHeader(a.subject)
		if err != nil {
			blame("delivery %s: %v", id, err)
		}
		key := mailKey(a.to, subject)
		if !owed[key] {
			blame("delivery %s, %s: nobody is owed it, or it came as two deliveries", id, key)
		}
		delete(owed, key)
		again := len(a.messageIDs) - 1
		repeats += again
		if again > s.flying[id] {
			blame("delivery %s came %d times, and was in flight at %d strikes", id, again+1, s.flying[id])
		}
		if again > 0 && marked[id] == 0 {
			blame("delivery %s came %d times and is not marked", id, again+1)
		}
		if strings.Count(strings.Join(a.messageIDs, ""), a.messageIDs[0]) != len(a.messageIDs) {
			blame("delivery %s has several Message-IDs: %v", id, a.messageIDs)
		}
	}
	for key := range owed {
		blame("never came: %s", key)
	}
	if most := s.sink.sessions(); most > siegeSessions {
		s.t.Errorf("%d sessions at a time, %d are allowed", most, siegeSessions)
	}
	s.leavesNothing()
	if wrong > 0 {
		s.t.Errorf("%d wrong", wrong)
	}
	inFlight := 0
	for _, n := range s.flying {
		inFlight += n
	}
	s.t.Logf("%d deliveries of %d events and %d campaigns, %d in flight at the strikes, %d of them came again; sessions at most %d; strikes: %v",
		len(arrivals), len(prices), len(s.mailing), inFlight, repeats, s.sink.sessions(), s.strikes)
}

// leavesNothing holds that no work and no doubt is left over.
func (s *siege) leavesNothing() {
	s.t.Helper()
	for what, query := range map[string]string{
		"hand-overs":                  `SELECT count(*) FROM hand_overs`,
		"troubles":                    `SELECT count(*) FROM troubles`,
		"jobs":                        `SELECT count(*) FROM river_job WHERE args ? 'deliveries' AND finalized_at IS NULL`,
		"jobs that were given up":     `SELECT count(*) FROM river_job WHERE state = 'discarded'`,
		"attempts without an outcome": `SELECT count(*) FROM attempts WHERE outcome = ''`,
	} {
		eventuallyNone(s.t, s.pool, what, query)
	}
}

func eventuallyNone(t *testing.T, pool *pgxpool.Pool, what, query string) {
	t.Helper()
	eventually(t, patience, "no "+what+" to be left", func() bool { return count(t, pool, query) == 0 })
}
