package api_test

import (
	"net/http"
	"testing"

	"herald/postgres"
	"herald/web/api"
)

// A sender's retries depend on it: 503 means send again, 500 that it is hopeless.
func TestADatabaseThatIsAwayIsNoFailureOfTheRequest(t *testing.T) {
	s := newServer(t, func(c *api.Config) { c.Away = postgres.Away })
	s.pool.Close()
	answer := s.send(http.MethodGet, "/api/v1/whoami", "")
	if answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q: %s", answer.status, answer.header.Get("Retry-After"), answer.body)
	}
}
