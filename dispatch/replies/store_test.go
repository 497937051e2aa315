package replies

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
)

func TestAMemberIsErasedWithWhatTheyWrote(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	wei, lin := d.member("wei", weis, true), d.member("lin", weis, true)
	d.writes(weis, "hello from the two of us")
	d.writes(other, "hello from a stranger")
	for _, step := range []struct {
		gone subscriptions.Member
		left int
	}{{lin, 2}, {wei, 1}} {
		_, err := d.pool.Exec(t.Context(), `DELETE FROM members WHERE id = $1`, step.gone.ID)
		must(t, err)
		if n := len(d.all()); n != step.left {
			t.Errorf("%d replies after %s is gone, want %d", n, step.gone.Account, step.left)
		}
	}
	if n := d.rows("reply_members"); n != 0 {
		t.Errorf("%d links are left", n)
	}
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.Keep, c.Remember = 10*day, 5*day })
	d.member("wei", weis, true)
	hello := d.inbound(weis, "hello")
	must(t, d.Take(t.Context(), []dispatch.Inbound{hello, d.inbound(weis, "STOP")}))
	for _, step := range []struct {
		after                   time.Duration
		replies, known, answers int
	}{{0, 2, 2, 1}, {2 * day, 2, 2, 0}, {4 * day, 2, 0, 0}, {5 * day, 0, 0, 0}} {
		d.time = d.time.Add(step.after)
		must(t, d.sweep(t.Context()))
		if r, k, a := d.rows("replies"), d.rows("inbound_taken"), d.rows("reply_answers"); r != step.replies || k != step.known || a != step.answers {
			t.Errorf("after %v: %d replies, %d keys, %d answers; want %+v", step.after, r, k, a, step)
		}
	}
	if d.reason(weis) != subscriptions.Stopped {
		t.Error("the suppression is forgotten, too")
	}
}

func TestRepliesAreFoundAndMarked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	var ids []int64
	for i := range 5 {
		ids = append(ids, d.writes([]string{weis, other}[i%2], fmt.Sprint("message ", i)).ID)
	}
	d.writes(weis, "STOP")
	found := func(f Filter) string {
		t.Helper()
		list, err := d.Find(t.Context(), f)
		must(t, err)
		var texts []string
		for _, r := range list {
			texts = append(texts, strings.TrimPrefix(r.Text, "message "))
		}
		return strings.Join(texts, " ")
	}
	read, err := d.Mark(t.Context(), ids[1], true, "operator:ann")
	must(t, err)
	if read.ReadAt == nil || read.ReadBy != "operator:ann" {
		t.Errorf("read %+v", read)
	}
	if again, err := d.Mark(t.Context(), ids[1], true, "operator:bob"); err != nil || again.ReadBy != "operator:ann" {
		t.Errorf("read again by %s (%v)", again.ReadBy, err)
	}
	for _, tt := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "4 3 2 1 0"},
		{Filter{All: true, Limit: 2}, "STOP 4"},
		{Filter{Unread: true}, "4 3 2 0"},
		{Filter{From: other}, "3 1"},
		{Filter{Limit: 2, Before: ids[3]}, "2 1"},
		{Filter{From: "nobody\x00"}, ""},
		{Filter{MemberID: read.MemberID + 99}, ""},
	} {
		if got := found(tt.filter); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.filter, got, tt.want)
		}
	}
	if n, err := d.MarkAll(t.Context(), ids[3], "operator:bob"); err != nil || n != 3 {
		t.Errorf("%d marked (%v)", n, err)
	}
	if n, err := d.Unread(t.Context()); err != nil || n != 1 {
		t.Errorf("%d unread (%v)", n, err)
	}
	if back, err := d.Mark(t.Context(), ids[1], false, "operator:bob"); err != nil || back.ReadAt != nil || back.ReadBy != "" {
		t.Errorf("to be read again: %+v (%v)", back, err)
	}
	stop := d.all()[0].ID
	for _, id := range []int64{stop, 0, -1, 1 << 60} {
		if _, err := d.Mark(t.Context(), id, true, "operator:ann"); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("marked %d: %v", id, err)
		}
	}
	if _, err := d.Get(t.Context(), 0); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("got none: %v", err)
	}
}

func TestAStoreSaysWhatItLacks(t *testing.T) {
	if _, err := NewStore(nil, Config{}); err == nil {
		t.Error("no error without stores")
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Keep = time.Hour },
		func(c *Config) { c.Remember = time.Second },
		func(c *Config) { c.Words.Stop = []string{"!"} },
	} {
		cfg := Config{Contacts: &subscriptions.Contacts{}, Suppressions: &subscriptions.Consents{}, Deliveries: &dispatch.Store{}, Logger: newDesk(t).cfg.Logger}
		change(&cfg)
		if _, err := NewStore(nil, cfg); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("error %v", err)
		}
	}
}
