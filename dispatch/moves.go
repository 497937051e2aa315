package dispatch

import (
	"time"

	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

// The ledger is never counted out of the deliveries: every transaction that
// makes or moves some adds rows to ledger_moves, minus where they stood and
// plus where they stand, and a fold adds those up into ledger from time to
// time. A reader takes both.

// targeted is the ledger's name for a notification decided, counted apart
// from its deliveries. It is no state of theirs.
const targeted State = "targeted"

// ledgerKey is what the ledger tells notifications apart by, beside their state.
type ledgerKey struct {
	day      time.Time // midnight, UTC
	trigger  string
	campaign int64
	channel  subscriptions.Channel
}

// dayOf is the ledger's day of an instant.
func dayOf(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }

// standing is a place in the ledger.
type standing struct {
	ledgerKey
	state  State
	reason string
}

// moves collects what one transaction adds to the ledger.
type moves map[standing]int64

func (m *moves) add(key ledgerKey, state State, reason string, n int64) {
	if *m == nil {
		*m = moves{}
	}
	if state != Failed && state != Suppressed {
		reason = ""
	}
	(*m)[standing{key, state, reason}] += n
}

const insertMovesSQL = `
INSERT INTO ledger_moves (day, trigger, campaign_id, channel, state, reason, n)
SELECT * FROM unnest($1::date[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[])`

// queue adds the rows to a batch; no moves are no work.
func (m moves) queue(batch *pgx.Batch) {
	var (
		days                              []time.Time
		triggers, channels, states, whys []string
		campaigns, ns                     []int64
	)
	for at, n := range m {
		if n == 0 {
			continue
		}
		days = append(days, at.day)
		triggers = append(triggers, at.trigger)
		campaigns = append(campaigns, at.campaign)
		channels = append(channels, string(at.channel))
		states = append(states, string(at.state))
		whys = append(whys, at.reason)
		ns = append(ns, n)
	}
	if len(ns) > 0 {
		batch.Queue(insertMovesSQL, days, triggers, campaigns, channels, states, whys, ns)
	}
}
