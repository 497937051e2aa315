package web

import (
	"net/http"
	"time"
)

// bodyWithin is how long a request's body may take to arrive, unless its face
// sets another limit: the API does, for bulk.
const bodyWithin = 20 * time.Second

// promptBodies cuts off senders that never finish their request, signed in or
// not: the server waits for what is left of a body even when nobody reads it.
// Requests without one are left alone, for a deadline would end live pages.
func promptBodies(within time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // the deadline is that of the network, not of our clock
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within)) // not supported outside of a server
		}
		next.ServeHTTP(w, r)
	})
}
