package console_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"herald/dispatch"
	"herald/subscriptions"
	"herald/templates"
)

// byAddress is a Sender, and its session, for whom the receiver's account says what comes of it.
type byAddress struct{}

func (byAddress) Channel() subscriptions.Channel { return subscriptions.Email }

func (byAddress) Account() string { return "smtp-1" }

func (byAddress) Open(context.Context) (dispatch.Session, error) { return byAddress{}, nil }

func (byAddress) Broken() bool { return false }

func (byAddress) Close(context.Context) error { return nil }

func (byAddress) Send(_ context.Context, m dispatch.Message) (dispatch.Receipt, error) {
	account, _, _ := strings.Cut(m.Address, "@")
	fail := dispatch.SendError{Account: "smtp-1", Err: errors.New("said the <b>server</b>")}
	switch strings.TrimRight(account, "0123456789") {
	case "dead":
		fail.Class, fail.Code, fail.AddressDead = dispatch.Permanent, "550 5.1.1", true
	case "refused":
		fail.Class, fail.Code = dispatch.Permanent, "554 5.7.1"
	case "busy":
		fail.Class, fail.Code = dispatch.Transient, "452 4.2.2"
	case "doubt":
		fail.Class = dispatch.Doubt
	default:
		return dispatch.Receipt{ProviderID: "5F21A0", Account: "smtp-1", Code: "250 2.0.0", Detail: "queued"}, nil
	}
	return dispatch.Receipt{}, &fail
}

type noLinks struct{}

func (noLinks) Unsubscribe(uuid.UUID, int64) string { return "https://shop.example/stop" }
func (noLinks) Delivery(uuid.UUID) string           { return "https://shop.example/why" }
func (noLinks) Alerts() string                      { return "https://shop.example/alerts" }
func (noLinks) Alert(int64) string                  { return "https://shop.example/alerts/1" }

// deliver hands over what waits, n deliveries, and returns when what came of
// them is recorded.
func (s *stand) deliver(n int) {
	s.t.Helper()
	log := slog.New(slog.DiscardHandler)
	filled := templates.NewStore(s.pool, nil, time.Now)
	must(s.t, filled.LoadStarter(s.t.Context()))
	node := s.node()
	accounts, err := dispatch.NewAccounts(s.pool, node, []dispatch.AccountConfig{{Sender: byAddress{}, MaxSessions: 4}}, log)
	must(s.t, err)
	accounts.Start()
	s.t.Cleanup(func() { must(s.t, accounts.Close(context.Background())) })
	worker, err := dispatch.NewWorker(s.store, accounts, dispatch.WorkerConfig{
		Templates: filled, Links: noLinks{}, Contacts: s.Contacts, Suppressions: s.Consents, Subscriptions: s.Subscriptions,
		Node: node, Logger: log,
	})
	must(s.t, err)
	workers := river.NewWorkers()
	worker.AddTo(workers)
	client, err := river.NewClient(riverpgxv5.New(s.pool), &river.Config{
		ID: "node-1", Workers: workers, Queues: worker.Queues(), Logger: log, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond,
		RescueStuckJobsAfter: worker.RescueAfter(),
	})
	must(s.t, err)
	done, unsubscribe := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: n + 10, Kinds: []river.EventKind{
		river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobSnoozed, river.EventKindJobCancelled,
	}})
	defer unsubscribe()
	must(s.t, client.Start(context.WithoutCancel(s.t.Context())))
	limit := time.After(time.Minute)
	for range n {
		select {
		case <-done:
		case <-limit:
			s.t.Fatal("what waits is not handed over")
		}
	}
	must(s.t, client.StopAndCancel(context.WithoutCancel(s.t.Context())))
}

// node is a node that beats until the test ends.
func (s *stand) node() *dispatch.Node {
	s.t.Helper()
	node := dispatch.NewNode(s.pool, "node-1", time.Now, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); node.Run(ctx) }()
	s.t.Cleanup(func() { cancel(); <-ended })
	for !node.Alive() {
		select {
		case <-s.t.Context().Done():
			s.t.Fatal("the node does not beat")
		default:
		}
	}
	return node
}

// delivered is a subscriber of a product with a delivery of it, whose account
// says what came of the hand-over.
func (s *stand) delivered(accounts ...string) []dispatch.Delivery {
	s.t.Helper()
	for _, account := range accounts {
		s.subscribe(s.member(account, "").ID, "4411")
	}
	s.price("4411", "Baby stroller Lite")
	s.deliver(len(accounts))
	found := make([]dispatch.Delivery, len(accounts))
	for i, account := range accounts {
		found[i] = s.deliveries(dispatch.Search{Member: account})[0]
	}
	return found
}
