package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/access"
	"herald/dispatch"
	"herald/dispatch/replies"
	"herald/postgres/pgtest"
	"herald/subscriptions"
	"herald/web/api"
)

const weis = "+8613800138000"

// written is a server that offers replies, which are kept in a database of
// their own.
type written struct {
	*server
	store  *replies.Store
	member subscriptions.Member
}

func newWritten(t *testing.T, texts ...string) *written {
	t.Helper()
	pool, now := pgtest.New(t), time.Now
	consents := subscriptions.NewConsents(pool, now)
	deliveries, err := dispatch.NewStore(pool, consents, now, dispatch.StoreConfig{Channels: []subscriptions.Channel{subscriptions.SMS}})
	must(t, err)
	store, err := replies.NewStore(pool, replies.Config{
		Contacts: subscriptions.NewContacts(pool, deliveries, now), Suppressions: consents, Deliveries: deliveries, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	member, err := subscriptions.NewMembers(pool, access.NewPasswords(1), access.NewThrottle(pool, now), now).Register(t.Context(), subscriptions.Registration{
		Account: "wei", Contacts: []subscriptions.NewContact{{Channel: subscriptions.SMS, Address: weis, Verified: true}},
	})
	must(t, err)
	for _, text := range texts {
		must(t, store.Take(t.Context(), []dispatch.Inbound{{Account: "smsc", Channel: subscriptions.SMS, From: weis, Text: text, At: now()}}))
	}
	return &written{server: newServer(t, func(c *api.Config) { c.Replies = store }), store: store, member: member}
}

func TestRepliesAreListedNewestFirstInPages(t *testing.T) {
	t.Parallel()
	w := newWritten(t, "one", "STOP", "two", "three")
	texts := func(query string) (list []string, next string) {
		t.Helper()
		page := as[api.Page[replies.Reply]](w.get("/api/v1/replies" + query).is(http.StatusOK))
		for _, r := range page.Items {
			list = append(list, r.Text)
		}
		return list, page.Next
	}
	list, next := texts("?limit=2")
	if got := strings.Join(list, " "); got != "three two" || next == "" {
		t.Errorf("the first page: %s, next %q", got, next)
	}
	if list, next = texts("?limit=2&cursor=" + next); strings.Join(list, " ") != "one" || next != "" {
		t.Errorf("the last page: %v, next %q", list, next)
	}
	for query, want := range map[string]string{
		"?keywords=true":                       "three two STOP one",
		fmt.Sprint("?member_id=", w.member.ID): "three two STOP one",
		"?member_id=999":                       "",
		"?unread=true":                         "three two one",
	} {
		if list, _ = texts(query); strings.Join(list, " ") != want {
			t.Errorf("%s: %v, want %s", query, list, want)
		}
	}
	all := as[api.Page[replies.Reply]](w.get("/api/v1/replies?keywords=true").is(http.StatusOK)).Items
	if stop := all[2]; stop.Kind != replies.Stop || stop.Done != replies.Stopped || stop.Answer != replies.Answered || stop.Inbox || stop.From != weis || stop.Member != "wei" {
		t.Errorf("the keyword is told as %+v", stop)
	}
	if r := w.send(http.MethodGet, "/api/v1/replies", "", "Accept", "application/xml").is(http.StatusOK); !strings.Contains(r.body, "<text>three</text>") {
		t.Errorf("in XML: %s", r.body)
	}
}

func TestAReplyIsReadAndMarked(t *testing.T) {
	t.Parallel()
	w := newWritten(t, "hello", "STOP")
	all, err := w.store.Find(t.Context(), replies.Filter{All: true})
	must(t, err)
	keyword, hello := all[0].ID, fmt.Sprint("/api/v1/replies/", all[1].ID)
	if got := as[replies.Reply](w.get(hello).is(http.StatusOK)); got.Text != "hello" || got.ReadAt != nil {
		t.Errorf("read %+v", got)
	}
	if got := as[replies.Reply](w.send(http.MethodPatch, hello, `{"read":true}`).is(http.StatusOK)); got.ReadAt == nil || got.ReadBy != "key:shop" {
		t.Errorf("marked %+v", got)
	}
	if got := as[replies.Reply](w.send(http.MethodPatch, hello, `{"read":false}`).is(http.StatusOK)); got.ReadAt != nil {
		t.Errorf("unmarked %+v", got)
	}
	w.send(http.MethodPatch, fmt.Sprint("/api/v1/replies/", keyword), `{"read":true}`).problem(http.StatusNotFound, "not_found")
	w.send(http.MethodPatch, "/api/v1/replies/99999", `{"read":true}`).problem(http.StatusNotFound, "not_found")
	w.get("/api/v1/replies/99999").problem(http.StatusNotFound, "not_found")
	w.send(http.MethodPatch, hello, `{}`).problem(http.StatusUnprocessableEntity, "invalid")
	for _, query := range []string{"?cursor=x", "?member_id=0", "?limit=1000", "?unread=maybe"} {
		w.get("/api/v1/replies"+query).problem(http.StatusUnprocessableEntity, "invalid")
	}
	w.secret = w.key("reader", access.MembersRead)
	w.get(hello).is(http.StatusOK)
	w.send(http.MethodPatch, hello, `{"read":true}`).problem(http.StatusForbidden, "forbidden")
	w.secret = w.key("sender", access.EventsWrite)
	w.get("/api/v1/replies").problem(http.StatusForbidden, "forbidden")
}

func TestWithoutRepliesThereAreNoSuchOperations(t *testing.T) {
	t.Parallel()
	newServer(t).get("/api/v1/replies").problem(http.StatusNotFound, "not_found")
}
