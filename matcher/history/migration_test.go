package history

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/timeid"
)

// up is what a migration does.
func up(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile("../../postgres/migrations/" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, does, _ := strings.Cut(string(text), "-- +goose Up")
	return does
}

// before makes the tables as they were before events had days, with an event
// and its match at each instant.
func (a *archive) before(instants ...time.Time) []uuid.UUID {
	a.Helper()
	a.exec(`DROP TABLE events, matches, event_keys`)
	a.exec(up(a.T, "00004_matching.sql"))
	ids := make([]uuid.UUID, len(instants))
	for i, at := range instants {
		ids[i] = timeid.New(at)
		a.exec(`INSERT INTO events (id, source, source_id, type, time, data) VALUES ($1, '/shop', $2, 'price.changed', $3, '{}')`, ids[i], fmt.Sprint("e", i), at)
		a.exec(`INSERT INTO matches (subscription_id, event_id, outcome) VALUES (1, $1, 'paused')`, ids[i])
	}
	a.exec(up(a.T, "00027_event_days.sql"))
	return ids
}

func TestTheMigrationKeepsWhatThereIs(t *testing.T) {
	a := openArchive(t, Config{Keep: 10 * 24 * time.Hour})
	now := time.Now().UTC()
	a.now = now
	a.before(now.AddDate(0, 0, -20), now.AddDate(0, 0, -1), now)
	a.expect(map[string]int{
		"events": 3, "matches": 3, "events_default": 0,
		"event_keys k JOIN events e ON e.id = k.event_id WHERE digest = encode(substr(sha256(convert_to(e.source, 'UTF8') || '\\x00'::bytea || convert_to(e.source_id, 'UTF8')), 1, 16), 'hex')::uuid": 3,
	})
	a.turn()
	if got := len(a.names()); got != 2*(Ahead+1) {
		t.Errorf("after a turn there are %v", a.names())
	}
	a.event("new", now.AddDate(0, 0, 1))
	a.expect(map[string]int{"events": 4, "events_default": 0, "events_" + now.Format(nameLayout): 3})
	a.now = now.AddDate(0, 0, 10)
	a.turn()
	a.expect(map[string]int{"events": 4}) // the last of the old ones is not old enough
	a.now = now.AddDate(0, 0, 11)
	a.turn()
	a.expect(map[string]int{"events": 1, "matches": 1, "event_keys": 1})
}

// A node whose clock is ahead has made an id of tomorrow.
func TestTheMigrationTakesTheLatestIDForTheLastDay(t *testing.T) {
	a := openArchive(t, Config{})
	now := time.Now().UTC()
	a.now = now
	a.before(now.AddDate(0, 0, 1))
	a.turn()
	a.expect(map[string]int{"events": 1, "events_default": 0, "events_" + now.AddDate(0, 0, 1).Format(nameLayout): 1})
	if report, err := Examine(t.Context(), a.pool, now); err != nil || len(report.Missing) != 0 {
		t.Errorf("%+v (%v)", report, err)
	}
}

func TestTheMigrationOfNothingLeavesNothing(t *testing.T) {
	a := openArchive(t, Config{})
	a.before()
	if got := a.names(); len(got) != 0 {
		t.Errorf("there are %v", got)
	}
	a.event("1", noon)
	a.turn()
	a.expect(map[string]int{"events_20260301": 1, "matches_20260301": 1})
}
