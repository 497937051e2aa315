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
// rates. Those whose turn is not soon are left to the job's next run, but those
// that meet with a quota that is used up are passed on where another account is.
func (r *run) reserve(ctx context.Context, a *account, parcels []*parcel) (mine, passed []*parcel, err error) {
	wants := make([][]limits.Want, len(parcels))
	limited := false
	for i, p := range parcels {
		t := p.first()
		p.parts = a.parts(p.message)
		wants[i] = a.limits.Wants(t.Address, max(p.parts, 1), r.store.now())
		pace, err := r.pace(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		if pace.PerSecond > 0 {
			wants[i] = slices.Insert(wants[i], min(1, len(wants[i])), limits.Campaign(t.CampaignID, pace))
		}
		limited = limited || len(wants[i]) > 0
	}
	if !limited {
		return parcels, nil, nil
	}
	horizon := bulkHorizon
	if parcels[0].first().urgent() {
		horizon = urgentHorizon
	}
	slots, err := r.accounts.rates.Reserve(ctx, wants, horizon)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	for i, p := range parcels {
		if slots[i].Spent {
			a.spend(slots[i].After)
			if p.passed++; p.passed < len(r.accounts.list) && r.accounts.beside(a, p.first()) {
				passed = append(passed, p)
				continue
			}
		}
		if !slots[i].Reserved {
			r.later(slots[i].After)
			continue
		}
		p.at = now.Add(slots[i].After)
		mine = append(mine, p)
	}
	slices.SortStableFunc(mine, func(x, y *parcel) int { return x.at.Compare(y.at) })
	return mine, passed, nil
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
