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
	hour     time.Time // its beginning, UTC
	trigger  string
	campaign int64
	channel  subscriptions.Channel
}

// hourOf is the ledger's hour of an instant.
func hourOf(at time.Time) time.Time { return at.UTC().Truncate(time.Hour) }

// place is where the ledger counts a notification.
type place struct {
	ledgerKey
	state  State
	reason string
}

// moves collects what one transaction adds to the ledger.
type moves map[place]int64

func (m *moves) add(key ledgerKey, state State, reason string, n int64) {
	if *m == nil {
		*m = moves{}
	}
	if state != Failed && state != Suppressed {
		reason = ""
	}
	(*m)[place{key, state, reason}] += n
}

const insertMovesSQL = `
INSERT INTO ledger_moves (hour, trigger, campaign_id, channel, state, reason, n)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[])`

// queue adds the rows to a batch; no moves are no work.
func (m moves) queue(batch *pgx.Batch) {
	var (
		hours                            []time.Time
		triggers, channels, states, whys []string
		campaigns, ns                    []int64
	)
	for at, n := range m {
		if n == 0 {
			continue
		}
		hours = append(hours, at.hour)
		triggers = append(triggers, at.trigger)
		campaigns = append(campaigns, at.campaign)
		channels = append(channels, string(at.channel))
		states = append(states, string(at.state))
		whys = append(whys, at.reason)
		ns = append(ns, n)
	}
	if len(ns) > 0 {
		batch.Queue(insertMovesSQL, hours, triggers, campaigns, channels, states, whys, ns)
	}
}

// troubledSQL follows a CTE "moved" (id, state, reason, account) of deliveries
// that were moved: it keeps the list of those that somebody may have to look at.
const troubledSQL = `troubled AS (
    INSERT INTO troubles (delivery_id, state, reason, account)
    SELECT id, state, reason, account FROM moved WHERE state IN ('failed', 'in_doubt', 'deferred')
    ON CONFLICT (delivery_id) DO UPDATE SET state = excluded.state, reason = excluded.reason, account = excluded.account
)`
