package limits

import (
	"math"
	"time"
)

// WarmUp is how an account that its receivers do not know yet comes to its
// full rate: so many messages on the first day, more on each that follows.
type WarmUp struct {
	Start  string  `yaml:"start" json:"start" help:"The first day, such as 2026-03-01. Empty: no warm-up."`
	First  int     `yaml:"first" json:"first" help:"Messages on the first day; on the days before it no more either."`
	Growth float64 `yaml:"growth" json:"growth" help:"What each day's messages are multiplied by for the next."`
	Full   int     `yaml:"full" json:"full" help:"Messages a day at which the warm-up is over."`
	Days   []int   `yaml:"days" json:"days" help:"Messages of each day, one by one, instead of first, growth and full; after the last the warm-up is over."`
	Spread int     `yaml:"spread" json:"spread" help:"Hours over which a day's messages are spread evenly, 1 to 24."`
}

// Day is the day that holds at by the clock of a zone: its quota, and the rate
// that spreads the quota over Spread hours. It reports false when the warm-up
// is over or there is none. A day is from midnight to midnight, so that it may
// have 23 or 25 hours. The warm-up must have passed Rules.Check.
func (w WarmUp) Day(at time.Time, zone *time.Location) (Quota, Limit, bool) {
	start, err := time.Parse(time.DateOnly, w.Start)
	if err != nil {
		return Quota{}, Limit{}, false
	}
	year, month, day := at.In(zone).Date()
	today := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	quota, ok := w.quota(max(0, int(today.Sub(start).Hours()/24)))
	if !ok {
		return Quota{}, Limit{}, false
	}
	q := Quota{
		Day:   today.Format(time.DateOnly),
		From:  midnight(year, month, day, zone),
		Until: midnight(year, month, day+1, zone),
		Max:   int64(quota),
	}
	if quota == 0 {
		return q, Limit{}, true
	}
	return q, Limit{PerSecond: float64(quota) / (float64(w.Spread) * time.Hour.Seconds()), Burst: 1}, true
}

// quota is how many messages may go on a day, counted from 0, and false from
// the day on that has no quota.
func (w WarmUp) quota(day int) (int, bool) {
	if len(w.Days) > 0 {
		if day >= len(w.Days) {
			return 0, false
		}
		return w.Days[day], true
	}
	quota := math.Floor(float64(w.First) * math.Pow(w.Growth, float64(day)))
	if quota >= float64(w.Full) {
		return 0, false
	}
	return int(quota), true
}

// midnight is when a day begins: at 0:00; at the first of two; and where
// clocks skip it, at the first moment there is.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	const halfHour = 30 * time.Minute // clocks change by no less
	at := time.Date(year, month, day, 0, 0, 0, 0, zone)
	day = time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day()
	if at.Day() != day {
		// time.Date went by the clock after the change, by which it is still
		// the evening before; the day begins with the change.
		_, at = at.ZoneBounds()
		return at.In(zone)
	}
	for at.Add(-halfHour).Day() == day {
		at = at.Add(-halfHour)
	}
	return at
}
