package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"herald/dispatch/timing"
	"herald/subscriptions"
)

// task is a delivery with all that one attempt at it needs. It belongs to the
// run that loaded it.
type task struct {
	ID             uuid.UUID
	NotificationID uuid.UUID
	MemberID       int64
	SubscriptionID int64
	CampaignID     int64
	Trigger        string
	Hour           time.Time
	Counts         bool
	Rung           int
	Channel        subscriptions.Channel
	ContactID      int64
	Address        string
	State          State
	Reason         string
	Attempts       int // so far
	NextAttemptAt  *time.Time
	Purpose        subscriptions.Purpose
	Priority       int
	Template       string
	Data           sharedData
	Forced         int64 // the contact point it must go to, or 0
	Private        bool
	Ladder         []subscriptions.Channel
	ExpiresAt      time.Time
	Patience       time.Duration
	EventID        uuid.UUID // zero: none
	Digest         timing.Digest
	Account        string // that had it last
	Answers        bool
}

// doubtful reports whether the message may have arrived already.
func (t task) doubtful() bool { return t.State == InDoubt }

// urgent reports whether it goes before campaigns.
func (t task) urgent() bool { return t.Priority <= lastUrgent }

const taskColumns = `
       d.id, n.id, d.member_id, coalesce(n.subscription_id, 0), coalesce(d.campaign_id, 0), d.trigger, d.hour, d.counts, d.rung,
       d.channel, coalesce(d.contact_point_id, 0), d.address, d.state, d.reason, d.attempts, d.next_attempt_at,
       n.purpose, n.priority, n.template, n.data::text, coalesce(n.contact_point_id, 0), n.private, n.ladder, n.expires_at,
       coalesce(n.patience, '0'), coalesce(n.event_id, '00000000-0000-0000-0000-000000000000'), n.digest, d.account, n.answers`

// Each is looked up by its id, whatever the planner thinks of the tables.
const loadSQL = `
SELECT` + taskColumns + `
FROM unnest($1::uuid[]) AS given (id)
CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE id = given.id OFFSET 0) AS d
CROSS JOIN LATERAL (SELECT * FROM notifications WHERE id = d.notification_id OFFSET 0) AS n
WHERE d.turn = $2 AND d.state IN ('pending', 'deferred', 'in_doubt')
ORDER BY d.id`

// load reads those of a job's deliveries that are still its business.
func (s *Store) load(ctx context.Context, job handOver) ([]task, error) {
	rows, err := s.pool.Query(ctx, loadSQL, job.Deliveries, job.Turn)
	if err != nil {
		return nil, fmt.Errorf("read %d deliveries: %w", len(job.Deliveries), err)
	}
	tasks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[task])
	if err != nil {
		return nil, fmt.Errorf("read %d deliveries: %w", len(job.Deliveries), err)
	}
	return tasks, readData(tasks)
}

// sharedData is what a template is filled from: as it is stored, and read. The
// deliveries of a campaign share what was read, which nobody changes.
type sharedData struct {
	text []byte
	read map[string]any
}

// ScanText implements pgtype.TextScanner.
func (d *sharedData) ScanText(v pgtype.Text) error {
	d.text = []byte(v.String)
	return nil
}

// readData reads the data of tasks, what is the same in several only once.
func readData(tasks []task) error {
	read := map[string]map[string]any{}
	for i := range tasks {
		d := &tasks[i].Data
		known, met := read[string(d.text)]
		if !met {
			if err := json.Unmarshal(d.text, &known); err != nil {
				return fmt.Errorf("data of delivery %s: %w", tasks[i].ID, err)
			}
			read[string(d.text)] = known
		}
		d.text, d.read = nil, known
	}
	return nil
}
