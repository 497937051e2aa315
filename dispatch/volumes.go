package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

// VolumeRule is where a month's text messages change from being worth a modem
// with a SIM of the company's own to being worth an operator's gateway.
type VolumeRule struct {
	// Zone is where days and months begin; nil: UTC.
	Zone *time.Location
	// Threshold is in parts a month; 0: 100,000. Less: nothing is advised.
	Threshold int
}

// usualThreshold is what the companies' practice is: under 100,000 messages a
// month over serial lines, above that over the operator's.
const usualThreshold = 100_000

func (r VolumeRule) withDefaults() VolumeRule {
	if r.Zone == nil {
		r.Zone = time.UTC
	}
	if r.Threshold == 0 {
		r.Threshold = usualThreshold
	}
	return r
}

// Volume is how many parts an account sent: those that its provider took, and
// those of which that is in doubt.
type Volume struct {
	Month     string `json:"month" doc:"This month in the company's time zone." example:"2026-11"`
	ThisMonth int64  `json:"this_month"`
	LastMonth int64  `json:"last_month"`
	PastWeek  int64  `json:"past_week" doc:"In seven days, today's so far among them."`

	first time.Time // the first day on which it sent any
}

// The parts of a hand-over are noted among the minutes' figures, in the
// transaction that records what came of it, and added up to days with them: so
// that counting takes no turn at a row that all hand-overs share.

// outcomeParts is what the minutes' figures call them.
const outcomeParts = "parts"

const (
	// addDaysSQL follows a CTE "gone" of minutes' figures that were deleted.
	addDaysSQL = `days AS (
    INSERT INTO account_days AS d (day, account, parts)
    SELECT (minute AT TIME ZONE $3)::date, account, sum(n) FROM gone WHERE outcome = 'parts'
    GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (day, account) DO UPDATE SET parts = d.parts + excluded.parts
)`

	forgetDaysSQL = `DELETE FROM account_days WHERE day < $1`

	// One statement, so that it sees every figure once: in its minute or in its day.
	volumesSQL = `
SELECT account,
       coalesce(sum(parts) FILTER (WHERE day >= $2), 0)::bigint,
       coalesce(sum(parts) FILTER (WHERE day >= $3 AND day < $2), 0)::bigint,
       coalesce(sum(parts) FILTER (WHERE day > $4), 0)::bigint,
       min(day)
FROM (SELECT day, account, parts FROM account_days
      UNION ALL
      SELECT (minute AT TIME ZONE $1)::date, account, n FROM minutes WHERE NOT merged AND outcome = 'parts') AS counted
GROUP BY account`

	// keepDays is how long days are kept.
	keepDays = 400 * 24 * time.Hour
)

// monthOf is the first day of a moment's month in the rule's zone.
func (r VolumeRule) monthOf(at time.Time) time.Time {
	y, m, _ := at.In(r.Zone).Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
}

// today is the day of a moment in the rule's zone.
func (r VolumeRule) today(at time.Time) time.Time {
	y, m, d := at.In(r.Zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// volumes are what each account sent.
func (s *Store) volumes(ctx context.Context) (map[string]Volume, error) {
	now := s.now()
	month := s.volume.monthOf(now)
	rows, err := s.pool.Query(ctx, volumesSQL, s.volume.Zone.String(), month, month.AddDate(0, -1, 0), s.volume.today(now).AddDate(0, 0, -7))
	if err != nil {
		return nil, fmt.Errorf("read what accounts sent: %w", err)
	}
	list := map[string]Volume{}
	var name string
	v := Volume{Month: month.Format("2006-01")}
	_, err = pgx.ForEachRow(rows, []any{&name, &v.ThisMonth, &v.LastMonth, &v.PastWeek, &v.first}, func() error {
		list[name] = v
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what accounts sent: %w", err)
	}
	return list, nil
}

// addVolumes fills in what the accounts that count parts sent.
func (s *Store) addVolumes(ctx context.Context, list []AccountState) error {
	sent, err := s.volumes(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		v, has := sent[list[i].Name]
		if !has {
			if list[i].Channel != subscriptions.SMS {
				continue
			}
			v.Month = s.volume.monthOf(s.now()).Format("2006-01")
		}
		list[i].Volume = &v
	}
	return nil
}

// VolumeAdvice is what the volumes of a month suggest.
type VolumeAdvice struct {
	Code      AdviceCode `json:"code"`
	Parts     int64      `json:"parts"` // so far in the month, or in the month that is over
	Threshold int64      `json:"threshold"`
	// Day is, of ModemsWillBeOver, the day on which they will be; of
	// GatewayIdle the first of its month.
	Day time.Time `json:"day"`
}

// AdviceCode says what is advised.
type AdviceCode string

// The advice there is.
const (
	ModemsOver       AdviceCode = "modems_over"      // the modems sent more than they are for: take a gateway
	ModemsWillBeOver AdviceCode = "modems_will_over" // at the past week's rate they will this month
	GatewayIdle      AdviceCode = "gateway_idle"     // a gateway had little to do in all of last month: a modem may do
)

// gatewayShare is what part of the threshold makes a gateway worth its price.
const gatewayShare = 10

// VolumeAdvice says what the volumes of accounts suggest.
func (s *Store) VolumeAdvice(list []AccountState) []VolumeAdvice {
	if s.volume.Threshold < 0 {
		return nil
	}
	var modems, gateways Volume
	idle := false // some gateway was there all last month
	month := s.volume.monthOf(s.now())
	for _, a := range list {
		if a.Channel != subscriptions.SMS || a.Volume == nil {
			continue
		}
		sum := &gateways
		if a.Setup.Device {
			sum = &modems
		} else {
			idle = idle || !a.Volume.first.IsZero() && !a.Volume.first.After(month.AddDate(0, -1, 0))
		}
		sum.ThisMonth += a.Volume.ThisMonth
		sum.LastMonth += a.Volume.LastMonth
		sum.PastWeek += a.Volume.PastWeek
	}
	threshold := int64(s.volume.Threshold)
	var advice []VolumeAdvice
	switch day, will := s.volume.over(modems, s.now()); {
	case modems.ThisMonth > threshold:
		advice = append(advice, VolumeAdvice{ModemsOver, modems.ThisMonth, threshold, month})
	case will:
		advice = append(advice, VolumeAdvice{ModemsWillBeOver, modems.ThisMonth, threshold, day})
	}
	if idle && gateways.LastMonth+modems.LastMonth < threshold/gatewayShare {
		advice = append(advice, VolumeAdvice{GatewayIdle, gateways.LastMonth, threshold, month.AddDate(0, -1, 0)})
	}
	return advice
}

// over says on which day of this month the threshold will be passed at the
// past week's rate; false: not this month.
func (r VolumeRule) over(v Volume, now time.Time) (time.Time, bool) {
	today := r.today(now)
	left := int64(r.Threshold) - v.ThisMonth
	if v.PastWeek == 0 || left < 0 {
		return time.Time{}, false
	}
	// The days after today that it takes at PastWeek/7 a day to pass it.
	days := int(min(7*(left+1)+v.PastWeek-1, 32*v.PastWeek) / v.PastWeek)
	day := today.AddDate(0, 0, days)
	return day, day.Before(r.monthOf(now).AddDate(0, 1, 0))
}
