package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/matcher"
	"herald/problem"
	"herald/web/api"
)

// event is a price change in structured JSON.
func event(id, product string, price float64) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/shop","type":"price.changed","data":{"product":%q,"name":"A thing","price":%g,"previous_price":99,"currency":"EUR"}}`, id, product, price)
}

// eventXML is a price change in XML, its numbers untyped.
func eventXML(id, product string, price float64) string {
	return fmt.Sprintf(`<event xmlns="http://cloudevents.io/xmlformat/V1" specversion="1.0"><id>%s</id><source>/shop</source><type>price.changed</type>`+
		`<data><product>%s</product><name>A thing</name><price>%g</price><previous_price>99</previous_price><currency>EUR</currency></data></event>`, id, product, price)
}

const (
	structured = "application/cloudevents+json"
	batch      = "application/cloudevents-batch+json"
	ndjson     = "application/x-ndjson"
	eventXMLs  = "application/cloudevents+xml"
)

func TestEveryFormOfEventMeetsASubscription(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i, product := range []string{"a", "b", "c", "d", "e", "f"} {
		s.subscribe(s.member(fmt.Sprintf("member%d", i)), product, 49)
	}
	data := `{"product":"c","name":"A thing","price":48,"previous_price":99,"currency":"EUR"}`
	tests := []struct {
		name, body string
		headers    []string
	}{
		{"structured", event("1", "a", 48), []string{"Content-Type", structured + "; charset=UTF-8"}},
		{"batch", "[" + event("2", "b", 48) + "]", []string{"Content-Type", batch}},
		{"binary", data, []string{"Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "3", "ce-source", "/shop", "ce-type", "price.changed"}},
		{"lines", event("4", "d", 48) + "\n", []string{"Content-Type", ndjson}},
		{"XML", eventXML("5", "e", 48), []string{"Content-Type", "application/xml"}},
		{"XML batch", "<batch>" + eventXML("6", "f", 48) + "</batch>", []string{"Content-Type", eventXMLs}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := s.in(t)
			first := as[api.EventResults](s.post("/api/v1/events", tt.body, tt.headers...).is(http.StatusAccepted))
			if first.Accepted != 1 || first.Results[0].Matches != 1 || first.Results[0].Notifications != 1 {
				t.Errorf("got %+v", first)
			}
			again := as[api.EventResults](s.post("/api/v1/events", tt.body, tt.headers...).is(http.StatusAccepted))
			if again.Duplicates != 1 || again.Results[0].Status != matcher.Duplicate {
				t.Errorf("again %+v", again)
			}
		})
	}
}

func TestBadEventsAreRefusedOneByOne(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	good := event("good", "kettle", 5)
	unheard := strings.Replace(event("u", "kettle", 5), "price.changed", "nobody.listens", 1)
	missing := strings.Replace(event("m", "kettle", 5), `"product":"kettle",`, "", 1)
	wrong := strings.Replace(event("w", "kettle", 5), `"price":5`, `"price":"five"`, 1)
	noID := strings.Replace(good, `"id":"good"`, `"id":""`, 1)
	body := "[" + strings.Join([]string{missing, good, wrong, noID, good, unheard}, ",") + "]"
	got := as[api.EventResults](s.post("/api/v1/events", body, "Content-Type", batch).is(http.StatusAccepted))
	want := []string{"data.product", "", "data.price", "id", "", ""}
	for i, r := range got.Results {
		if want[i] == "" {
			if r.Status == matcher.Refused || r.Index != i {
				t.Errorf("%d: %+v", i, r)
			}
			continue
		}
		if r.Status != matcher.Refused || r.Problem == nil || r.Problem.Errors[0].Location != want[i] {
			t.Errorf("%d: %+v %+v, want a mistake at %s", i, r, r.Problem, want[i])
		}
	}
	if got.Accepted != 2 || got.Duplicates != 1 || got.Refused != 3 {
		t.Errorf("got %+v", got)
	}
	p := s.post("/api/v1/events", wrong, "Content-Type", structured).problem(http.StatusUnprocessableEntity, "invalid")
	if !names(p, "data.price") || len(p.Results) != 1 {
		t.Errorf("single: %+v", p)
	}
	if p := s.post("/api/v1/events", "["+wrong+","+noID+"]", "Content-Type", batch).problem(http.StatusUnprocessableEntity, "invalid"); len(p.Results) != 2 {
		t.Errorf("a batch of bad ones: %+v", p)
	}
}

func TestRequestsWithEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *api.Config) { c.MaxBody = 20_000; c.Events.Batch = 10 })
	tests := []struct {
		name, form, body string
		status           int
		code             string
	}{
		{"malformed JSON", structured, "{\n\"id\":", 400, "malformed"},
		{"trailing garbage", structured, event("1", "x", 1) + "]", 400, "malformed"},
		{"malformed batch", batch, "[" + event("1", "x", 1), 400, "malformed"},
		{"deep nesting", structured, strings.Repeat("[", 10_000), 400, "malformed"},
		{"malformed XML", eventXMLs, "<event>", 400, "malformed"},
		{"an XML bomb", eventXMLs, `<!DOCTYPE event [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]><event>&b;</event>`, 400, "malformed"},
		{"an external entity", "application/xml", `<!DOCTYPE event SYSTEM "file:///etc/passwd"><event/>`, 400, "malformed"},
		{"nothing", structured, "", 400, "malformed"},
		{"too large", structured, `{"data":"` + strings.Repeat("x", 20_000) + `"}`, 413, "too_large"},
		{"too many", batch, "[" + strings.Repeat(event("1", "x", 1)+",", 10) + event("1", "x", 1) + "]", 413, "too_large"},
		{"plain JSON", "application/json", event("1", "x", 1), 415, "media_type"},
		{"another form", "text/plain", "x", 415, "media_type"},
		{"another encoding", structured + "; charset=gbk", "{}", 415, "media_type"},
		{"no form", "", "{}", 415, "media_type"},
		{"a form that is none", "///", "{}", 415, "media_type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := s.in(t)
			s.post("/api/v1/events", tt.body, "Content-Type", tt.form).problem(tt.status, tt.code)
		})
	}
	s.post("/api/v1/events", "x", "Content-Type", structured, "Content-Encoding", "gzip").problem(415, "media_type")
}

