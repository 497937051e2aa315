package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres/pgtest"
	"herald/timeid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// archive is a database with a keeper whose clock can be moved.
type archive struct {
	*testing.T
	pool   *pgxpool.Pool
	now    time.Time
	keeper *Keeper
}

func openArchive(t *testing.T, cfg Config) *archive {
	t.Helper()
	a := &archive{T: t, pool: pgtest.New(t), now: noon}
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Now = func() time.Time { return a.now }
	a.keeper = NewKeeper(a.pool, cfg)
	return a
}

func (a *archive) turn() {
	a.Helper()
	if err := a.keeper.Turn(a.Context()); err != nil {
		a.Fatalf("Turn: %v", err)
	}
}

func (a *archive) exec(sql string, args ...any) {
	a.Helper()
	if _, err := a.pool.Exec(a.Context(), sql, args...); err != nil {
		a.Fatalf("%v: %s", err, sql)
	}
}

// event records one with a match, as the matcher does, and returns its id.
func (a *archive) event(name string, at time.Time) uuid.UUID {
	a.Helper()
	id := timeid.New(at)
	a.exec(`WITH new AS (INSERT INTO event_keys VALUES (encode(substr(sha256(convert_to('/shop', 'UTF8') || '\x00'::bytea || convert_to($2::text, 'UTF8')), 1, 16), 'hex')::uuid, $1) RETURNING event_id)
		INSERT INTO events (id, source, source_id, type, time, data) SELECT event_id, '/shop', $2, 'price.changed', $3, '{}' FROM new`, id, name, at)
	a.exec(`INSERT INTO matches (subscription_id, event_id, outcome) VALUES (1, $1, 'paused')`, id)
	return id
}

// names are the partitions of both tables that are attached.
func (a *archive) names() []string {
	a.Helper()
	var names []string
	for _, t := range tables {
		list, err := partitions(a.Context(), a.pool, t)
		if err != nil {
			a.Fatal(err)
		}
		for _, p := range list {
			if p.attached {
				names = append(names, p.name())
			}
		}
	}
	return names
}

func (a *archive) count(what string) (n int) {
	a.Helper()
	if err := a.pool.QueryRow(a.Context(), `SELECT count(*) FROM `+what).Scan(&n); err != nil {
		a.Fatalf("count %s: %v", what, err)
	}
	return n
}

func (a *archive) expect(want map[string]int) {
	a.Helper()
	for what, n := range want {
		if got := a.count(what); got != n {
			a.Errorf("%d %s, want %d", got, what, n)
		}
	}
}

func TestDaysAreMadeAheadAndOnce(t *testing.T) {
	a := openArchive(t, Config{})
	a.turn()
	want := []string{}
	for _, table := range []string{"events", "matches"} {
		for _, d := range []string{"20260301", "20260302", "20260303", "20260304", "20260305", "20260306", "20260307", "20260308"} {
			want = append(want, table+"_"+d)
		}
	}
	if got := a.names(); !slices.Equal(got, want) {
		t.Errorf("made %v, want %v", got, want)
	}
	a.turn()
	a.now = noon.AddDate(0, 0, 1)
	a.turn()
	if got := a.names(); len(got) != len(want)+2 || !slices.Contains(got, "matches_20260309") {
		t.Errorf("a day later there are %v", got)
	}
}

func TestAnEventLiesInTheDayOfItsID(t *testing.T) {
	a := openArchive(t, Config{})
	a.turn()
	midnight := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	a.event("last of a day", midnight.Add(-time.Millisecond))
	a.event("first of a day", midnight)
	a.expect(map[string]int{
		"events_20260301": 1, "events_20260302": 1, "events_default": 0,
		"matches_20260301": 1, "matches_20260302": 1, "matches_default": 0,
	})
}

func TestWhatCameWithoutADayFindsItLater(t *testing.T) {
	a := openArchive(t, Config{})
	for i, back := range []int{0, 1, 1, 9} {
		a.event(fmt.Sprint(i), noon.AddDate(0, 0, -back))
	}
	a.expect(map[string]int{"events_default": 4, "matches_default": 4})
	report, err := Examine(t.Context(), a.pool, a.now)
	if err != nil || report.Astray != 8 || len(report.Missing) != Ahead+1 || !report.First.IsZero() {
		t.Errorf("before: %+v (%v)", report, err)
	}
	a.turn()
	a.expect(map[string]int{
		"events_default": 0, "matches_default": 0, "events": 4, "matches": 4,
		"events_20260301": 1, "events_20260228": 2, "events_20260220": 1, "matches_20260228": 2,
	})
	report, err = Examine(t.Context(), a.pool, a.now)
	if err != nil || report.Astray != 0 || len(report.Missing) != 0 ||
		!report.First.Equal(time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC)) || !report.Last.Equal(time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("after: %+v (%v)", report, err)
	}
}

