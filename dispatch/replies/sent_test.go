package replies

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"herald/dispatch"
	"herald/subscriptions"
	"herald/templates"
)

// gateway is a Sender that passes on what it is given.
type gateway chan dispatch.Message

func (gateway) Channel() subscriptions.Channel                   { return subscriptions.SMS }
func (gateway) Account() string                                  { return "smsc" }
func (g gateway) Open(context.Context) (dispatch.Session, error) { return g, nil }
func (gateway) Broken() bool                                     { return false }
func (gateway) Close(context.Context) error                      { return nil }
func (g gateway) Send(_ context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	g <- m
	return dispatch.Receipt{ProviderID: m.WireID, Code: "0"}, nil
}

// links are those that stand in the messages.
type links struct{}

func (links) Unsubscribe(uuid.UUID, int64) string { return "https://shop.example/u" }
func (links) Delivery(uuid.UUID) string           { return "https://shop.example/why" }
func (links) Alerts() string                      { return "https://shop.example/alerts" }
func (links) Alert(int64) string                  { return "https://shop.example/alerts/1" }

// handsOver hands over what is enqueued until the test ends, and gives it.
func (d *desk) handsOver() gateway {
	d.t.Helper()
	log, sent := slog.New(slog.DiscardHandler), make(gateway, 10)
	messages := templates.NewStore(d.pool, nil, time.Now)
	must(d.t, messages.LoadStarter(d.t.Context()))
	node := dispatch.NewNode(d.pool, "node-1", time.Now, log)
	must(d.t, node.Beat(d.t.Context()))
	accounts, err := dispatch.NewAccounts(d.pool, node, []dispatch.AccountConfig{{Sender: sent, MaxSessions: 2}}, log)
	must(d.t, err)
	accounts.Start()
	d.t.Cleanup(func() { must(d.t, accounts.Close(context.Background())) })
	worker, err := dispatch.NewWorker(d.deliveries, accounts, dispatch.WorkerConfig{
		Templates: messages, Links: links{}, Contacts: d.contacts, Suppressions: d.consents, Node: node, Logger: log,
	})
	must(d.t, err)
	workers := river.NewWorkers()
	worker.AddTo(workers)
	client, err := river.NewClient(riverpgxv5.New(d.pool), &river.Config{ID: "node-1", Workers: workers, Queues: worker.Queues(), Logger: log})
	must(d.t, err)
	must(d.t, client.Start(context.WithoutCancel(d.t.Context())))
	d.t.Cleanup(func() { must(d.t, client.Stop(context.Background())) })
	return sent
}

func TestTheAnswerReachesANumberThatIsStoppedInItsOwnersLanguage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	m := d.member("wei", weis, true)
	chinese := "zh-CN"
	_, err := d.members.Update(t.Context(), m.ID, subscriptions.MemberChange{Locale: &chinese})
	must(t, err)
	d.member("lin", lins, false)
	sent := d.handsOver()
	for _, step := range []struct{ from, text, says string }{
		{weis, "TD", "不会再向此号码发送短信"},
		{weis, "帮助", "https://shop.example/alerts"},
		{weis, "恢复", "已恢复向此号码发送短信"},
		{lins, "STOP", "You will get no more messages from us on this number."}, // though nobody has confirmed that it is theirs
	} {
		if got := d.writes(step.from, step.text); got.Answer != Answered {
			t.Fatalf("%s: %+v", step.text, got)
		}
		select {
		case m := <-sent:
			if m.Address != step.from || !strings.Contains(m.Content.Text, step.says) || m.UnsubscribeURL != "" {
				t.Errorf("%s is answered to %s by %q", step.text, m.Address, m.Content.Text)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("%s is not answered", step.text)
		}
	}
	if d.reason(weis) != "" || d.reason(lins) != subscriptions.Stopped {
		t.Errorf("suppressed %q and %q", d.reason(weis), d.reason(lins))
	}
}