func TestBulkIsTakenInChunks(t *testing.T) {
	t.Parallel()
	var calls []int
	s := newServer(t, func(c *api.Config) {
		c.Intake, c.Chunk, c.MaxBody = &counting{Intake: c.Intake, calls: &calls}, 100, 1000
	})
	var body strings.Builder
	for i := range 250 {
		fmt.Fprintln(&body, event(fmt.Sprint(i), "kettle", 5))
	}
	body.WriteString("{oops\n\n[]\n" + event("0", "kettle", 5))
	got := as[api.EventResults](s.post("/api/v1/events", body.String(), "Content-Type", ndjson).is(http.StatusAccepted))
	if got.Accepted != 250 || got.Refused != 2 || got.Duplicates != 1 || fmt.Sprint(calls) != "[100 100 51]" {
		t.Errorf("accepted %d refused %d duplicates %d in calls %v", got.Accepted, got.Refused, got.Duplicates, calls)
	}
	if bad := got.Results[250]; bad.Line != 251 || bad.Problem.Code != problem.Malformed || got.Results[251].Line != 253 {
		t.Errorf("bad lines %+v", got.Results[250:])
	}
}

func TestBulkThatStopsInTheMiddleSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	full := problem.New(problem.Throttled, "the queue is full")
	full.After = 1500 * time.Millisecond
	s := newServer(t, func(c *api.Config) { c.Intake, c.Chunk = &failing{Intake: c.Intake, after: 1, err: full}, 10 })
	var body strings.Builder
	for i := range 25 {
		fmt.Fprintln(&body, event(fmt.Sprint(i), "kettle", 5))
	}
	r := s.post("/api/v1/events", body.String(), "Content-Type", ndjson)
	p := r.problem(http.StatusTooManyRequests, "throttled")
	if p.Processed != 10 || len(p.Results) != 10 || r.header.Get("Retry-After") != "2" {
		t.Errorf("got %+v, retry after %q", p, r.header.Get("Retry-After"))
	}
}

func TestBulkLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *api.Config) { c.MaxBulkBody, c.MaxBulk, c.Chunk = 5000, 12, 10 })
	line := event("1", "kettle", 5) + "\n"
	s.post("/api/v1/events", strings.Repeat(line, 13), "Content-Type", ndjson).problem(http.StatusRequestEntityTooLarge, "too_large")
	s.post("/api/v1/events", strings.Repeat(" ", 5000)+line, "Content-Type", ndjson).problem(http.StatusRequestEntityTooLarge, "too_large")
}

func TestAFullQueueAndAFailure(t *testing.T) {
	t.Parallel()
	away := problem.New(problem.Unavailable, "the database is away")
	away.After = 5 * time.Second
	s := newServer(t, func(c *api.Config) { c.Intake = &failing{err: away} })
	r := s.post("/api/v1/events", event("1", "kettle", 5), "Content-Type", structured)
	r.problem(http.StatusServiceUnavailable, "unavailable")
	if r.header.Get("Retry-After") != "5" {
		t.Errorf("retry after %q", r.header.Get("Retry-After"))
	}
	s = newServer(t, func(c *api.Config) {
		c.Intake = &failing{err: fmt.Errorf("secret of the house: %w", io.ErrUnexpectedEOF)}
	})
	if p := s.post("/api/v1/events", event("1", "kettle", 5), "Content-Type", structured).problem(http.StatusInternalServerError, "internal"); strings.Contains(p.Detail, "secret") {
		t.Errorf("told %q", p.Detail)
	}
	s = newServer(t, func(c *api.Config) { c.Intake = panicking{} })
	s.post("/api/v1/events", event("1", "kettle", 5), "Content-Type", structured).problem(http.StatusInternalServerError, "internal")
}

func TestABodyThatDoesNotArriveInTime(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *api.Config) { c.ReadTimeout = 50 * time.Millisecond })
	for _, form := range []string{structured, ndjson} {
		body, never := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/events", body)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+s.secret)
		req.Header.Set("Content-Type", form)
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		if res.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: status %d", form, res.StatusCode)
		}
		must(t, res.Body.Close())
		must(t, never.Close())
	}
}

// counting notes how many events each call brought.
type counting struct {
	api.Intake
	calls *[]int
}

func (c *counting) Accept(ctx context.Context, events []matcher.Event) ([]matcher.Result, error) {
	*c.calls = append(*c.calls, len(events))
	return c.Intake.Accept(ctx, events)
}

// failing accepts some calls and then no more.
type failing struct {
	api.Intake
	after int
	err   error
}

func (f *failing) Accept(ctx context.Context, events []matcher.Event) ([]matcher.Result, error) {
	if f.after--; f.after < 0 {
		return nil, f.err
	}
	return f.Intake.Accept(ctx, events)
}

type panicking struct{}

func (panicking) Accept(context.Context, []matcher.Event) ([]matcher.Result, error) { panic("oh") }
