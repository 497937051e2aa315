package campaigns

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/calendar"
)

// cameHour is an instant at which the hour of an occasion came somewhere.
type cameHour struct {
	at        time.Time
	occasions []occasion
}

// came gathers the zones in which the hour of a date came, by the instant.
type came map[time.Time]map[string][]string

func (c came) add(m calendar.Moment, zone string) {
	if c[m.At] == nil {
		c[m.At] = map[string][]string{}
	}
	zones, date := c[m.At], m.Date.String()
	if !slices.Contains(zones[date], zone) {
		zones[date] = append(zones[date], zone)
	}
}

func (c came) inOrder() []cameHour {
	var list []cameHour
	for at, dates := range c {
		hour := cameHour{at: at}
		for date, zones := range dates {
			slices.Sort(zones)
			hour.occasions = append(hour.occasions, occasion{date, zones})
		}
		slices.SortFunc(hour.occasions, func(a, b occasion) int { return strings.Compare(a.Date, b.Date) })
		list = append(list, hour)
	}
	slices.SortFunc(list, func(a, b cameHour) int { return a.at.Compare(b.at) })
	return list
}

// location is a member's time zone; one that this machine does not know is UTC.
func location(name string) *time.Location {
	zone, err := calendar.LoadZone(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

// zonesSQL is the zones that members live in, found by jumping from one to the
// next in the index.
const zonesSQL = `
WITH RECURSIVE zones AS (
    (SELECT time_zone FROM members ORDER BY time_zone LIMIT 1)
    UNION ALL
    SELECT (SELECT m.time_zone FROM members m WHERE m.time_zone > z.time_zone ORDER BY m.time_zone LIMIT 1)
    FROM zones z
    WHERE z.time_zone IS NOT NULL
)
SELECT time_zone FROM zones WHERE time_zone IS NOT NULL`

// datesBetween are the instants after from, up to at, at which the hour of an
// occasion came in a zone that members live in, in order.
func (s *Store) datesBetween(ctx context.Context, tx pgx.Tx, w When, schedule calendar.Schedule, from, at time.Time) ([]cameHour, error) {
	rows, err := tx.Query(ctx, zonesSQL)
	if err != nil {
		return nil, fmt.Errorf("list the members' time zones: %w", err)
	}
	zones, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the members' time zones: %w", err)
	}
	moments := schedule.Between
	if w.Missed != calendar.All && at.Sub(from) > late+occasionEvery {
		moments = schedule.Latest
	}
	found := came{}
	for _, zone := range zones {
		for _, m := range moments(from, at, location(zone)) {
			found.add(m, zone)
		}
	}
	return found.inOrder(), nil
}

// birthdaySQL is a birthday's day of the year, 228; there is an index on it.
const birthdaySQL = `(extract(month FROM birthday) * 100 + extract(day FROM birthday))::integer`

// daysOf are the days of the year, 228, whose birthdays are kept on a date.
func daysOf(rule calendar.LeapDay, date calendar.Date) []int {
	days := rule.Days(date)
	list := make([]int, len(days))
	for i := range days {
		list[i] = int(date.Month)*100 + date.Day
	}
	if len(list) > 1 {
		list[1] = 229 // kept on another date
	}
	return list
}

// birthdaysBetween are the instants after from, up to at, at which the hour of
// somebody's birthday came, in order.
func (s *Store) birthdaysBetween(ctx context.Context, tx pgx.Tx, w When, schedule calendar.Schedule, from, at time.Time) ([]cameHour, error) {
	var days []int
	// The world's clocks are up to 14 hours ahead and 12 behind.
	last := calendar.DateOf(at.UTC()).AddDays(1)
	for date := calendar.DateOf(from.UTC()).AddDays(-1); date.Compare(last) <= 0; date = date.AddDays(1) {
		days = append(days, daysOf(w.LeapDay, date)...)
	}
	rows, err := tx.Query(ctx, `
SELECT DISTINCT time_zone, `+birthdaySQL+`
FROM members
WHERE birthday IS NOT NULL AND `+birthdaySQL+` = ANY ($1::integer[])`, days)
	if err != nil {
		return nil, fmt.Errorf("look for birthdays: %w", err)
	}
	var (
		zone string
		day  int
	)
	found := came{}
	known := map[string][]calendar.Moment{}
	_, err = pgx.ForEachRow(rows, []any{&zone, &day}, func() error {
		moments, ok := known[zone]
		if !ok {
			moments = schedule.Between(from, at, location(zone))
			known[zone] = moments
		}
		for _, m := range moments {
			if slices.Contains(daysOf(w.LeapDay, m.Date), day) {
				found.add(m, zone)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for birthdays: %w", err)
	}
	return found.inOrder(), nil
}
