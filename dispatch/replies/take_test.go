package replies

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch"
	"herald/subscriptions"
)

func TestStopSuppressesTheNumberAndIsAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	wei := d.member("wei", weis, true)
	got := d.writes(weis, "退订。")
	if got.Kind != Stop || got.Done != Stopped || got.Answer != Answered || got.Inbox || got.MemberID != wei.ID || got.Member != "wei" {
		t.Errorf("kept as %+v", got)
	}
	if d.reason(weis) != subscriptions.Stopped {
		t.Errorf("suppressed: %q", d.reason(weis))
	}
	answers := d.answers()
	if len(answers) != 1 || answers[0].Template != "reply_stop" || answers[0].State != dispatch.Pending || answers[0].Address != weis || answers[0].Purpose != subscriptions.Transactional {
		t.Fatalf("answers %+v", answers)
	}
	told, err := d.deliveries.Notification(t.Context(), answers[0].NotificationID)
	must(t, err)
	if first := told.Decision[0]; !told.Answers || told.Data["word"] != "退订。" || first.Code != "reply_received" || first.Args["kind"] != "stop" || first.Args["done"] != "stopped" {
		t.Errorf("decided %+v", told)
	}
	if len(d.news.list) != 1 || d.news.list[0].Type != "contact.suppressed" || d.news.list[0].Data["member_id"] != wei.ID {
		t.Errorf("told %+v", d.news.list)
	}
	list, err := d.consents.Suppressions(t.Context(), subscriptions.SuppressionFilter{})
	must(t, err)
	if want := "退订。 written to smsc at 2026-03-01T09:30:00Z"; list[0].Detail != want {
		t.Errorf("evidence %q, want %q", list[0].Detail, want)
	}
}

func TestAWordIsAnsweredOnceADay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	for i, want := range []struct {
		after  time.Duration
		text   string
		answer Answer
		done   Done
	}{
		{0, "STOP", Answered, Stopped},
		{time.Minute, "STOP", Repeated, Unchanged},
		{time.Minute, "HELP", Answered, ""},
		{time.Minute, "start", Answered, Restarted},
		{time.Minute, "start", Repeated, Unchanged},
		{time.Minute, "STOP", Repeated, Stopped},
		{24 * time.Hour, "STOP", Answered, Unchanged},
		{23 * time.Hour, "stop all", Repeated, Unchanged},
	} {
		d.time = d.time.Add(want.after)
		if got := d.writes(weis, want.text); got.Answer != want.answer || got.Done != want.done || got.Inbox {
			t.Errorf("%d. %s: %q, %q, inbox %v; want %q, %q", i+1, want.text, got.Done, got.Answer, got.Inbox, want.done, want.answer)
		}
	}
	if n := len(d.answers()); n != 4 {
		t.Errorf("%d answers, want 4", n)
	}
}

func TestTwoMachinesThatAnswerEachOtherFallSilent(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	for range 20 {
		for _, text := range []string{"STOP", "START", "HELP", "I am on holiday."} {
			d.time = d.time.Add(time.Second)
			d.writes(weis, text)
		}
	}
	if n := len(d.answers()); n != 3 {
		t.Errorf("%d answers, want one for each word", n)
	}
}

func TestStartLiftsOnlyWhatAStopSet(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	d.writes(weis, "stop")
	if got := d.writes(weis, "ＳＴＡＲＴ"); got.Done != Restarted || got.Answer != Answered || d.reason(weis) != "" {
		t.Errorf("after a stop: %+v, suppressed %q", got, d.reason(weis))
	}
	must(t, d.consents.Suppress(t.Context(), subscriptions.Suppression{Channel: subscriptions.SMS, Address: weis, Reason: subscriptions.ByOperator}))
	d.time = d.time.Add(24 * time.Hour)
	if got := d.writes(weis, "stop"); got.Done != Unchanged || got.Answer != Refused || got.Inbox {
		t.Errorf("stop at what an operator blocked: %+v", got)
	}
	d.time = d.time.Add(24 * time.Hour)
	if got := d.writes(weis, "START"); got.Done != Unchanged || got.Answer != "" || !got.Inbox || d.reason(weis) != subscriptions.ByOperator {
		t.Errorf("an operator's block: %+v, suppressed %q", got, d.reason(weis))
	}
	if got := d.writes(other, "订阅"); !got.Inbox || got.Done != Unchanged || got.MemberID != 0 {
		t.Errorf("a stranger wants to order: %+v", got)
	}
}

