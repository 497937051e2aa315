package dispatch

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// stepRows are steps to add to the decisions of notifications.
type stepRows struct {
	rows  map[uuid.UUID]int // a notification's place in the columns
	notes []uuid.UUID
	steps []Decision
}

// add adds steps to a notification's, after those that were added before.
func (s *stepRows) add(notification uuid.UUID, steps ...Step) {
	if len(steps) == 0 {
		return
	}
	if i, known := s.rows[notification]; known {
		s.steps[i] = append(s.steps[i], steps...)
		return
	}
	if s.rows == nil {
		s.rows = map[uuid.UUID]int{}
	}
	s.rows[notification] = len(s.notes)
	s.notes, s.steps = append(s.notes, notification), append(s.steps, steps)
}

// Rungs of the same ladders may be recorded at the same time: each locks their
// notifications by their ids.
const addStepsSQL = `
WITH here AS (
    SELECT id FROM notifications WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
)
UPDATE notifications n SET decision = n.decision || s.steps
FROM here
JOIN unnest($1::uuid[], $2::jsonb[]) AS s (id, steps) USING (id)
WHERE n.id = here.id`

// queue adds the rows to a batch; no steps are no work.
func (s *stepRows) queue(batch *pgx.Batch) error {
	if len(s.notes) == 0 {
		return nil
	}
	texts := make([]string, len(s.steps))
	for i, steps := range s.steps {
		raw, err := json.Marshal(steps)
		if err != nil {
			return fmt.Errorf("write the decision: %w", err)
		}
		texts[i] = string(raw)
	}
	batch.Queue(addStepsSQL, s.notes, texts)
	return nil
}
