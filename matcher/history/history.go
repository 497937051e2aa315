// Package history keeps the days of events: the partitions in which events and
// their matches lie, one for each day in UTC, by the time in the event's id.
//
// It reads nothing of them. A Keeper makes the days to come before they begin,
// moves what came without one to where it belongs, and drops the days that are
// older than they have to be, together with the names that their senders gave
// to those events.
package history

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/timeid"
)

// Ahead is how many days beyond today have their partitions.
const Ahead = 7

// table is one that is kept by days.
type table struct{ name, key string }

// tables are those, in the order in which a transaction that needs several
// locks them.
var tables = [...]table{{"events", "id"}, {"matches", "event_id"}}

// day is a day in UTC, from its first instant.
type day time.Time

func dayOf(at time.Time) day { return day(at.UTC().Truncate(24 * time.Hour)) }

func (d day) add(days int) day { return day(time.Time(d).AddDate(0, 0, days)) }

func (d day) before(other day) bool { return time.Time(d).Before(time.Time(other)) }

// ids are the first id of the day and the first after it.
func (d day) ids() (from, to uuid.UUID) {
	return timeid.Floor(time.Time(d)), timeid.Floor(time.Time(d.add(1)))
}

const nameLayout = "20060102"

// of is the name of the day's partition of a table.
func (d day) of(t table) string { return t.name + "_" + time.Time(d).Format(nameLayout) }

func (d day) String() string { return time.Time(d).Format(time.DateOnly) }

// partition is a table that holds a day, or all days up to it.
type partition struct {
	table    table
	day      day // the last that it holds
	attached bool
	open     bool // it also holds all days before
}

func (p partition) holds(d day) bool {
	return p.attached && (p.day == d || p.open && d.before(p.day))
}

func (p partition) name() string { return p.day.of(p.table) }

var dayName = regexp.MustCompile(`^[a-z]+_([0-9]{8})$`)

// selectPartitions finds them by their names, also those that were detached
// and are not dropped yet.
const selectPartitions = `
SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(pg_get_expr(c.relpartbound, c.oid) LIKE '%MINVALUE%', false)
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname ~ $1
ORDER BY c.relname`

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// partitions are all there are of a table, oldest first.
func partitions(ctx context.Context, db querier, t table) ([]partition, error) {
	rows, err := db.Query(ctx, selectPartitions, "^"+t.name+"_[0-9]{8}$")
	if err != nil {
		return nil, fmt.Errorf("list the days of %s: %w", t.name, err)
	}
	var list []partition
	var name string
	var attached, open bool
	_, err = pgx.ForEachRow(rows, []any{&name, &attached, &open}, func() error {
		at, err := time.Parse(nameLayout, dayName.FindStringSubmatch(name)[1])
		if err != nil {
			return nil // somebody else's table
		}
		list = append(list, partition{t, day(at), attached, open})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the days of %s: %w", t.name, err)
	}
	return list, nil
}

// Oldest is the first instant of the oldest day whose events are there. It is
// the zero time where there is no such day, or all that ever came is there.
func Oldest(ctx context.Context, db querier) (time.Time, error) {
	list, err := partitions(ctx, db, tables[0])
	if err != nil {
		return time.Time{}, err
	}
	i := slices.IndexFunc(list, func(p partition) bool { return p.attached })
	if i < 0 || list[i].open {
		return time.Time{}, nil
	}
	return time.Time(list[i].day), nil
}

// missing are the days from the first to the last that have no partition.
func missing(list []partition, first, last day) []day {
	var days []day
	for d := first; !last.before(d); d = d.add(1) {
		if !slices.ContainsFunc(list, func(p partition) bool { return p.holds(d) }) {
			days = append(days, d)
		}
	}
	return days
}

// selectAstray finds the days of what lies in a table's default partition.
const selectAstray = `
SELECT DISTINCT to_timestamp(('x' || translate(left(KEY::text, 13), '-', ''))::bit(48)::bigint / 1000.0)::timestamptz AT TIME ZONE 'UTC'
FROM (SELECT KEY FROM NAME_default LIMIT 100000) AS found`

// astray are the days whose events came while they had no partition, some of
// them when there are very many.
func astray(ctx context.Context, db querier, t table) ([]day, error) {
	sql := strings.NewReplacer("KEY", t.key, "NAME", t.name).Replace(selectAstray)
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("look for %s without a day: %w", t.name, err)
	}
	found := map[day]bool{}
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&at}, func() error {
		found[dayOf(at)] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for %s without a day: %w", t.name, err)
	}
	days := make([]day, 0, len(found))
	for d := range found {
		days = append(days, d)
	}
	slices.SortFunc(days, func(a, b day) int { return time.Time(a).Compare(time.Time(b)) })
	return days, nil
}

// indexOf is the name of the index by which a day's events are found by their
// data. Days that are over get one: while events come in it would cost more
// than it brings.
func (d day) indexOf() string { return d.of(tables[0]) + "_data" }

// Indexed are the days, by their first instants, whose events an index finds by
// their data: WHERE data @> $1.
func Indexed(ctx context.Context, db querier) (map[time.Time]bool, error) {
	rows, err := db.Query(ctx, `
SELECT c.relname
FROM pg_class c
JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname ~ '^events_[0-9]{8}_data$' AND i.indisvalid`)
	if err != nil {
		return nil, fmt.Errorf("list the days with an index: %w", err)
	}
	days := map[time.Time]bool{}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error {
		if at, err := time.Parse(nameLayout, strings.TrimSuffix(strings.TrimPrefix(name, "events_"), "_data")); err == nil {
			days[at] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the days with an index: %w", err)
	}
	return days, nil
}
