package collectors

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"herald/matcher"
	"herald/problem"
)

// againPage is how many dead letters are tried again together.
const againPage = 100

// tryAgain looks for dead letters that an operator wants tried again, and does.
func (r *Runner) tryAgain(ctx context.Context, c Collector, log *slog.Logger) {
	for pause(ctx, r.LookAgain) == nil {
		for {
			n, err := r.again(ctx, c)
			if err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "dead letters could not be tried again", "error", err)
			}
			if err != nil || n < againPage {
				break
			}
		}
	}
}

// again tries the first dead letters that were asked for: what can be taken now
// is taken and the letter removed, in one transaction; the others have their
// new reason.
func (r *Runner) again(ctx context.Context, c Collector) (int, error) {
	letters, err := r.Store.askedAgain(ctx, c.Name, againPage)
	if err != nil || len(letters) == 0 {
		return 0, err
	}
	var events []matcher.Event
	var ids, inVain []int64 // of events; of those that are none
	var reasons []string
	for _, l := range letters {
		item, err := c.Source.Reread(ctx, l.Key, l.Original)
		if err == nil {
			err = item.Err
		}
		if err != nil {
			inVain, reasons = append(inVain, l.ID), append(reasons, text(reason(err)))
			continue
		}
		events, ids = append(events, item.Event), append(ids, l.ID)
	}
	_, err = r.Intake.AcceptWith(ctx, events, func(ctx context.Context, tx pgx.Tx, results []matcher.Result) error {
		var taken []int64
		refused, why := inVain[:len(inVain):len(inVain)], reasons[:len(reasons):len(reasons)]
		by := step{}
		for i, result := range results {
			switch result.Status {
			case matcher.Refused:
				refused, why = append(refused, ids[i]), append(why, text(reason(result.Err)))
				continue
			case matcher.Accepted:
				by.accepted++
			case matcher.Duplicate:
				by.duplicates++
			}
			taken = append(taken, ids[i])
		}
		if err := r.Store.countTx(ctx, tx, c.Name, r.Node, by); err != nil {
			return err
		}
		return r.Store.resolveTx(ctx, tx, taken, refused, why)
	})
	if err != nil && problem.CodeOf(err) == "" {
		err = fmt.Errorf("hand over %d dead letters: %w", len(events), err)
	}
	return len(letters), err
}