func TestOldDaysGoWithTheNamesOfTheirEvents(t *testing.T) {
	a := openArchive(t, Config{Keep: 30 * 24 * time.Hour})
	a.turn()
	old := a.event("old", noon)
	a.event("young", noon.AddDate(0, 0, 1))
	a.now = noon.AddDate(0, 0, 30)
	a.turn()
	a.expect(map[string]int{"events": 2, "event_keys": 2}) // the whole day is kept until all of it is old enough
	// The old event's sender uses its name again, which is refused until it is forgotten.
	a.now = noon.AddDate(0, 0, 31)
	a.turn()
	a.expect(map[string]int{"events": 1, "matches": 1, "event_keys": 1, "events WHERE source_id = 'young'": 1})
	if slices.Contains(a.names(), "events_20260301") {
		t.Error("the day is still there")
	}
	a.expect(map[string]int{"pg_class WHERE relname IN ('events_20260301', 'matches_20260301')": 0})
	again := a.event("old", a.now)
	if again == old {
		t.Error("it is the same")
	}
}

func TestADayIsKeptAsLongAsSomethingNeedsIt(t *testing.T) {
	needs, failure := 60*24*time.Hour, error(nil)
	a := openArchive(t, Config{Keep: 24 * time.Hour, Needs: func(context.Context) (time.Duration, error) { return needs, failure }})
	a.turn()
	a.event("1", noon)
	a.now = noon.AddDate(0, 0, 60)
	a.turn()
	a.expect(map[string]int{"events": 1})
	a.now, failure = noon.AddDate(0, 0, 70), errors.New("the triggers cannot be read")
	if err := a.keeper.Turn(t.Context()); err == nil || !strings.Contains(err.Error(), "triggers cannot be read") {
		t.Errorf("Turn says %v", err)
	}
	a.expect(map[string]int{"events": 1})
	failure = nil
	a.turn()
	a.expect(map[string]int{"events": 0, "event_keys": 0})
}

// A drop that was cut off after the day was detached is finished by the next
// turn; a name that belongs to a newer event by then stays.
func TestADropThatWasCutOffIsFinished(t *testing.T) {
	a := openArchive(t, Config{Keep: 24 * time.Hour})
	a.turn()
	a.event("1", noon)
	a.event("2", noon)
	a.exec(`ALTER TABLE events DETACH PARTITION events_20260301`)
	newer := timeid.New(noon.AddDate(0, 0, 1))
	a.exec(`UPDATE event_keys SET event_id = $1 WHERE digest = encode(substr(sha256(convert_to('/shop', 'UTF8') || '\x00'::bytea || '2'::bytea), 1, 16), 'hex')::uuid`, newer)
	a.now = noon.AddDate(0, 0, 2)
	a.turn()
	a.expect(map[string]int{
		"event_keys": 1, fmt.Sprintf("event_keys WHERE event_id = '%s'", newer): 1,
		"pg_class WHERE relname IN ('events_20260301', 'matches_20260301')": 0,
	})
}

func TestAReaderInTheWayPutsADropOff(t *testing.T) {
	a := openArchive(t, Config{Keep: 24 * time.Hour})
	a.turn()
	a.event("1", noon)
	a.now = noon.AddDate(0, 0, 2)
	reader, err := a.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), `SELECT FROM events`); err != nil {
		t.Fatal(err)
	}
	if err := a.keeper.Turn(t.Context()); err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("Turn says %v", err)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.turn()
	a.expect(map[string]int{"events": 0, "matches": 0})
}

func TestNodesDoNotGetInEachOthersWay(t *testing.T) {
	a := openArchive(t, Config{Keep: 72 * time.Hour})
	for i := range 6 {
		a.event(fmt.Sprint(i), noon.AddDate(0, 0, -i))
	}
	var nodes sync.WaitGroup
	for range 4 {
		nodes.Go(func() {
			for range 3 {
				if err := a.keeper.Turn(t.Context()); err != nil {
					t.Errorf("Turn: %v", err)
				}
			}
		})
	}
	nodes.Wait()
	a.turn()
	a.expect(map[string]int{"events": 4, "matches": 4, "event_keys": 4, "events_default": 0})
}

func TestRunEndsWithItsContext(t *testing.T) {
	a := openArchive(t, Config{Every: time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var running sync.WaitGroup
	running.Go(func() { a.keeper.Run(ctx) })
	for len(a.names()) < 2*(Ahead+1) {
		if ctx.Err() != nil {
			t.Fatal("the days were not made")
		}
	}
	cancel()
	running.Wait()
}

func TestADayThatIsOverIsFoundByItsData(t *testing.T) {
	a := openArchive(t, Config{})
	a.turn()
	a.event("1", noon)
	day := noon.Truncate(24 * time.Hour)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{24*time.Hour + time.Minute, 0}, {24*time.Hour + 6*time.Minute, 1}} {
		a.now = day.Add(step.after)
		a.turn()
		days, err := Indexed(t.Context(), a.pool)
		if err != nil || len(days) != step.want || days[day] != (step.want == 1) {
			t.Errorf("%v after it began: %v (%v)", step.after, days, err)
		}
	}
	a.now = day.AddDate(0, 0, 32)
	a.turn()
	if days, err := Indexed(t.Context(), a.pool); err != nil || days[day] {
		t.Errorf("after it was dropped: %v (%v)", days, err)
	}
}
