package linktest

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/parts"
)

// Store is a store of parts without a database.
type Store struct {
	mu      sync.Mutex
	taken   map[uuid.UUID]*parts.Progress // guarded by mu
	begun   uint16                        // guarded by mu: the last reference
	pieces  *sms.Collector                // guarded by mu
	failing error                         // guarded by mu
}

var _ link.Parts = (*Store)(nil)

// NewStore makes an empty store.
func NewStore() *Store {
	return &Store{taken: map[uuid.UUID]*parts.Progress{}, pieces: sms.NewCollector(time.Hour, 100)}
}

// Fail has the store do what it is asked, and say that it could not.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = err
}

// Collect puts pieces together; it never fails by itself.
func (s *Store) Collect(ctx context.Context, _ string, pieces []sms.Piece, take func(context.Context, []dispatch.Inbound) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pieces {
		for _, w := range s.pieces.Add(p, time.Now()) {
			if err := take(ctx, []dispatch.Inbound{{Key: w.Key, From: w.From, To: w.To, Text: w.Text}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Overdue has nothing: all pieces come.
func (s *Store) Overdue(context.Context, string, func(context.Context, []dispatch.Inbound) error) error {
	return nil
}

// Begin gives each message a reference of its own.
func (s *Store) Begin(_ context.Context, _ string, starts []parts.Start) ([]parts.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []parts.Progress
	for _, start := range starts {
		p := s.taken[start.DeliveryID]
		if p == nil {
			s.begun++
			p = &parts.Progress{Reference: s.begun, Accepted: make([]bool, start.Of), ProviderIDs: make([]string, start.Of)}
			s.taken[start.DeliveryID] = p
		}
		all = append(all, *p)
	}
	return all, s.failing
}

// Accepted notes parts.
func (s *Store) Accepted(_ context.Context, _ string, taken ...parts.Part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range taken {
		s.taken[p.DeliveryID].Accepted[p.Part] = true
		s.taken[p.DeliveryID].ProviderIDs[p.Part] = p.ProviderID
	}
	return s.failing
}

// Reports gives reports as they came.
func (s *Store) Reports(_ context.Context, reports []dispatch.Report) ([]dispatch.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return reports, s.failing
}
