package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/access"
	"herald/subscriptions"
	"herald/web/api"
	"herald/xmlform"
)

const inXML = "application/xml"

func TestEveryResourceCanBeHadInXML(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.post("/api/v1/members", `<member>
		<account>wei</account><quiet_from>22:00</quiet_from><quiet_until>08:00</quiet_until><display_name> Wei &amp; Co </display_name><attributes><grade type="number">3</grade><entry name="2nd city">Xi'an</entry></attributes>
		<contacts><item><channel>email</channel><address>wei@example.com</address><verified>true</verified></item></contacts>
		</member>`, "Content-Type", inXML, "Accept", inXML).is(http.StatusCreated)
	if r.header.Get("Content-Type") != inXML || !strings.Contains(r.body, "<member_details>") {
		t.Errorf("%s: %s", r.header.Get("Content-Type"), r.body)
	}
	at := r.header.Get("Location")
	read := as[api.MemberDetails](s.get(at))
	if read.Attributes["grade"] != 3.0 || read.Attributes["2nd city"] != "Xi'an" || read.DisplayName != "Wei & Co" || read.Contacts[0].VerifiedAt == nil {
		t.Errorf("read %+v", read)
	}
	if read.QuietFrom == nil || read.QuietFrom.String() != "22:00" {
		t.Errorf("quiet from %v", read.QuietFrom)
	}
	s.send(http.MethodPatch, at, `<change><quiet_from type="null"/><quiet_until type="null"/><digest_hour type="number">7</digest_hour></change>`, "Content-Type", inXML).is(http.StatusOK)
	if again := as[api.MemberDetails](s.get(at)); again.QuietFrom != nil || again.DigestHour != 7 {
		t.Errorf("changed %+v", again)
	}
	s.post("/api/v1/subscriptions", fmt.Sprintf(`<subscription><member_id>%d</member_id><trigger>price_drop</trigger>
		<params><product>kettle</product><target>49.5</target></params><cool_down>2h</cool_down></subscription>`, read.ID), "Content-Type", inXML).is(http.StatusCreated)
	s.send(http.MethodPatch, "/api/v1/subscriptions/1", `<change><paused>true</paused><cool_down type="null"/></change>`, "Content-Type", inXML).is(http.StatusOK)
	if got := as[subscriptions.Subscription](s.get("/api/v1/subscriptions/1")); got.State != subscriptions.Paused || got.CoolDown != nil || got.Params["target"] != 49.5 {
		t.Errorf("subscription %+v", got)
	}
	for _, path := range []string{at, "/api/v1/members", "/api/v1/triggers", "/api/v1/triggers/price_drop", "/api/v1/subscriptions", "/api/v1/subscriptions/1/history", "/api/v1/ledger", "/api/v1/whoami", "/api/v1/deliveries"} {
		sameInBoth(t, s, path)
	}
	// What was read in XML can be sent back in XML.
	trigger := s.send(http.MethodGet, "/api/v1/triggers/price_drop", "", "Accept", inXML)
	if got := as[subscriptions.Trigger](s.send(http.MethodPut, "/api/v1/triggers/price_drop", trigger.body, "Content-Type", inXML).is(http.StatusOK)); got.Version != 2 {
		t.Errorf("trigger %+v", got)
	}
}

// sameInBoth holds the XML of a resource against its JSON.
func sameInBoth(t *testing.T, s *server, path string) {
	t.Helper()
	back, err := xmlform.ToJSON([]byte(s.send(http.MethodGet, path, "", "Accept", inXML).is(http.StatusOK).body), xmlform.Scalar(xmlform.Any), 32)
	must(t, err)
	var got any
	must(t, json.Unmarshal(back, &got))
	if diff := cmp.Diff(as[any](s.get(path)), got); diff != "" {
		t.Errorf("%s (-json +xml):\n%s", path, diff)
	}
}

