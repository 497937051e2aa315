package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

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
