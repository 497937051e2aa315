package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/timeid"
)

// Event is something that happened.
type Event struct {
	Type string    // one of Types
	At   time.Time // when; zero: now
	// Data are the fields that its type has; others are left out, so that
	// nothing personal slips through.
	Data map[string]any
}

// listeners say which endpoints hear which type.
type listeners struct {
	readAt time.Time
	byType map[string]heard
}

// heard is a type's documented fields and who listens to it.
type heard struct {
	fields    []string
	endpoints []int64
}

// listenFor is how long the listeners that were read are good for: an endpoint
// that is made or enabled hears everything after that on every node.
const listenFor = time.Second

// fresh are the listeners, unless they were read too long ago.
func (s *Store) fresh() (*listeners, bool) {
	l := s.heard.Load()
	return l, l != nil && s.now().Sub(l.readAt) < listenFor
}

// forget makes the next announcement on this node read the listeners anew.
func (s *Store) forget() { s.heard.Store(nil) }

// Listening reports whether an endpoint may listen to a type, at the cost of a
// look into memory: false spares the making of events. It is true when that is
// not known, for AnnounceTx to find out.
func (s *Store) Listening(name string) bool {
	l, ok := s.fresh()
	return !ok || len(l.byType[name].endpoints) > 0
}

// AnnounceTx writes a message and a job for each event and each enabled
// endpoint that listens to it, in a few statements whatever their number, in
// the caller's transaction: they are sent if and only if it commits. Where
// nobody listens it asks the database once a second, and else does nothing.
//
// Events of a type that there is not, and data that the type does not have,
// are left out and logged: the caller's work is worth more than the news of it.
func (s *Store) AnnounceTx(ctx context.Context, tx pgx.Tx, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	l, err := s.listenersTx(ctx, tx)
	if err != nil {
		return err
	}
	var b outbox
	at := s.now()
	for _, e := range events {
		h, known := l.byType[e.Type]
		if !known {
			s.log.ErrorContext(ctx, "an event of an unknown type is not announced", "type", e.Type)
			continue
		}
		if len(h.endpoints) == 0 {
			continue
		}
		if err := b.add(e, s.documented(ctx, e, h.fields), h.endpoints, at); err != nil {
			return err
		}
	}
	return s.writeTx(ctx, tx, &b)
}

const listenersSQL = `SELECT id, types FROM webhook_endpoints WHERE enabled`

// listenersTx are the listeners, read anew where they are old. Callers beside
// the one that reads go on with the old ones.
func (s *Store) listenersTx(ctx context.Context, tx pgx.Tx) (*listeners, error) {
	l, ok := s.fresh()
	if ok {
		return l, nil
	}
	if l == nil {
		s.reading.Lock()
	} else if !s.reading.TryLock() {
		return l, nil
	}
	defer s.reading.Unlock()
	if l, ok := s.fresh(); ok {
		return l, nil
	}
	l = &listeners{readAt: s.now(), byType: map[string]heard{}}
	for _, t := range Types() {
		l.byType[t.Name] = heard{fields: t.Fields}
	}
	rows, err := tx.Query(ctx, listenersSQL)
	if err != nil {
		return nil, fmt.Errorf("read who listens: %w", err)
	}
	var (
		id       int64
		patterns []string
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &patterns}, func() error {
		for name, h := range l.byType {
			if slices.ContainsFunc(patterns, func(p string) bool { return meets(p, name) }) {
				h.endpoints = append(h.endpoints, id)
				l.byType[name] = h
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read who listens: %w", err)
	}
	s.heard.Store(l)
	return l, nil
}

// documented is the event's data without what its type does not have.
func (s *Store) documented(ctx context.Context, e Event, fields []string) map[string]any {
	data := e.Data
	if data == nil {
		return map[string]any{}
	}
	for name := range e.Data {
		if slices.Contains(fields, name) {
			continue
		}
		if len(data) == len(e.Data) {
			data = maps.Clone(e.Data)
		}
		delete(data, name)
		s.log.ErrorContext(ctx, "a field is not announced: the type does not have it", "type", e.Type, "field", name)
	}
	return data
}

// payload is the body of a webhook (Standard Webhooks, "Payload structure").
type payload struct {
	Type      string         `json:"type"`
	Timestamp time.Time      `json:"timestamp"`
	Data      map[string]any `json:"data"`
}

// outbox is what AnnounceTx writes, column by column.
type outbox struct {
	endpoint   []int64
	id         []uuid.UUID
	name, body []string
	jobs       []river.InsertManyParams
	at         time.Time
}

func (b *outbox) add(e Event, data map[string]any, endpoints []int64, now time.Time) error {
	b.at = now
	if e.At.IsZero() {
		e.At = now
	}
	body, err := json.Marshal(payload{e.Type, e.At.UTC(), data})
	if err != nil {
		return fmt.Errorf("announce %s: %w", e.Type, err)
	}
	id := timeid.New(now)
	for _, endpoint := range endpoints {
		b.endpoint = append(b.endpoint, endpoint)
		b.id = append(b.id, id)
		b.name = append(b.name, e.Type)
		b.body = append(b.body, string(body))
		b.jobs = append(b.jobs, jobFor(post{endpoint, id, 1}, time.Time{}))
	}
	return nil
}

const insertMessagesSQL = `
INSERT INTO webhook_messages (endpoint_id, id, type, body, created_at, changed_at)
SELECT endpoint_id, id, type, body, $5, $5
FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[]) AS m (endpoint_id, id, type, body)`

func (s *Store) writeTx(ctx context.Context, tx pgx.Tx, b *outbox) error {
	if len(b.id) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, insertMessagesSQL, b.endpoint, b.id, b.name, b.body, b.at); err != nil {
		return fmt.Errorf("write %d webhook messages: %w", len(b.id), err)
	}
	return s.insertJobsTx(ctx, tx, b.jobs)
}
