package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"herald/access"
	"herald/campaigns"
)

// tea is a form of a campaign that can be saved.
func tea(change ...string) url.Values {
	form := url.Values{
		"name": {"A week of tea"}, "audience": {"some"}, "segment.condition": {`member.locale == "en"`}, "how": {"now"}, "when.time_zone": {"UTC"},
		"channels[0]": {"email"}, "purpose": {"marketing"}, "priority": {"4"}, "expiry": {"24h"},
		"messages[0].channel": {"email"}, "messages[0].locale": {"en"}, "messages[0].subject": {"Tea for {{ member.name }}"}, "messages[0].body": {"20 % off"},
	}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	return form
}

// marketer is a browser in which a marketer has signed in.
func (s *stand) marketer() *visitor {
	s.t.Helper()
	_, err := s.Operators.Create(s.t.Context(), "mia", password, access.MarketerRole)
	must(s.t, err)
	return s.signedIn("mia")
}

func TestACampaignIsWrittenTriedStartedAndStopped(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.member("wei", "Wei")
	v := s.marketer()
	v.get("/console/campaigns").is(http.StatusOK).has("There are no campaigns yet", "/console/campaigns/new")
	v.get("/console/campaigns/new").is(http.StatusOK).has(`name="messages[0].subject"`, `name="segment.condition"`)
	made := v.post("/console/campaigns", tea("patience", "1h")).is(http.StatusOK).has("The draft is saved.", "Next channel if not confirmed within", "A week of tea", "Nobody is told before it is started", "Try it")
	at := made.path
	v.get("/console/campaigns").is(http.StatusOK).has("A week of tea", "draft")
	v.post(at+"/dry-run", nil).is(http.StatusOK).has("What it would do", "0 % of the members are asked", "Stop counting")
	v.post(at+"/dry-run", url.Values{"do": {"cancel"}}).is(http.StatusOK).has("The count was stopped")
	v.get(at).has("It was not tried as it is now")
	v.post(at+"/start", nil).is(http.StatusOK).has("It is started.", "preparing", "0 % of the members are read", "Holds 0 messages", "Stops 0 messages that have not left yet")
	v.post(at+"/start", nil).is(http.StatusOK).has("Nothing was done")
	v.post(at+"/pause", nil).is(http.StatusOK).has("It is paused.", "Resume")
	v.post(at+"/resume", nil).is(http.StatusOK).has("It goes on.")
	v.post(at+"/stop", nil).is(http.StatusOK).has("It is stopped.", "operator mia").lacks("Stop for good")
	v.post(at+"/copy", nil).is(http.StatusOK).has("This is the copy.", "A week of tea (2)")
	v.get("/console/campaigns?state=stopped").has("A week of tea").lacks("(2)")
	v.get("/console/campaigns?state=finished").has("No campaign is in this state")
	v.get(at+"?lang=zh-CN").is(http.StatusOK).has("已终止", "操作记录")
}

func TestADraftIsEditedAndDeleted(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	at := v.post("/console/campaigns", tea("how", "cron", "when.cron", "0 9 * * MON")).is(http.StatusOK).path
	v.get(at+"/edit").is(http.StatusOK).has(`value="A week of tea"`, `value="0 9 * * MON"`, "member.locale == &#34;en&#34;")
	v.post(at+"/edit", tea("version", "1", "name", "Two weeks", "how", "cron", "when.cron", "0 9 * * MON", "when.until", "2126-12-31")).is(http.StatusOK).has("Two weeks", "until 2126-12-31")
	v.get(at + "/edit").is(http.StatusOK).has(`value="2126-12-31"`)
	v.post(at+"/edit", tea("version", "1", "name", "Three weeks")).is(http.StatusConflict).has("changed somewhere else", "Three weeks")
	v.post(at+"/delete", nil).is(http.StatusOK).at("/console/campaigns").has("The draft is gone.")
	v.get(at).is(http.StatusNotFound)
}

func TestMistakesInACampaignStandAtTheirFields(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	for name, test := range map[string]struct {
		form url.Values
		want string
	}{
		"condition":     {tea("segment.condition", "size(member.locale) > 1"), "1:5: size cannot be used here"},
		"nobody":        {tea("segment.condition", ""), "Whom it is for"},
		"subject":       {tea("messages[0].subject", ""), "f-messages-0-subject-fault"},
		"schedule":      {tea("how", "cron", "when.cron", "often"), "five fields"},
		"no moment":     {tea("how", "at"), "f-when-at-fault"},
		"rate":          {tea("rate", "many"), "f-rate-fault"},
		"hidden fields": {tea("priority", "x"), "f-priority-fault"},
	} {
		t.Run(name, func(t *testing.T) {
			page := v.post("/console/campaigns", test.form)
			if page.status != http.StatusUnprocessableEntity {
				t.Errorf("status %d", page.status)
			}
			page.has(test.want, `value="A week of tea"`)
		})
	}
}

func TestMessagesAreAddedAndPreviewed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	form := tea("do", "add")
	v.post("/console/campaigns", form).is(http.StatusOK).has(`name="messages[1].subject"`, "20 % off", "Message 2")
	form = tea("do", "preview", "messages[2].channel", "email", "messages[2].locale", "zh-CN", "messages[2].subject", "茶", "messages[2].body", "{{ member.name }}，八折")
	v.post("/console/campaigns", form).is(http.StatusOK).has("Tea for Wei", "Wei，八折", `name="messages[1].subject"`).lacks(`name="messages[2].subject"`)
	v.post("/console/campaigns", tea("do", "preview", "messages[0].body", "{% if %}")).has("f-messages-0-body-fault")
	if list, err := s.Campaigns.List(t.Context(), campaigns.ListFilter{}); err != nil || len(list) != 0 {
		t.Errorf("a preview saved %v, %v", list, err)
	}
}

func TestOperatorsReadCampaignsAndDoNotChangeThem(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	at := s.marketer().post("/console/campaigns", tea()).path
	v := s.signedIn("bob")
	v.get("/console/campaigns").is(http.StatusOK).has("A week of tea").lacks("/console/campaigns/new")
	v.get(at).is(http.StatusOK).has("A week of tea").lacks("Start now", "/edit")
	v.get("/console/campaigns/new").is(http.StatusForbidden)
	for _, verb := range []string{"start", "pause", "resume", "stop", "copy", "delete", "dry-run", "edit"} {
		v.post(at+"/"+verb, nil).is(http.StatusForbidden)
	}
	s.visitor().get(at).at("/console/sign-in")
}

func TestACampaignMovesByItself(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	at := v.post("/console/campaigns", tea()).path
	live := v.streamOf(at + "/live")
	if first := message(live); !strings.Contains(first, "Nobody is told before") || strings.Contains(first, "<html") {
		t.Errorf("first came %s", first)
	}
	v.post(at+"/start", nil)
	if next := message(live); !strings.Contains(next, "preparing") {
		t.Errorf("then came %s", next)
	}
	close(s.stopping)
	v.get(fmt.Sprint(at, "0/live")).is(http.StatusNotFound)
}
