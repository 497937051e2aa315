package voice

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
)

var _ dispatch.Chronicle = (*Store)(nil)

// Entries tells what happened in the calls of deliveries, in order of time, for
// their timelines. The codes and their figures:
//
//	call_dialled
//	call_ringing
//	call_answered     {by: person, machine or unknown}
//	call_pressed      {digit}
//	call_heard        {seconds, of, by}: how much of the message was said
//	call_confirmed
//	call_unconfirmed: it was asked, and nobody did
//	call_stopped
//	call_transferred
//	call_consented    {digit}: to be recorded
//	call_recorded     {seconds}, Detail {recording: its id}
//	call_hung_up      {by: us, them or silence}
//	call_failed       {class: busy, no_answer …, code: of SIP; 0: none}: nobody answered
func (s *Store) Entries(ctx context.Context, deliveries []uuid.UUID) ([]dispatch.Entry, error) {
	rows, err := s.db.Query(ctx, `
SELECT delivery_id, account, call_id, steps
FROM calls
WHERE delivery_id = ANY ($1)
ORDER BY id`, deliveries)
	if err != nil {
		return nil, fmt.Errorf("read what happened in calls: %w", err)
	}
	var told []dispatch.Entry
	var delivery uuid.UUID
	var account, callID string
	var steps []step
	_, err = pgx.ForEachRow(rows, []any{&delivery, &account, &callID, &steps}, func() error {
		for _, s := range steps {
			told = append(told, s.entry(delivery, account, callID))
		}
		steps = nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what happened in calls: %w", err)
	}
	return told, nil
}

func (s step) entry(delivery uuid.UUID, account, callID string) dispatch.Entry {
	e := dispatch.Entry{At: s.At, Code: s.Code, OK: s.Code != codeFailed && s.Code != codeUnconfirmed, DeliveryID: delivery, Args: s.Args}
	switch {
	case s.Code == codeDialled: // what the provider is asked by
		e.Detail = map[string]any{"account": account, "call_id": callID}
	case s.Recording != uuid.Nil:
		e.Detail = map[string]any{"recording": s.Recording}
	}
	return e
}
