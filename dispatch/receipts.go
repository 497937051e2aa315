package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"herald/subscriptions"
)

// ReceiptsConfig is what Receipts needs beside its store.
type ReceiptsConfig struct {
	Contacts     Contacts
	Suppressions Suppressions
	Announcer    Announcer // nil: nobody is told
	Logger       *slog.Logger
}

// Receipts takes what providers say of messages after they took them, and
// moves the deliveries:
//
//	delivered                  accepted, in_doubt, or handed over at all → delivered;
//	                           the other rungs of its ladder come to rest
//	bounced, expired           the same → failed "bounced"; the next rung is tried
//	complained, unsubscribed   the address is suppressed; the state stays
//	delayed, read              noted only
//
// Nothing else leaves a final state: what comes after delivered, failed or
// suppressed is noted. Every report is kept with its delivery and shown in its
// timeline; the same one given again, by its Key or by what it says, changes
// nothing. It is safe for many goroutines, and a prometheus.Collector.
type Receipts struct {
	store *Store
	cfg   ReceiptsConfig
	taken *prometheus.CounterVec
}

// NewReceipts makes it; all but the announcer are required.
func NewReceipts(store *Store, cfg ReceiptsConfig) (*Receipts, error) {
	if cfg.Contacts == nil || cfg.Suppressions == nil || cfg.Logger == nil {
		return nil, errors.New("dispatch: receipts need contacts, suppressions and a logger")
	}
	return &Receipts{store: store, cfg: cfg, taken: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "herald_dispatch_reports_total",
		Help: "What providers reported of messages, by event and outcome: taken, known, early (no attempt has the id yet) or unknown.",
	}, []string{"event", "outcome"})}, nil
}

// Describe implements prometheus.Collector.
func (r *Receipts) Describe(ch chan<- *prometheus.Desc) { r.taken.Describe(ch) }

// Collect implements prometheus.Collector.
func (r *Receipts) Collect(ch chan<- prometheus.Metric) { r.taken.Collect(ch) }

