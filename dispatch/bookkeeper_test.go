package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

func (b *bench) bookkeeper(change ...func(*BookkeeperConfig)) *Bookkeeper {
	cfg := BookkeeperConfig{Node: b.node.Name(), Logger: slog.New(slog.DiscardHandler), Accounts: b.accounts}
	for _, c := range change {
		c(&cfg)
	}
	return NewBookkeeper(b.store, cfg)
}

func TestFoldKeepsEveryCount(t *testing.T) {
	b := newIdleBench(t)
	keeper := b.bookkeeper()
	b.enqueue(b.note(), b.note(), b.note(func(n *Notification) { n.Channels = []subscriptions.Channel{"fax"} }))
	b.enqueue(b.note(func(n *Notification) { n.CampaignID = 4 }))
	before := b.balanced()
	moves := scalar[int64](b, `SELECT count(*) FROM ledger_moves`)
	for left := moves; left > 0; {
		n, err := keeper.fold(t.Context(), 2)
		if err != nil || n == 0 {
			t.Fatalf("folded %d: %v", n, err)
		}
		if got := b.balanced(); got != before {
			t.Fatalf("after a part: %+v, want %+v", got, before)
		}
		left -= n
	}
	if n, err := keeper.fold(t.Context(), 2); n != 0 || err != nil {
		t.Errorf("nothing is left, and it folded %d: %v", n, err)
	}
	if n := scalar[int](b, `SELECT count(*) FROM ledger_moves`); n != 0 {
		t.Errorf("%d moves are left", n)
	}
	campaign, err := b.store.Ledger(t.Context(), Filter{Campaign: 4})
	if err != nil || campaign != (Ledger{Targeted: 1, Pending: 1, Balanced: true}) {
		t.Errorf("%+v, %v", campaign, err)
	}
}

// Whoever reads while several nodes fold sees every notification, always.
func TestReadersSeeNoFold(t *testing.T) {
	b := newIdleBench(t)
	ns := make([]Notification, 20)
	for range 30 {
		for i := range ns {
			ns[i] = b.note()
		}
		if err := b.enqueueAll(ns); err != nil {
			t.Fatal(err)
		}
	}
	want := b.balanced()
	folding, done := context.WithCancel(t.Context())
	var keepers sync.WaitGroup
	for range 3 {
		keeper := b.bookkeeper()
		keepers.Go(func() {
			for folding.Err() == nil && b.countMoves() > 0 {
				_, _ = keeper.fold(folding, 3)
			}
		})
	}
	for range 100 {
		if got := b.balanced(); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
	done()
	keepers.Wait()
	if got := b.balanced(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func (b *bench) enqueueAll(ns []Notification) error {
	return pgx.BeginFunc(b.t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(b.t.Context(), tx, ns) })
}

func (b *bench) countMoves() int {
	var n int
	_ = b.pool.QueryRow(context.Background(), `SELECT count(*) FROM ledger_moves`).Scan(&n)
	return n
}

func TestPastMinutesAreMergedAndOldOnesForgotten(t *testing.T) {
	b := newIdleBench(t)
	keeper := b.bookkeeper()
	now := b.clock.now().Truncate(time.Minute)
	add := func(ago time.Duration, n int) {
		b.exec(`INSERT INTO minutes (minute, channel, account, outcome, n) VALUES ($1, 'email', 'main', 'accepted', $2)`, now.Add(-ago), n)
	}
	add(-time.Minute, 1) // not over, though a minute ends just now
	add(-time.Minute, 2) // nothing is merged of it
	add(5*time.Minute, 3)
	add(5*time.Minute, 4)
	add(3*24*time.Hour, 5)
	for range 2 {
		if err := keeper.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := b.pool.Query(t.Context(), `SELECT n FROM minutes ORDER BY minute, n`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if diff := cmp.Diff([]int{7, 1, 2}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestWhatComesToNothingIsForgotten(t *testing.T) {
	b := newIdleBench(t)
	b.exec(`INSERT INTO ledger VALUES (now(), 'a', 0, 'email', 'pending', '', 0), (now(), 'a', 0, 'email', 'accepted', '', 0), (now(), 'b', 0, 'email', 'pending', '', -1)`)
	if err := b.bookkeeper().tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](b, `SELECT count(*) FROM ledger`); n != 2 {
		t.Errorf("%d rows are left", n)
	}
}

func TestAccountsAreKnownOnNodesThatSendNothing(t *testing.T) {
	b := newIdleBench(t)
	keeper := b.bookkeeper(func(c *BookkeeperConfig) { c.Accounts = b.worker.accounts })
	if err := keeper.tellAccounts(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO account_states (node, account, channel, sessions, in_use, share, maximum, waiting, circuit, next_try, failure, at)
SELECT name, 'main', 'email', 2, 1, 5, 20, 3, 'open', now() + interval '1 minute', 'transient 421', now() FROM nodes
UNION ALL SELECT 'dead', 'other', 'email', 9, 9, 9, 20, 9, 'closed', NULL, '', now()
ON CONFLICT (node, account) DO NOTHING`)
	b.exec(`INSERT INTO nodes (name) VALUES ('node-2')`)
	b.exec(`UPDATE account_states SET node = 'node-2' WHERE node = 'dead'`)
	b.exec(`INSERT INTO account_states (node, account, channel, sessions, in_use, share, maximum, waiting, circuit, next_try, failure, at)
VALUES ('node-2', 'main', 'email', 2, 1, 5, 20, 3, 'open', now() + interval '1 minute', 'transient 421', now()),
       ('gone', 'main', 'email', 50, 1, 5, 20, 3, 'closed', NULL, '', now())`)
	b.exec(`
INSERT INTO minutes (minute, channel, account, outcome, n)
SELECT date_trunc('minute', now()) - ago, 'email', 'main', 'accepted', 40
FROM unnest(ARRAY[interval '1 minute', '0']) AS m (ago)`) // whichever is the last when it is asked for
	list, err := b.store.Accounts(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	main := list[0]
	if main.Name != "main" || len(main.Nodes) != 2 || main.Sessions < 2 || main.Maximum != 20 || main.Circuit != "open" || main.NextTry == nil ||
		main.Failure != "transient 421" || main.SentLastMinute != 40 || list[1].Name != "other" {
		t.Errorf("%+v", list)
	}
	keeper.forgetAccounts(t.Context())
	if list, _ := b.store.Accounts(t.Context()); len(list[0].Nodes) != 1 {
		t.Errorf("after the node's end: %+v", list[0])
	}
}

func TestBookkeeperRunsUntilItsEnd(t *testing.T) {
	b := newIdleBench(t)
	b.enqueue(b.note())
	keeper := b.bookkeeper(func(c *BookkeeperConfig) { c.Every = 10 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); keeper.Run(ctx) }()
	limit := time.After(2 * time.Minute)
	for b.countMoves() > 0 || scalar[int](b, `SELECT count(*) FROM ledger_checks`) == 0 {
		select {
		case <-limit:
			t.Fatal("nothing is folded and checked")
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	<-ended
	b.balanced()
}
