package dispatch

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/timeid"
)

// departures are new deliveries and how they set off: in chunks, with a
// digest, or not at all. They are written by queue, and their jobs inserted
// once that is through.
type departures struct {
	at    time.Time
	rows  deliveryRows
	moves moves
	// chunks are the deliveries that can go, by what they share; order keeps
	// the loads as they came.
	chunks map[load][]uuid.UUID
	order  []load
	items  []digestItem // those that wait for a digest
	begun  map[uuid.UUID]bool
	checks patiences // those that must be confirmed
}

func newDepartures(at time.Time) *departures {
	return &departures{at: at, chunks: map[load][]uuid.UUID{}, begun: map[uuid.UUID]bool{}}
}

// add makes a delivery of a notification by its plan, and counts it.
func (d *departures) add(n *Notification, p plan) {
	id := timeid.New(d.at)
	d.rows.add(id, n, p)
	d.moves.add(ledgerKey{hourOf(n.CreatedAt), n.Trigger, n.CampaignID, p.channel}, p.state, p.reason, 1)
	if p.state == Suppressed {
		return
	}
	d.checks.add(n, p.rung, id)
	if p.gather {
		d.items = append(d.items, newDigestItem(n, p, id))
		return
	}
	l := load{channel: p.channel, priority: n.Priority, template: n.Template, campaign: n.CampaignID, due: microseconds(p.due)}
	if d.chunks[l] == nil {
		d.order = append(d.order, l)
	}
	d.chunks[l] = append(d.chunks[l], id)
}

func (d *departures) queue(batch *pgx.Batch) {
	d.rows.queue(batch, d.at)
	d.moves.queue(batch)
	if len(d.items) > 0 {
		queueDigests(batch, d.items, d.begun)
	}
}

// jobs are those that the deliveries need, once they are written.
func (d *departures) jobs() []river.InsertManyParams {
	jobs := append(digestJobs(d.items, d.begun), d.checks.jobs(d.at)...)
	for _, l := range d.order {
		jobs = append(jobs, jobsFor(l, d.chunks[l])...)
	}
	return jobs
}

// deliveryRows are new deliveries, column by column.
type deliveryRows struct {
	id, notification          []uuid.UUID
	member, contact, campaign []int64
	trigger, channel, address []string
	state, reason             []string
	rung                      []int16
	hour                      []time.Time
	next                      []*time.Time
	// Those that wait for their member's hour.
	waiting []uuid.UUID
	why     []string
}

func (r *deliveryRows) add(id uuid.UUID, n *Notification, p plan) {
	r.id = append(r.id, id)
	r.notification = append(r.notification, n.ID)
	r.member = append(r.member, n.MemberID)
	r.contact = append(r.contact, p.contact.ID)
	r.campaign = append(r.campaign, n.CampaignID)
	r.trigger = append(r.trigger, n.Trigger)
	r.channel = append(r.channel, string(p.channel))
	r.address = append(r.address, p.contact.Address)
	r.state = append(r.state, string(p.state))
	r.reason = append(r.reason, p.reason)
	r.rung = append(r.rung, int16(p.rung))
	r.hour = append(r.hour, hourOf(n.CreatedAt))
	var next *time.Time
	if p.state == Deferred {
		next = &p.due
		r.waiting = append(r.waiting, id)
		r.why = append(r.why, p.reason)
	}
	r.next = append(r.next, next)
}

const (
	insertDeliveriesSQL = `
INSERT INTO deliveries
       (id, notification_id, member_id, trigger, campaign_id, hour, rung, channel, contact_point_id, address, state, reason,
        next_attempt_at, created_at, changed_at)
SELECT id, notification_id, member_id, trigger, nullif(campaign_id, 0), hour, rung, channel, nullif(contact_point_id, 0), address, state, reason,
       next_attempt_at, $1, $1
FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::bigint[], $7::timestamptz[], $8::smallint[], $9::text[], $10::bigint[],
            $11::text[], $12::text[], $13::text[], $14::timestamptz[])
  AS d (id, notification_id, member_id, trigger, campaign_id, hour, rung, channel, contact_point_id, address, state, reason, next_attempt_at)`

	// What waits by its member's wish is no trouble of an operator's; it is
	// among them, with its reason, because all that is deferred is found there.
	insertWaitingSQL = `
INSERT INTO troubles (delivery_id, state, reason)
SELECT id, 'deferred', reason FROM unnest($1::uuid[], $2::text[]) AS w (id, reason)`
)

func (r *deliveryRows) queue(batch *pgx.Batch, at time.Time) {
	batch.Queue(insertDeliveriesSQL, at, r.id, r.notification, r.member, r.trigger, r.campaign, r.hour, r.rung, r.channel,
		r.contact, r.address, r.state, r.reason, r.next)
	if len(r.waiting) > 0 {
		batch.Queue(insertWaitingSQL, r.waiting, r.why)
	}
}
