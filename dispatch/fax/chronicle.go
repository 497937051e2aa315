package fax

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
)

var _ dispatch.Chronicle = (*Store)(nil)

const entriesSQL = `
SELECT delivery_id, account, job, first_page, pages, state, outcome, sent, dials_before + dials, code, text, document IS NOT NULL AND NOT private, submitted_at, sent_at, ended_at
FROM faxes
WHERE delivery_id = ANY($1) AND submitted_at IS NOT NULL
ORDER BY begun_at, further`

// Entries tells what happened to the faxes of deliveries, in order of time:
//
//	fax_submitted  Args {pages, first}          Detail {account, job, document}
//	fax_sent       Args {sent, of}: so many pages of the whole fax were confirmed
//	fax_ended      Args {outcome, dials}        Detail {account, job, code, text}
//
// outcome is "delivered", one of hardware/fax's failures, "incomplete" or
// "forgotten". first is the page that the job begins with;
// document, that Document has the pages.
func (s *Store) Entries(ctx context.Context, deliveries []uuid.UUID) ([]dispatch.Entry, error) {
	rows, err := s.db.Query(ctx, entriesSQL, deliveries)
	if err != nil {
		return nil, fmt.Errorf("read what happened to faxes: %w", err)
	}
	var (
		told                         []dispatch.Entry
		id                           uuid.UUID
		account, jobID               string
		first, pages                 int
		shown                        bool
		state, text                  string
		came                         outcome
		sent, dials, code            int
		submittedAt, sentAt, endedAt *time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &account, &jobID, &first, &pages, &state, &came, &sent, &dials, &code, &text, &shown, &submittedAt, &sentAt, &endedAt}, func() error {
		who := map[string]any{"account": account}
		if jobID != "" {
			who["job"] = jobID
		}
		if shown {
			who["document"] = true
		}
		told = append(told, dispatch.Entry{
			At: *submittedAt, Code: "fax_submitted", OK: true, DeliveryID: id,
			Args: map[string]any{"pages": pages, "first": first}, Detail: who,
		})
		if sentAt != nil {
			told = append(told, dispatch.Entry{
				At: *sentAt, Code: "fax_sent", OK: true, DeliveryID: id, Args: map[string]any{"sent": first - 1 + sent, "of": pages},
			})
		}
		if state == ended && endedAt != nil {
			detail := map[string]any{"account": account, "job": jobID, "text": text}
			if code != 0 {
				detail["code"] = code
			}
			told = append(told, dispatch.Entry{
				At: *endedAt, Code: "fax_ended", OK: came == delivered, DeliveryID: id,
				Args: map[string]any{"outcome": string(came), "dials": dials}, Detail: detail,
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what happened to faxes: %w", err)
	}
	return told, nil
}
