package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// phoneWidth is that of the narrowest screens that are common, in CSS pixels.
const phoneWidth = 390

// traffic is what a page asks for and complains of, as the browser tells.
type traffic struct {
	origin string

	mu      sync.Mutex
	open    map[network.RequestID]string // address
	bytes   float64                      // since begin: headers and bodies as they came over the wire
	faults  []string
	changed chan struct{} // closed and replaced whenever a request ends
}

func newTraffic(origin string) *traffic {
	return &traffic{origin: origin, open: map[network.RequestID]string{}, changed: make(chan struct{})}
}

// begin counts from nothing, for the next page.
func (tr *traffic) begin() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.bytes, tr.open = 0, map[network.RequestID]string{}
}

// hear takes the browser's events, in order.
func (tr *traffic) hear(event any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tr.asked(e)
	case *network.EventResponseReceived:
		tr.answered(e)
	case *network.EventLoadingFinished:
		tr.bytes += e.EncodedDataLength
		tr.end(e.RequestID)
	case *network.EventLoadingFailed:
		if address, is := tr.open[e.RequestID]; is {
			tr.fault("%s failed: %s", address, e.ErrorText)
		}
		tr.end(e.RequestID)
	case *runtime.EventExceptionThrown:
		tr.fault("a script failed: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			tr.fault("a script complains: %s", spoken(e.Args))
		}
	case *log.EventEntryAdded:
		// What failed on the network is judged by the events above.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			tr.fault("the browser complains: %s", e.Entry.Text)
		}
	}
}

func (tr *traffic) asked(e *network.EventRequestWillBeSent) {
	address := e.Request.URL
	if strings.HasPrefix(address, "data:") {
		return
	}
	if !strings.HasPrefix(address, tr.origin+"/") {
		tr.fault("%s is outside of %s", address, tr.origin)
	}
	if e.RedirectResponse != nil {
		tr.bytes += e.RedirectResponse.EncodedDataLength
	}
	tr.open[e.RequestID] = address
}

func (tr *traffic) answered(e *network.EventResponseReceived) {
	// The status of the page itself is what the story wants it to be.
	if e.Response.Status >= 400 && e.Type != network.ResourceTypeDocument {
		tr.fault("%s = %d", e.Response.URL, e.Response.Status)
	}
	if e.Response.MimeType == "text/event-stream" {
		tr.end(e.RequestID) // it stays open as long as the page
	}
}

func (tr *traffic) end(id network.RequestID) {
	delete(tr.open, id)
	close(tr.changed)
	tr.changed = make(chan struct{})
}

func (tr *traffic) fault(format string, args ...any) {
	tr.faults = append(tr.faults, fmt.Sprintf(format, args...))
}

func spoken(args []*runtime.RemoteObject) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = strings.TrimSpace(string(a.Value) + " " + a.Description)
	}
	return strings.Join(words, " ")
}

// settle waits until everything asked for has come, and gives the bytes it
// took and the faults found since the last time.
func (tr *traffic) settle(ctx context.Context) (bytes int, faults []string, err error) {
	for {
		tr.mu.Lock()
		changed, waiting := tr.changed, len(tr.open)
		if waiting == 0 {
			bytes, faults = int(tr.bytes), tr.faults
			tr.faults = nil
			tr.mu.Unlock()
			return bytes, faults, nil
		}
		tr.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
}

// pageFacts looks at a page as it stands. Nothing in it needs the page's own
// scripts, so it works where those are switched off.
const pageFacts = `(() => {
	const unlabelled = [...document.querySelectorAll("input:not([type=hidden]),select,textarea")]
		.filter(e => !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby"))
		.map(e => e.name || e.outerHTML);
	const nameless = [...document.querySelectorAll("a[href],button,summary")]
		.filter(e => e.checkVisibility() && !e.innerText.trim() && !e.getAttribute("aria-label"))
		.map(e => e.outerHTML.slice(0, 200));
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	const dangling = [...document.querySelectorAll("[aria-describedby]")]
		.flatMap(e => e.getAttribute("aria-describedby").split(" ")).filter(id => !document.getElementById(id));
	return {
		path: location.pathname, lang: document.documentElement.lang, title: document.title,
		headings: document.querySelectorAll("h1").length, unlabelled, nameless, dangling,
		doubled: ids.filter((id, i) => ids.indexOf(id) !== i),
	};
})()`

// widest finds what reaches beyond the right edge, when anything does.
const widest = `(() => {
	const page = document.documentElement;
	if (page.scrollWidth <= page.clientWidth) return "";
	const out = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > page.clientWidth + 0.5);
	return page.scrollWidth + " px wide: " + out.slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" … ");
})()`

// checkPage holds the page that a visitor has come to against the rules that
// every page keeps: nothing fails, nothing comes from elsewhere, it says what
// it is, every field has a label, it fits a phone, and it is small.
func (v *visitor) checkPage(what string) {
	v.t.Helper()
	ctx, cancel := v.step()
	defer cancel()
	bytes, faults, err := v.traffic.settle(ctx)
	if err != nil {
		v.t.Fatalf("%s: still loading: %v", what, err)
	}
	type facts struct {
		Path, Lang, Title                       string
		Headings                                int
		Unlabelled, Nameless, Dangling, Doubled []string
	}
	f := look[facts](v, pageFacts)
	v.t.Logf("%-24.24s %4d px %6d B  %s", f.Path, v.window.width, bytes, f.Title)
	complain := func(format string, args ...any) {
		v.t.Helper()
		v.t.Errorf("%s, after %s: %s", f.Path, what, fmt.Sprintf(format, args...))
	}
	for _, fault := range faults {
		complain("%s", fault)
	}
	if f.Headings != 1 {
		complain("%d h1, want 1", f.Headings)
	}
	if !strings.HasPrefix(v.window.language, f.Lang[:min(2, len(f.Lang))]) || f.Lang == "" {
		complain("its language is %q, the reader's %q", f.Lang, v.window.language)
	}
	for rule, broken := range map[string][]string{
		"has no label": f.Unlabelled, "has no name": f.Nameless, "is described by what is not there": f.Dangling, "is the id of two": f.Doubled,
	} {
		for _, b := range broken {
			complain("%s %s", b, rule)
		}
	}
	if v.atMost > 0 && bytes > v.atMost {
		complain("%d bytes, want at most %d", bytes, v.atMost)
	}
	v.checkWidths(complain)
}

// checkWidths looks whether the page fits, on a phone too.
func (v *visitor) checkWidths(complain func(string, ...any)) {
	v.t.Helper()
	check := func(width int64) {
		v.t.Helper()
		if over := look[string](v, widest); over != "" {
			complain("at %d px it scrolls sideways: %s", width, over)
		}
	}
	check(v.window.width)
	if v.window.width != phoneWidth {
		v.do("make it narrow", v.resize(phoneWidth))
		check(phoneWidth)
		v.do("make it wide again", v.resize(v.window.width))
	}
}
