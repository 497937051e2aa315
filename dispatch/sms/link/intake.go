package link

import (
	"context"

	"herald/dispatch"
	"herald/dispatch/sms"
)

// What gateways told and nobody took is kept up to here; what is told beyond
// it, the gateway is asked to tell again.
const (
	MostReports = 5000
	MostWritten = 1000
)

// Intake keeps what an account's gateway tells: what became of messages, and
// what people write.
type Intake struct {
	parts   Parts
	reports *queue[dispatch.Report]
	inbox   *inbox
}

// NewIntake makes the intake of an account.
func NewIntake(account string, parts Parts) *Intake {
	return &Intake{parts: parts, reports: newQueue[dispatch.Report](MostReports), inbox: newInbox(account, parts, MostWritten)}
}

// PutReport keeps r, by its Key, until it was taken, when taken is called. It
// is false when there is no room.
func (in *Intake) PutReport(r dispatch.Report, taken func()) bool {
	return in.reports.put(r.Key, r, taken)
}

// PutPiece keeps what somebody wrote, as PutReport does.
func (in *Intake) PutPiece(p sms.Piece, taken func()) bool { return in.inbox.put(p, taken) }

// Reports gives what became of messages to take, until ctx ends or take fails;
// what it failed with is given again.
func (in *Intake) Reports(ctx context.Context, take func(context.Context, []dispatch.Report) error) error {
	return in.reports.run(ctx, func(ctx context.Context, reports []dispatch.Report) error {
		whole, err := in.parts.Reports(ctx, reports)
		if err != nil || len(whole) == 0 {
			return err
		}
		return take(ctx, whole)
	})
}

// Receive gives what people wrote to take, as Reports does.
func (in *Intake) Receive(ctx context.Context, take func(context.Context, []dispatch.Inbound) error) error {
	return in.inbox.run(ctx, take)
}
