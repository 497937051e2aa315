package modem

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The references of a SIM's messages (TP-MR, 3GPP TS 23.040, section 9.2.3.6)
// go from 1 to 255: a modem takes 0 for none. By reference and recipient a
// centre tells duplicates (section 9.2.3.25), and we a report's part; a centre
// may know of each reference the newest only. So a recipient is given the one
// that has not been used there for longest, of those that were never used there
// the SIM's next in turn, and one of a part in doubt only when there is no
// other.
const (
	// It locks the SIM's row: its references are given one transaction after
	// the other.
	turnSQL = `
INSERT INTO modem_references AS r (sim, last) VALUES ($1, 0)
ON CONFLICT (sim) DO UPDATE SET last = r.last
RETURNING last`

	candidatesSQL = `
FROM (SELECT step, ($3::integer - 1 + step) % 255 + 1 AS reference FROM generate_series(1, 255) AS step ORDER BY step OFFSET 0) AS c`

	// One is looked at after the other, whatever the planner thinks of the
	// table: nearly always the first are free.
	freeSQL = `
SELECT reference::smallint` + candidatesSQL + `
WHERE NOT EXISTS (
    SELECT FROM modem_parts p
    WHERE p.sim = $1 AND p.reference = c.reference AND (p.recipient = $2 OR p.state = 'doubt')
    OFFSET 0)
ORDER BY step
LIMIT $4`

	longestUnusedSQL = `
SELECT reference::smallint` + candidatesSQL + `
CROSS JOIN LATERAL (
    SELECT max(at) FILTER (WHERE recipient = $2) AS at, coalesce(bool_or(state = 'doubt'), false) AS doubt
    FROM modem_parts p
    WHERE p.sim = $1 AND p.reference = c.reference) AS used
ORDER BY used.doubt, used.at NULLS FIRST, step
LIMIT $4`
)

// nextReferences gives references for n parts of a message, 255 at most.
func nextReferences(ctx context.Context, tx pgx.Tx, w whole, n int) (references []int16, err error) {
	var last int
	if err := tx.QueryRow(ctx, turnSQL, w.SIM).Scan(&last); err != nil {
		return nil, err
	}
	for _, query := range []string{freeSQL, longestUnusedSQL} {
		rows, err := tx.Query(ctx, query, w.SIM, w.Recipient, last, n)
		if err != nil {
			return nil, err
		}
		if references, err = pgx.CollectRows(rows, pgx.RowTo[int16]); err != nil {
			return nil, err
		}
		if len(references) == n {
			_, err = tx.Exec(ctx, `UPDATE modem_references SET last = $2 WHERE sim = $1`, w.SIM, references[n-1])
			return references, err
		}
	}
	return nil, fmt.Errorf("there are no references for %d parts", n)
}