func TestANumberOfSeveralIsStoppedForAllAndShowsWithAll(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	claims := d.member("claims", weis, false)
	wei, lin := d.member("wei", weis, true), d.member("lin", weis, true)
	if got := d.writes(weis, "hello"); got.MemberID != wei.ID {
		t.Errorf("written by %s, want the first whose it surely is", got.Member)
	}
	last := d.sent(lin, "smsc", weis)
	if got := d.writes(weis, "STOP"); got.MemberID != lin.ID || got.DeliveryID != last.ID {
		t.Errorf("written by %s in answer to %s, want whom we last wrote to", got.Member, got.DeliveryID)
	}
	for _, m := range []subscriptions.Member{claims, wei, lin} {
		if found, err := d.Find(t.Context(), Filter{MemberID: m.ID}); err != nil || len(found) != 2 {
			t.Errorf("%s has %d replies (%v)", m.Account, len(found), err)
		}
	}
	if got := d.answers()[0]; got.MemberID != lin.ID || len(d.answers()) != 2 {
		t.Errorf("answered to %s, of %d messages", got.Member, len(d.answers()))
	}
	if told := len(d.news.list); told != 1+3 {
		t.Errorf("%d announcements, want the reply and a contact point of each", told)
	}
}

func TestStrangersShortCodesAndNamesAreNotAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, tt := range []struct {
		from, text string
		answer     Answer
		done       Done
		inbox      bool
	}{
		{other, "STOP", Stranger, Stopped, false},
		{other, "STOP", Stranger, Unchanged, false},
		{other, "HELP", Stranger, "", true},
		{"10086", "STOP", NoAddress, "", true},
		{"BANK", "help", NoAddress, "", true},
		{"", "T", NoAddress, "", true},
		{"10086", "您的余额不足", "", "", true},
		{strings.Repeat("9", 5000) + "\x00\xff", "?", "", "", true},
	} {
		got := d.writes(tt.from, tt.text)
		if got.Answer != tt.answer || got.Done != tt.done || got.Inbox != tt.inbox {
			t.Errorf("%.20s writes %s: %+v", tt.from, tt.text, got)
		}
	}
	if d.reason(other) != subscriptions.Stopped {
		t.Error("a stranger's number is not suppressed")
	}
	if n := len(d.answers()); n != 0 {
		t.Errorf("%d answers", n)
	}
}

func TestOtherMessagesGoToTheInboxAndAreAnnounced(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	wei := d.member("wei", weis, true)
	d.sent(wei, "smsc", weis)
	about := d.sent(wei, "smsc", weis)
	d.sent(wei, "modem", weis)
	got := d.writes(weis, "When does it arrive? Please stop calling.")
	if got.Kind != Message || !got.Inbox || got.Done != "" || got.Answer != "" || got.ReadAt != nil || got.DeliveryID != about.ID || got.To != "10690000" {
		t.Errorf("kept as %+v", got)
	}
	if len(d.news.list) != 1 {
		t.Fatalf("told %+v", d.news.list)
	}
	for name, want := range map[string]any{
		"reply_id": got.ID, "member_id": wei.ID, "delivery_id": about.ID, "account": "smsc", "channel": subscriptions.SMS, "sent_at": d.time,
		"from": nil, "text": nil, // personal data is read over the API
	} {
		if d.news.list[0].Type != "reply.received" || d.news.list[0].Data[name] != want {
			t.Errorf("%s of %s: %v, want %v", name, d.news.list[0].Type, d.news.list[0].Data[name], want)
		}
	}
	d.news.deaf = true
	d.writes(other, "hello")
	if len(d.news.list) != 1 {
		t.Error("told although nobody listens")
	}
}

func TestOnlyShortMessagesHaveKeywords(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	m := d.inbound("wei@example.com", "STOP")
	m.Channel = subscriptions.Email
	must(t, d.Take(t.Context(), []dispatch.Inbound{m}))
	if got := d.all()[0]; got.Kind != Message || !got.Inbox {
		t.Errorf("kept as %+v", got)
	}
}

func TestWhatIsGivenTwiceIsTakenOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	one := d.inbound(weis, "hello")
	elsewhere := one
	elsewhere.Account = "modem"
	unnamed := one
	unnamed.Key = ""
	later := unnamed
	later.At = later.At.Add(time.Second)
	batch := []dispatch.Inbound{one, one, elsewhere, unnamed, unnamed, later}
	for range 3 {
		must(t, d.Take(t.Context(), batch))
	}
	if n := len(d.all()); n != 4 {
		t.Errorf("%d replies, want 4", n)
	}
	if taken, known := d.counted(Message, "taken"), d.counted(Message, "known"); taken != 4 || known != 14 {
		t.Errorf("%v taken and %v known", taken, known)
	}
	timeless := dispatch.Inbound{Account: "smsc", Channel: subscriptions.SMS, From: weis, Text: "yes"}
	must(t, d.Take(t.Context(), []dispatch.Inbound{timeless, timeless}))
	if got := d.all(); len(got) != 6 || !got[0].SentAt.Equal(d.time) {
		t.Errorf("%d replies, want each of those that nothing tells apart", len(got))
	}
	must(t, d.Take(t.Context(), nil))
}

func TestABatchIsTakenInItsOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	must(t, d.Take(t.Context(), []dispatch.Inbound{d.inbound(weis, "stop"), d.inbound(weis, "start"), d.inbound(lins, "start"), d.inbound(lins, "stop")}))
	if d.reason(weis) != "" || d.reason(lins) != subscriptions.Stopped {
		t.Errorf("suppressed %q and %q", d.reason(weis), d.reason(lins))
	}
}

func TestWhatCannotBeKeptWholeIsNotTaken(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	d.news.fail = errors.New("the webhooks are away")
	batch := []dispatch.Inbound{d.inbound(weis, "STOP"), d.inbound(weis, "hello")}
	if err := d.Take(t.Context(), batch); !errors.Is(err, d.news.fail) {
		t.Fatalf("error %v", err)
	}
	if len(d.all()) != 0 || d.reason(weis) != "" || len(d.answers()) != 0 || d.rows("inbound_taken") != 0 {
		t.Error("something of it was kept")
	}
	d.news.fail = nil
	must(t, d.Take(t.Context(), batch))
	if len(d.all()) != 2 || d.reason(weis) == "" || len(d.answers()) != 1 {
		t.Error("given again it was not taken")
	}
}

func TestHostileMessagesAreKeptWithinBounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	long := strings.Repeat("长", 2*maxText)
	m := dispatch.Inbound{
		Account: strings.Repeat("a", 1<<16), Channel: subscriptions.SMS, Key: strings.Repeat("k", 1<<20), From: "+" + strings.Repeat("8", 1<<16),
		To: "\x00\xff", Text: long + "\x00", At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	must(t, d.Take(t.Context(), []dispatch.Inbound{m}))
	got := d.all()[0]
	if n := len([]rune(got.Text)); n != maxText || len([]rune(got.From)) > maxName || len([]rune(got.Account)) > maxName || !got.SentAt.Equal(d.time) {
		t.Errorf("kept %d characters from %d, sent at %s", n, len(got.From), got.SentAt)
	}
	m.Key, m.At = "", time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, d.Take(t.Context(), []dispatch.Inbound{m}))
	if got := d.all()[0]; !got.SentAt.Equal(d.time) {
		t.Errorf("sent at %s", got.SentAt)
	}
}

func TestManyAtOnceTakeEachMessageOnceAndAnswerOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.member("wei", weis, true)
	d.member("lin", lins, true)
	var batch []dispatch.Inbound
	for i := range 20 {
		batch = append(batch, d.inbound([]string{weis, lins}[i%2], []string{"STOP", "hello", "HELP", "START"}[i%4]))
	}
	var running sync.WaitGroup
	for i := range 8 {
		mine := slices.Clone(batch)
		if i%2 == 1 {
			slices.Reverse(mine)
		}
		running.Go(func() {
			if err := d.Take(t.Context(), mine); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if n := len(d.all()); n != len(batch) {
		t.Errorf("%d replies, want %d", n, len(batch))
	}
	seen := map[string]bool{}
	for _, a := range d.answers() {
		name := a.Address + a.Template
		if seen[name] {
			t.Errorf("%s twice", name)
		}
		seen[name] = true
	}
}

func TestTheKeyOfWhatHasNoneIsWhatItSays(t *testing.T) {
	m := dispatch.Inbound{From: weis, Text: "yes", At: time.Unix(1, 0)}
	moved := m
	moved.At = m.At.In(time.FixedZone("", 3600))
	if keyOf(m) != keyOf(moved) {
		t.Error("the zone matters")
	}
	m.At = time.Time{}
	timeless := []string{keyOf(m), keyOf(m)}
	if timeless[0] == timeless[1] {
		t.Error("two that nothing tells apart are one")
	}
}
