package bench

import (
	"context"
	"time"

	"herald/campaigns"
)

// sent is a campaign that is over.
type sent struct {
	run      int64
	took     time.Duration // from its start to its finished ledger
	prepared time.Duration // until its last notification was made
}

// send starts a campaign and waits until its ledger says that it is finished.
func (s *stage) send(ctx context.Context, p campaigns.Plan) (sent, error) {
	campaign, err := s.herald.Campaigns.Create(ctx, p, "operator:bench")
	if err != nil {
		return sent{}, err
	}
	began := time.Now()
	if campaign, err = s.herald.Campaigns.Start(ctx, campaign.ID, "operator:bench"); err != nil {
		return sent{}, err
	}
	run, err := s.finished(ctx, campaign.ID)
	if err != nil {
		return sent{}, err
	}
	return sent{run: run.ID, took: time.Since(began), prepared: run.PreparedAt.Sub(run.CreatedAt)}, nil
}

// finished waits until the campaign's ledger says that it is.
func (s *stage) finished(ctx context.Context, id int64) (run campaigns.Run, err error) {
	said := time.Now()
	err = s.until(ctx, func() (bool, error) {
		c, err := s.herald.Campaigns.Get(ctx, id)
		if err != nil || c.Run == nil || c.Run.PreparedAt == nil {
			return false, err
		}
		l, err := s.herald.Campaigns.RunLedger(ctx, c.Run.ID)
		if err != nil {
			return false, err
		}
		if time.Since(said) > 5*time.Second {
			s.log.Info("sending", "open", l.Open(), "accepted", l.Accepted)
			said = time.Now()
		}
		run = *c.Run
		return l.Balanced && l.Open() == 0, nil
	})
	return run, err
}

// until asks again and again until done says so.
func (s *stage) until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if is, err := done(); is || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case err := <-s.herald.Failed():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