// Report takes reports, all or none of them; nil means that they are durable.
//
// A report that names a provider's id which no attempt has yet is kept for a
// quarter of an hour, and taken by Run once there is one: a provider can be
// faster than the record of the hand-over. One that names a delivery which
// there is not, or another channel than the delivery's, is counted and
// dropped.
func (r *Receipts) Report(ctx context.Context, reports []Report) error {
	if len(reports) == 0 {
		return nil
	}
	var seen tally
	err := despiteCollisions(ctx, func() error {
		return pgx.BeginFunc(ctx, r.store.pool, func(tx pgx.Tx) (err error) {
			seen, err = r.takeTx(ctx, tx, reports)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("take %d reports: %w", len(reports), err)
	}
	r.count(seen)
	return nil
}

const (
	// collisionTries is how often a transaction is tried that met others'
	// locks, and collisionPause the first wait between two, about.
	collisionTries = 5
	collisionPause = 20 * time.Millisecond
)

// despiteCollisions does a transaction, again if it was ended for another's sake.
func despiteCollisions(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == collisionTries || !isCollision(err) || !pauseFor(ctx, around(collisionPause<<try)) {
			return err
		}
	}
}

// isCollision reports whether a transaction was ended for another's sake.
func isCollision(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && (failure.Code == "40P01" || failure.Code == "40001")
}

// tally is how many reports of an event had an outcome.
type tally map[[2]string]int

func (t tally) add(e ReportEvent, outcome string) { t[[2]string{string(e), outcome}]++ }

func (r *Receipts) count(t tally) {
	for key, n := range t {
		r.taken.WithLabelValues(key[0], key[1]).Add(float64(n))
	}
}

// reported is a report of one delivery.
type reported struct {
	Report
	delivery, notification uuid.UUID
	key                    string
}

// takeTx takes reports in one transaction.
func (r *Receipts) takeTx(ctx context.Context, tx pgx.Tx, reports []Report) (tally, error) {
	seen := tally{}
	known, early, err := r.find(ctx, tx, reports, seen)
	if err != nil {
		return nil, err
	}
	if err := r.keepEarly(ctx, tx, early, seen); err != nil {
		return nil, err
	}
	if len(known) == 0 {
		return seen, nil
	}
	notifications := make([]uuid.UUID, len(known))
	for i, k := range known {
		notifications[i] = k.notification
	}
	st, err := r.store.lockLadders(ctx, tx, notifications, r.cfg.Announcer)
	if err != nil {
		return nil, err
	}
	fresh, err := r.keep(ctx, tx, known, st.at, seen)
	if err != nil {
		return nil, err
	}
	return seen, r.settleTx(ctx, tx, st, fresh)
}

// Each is looked up by its id, whatever the planner thinks of the tables.
const findReportedSQL = `
SELECT r.i, d.id, d.notification_id, d.channel
FROM (
    SELECT i, delivery_id
    FROM unnest($1::int[], $2::uuid[]) AS r (i, delivery_id)
    UNION
    SELECT r.i, a.delivery_id
    FROM unnest($1::int[], $2::uuid[]) AS r (i, delivery_id)
    CROSS JOIN LATERAL (
        SELECT delivery_id FROM attempts WHERE carried_by = r.delivery_id AND outcome IN ('accepted', 'in_doubt') OFFSET 0) AS a
    UNION
    SELECT r.i, a.delivery_id
    FROM unnest($3::int[], $4::text[], $5::text[]) AS r (i, account, provider_id)
    CROSS JOIN LATERAL (
        SELECT delivery_id FROM attempts WHERE provider_id = r.provider_id AND account = r.account AND provider_id <> '' OFFSET 0) AS a
) AS r
CROSS JOIN LATERAL (SELECT id, notification_id, channel FROM deliveries WHERE id = r.delivery_id OFFSET 0) AS d
ORDER BY 1, 2`

// find says which deliveries the reports are about, and which are of ids that
// nobody knows yet. One message can be several deliveries: a digest, which
// bears the id of one of them.
func (r *Receipts) find(ctx context.Context, tx pgx.Tx, reports []Report, seen tally) (known []reported, early []Report, err error) {
	var (
		byID, byProvider    []int32
		ids                 []uuid.UUID
		accounts, providers []string
		found               = make([]bool, len(reports))
	)
	for i, p := range reports {
		switch {
		case p.DeliveryID != uuid.Nil:
			byID, ids = append(byID, int32(i)), append(ids, p.DeliveryID) //nolint:gosec // a batch is never so long
		case p.ProviderID != "":
			byProvider = append(byProvider, int32(i)) //nolint:gosec // likewise
			accounts, providers = append(accounts, storable(p.Account)), append(providers, storable(p.ProviderID))
		}
	}
	rows, err := tx.Query(ctx, findReportedSQL, byID, ids, byProvider, accounts, providers)
	if err != nil {
		return nil, nil, fmt.Errorf("find what is reported: %w", err)
	}
	var (
		i       int32
		one     reported
		channel subscriptions.Channel
	)
	_, err = pgx.ForEachRow(rows, []any{&i, &one.delivery, &one.notification, &channel}, func() error {
		one.Report = reports[i]
		if one.Channel != "" && one.Channel != channel {
			return nil // an account speaks of its own channel only
		}
		one.key = keyOf(one.Report)
		known, found[i] = append(known, one), true
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("find what is reported: %w", err)
	}
	for i, p := range reports {
		switch {
		case found[i]:
		case p.DeliveryID == uuid.Nil && p.ProviderID != "":
			early = append(early, p)
		default:
			seen.add(p.Event, "unknown")
		}
	}
	return known, early, nil
}

// keyOf tells a report that is given twice.
func keyOf(p Report) string {
	sum := sha256.Sum256([]byte(p.said()))
	return hex.EncodeToString(sum[:16])
}

// said is the report's Key, or else what it says.
func (p Report) said() string {
	if p.Key != "" {
		return storable(p.Key)
	}
	at := ""
	if !p.At.IsZero() {
		at = p.At.UTC().Format(time.RFC3339Nano)
	}
	return storable(string(p.Event) + " " + p.Code + " " + at)
}

const keepReceiptsSQL = `
INSERT INTO receipts (delivery_id, key, event, account, code, detail, happened_at, taken_at)
SELECT delivery_id, key, event, account, code, detail, happened_at, $1
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
  AS r (delivery_id, key, event, account, code, detail, happened_at)
ON CONFLICT (delivery_id, key) DO NOTHING
RETURNING delivery_id, key`

// keep writes the reports down, and gives those that were not there yet.
func (r *Receipts) keep(ctx context.Context, tx pgx.Tx, known []reported, at time.Time, seen tally) ([]reported, error) {
	var (
		ids                                    []uuid.UUID
		keys, events, accounts, codes, details []string
		times                                  []time.Time
	)
	for _, k := range known {
		ids, keys, events = append(ids, k.delivery), append(keys, k.key), append(events, string(k.Event))
		accounts, codes, details = append(accounts, storable(k.Account)), append(codes, storable(k.Code)), append(details, storable(k.Detail))
		happened := k.At
		if happened.IsZero() {
			happened = at
		}
		times = append(times, happened)
	}
	rows, err := tx.Query(ctx, keepReceiptsSQL, at, ids, keys, events, accounts, codes, details, times)
	if err != nil {
		return nil, fmt.Errorf("keep receipts: %w", err)
	}
	type name struct {
		delivery uuid.UUID
		key      string
	}
	var one name
	written := map[name]bool{}
	_, err = pgx.ForEachRow(rows, []any{&one.delivery, &one.key}, func() error {
		written[one] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("keep receipts: %w", err)
	}
	var fresh []reported
	for _, k := range known {
		at := name{k.delivery, k.key}
		if !written[at] {
			seen.add(k.Event, "known")
			continue
		}
		delete(written, at) // the second of the same batch is known
		seen.add(k.Event, "taken")
		fresh = append(fresh, k)
	}
	return fresh, nil
}

// settleTx does what the reports say, in their order.
func (r *Receipts) settleTx(ctx context.Context, tx pgx.Tx, st *settlement, fresh []reported) error {
	var climbers []*rung
	var unwelcome []shunned
	for _, k := range fresh {
		one := st.rungs[k.delivery]
		if one == nil { // its notification is gone
			continue
		}
		switch k.Event {
		case ReportDelivered:
			st.delivered(one)
		case ReportBounced, ReportExpired:
			if st.bounced(one) {
				climbers = append(climbers, one)
			}
		case ReportComplained:
			unwelcome = append(unwelcome, shunned{task: &one.task, reason: subscriptions.Complained, code: k.Code})
			st.news.delivery(saysComplained, &one.task, one.Account, one.State, one.Reason)
		case ReportUnsubscribed:
			unwelcome = append(unwelcome, shunned{task: &one.task, reason: subscriptions.Unsubscribed, code: k.Code})
		case ReportDelayed, ReportRead:
		}
		if k.AddressDead {
			unwelcome = append(unwelcome, shunned{task: &one.task, reason: subscriptions.Bounced, code: k.Code, dead: true})
		}
	}
	if err := st.write(ctx, tx); err != nil {
		return err
	}
	done, err := shunner{r.cfg.Contacts, r.cfg.Suppressions, r.cfg.Logger}.shunTx(ctx, tx, unwelcome)
	if err != nil {
		return err
	}
	for _, one := range done {
		st.news.contact(one.task, one.reason)
	}
	var leave []climber
	for _, one := range climbers {
		if one.Counts { // no lower rung has arrived meanwhile
			leave = append(leave, climber{task: &one.task, why: "bounced", from: place{one.ledgerKey(), one.State, one.Reason}})
		}
	}
	if _, err := r.store.climbTx(ctx, tx, st.at, leave, nil); err != nil {
		return err
	}
	return st.news.tellTx(ctx, tx)
}

// mayHaveGone reports whether a provider may have had the message, so that
// what is said of it can be true, and nothing final is known yet.
func (r *rung) mayHaveGone() bool {
	switch r.State {
	case Accepted, InDoubt:
		return true
	case Pending, Deferred:
		return r.InHand || r.Attempts > 0
	case Delivered, Suppressed, Failed:
	}
	return false
}

// delivered notes that a message arrived. Its notification is counted by it
// from now on, unless by another that arrived, and its other rungs rest.
func (st *settlement) delivered(r *rung) {
	if !r.mayHaveGone() {
		return
	}
	st.move(r, Delivered, "")
	stopped := false
	for _, other := range st.ladders[r.NotificationID] {
		if other == r || other.State == Delivered {
			continue
		}
		if other.Counts {
			st.count(other, r)
			stopped = true
		}
		st.rest(other, reasonDeliveredOtherwise)
	}
	if stopped {
		st.told.add(r.NotificationID, Step{At: st.at, Code: "ladder_stopped", OK: true, Args: map[string]any{"channel": r.Channel}})
	}
}

// bounced notes that a message will never arrive, and says whether its
// notification goes to the next rung.
func (st *settlement) bounced(r *rung) (climbs bool) {
	if !r.mayHaveGone() {
		return false
	}
	st.move(r, Failed, reasonBounced)
	st.news.delivery(saysBounced, &r.task, r.Account, r.State, r.Reason)
	return r.Counts && r.mayClimb(st.at)
}

// reasonBounced is why a delivery failed that a provider had taken.
const reasonBounced = "bounced"

// mayClimb reports whether there is another rung, and still time for it. What
// was private is erased by then.
func (t *task) mayClimb(at time.Time) bool {
	return t.Rung+1 < len(t.Ladder) && at.Before(t.ExpiresAt) && !t.Private
}