func TestProblemsInXML(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"malformed", "POST", "/api/v1/members", "<a>\n<b></a>", 400, "<code>malformed</code>"},
		{"an entity bomb", "POST", "/api/v1/members", `<!DOCTYPE m [<!ENTITY a "b">]><m><account>&a;</account></m>`, 400, "document type"},
		{"deep nesting", "POST", "/api/v1/members", strings.Repeat("<a>", 50) + strings.Repeat("</a>", 50), 400, "deeper than 32"},
		{"a number that is none", "POST", "/api/v1/subscriptions", "<s><member_id>one</member_id><trigger>x</trigger></s>", 422, "<location>body.member_id</location>"},
		{"an attribute nobody reads", "POST", "/api/v1/members", `<m><account id="1">wei</account></m>`, 422, "<location>body.account</location>"},
		{"not found", "GET", "/api/v1/members/99", "", 404, "<code>not_found</code>"},
		{"no such address", "GET", "/api/v1/x", "", 404, "<code>not_found</code>"},
		{"what the schema refuses", "GET", "/api/v1/members?limit=0", "", 422, "<location>query.limit</location>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.in(t).send(tt.method, tt.path, tt.body, "Content-Type", inXML, "Accept", inXML).is(tt.status)
			if r.header.Get("Content-Type") != "application/problem+xml" || !strings.Contains(r.body, `<problem xmlns="urn:ietf:rfc:7807">`) || !strings.Contains(r.body, tt.says) {
				t.Errorf("%s: %s", r.header.Get("Content-Type"), r.body)
			}
		})
	}
}

func TestManyMistakesAreNotAllTold(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if p := s.post("/api/v1/members", "{"+manyMembers(`"a%d":1`, ",")+"}").problem(422, "invalid"); len(p.Errors) != 50 {
		t.Errorf("%d mistakes in JSON", len(p.Errors))
	}
	if p := s.post("/api/v1/members", "<m>"+manyMembers("<a x='%d'/>", "")+"</m>", "Content-Type", inXML).problem(422, "invalid"); len(p.Errors) != 50 {
		t.Errorf("%d mistakes in XML", len(p.Errors))
	}
}

func manyMembers(format, between string) string {
	members := make([]string, 10_000)
	for i := range members {
		members[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(members, between)
}

func TestBodiesOfOtherForms(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *api.Config) { c.MaxBody = 2000 })
	s.post("/api/v1/members", "account=wei", "Content-Type", "application/x-www-form-urlencoded").problem(415, "media_type")
	s.post("/api/v1/members", `{"account":"wei"}`, "Content-Type", "application/json; charset=latin1").problem(415, "media_type")
	s.post("/api/v1/members", `{"account":"`+strings.Repeat("x", 2000)+`"}`).problem(413, "too_large")
	if r := s.send(http.MethodGet, "/api/v1/whoami", "", "Accept", "text/html"); r.is(200).header.Get("Content-Type") != "application/json" {
		t.Error("who asks for neither gets JSON")
	}
}

func TestARequestSentTwiceActsOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	once := []string{"Idempotency-Key", "order-1"}
	first := s.post("/api/v1/members", `{"account":"wei"}`, once...).is(http.StatusCreated)
	again := s.post("/api/v1/members", `{"account":"wei"}`, once...).is(http.StatusCreated)
	if again.body != first.body || again.header.Get("Location") != first.header.Get("Location") || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("first %s %v, again %s %v", first.body, first.header, again.body, again.header)
	}
	if p := s.post("/api/v1/members", `{"account":"lin"}`, once...).problem(422, "invalid"); !names(p, "header.Idempotency-Key") {
		t.Errorf("another body: %+v", p)
	}
	other := append([]string{"Authorization", "Bearer " + s.key("other", access.MembersWrite)}, once...)
	s.post("/api/v1/members", `{"account":"wei"}`, other...).problem(409, "conflict")
	s.post("/api/v1/members", `{"account":"an"}`, "Idempotency-Key", "bad\tkey").problem(422, "invalid")
}

