package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"herald/dispatch/limits"
)

// How far ahead of a rate's pace messages are taken into hand: bulk a little,
// so that what is urgent is never far behind it.
const (
	bulkHorizon   = 250 * time.Millisecond
	urgentHorizon = 2 * time.Second
)

// reserve asks when the parcels may go by their account's and campaign's
// rates. Those whose turn is not soon are left to the job's next run.
func (r *run) reserve(ctx context.Context, a *account, parcels []*parcel) ([]*parcel, error) {
	wants := make([][]limits.Want, len(parcels))
	limited := false
	for i, p := range parcels {
		t := p.first()
		wants[i] = a.limits.Wants(t.Address, a.parts(p.message), r.store.now())
		pace, err := r.pace(ctx, t)
		if err != nil {
			return nil, err
		}
		if pace.PerSecond > 0 {
			wants[i] = slices.Insert(wants[i], min(1, len(wants[i])), limits.Campaign(t.CampaignID, pace))
		}
		limited = limited || len(wants[i]) > 0
	}
	if !limited {
		return parcels, nil
	}
	horizon := bulkHorizon
	if parcels[0].first().urgent() {
		horizon = urgentHorizon
	}
	slots, err := r.accounts.rates.Reserve(ctx, wants, horizon)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var mine []*parcel
	for i, p := range parcels {
		if !slots[i].Reserved {
			r.later(slots[i].After)
			continue
		}
		p.at = now.Add(slots[i].After)
		mine = append(mine, p)
	}
	slices.SortStableFunc(mine, func(x, y *parcel) int { return x.at.Compare(y.at) })
	return mine, nil
}

// pace is the rate of a delivery's campaign, if it has one.
func (r *run) pace(ctx context.Context, t *task) (limits.Limit, error) {
	if t.CampaignID == 0 || r.cfg.Campaigns == nil {
		return limits.Limit{}, nil
	}
	perSecond, err := r.cfg.Campaigns.Rate(ctx, t.CampaignID)
	if err != nil {
		return limits.Limit{}, fmt.Errorf("ask for the pace of campaign %d: %w", t.CampaignID, err)
	}
	if perSecond <= 0 {
		return limits.Limit{}, nil
	}
	return limits.Limit{PerSecond: float64(perSecond), Burst: 1}, nil
}
