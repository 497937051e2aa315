package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"herald/access"
	"herald/templates"
	"herald/web/api"
)

func TestATemplateIsTriedSavedReadAndKeepsItsVersions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const path = "/api/v1/templates/greeting/email/en"
	s.get(path).problem(http.StatusNotFound, "not_found")

	text := `{"subject":"Hello {{ member.name }}","html":"<p>{{ event.name }}</p>"}`
	tried := as[api.Filled](s.post("/api/v1/templates/preview",
		`{"channel":"email","subject":"Hello {{ member.name }}","html":"<p>{{ event.name }}</p>","data":{"member":{"name":"Wei"},"event":{"name":"<b>"}}}`).is(http.StatusOK))
	if tried.Subject != "Hello Wei" || tried.HTML != "<p>&lt;b&gt;</p>" || tried.Text != "<b>" {
		t.Errorf("tried %+v", tried)
	}
	s.get(path).problem(http.StatusNotFound, "not_found") // trying saves nothing

	first := as[templates.Template](s.send(http.MethodPut, path, text).is(http.StatusOK))
	second := as[templates.Template](s.send(http.MethodPut, path, strings.Replace(text, "Hello", "Welcome", 1)).is(http.StatusOK))
	if first.Version != 1 || second.Version != 2 || second.SavedBy != "key:shop" {
		t.Errorf("saved %+v, then %+v", first, second)
	}
	if got := as[templates.Template](s.get(path).is(http.StatusOK)); got.Subject != "Welcome {{ member.name }}" {
		t.Errorf("in force: %+v", got)
	}
	versions := as[api.Page[templates.Template]](s.get(path + "/versions").is(http.StatusOK))
	if len(versions.Items) != 2 || versions.Items[0].Version != 2 {
		t.Errorf("versions %+v", versions)
	}
	if list := as[api.Page[templates.Template]](s.get("/api/v1/templates").is(http.StatusOK)); len(list.Items) < 30 {
		t.Errorf("%d templates, want the starter set and one more", len(list.Items))
	}
}

func TestTryingAnSMSTellsWhatItTakes(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *api.Config) { c.PricePerPart, c.Currency = 0.045, "EUR" })
	try := func(channel, text string) *api.SMS {
		t.Helper()
		body, err := json.Marshal(map[string]string{"channel": channel, "subject": "x", "body": text})
		must(t, err)
		return as[api.Filled](s.post("/api/v1/templates/preview", string(body)).is(http.StatusOK)).SMS
	}
	for _, c := range []struct {
		name, text string
		want       api.SMS
	}{
		{"one part", "Hello {{ member.name }} [5 €]", api.SMS{Encoding: "GSM-7", Parts: 1, UnitsLeft: 160 - 18, ForcedBy: []api.ForcedBy{}, Cost: 0.045, Currency: "EUR"}},
		{"two parts", strings.Repeat("a", 170), api.SMS{Encoding: "GSM-7", Parts: 2, UnitsLeft: 136, ForcedBy: []api.ForcedBy{}, Cost: 0.09, Currency: "EUR"}},
		{"UCS-2", "“{{ member.name }}“ 👍", api.SMS{
			Encoding: "UCS-2", Parts: 1, UnitsLeft: 62, Cost: 0.045, Currency: "EUR",
			ForcedBy: []api.ForcedBy{{Text: "“", Times: 2, Instead: `"`}, {Text: "👍", Times: 1}},
		}},
	} {
		if diff := cmp.Diff(&c.want, try("sms", c.text)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if got := try("sms", strings.Repeat("a", 40_000)); !got.TooLong || got.Cost != 0 || got.Currency != "" {
		t.Errorf("too long: %+v", got)
	}
	var all strings.Builder
	for r := '一'; r < '一'+100; r++ {
		all.WriteRune(r)
	}
	if got := try("sms", all.String()); len(got.ForcedBy) != 50 {
		t.Errorf("%d characters are named", len(got.ForcedBy))
	}
	if got := try("email", "“a”"); got != nil {
		t.Errorf("a mail takes %+v", got)
	}
	s = newServer(t)
	if r := s.post("/api/v1/templates/preview", `{"channel":"sms","body":"a"}`).is(http.StatusOK); strings.Contains(r.body, "cost") || strings.Contains(r.body, "currency") {
		t.Errorf("a cost that is not known: %s", r.body)
	}
}

func TestATemplateWithAMistakeIsRefusedByFieldAndLine(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body, err := json.Marshal(map[string]string{"subject": "Hello", "html": "<p>\n{{ event.name | nosuchfilter }}"})
	if err != nil {
		t.Fatal(err)
	}
	p := s.send(http.MethodPut, "/api/v1/templates/greeting/email/en", string(body)).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Location, "html") || !strings.Contains(p.Errors[0].Message, "nosuchfilter") {
		t.Errorf("the answer does not name the place: %+v", p.Errors)
	}
	s.send(http.MethodPut, "/api/v1/templates/greeting/pigeon/en", `{"body":"coo"}`).problem(http.StatusUnprocessableEntity, "invalid")
	s.secret = s.key("reader", access.TemplatesRead)
	s.send(http.MethodPut, "/api/v1/templates/greeting/email/en", `{"subject":"a","html":"b"}`).problem(http.StatusForbidden, "forbidden")
}

func TestCallsAndFaxesAreTried(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const path = "/api/v1/templates/preview"
	call := as[api.Filled](s.post(path, `{"channel":"voice","body":"steps:\n  - say: Hello {{ member.name }}.\n  - gather: {say: Press 1., choices: {1: [{confirm: true}]}}\n"}`).is(http.StatusOK))
	if want := "Hello Wei.\nPress 1.\n[1] (confirm)"; call.Text != want || call.Subject != "" {
		t.Errorf("the call is %+v, want %q", call, want)
	}
	fax := as[api.Filled](s.post(path, `{"channel":"fax","subject":"For {{ member.name }}","body":"# {{ member.name }}","data":{"member":{"name":"*Wei*"}}}`).is(http.StatusOK))
	if fax.Text != `# \*Wei\*` || fax.Subject != "For *Wei*" {
		t.Errorf("the fax is %+v", fax)
	}
	p := s.send(http.MethodPut, "/api/v1/templates/greeting/voice/en", `{"subject":"x","body":"steps:\n  - pause: 2\n"}`).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.subject" {
		t.Errorf("the subject of a call gives %+v", p.Errors)
	}
	p = s.send(http.MethodPut, "/api/v1/templates/greeting/voice/en", `{"body":"steps:\n  - say: a\n  - pause: 2\n"}`).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.body" || !strings.Contains(p.Errors[0].Message, "line 3: ") {
		t.Errorf("a pause without a unit gives %+v", p.Errors)
	}
}
