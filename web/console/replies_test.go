package console_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/replies"
	"herald/subscriptions"
	"herald/web/console"
)

const weis = "+8613800138000"

// wrote takes messages that somebody wrote to us, one after the other.
func (s *stand) wrote(from string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		must(s.t, s.Replies.Take(s.t.Context(), []dispatch.Inbound{{
			Account: "smsc", Channel: subscriptions.SMS, From: from, To: "10690000", Text: text, At: time.Now(),
		}}))
	}
}

// phoned is a member with a telephone.
func (s *stand) phoned(account string) subscriptions.Member {
	s.t.Helper()
	m, err := s.Members.Register(s.t.Context(), subscriptions.Registration{
		Account: account, Contacts: []subscriptions.NewContact{{Channel: subscriptions.SMS, Address: weis, Verified: true}},
	})
	must(s.t, err)
	return m
}

// inbox is what the store has, newest first.
func (s *stand) inbox(f replies.Filter) []replies.Reply {
	s.t.Helper()
	found, err := s.Replies.Find(s.t.Context(), f)
	must(s.t, err)
	return found
}

func TestTheInboxShowsWhatPeopleWriteBack(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/replies").is(http.StatusOK).has("Nobody has written back yet", `aria-current="page"`).lacks("replies.csv", "Mark all")
	m := s.phoned("wei")
	s.wrote(weis, "STOP", "When does it arrive?")
	s.wrote("+447911123456", "Who is this?")
	a := v.get("/console/replies").is(http.StatusOK)
	a.has("2 replies wait to be read", "When does it arrive?", fmt.Sprintf(`href="/console/members/%d">wei</a>`, m.ID), "138 0013 8000", "Who is this?", "nobody we know", "smsc", "10690000", "replies.csv").lacks("STOP</div>")
	if strings.Index(a.body, "Who is this?") > strings.Index(a.body, "When does it arrive?") {
		t.Error("the newest is not first")
	}
	v.get("/console/replies?keywords=1").has("asked us to stop", "The number was suppressed.")
	v.get("/console/replies?address=%2B86+138+0013+8000").has("When does it arrive?").lacks("Who is this?")
	v.get("/console/replies?address=nobody").has("No reply fits this search", "Clear the search")
	v.get("/console/replies?lang=zh-CN&keywords=1").has("有 2 条回复未读", "要求退订", "号码已列入停发名单", "未知号码")
	for _, path := range []string{"?before=x", "?before=-1", "?before=99999999999999999999"} {
		v.get("/console/replies" + path).is(http.StatusNotFound)
	}
}

func TestAReplyIsMarkedAsReadByWhoReadIt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.wrote(weis, "one", "two", "three")
	v := s.signedIn("bob")
	const back = "/console/replies?new=1"
	list := s.inbox(replies.Filter{})
	read := func(id int64, on string) answer {
		return v.post(fmt.Sprintf("/console/replies/%d/read", id), url.Values{"read": {on}, "back": {back}})
	}
	read(list[1].ID, "true").is(http.StatusOK).at(back).has("Marked as read.", "2 replies wait to be read").lacks(">two<")
	v.get("/console/replies").has("read by operator bob", "Mark as unread")
	read(list[1].ID, "false").is(http.StatusOK).at(back).has("It waits to be read again.", "3 replies wait")
	v.post("/console/replies/read", url.Values{"up_to": {fmt.Sprint(list[1].ID)}, "back": {back}}).at(back).has("2 replies were marked as read.", "1 reply waits", "three")
	if got := s.inbox(replies.Filter{})[2]; got.ReadBy != "operator:bob" {
		t.Errorf("read by %q", got.ReadBy)
	}
	s.wrote("+447911123456", "STOP")
	keyword := s.inbox(replies.Filter{All: true})[0]
	read(keyword.ID, "true").is(http.StatusNotFound)
	read(999999, "true").is(http.StatusNotFound)
	v.post("/console/replies/x/read", url.Values{"read": {"true"}, "back": {back}}).is(http.StatusNotFound)
	v.post("/console/replies/read", url.Values{"up_to": {"all"}, "back": {back}}).is(http.StatusUnprocessableEntity)
	v.post(fmt.Sprintf("/console/replies/%d/read", list[0].ID), url.Values{"read": {"true"}, "back": {"https://evil.example"}}).is(http.StatusUnprocessableEntity)
	v.postFrom("https://evil.example", "/console/replies/read", url.Values{"up_to": {"9"}, "back": {back}}).is(http.StatusForbidden)
	for _, path := range []string{"/console/replies", "/console/replies.csv"} {
		s.visitor().get(path).at("/console/sign-in")
	}
}

