package page

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"herald/problem"
)

// Live sends one named template of a page again and again, as server-sent
// events (https://html.spec.whatwg.org/multipage/server-sent-events.html),
// until the reader goes or stop is closed, and for ten minutes at most: a
// browser that is still there connects again and shows who it is. data is
// asked for each time; an error of it ends the stream. The route must be Live.
func (v *Visit) Live(name, part string, every time.Duration, stop <-chan struct{}, data func() (any, error)) error {
	t := v.site.templates.byLocale[v.Tag][name]
	if t == nil {
		return fmt.Errorf("there is no page %q", name)
	}
	h := v.W.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	flush := http.NewResponseController(v.W)
	tick := time.NewTicker(every)
	defer tick.Stop()
	over := time.NewTimer(liveFor)
	defer over.Stop()
	for {
		d, err := data()
		if err != nil {
			return v.endLive(err)
		}
		v.Now = v.site.Now()
		var b bytes.Buffer
		if err := t.ExecuteTemplate(&b, part, View{Reader: v.Reader, Data: d, Page: name, Path: v.R.URL.Path, Home: v.site.Home}); err != nil {
			return v.endLive(fmt.Errorf("page %s: %w", name, err))
		}
		for line := range bytes.Lines(b.Bytes()) {
			fmt.Fprintf(v.W, "data: %s\n", bytes.TrimRight(line, "\r\n"))
		}
		fmt.Fprint(v.W, "\n")
		if err := flush.Flush(); err != nil {
			return nil // the reader has gone
		}
		select {
		case <-v.Context().Done():
			return nil
		case <-stop:
			return nil
		case <-over.C:
			return nil
		case <-tick.C:
		}
	}
}

// liveFor is how long a stream lasts before the session is looked at again.
const liveFor = 10 * time.Minute

// endLive ends a stream that has failed: its status has been sent, so the
// failure goes to the log alone, unless it is the reader's own.
func (v *Visit) endLive(err error) error {
	if v.Context().Err() == nil && problem.CodeOf(err) == "" {
		v.site.Logger.ErrorContext(v.Context(), "a live page failed", "request", v.RequestID, "pattern", v.R.Pattern, "error", err)
	}
	return nil
}
