package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
)

func TestABodyThatNeverEndsIsCutOff(t *testing.T) {
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	ignore := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for name, handler := range map[string]http.Handler{"one that is read": read, "one that nobody reads": ignore} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(promptBodies(50*time.Millisecond, handler))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "POST /sign-in HTTP/1.1\r\nHost: shop\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\naccount=")
			if err := conn.SetReadDeadline(time.Now().Add(peers.Patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

// deadlines counts how often a read deadline was set.
type deadlines struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error {
	d.set++
	return nil
}

func TestARequestWithoutABodyHasNoDeadline(t *testing.T) {
	h := promptBodies(time.Second, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for body, want := range map[string]int{"": 0, "price=1": 1} {
		d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(d, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		if d.set != want {
			t.Errorf("body %q: %d deadlines, want %d: one would end a page that moves", body, d.set, want)
		}
	}
}