func TestAMembersRecordHasWhatTheyWroteAndWhatCameOfIt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	m := s.phoned("wei")
	v := s.signedIn("bob")
	path := fmt.Sprint("/console/members/", m.ID)
	v.get(path).has("What they wrote back", "Nothing yet.")
	s.wrote(weis, "STOP", "start", "START", "thank you")
	v.get(path).is(http.StatusOK).has("asked us to stop", "The number was suppressed.", "asked us to start again", "The suppression was lifted.",
		"Answered before, within a day.", "thank you").lacks("Nothing yet.")
	s.wrote(weis, "T")
	v.get(path).has("suppressed: replied STOP")
	v.get(path+"?lang=zh-CN").has("会员的回复", "要求退订", "已解除停发")
}

func TestAHostileReplyIsShownAsText(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	const evil = `<script>alert(1)</script>"'><img src=x>`
	m := s.phoned("mallory")
	s.wrote(weis, evil+strings.Repeat("\n long", 300))
	s.wrote(evil, evil)
	v := s.signedIn("bob")
	for _, path := range []string{"/console/replies", "/console/replies?address=" + url.QueryEscape(evil), fmt.Sprint("/console/members/", m.ID)} {
		v.get(path).is(http.StatusOK).has("&lt;script&gt;").lacks("<script>alert", "<img src=x")
	}
}

func TestRepliesComeInPagesAndAreExportedWhole(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.phoned("wei")
	batch := make([]dispatch.Inbound, 0, 601)
	for i := range cap(batch) {
		batch = append(batch, dispatch.Inbound{Account: "smsc", Channel: subscriptions.SMS, Key: fmt.Sprint(i), From: weis, Text: fmt.Sprintf("=text %03d", i)})
	}
	must(t, s.Replies.Take(t.Context(), batch))
	s.wrote(weis, "STOP")
	v := s.signedIn("ann")
	first := v.get("/console/replies?address="+url.QueryEscape(weis)).has("text 600", "text 551").lacks("text 550")
	second := v.get(first.link("next")).has("text 550", "text 501", "Newest").lacks("text 551")
	if !strings.Contains(second.path, "address=") {
		t.Errorf("the search is lost at %s", second.path)
	}
	export := v.get("/console/replies.csv?keywords=1").is(http.StatusOK)
	if got := export.header.Get("Content-Disposition"); !strings.HasPrefix(got, `attachment; filename="replies-`) {
		t.Errorf("disposition %q", got)
	}
	lines, err := csv.NewReader(strings.NewReader(export.body)).ReadAll()
	must(t, err)
	if len(lines) != 1+602 {
		t.Fatalf("%d lines", len(lines))
	}
	stop, newest := lines[1], lines[2]
	if stop[8] != "stop" || stop[9] != "stopped" || newest[3] != "wei" || newest[4] != weis || newest[11] != "'=text 600" {
		t.Errorf("lines %q and %q", stop, newest)
	}
}

func TestWithoutRepliesThereAreNoSuchPages(t *testing.T) {
	t.Parallel()
	cfg := newStand(t).Config
	cfg.Replies = nil
	handler, err := console.New(cfg)
	must(t, err)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/replies", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}
