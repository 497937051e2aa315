// Package simtest is what the tests of simulated far ends have in common: they
// are started until the end of a test, and their pages are asked.
package simtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Far is a far end that can be started.
type Far interface {
	Start(ctx context.Context) error
	Close() error
}

// Start starts a far end, which is closed at the end of the test.
func Start[F Far](t *testing.T, f F) F {
	t.Helper()
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// Asker asks a far end's page, which is mounted somewhere, by paths such as
// "/messages", and gives the status and the body of the answer.
func Asker(t *testing.T, page http.Handler) func(method, path, body string) (int, string) {
	t.Helper()
	mounted := http.StripPrefix("/somewhere", page)
	return func(method, path, body string) (int, string) {
		answer := httptest.NewRecorder()
		mounted.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, "/somewhere"+path, strings.NewReader(body)))
		return answer.Code, answer.Body.String()
	}
}