func TestARefusedRequestMayBeMendedUnderTheSameKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	once := []string{"Idempotency-Key", "order-2"}
	s.post("/api/v1/members", `{"account":"x"}`, once...).problem(422, "invalid")
	s.post("/api/v1/members", `{"account":"wei"}`, once...).is(http.StatusCreated)
}

func TestRepliesEndWithTheirDay(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	s := newServer(t)
	replays := access.NewReplays(s.pool, func() time.Time { return clock })
	_, secret, err := s.keys.Create(t.Context(), "k", access.Scopes)
	must(t, err)
	key, err := s.keys.Authenticate(t.Context(), secret)
	must(t, err)
	attempt := access.Attempt{KeyID: key.ID, Operation: "POST /x", Key: "1", Fingerprint: []byte("a")}
	begin := func(wantAnswer bool, wantErr string) {
		t.Helper()
		answer, err := replays.Begin(t.Context(), attempt)
		if (answer != nil) != wantAnswer || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Fatalf("answer %v, error %v", answer, err)
		}
	}
	begin(false, "")
	begin(false, "under way")
	clock = clock.Add(2 * time.Minute) // the first was cut off
	begin(false, "")
	must(t, replays.Abandon(t.Context(), attempt))
	begin(false, "")
	must(t, replays.Finish(t.Context(), attempt, access.Answer{Status: 201, Body: []byte("made")}))
	begin(true, "")
	clock = clock.Add(25 * time.Hour)
	begin(false, "")
}

func TestAKeyThatAsksTooOftenWaits(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	s := newServer(t, func(c *api.Config) {
		c.RequestsPerSecond, c.Burst = 0.5, 3
		c.Now = func() time.Time { return clock }
	})
	for range 3 {
		s.get("/api/v1/whoami").is(http.StatusOK)
	}
	r := s.get("/api/v1/whoami")
	r.problem(http.StatusTooManyRequests, "throttled")
	if r.header.Get("Retry-After") != "2" {
		t.Errorf("retry after %q", r.header.Get("Retry-After"))
	}
	clock = clock.Add(2 * time.Second)
	s.get("/api/v1/whoami").is(http.StatusOK)
}

func TestTheDescriptionIsCompleteAndOurs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.get("/openapi.json").is(http.StatusOK)
	var described struct {
		Paths map[string]map[string]struct {
			OperationID string                `json:"operationId"`
			Summary     string                `json:"summary"`
			Tags        []string              `json:"tags"`
			Security    []map[string][]string `json:"security"`
			Responses   map[string]any        `json:"responses"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	must(t, json.Unmarshal([]byte(r.body), &described))
	operations := 0
	for path, item := range described.Paths {
		for method, op := range item {
			operations++
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || len(op.Security) != 1 || op.Responses["401"] == nil || op.Responses["default"] == nil {
				t.Errorf("%s %s: %+v", method, path, op)
			}
			if scopes := op.Security[0]["key"]; len(scopes) != 1 && op.OperationID != "whoami" {
				t.Errorf("%s %s asks for the scopes %v", method, path, scopes)
			}
		}
	}
	if operations != 56 {
		t.Errorf("%d operations", operations)
	}
	for name := range strings.SplitSeq(r.body, `"$ref": "#/components/schemas/`) {
		if name, _, _ = strings.Cut(name, `"`); !strings.Contains(name, "{") && described.Components.Schemas[name] == nil {
			t.Errorf("the schema %q is referred to and not there", name)
		}
	}
	if !strings.Contains(s.get("/openapi.yaml").is(http.StatusOK).body, "openapi: 3.1.0") {
		t.Error("no YAML")
	}
	page := s.get("/docs/api").is(http.StatusOK)
	if strings.Contains(page.body, "<script") || strings.Contains(page.body, "http://") || !strings.Contains(page.body, "/api/v1/members/{id}") {
		t.Errorf("page %s", page.body)
	}
}
