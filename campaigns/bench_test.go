package campaigns

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"herald/dispatch"
	"herald/subscriptions"
)

// nobodyTold is an Enqueuer that does nothing, to measure what is ours.
type nobodyTold struct{}

func (nobodyTold) EnqueueTx(context.Context, pgx.Tx, []dispatch.Notification) error { return nil }

func (nobodyTold) Foresee(_ context.Context, _ subscriptions.Querier, list []dispatch.Prospect) ([]dispatch.Foreseen, error) {
	return make([]dispatch.Foreseen, len(list)), nil
}

func (nobodyTold) WakeTx(context.Context, pgx.Tx, []int64) error { return nil }

// BenchmarkPrepare prepares a run of HERALD_BENCH_MEMBERS (20,000) by two
// workers: our own part of it, and all of it.
func BenchmarkPrepare(b *testing.B) {
	members, err := strconv.Atoi(os.Getenv("HERALD_BENCH_MEMBERS"))
	if err != nil {
		members = 20_000
	}
	d := newDesk(b)
	d.members(members)
	d.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at) SELECT id, 'email', account || '@example.com', now() FROM members`)
	d.exec(`INSERT INTO consents (member_id, channel, purpose, granted) SELECT id, 'email', 'marketing', true FROM members`)
	d.exec(`ANALYZE`)
	deliveries, err := dispatch.NewStore(d.pool, subscriptions.NewConsents(d.pool, d.clock.now), d.clock.now, dispatch.StoreConfig{Channels: []subscriptions.Channel{subscriptions.Email}})
	if err != nil {
		b.Fatal(err)
	}
	for name, enqueuer := range map[string]Enqueuer{"ours": nobodyTold{}, "whole": deliveries} {
		b.Run(name, func(b *testing.B) {
			d.store.cfg.Enqueuer = enqueuer
			for b.Loop() {
				d.started(func(p *Plan) { p.Segment = Segment{Condition: `attributes.even || member.locale == "en"`} })
				began := time.Now()
				d.river(2)
				b.ReportMetric(float64(members)/time.Since(began).Seconds(), "members/s")
			}
		})
	}
	b.Run("dry run", func(b *testing.B) {
		for b.Loop() {
			c := d.create()
			if err := d.store.DryRun(b.Context(), c.ID, "operator:ann"); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			if err := d.store.count(b.Context(), c.ID, 1); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(members)/time.Since(began).Seconds(), "members/s")
		}
	})
}

// river works off every range, as a node with so many workers does.
func (d *desk) river(ranges int) {
	d.Helper()
	workers := river.NewWorkers()
	d.store.AddTo(workers)
	client, err := river.NewClient(riverpgxv5.New(d.pool), &river.Config{
		Workers: workers, Queues: d.store.Queues(ranges), Logger: d.store.cfg.Logger,
		FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond,
	})
	if err != nil {
		d.Fatal(err)
	}
	done, stop := client.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
	defer stop()
	if err := client.Start(context.Background()); err != nil {
		d.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := client.StopAndCancel(ctx); err != nil {
			d.Error(err)
		}
	}()
	for limit := time.After(10 * time.Minute); len(d.ranges()) > 0; {
		select {
		case <-done:
		case <-limit:
			d.Fatal("the ranges were not read in time")
		}
	}
}
