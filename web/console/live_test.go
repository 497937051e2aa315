package console_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// stream is an open stream of the overview's figures.
func (v *visitor) stream() *bufio.Reader {
	v.t.Helper()
	return v.streamOf("/console/live")
}

// streamOf is an open stream of a page.
func (v *visitor) streamOf(path string) *bufio.Reader {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.url+path, nil)
	must(v.t, err)
	res, err := v.client.Do(r)
	must(v.t, err)
	v.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		v.t.Fatalf("status %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	return bufio.NewReader(res.Body)
}

// message is the next message of a stream, empty at its end.
func message(from *bufio.Reader) string {
	var lines []string
	for {
		line, err := from.ReadString('\n')
		if line = strings.TrimRight(line, "\n"); err != nil || line == "" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, strings.TrimPrefix(line, "data: "))
	}
}

func TestFiguresMoveByThemselvesUntilHeraldStops(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.subscribe(s.member("wei", "").ID, "4411")
	v := s.signedIn("ann")
	live := v.stream()
	if first := message(live); !strings.Contains(first, "No notification was decided today") || strings.Contains(first, "<html") {
		t.Errorf("the first figures are %s", first)
	}
	s.price("4411", "Baby stroller Lite")
	if next := message(live); !strings.Contains(next, `<a href="/console/deliveries?state=pending">1</a>`) {
		t.Errorf("the next figures are %s", next)
	}
	v.get("/console").has(`<a href="/console/deliveries?state=pending">1</a>`) // without a script, after a reload
	close(s.stopping)
	if rest := message(live); rest != "" {
		t.Errorf("after the stop came %s", rest)
	}
}

func TestFiguresEndForAnOperatorWhoIsDisabled(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	live := s.signedIn("bob").stream()
	if message(live) == "" {
		t.Error("no figures came")
	}
	must(t, s.Operators.Disable(t.Context(), "bob"))
	if rest := message(live); rest != "" {
		t.Errorf("there came still %s", rest)
	}
}
