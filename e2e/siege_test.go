package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/postgres/pgtest"
)

var (
	siegeFor  = flag.Duration("siege", 0, "how long TestSiege goes on at least; 0: each kind of strike once")
	siegeSeed = flag.Uint64("siege-seed", 0, "the chance of an earlier TestSiege, which printed it; 0: another each time")
)

// siege strikes at a cluster under load and keeps book of what it did.
type siege struct {
	*cluster
	chance   *rand.Rand
	database *pgtest.Server
	pool     *pgxpool.Pool
	sink     *sink

	// flying is how often each delivery was in flight when something was
	// struck down: so often may it come again.
	flying  map[string]int
	buried  map[int64]bool // hand-overs that were counted with their dead node
	strikes map[string]int
	told    atomic.Int64 // events that were accepted
	mailing []int64      // campaigns that were started
	prices  []int        // that tellAll told
}

const (
	siegeMembers  = 200
	siegeSessions = 6
	// siegeBacklog is how many messages the load lets wait.
	siegeBacklog = 4_000
)

// TestSiege kills nodes, the database and the connections to the mail server
// at random moments under load. At the end every message that was owed has
// come, and none came again but what was in flight at a strike, marked.
func TestSiege(t *testing.T) {
	t.Parallel()
	seed := *siegeSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for i, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			t.Parallel()
			t.Logf("again with -siege-seed=%d", seed)
			s := besiege(t, nodes, rand.New(rand.NewPCG(seed, uint64(i))))
			stop := s.load()
			s.strike()
			prices := stop()
			began := time.Now()
			s.awaitCampaigns(2 * time.Minute)
			l := s.rest(2 * time.Minute)
			t.Logf("it came to rest in %v", time.Since(began))
			s.judge(l, prices)
		})
	}
}

func besiege(t *testing.T, nodes int, chance *rand.Rand) *siege {
	s := &siege{
		chance: chance, sink: newSink(t), database: pgtest.NewServer(t, pgtest.DataDir(t)),
		flying: map[string]int{}, buried: map[int64]bool{}, strikes: map[string]int{},
	}
	s.pool = connectTo(t, s.database.URL())
	account := mailAccount("sink", s.sink, fmt.Sprintf("timeout: 10s, max_sessions: %d", siegeSessions))
	s.cluster = newCluster(t, s.database.URL(), nodes, siegeMembers, account)
	return s
}

// load tells events, a few at a time and bad ones among them, until it is
// stopped; then it gives the prices of those that were accepted.
func (s *siege) load() (stop func() []int) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	var prices []int
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for next := 1; ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if int(s.told.Load())*s.members-s.sink.arrived() > siegeBacklog {
				continue
			}
			batch := []int{next, next + 1, next + 2}
			giveUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			err := s.tell(giveUp, batch...)
			cancel()
			if err != nil {
				s.t.Error(err)
				return
			}
			prices = append(prices, batch...)
			s.told.Add(int64(len(batch)))
			next += len(batch)
		}
	}()
	return func() []int {
		cancel()
		<-ended
		return prices
	}
}

// strike strikes with everything there is, in an order by chance, and goes on
// doing so for as long as the flag says.
func (s *siege) strike() {
	blows := []blow{
		{"node killed", s.killNode},
		{"database stopped at once", func() { s.crashDatabase(func() {}) }},
		{"node and database together", s.killBoth},
		{"connections cut", s.cutConnections},
		{"mail server away", s.shutSink},
		{"mail server refuses", s.refuse},
		{"mail server pauses", s.holdAnswers},
	}
	s.strikeWith(blows, s.startCampaign, func() { s.awaitMail(1 + s.chance.IntN(1_000)) })
}

// blow is something that befalls those who are besieged.
type blow struct {
	name string
	fall func()
}

// strikeWith strikes with each blow, in an order by chance and after load has
// made some, and goes on doing so for as long as the flag says. Each time
// through all of them begins with round.
func (s *siege) strikeWith(blows []blow, round, load func()) {
	for began := time.Now(); ; {
		round()
		for _, i := range s.chance.Perm(len(blows)) {
			load()
			blows[i].fall()
			s.strikes[blows[i].name]++
			if s.t.Failed() {
				return
			}
		}
		if time.Since(began) >= *siegeFor {
			return
		}
	}
}

// tellAll tells an event that all members wait for.
func (s *siege) tellAll() {
	s.t.Helper()
	price := len(s.prices) + 1
	if err := s.tell(s.t.Context(), price); err != nil {
		s.t.Fatal(err)
	}
	s.prices = append(s.prices, price)
}

// awaitMore waits until so many more have arrived, but not long: work of a dead
// node is taken up later.
func awaitMore(arrived func() int, n int, limit time.Duration) {
	until := arrived() + n
	over := time.After(limit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for arrived() < until {
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// startCampaign begins to tell all members something besides.
func (s *siege) startCampaign() {
	var made struct{ ID int64 }
	s.nodes[0].call(http.StatusCreated, "POST", "/api/v1/campaigns", "application/json", map[string]any{
		"name": fmt.Sprint("siege ", len(s.mailing)), "purpose": "service", "segment": map[string]any{"all": true}, "channels": []string{"email"},
		"messages": []map[string]any{{"channel": "email", "locale": "en", "subject": campaignSubject(len(s.mailing)), "body": "All at once."}},
	}, &made)
	s.nodes[0].call(http.StatusOK, "POST", fmt.Sprintf("/api/v1/campaigns/%d/start", made.ID), "", nil, nil)
	s.mailing = append(s.mailing, made.ID)
}

func campaignSubject(i int) string { return fmt.Sprint("Campaign number ", i) }

// awaitCampaigns waits until all are finished.
func (s *siege) awaitCampaigns(limit time.Duration) {
	s.t.Helper()
	for _, id := range s.mailing {
		eventually(s.t, limit, "the campaigns to finish", func() bool {
			var c struct{ State string }
			s.nodes[0].call(http.StatusOK, "GET", fmt.Sprint("/api/v1/campaigns/", id), "", nil, &c)
			return c.State == "finished"
		})
	}
}

// awaitMail waits until so many more messages came. In a short siege it does
// not wait until work of a dead node is taken up.
func (s *siege) awaitMail(n int) {
	limit := 2 * time.Second
	if *siegeFor > 0 {
		limit = 40 * time.Second
	}
	until := s.sink.arrived() + n
	over := time.After(limit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.sink.arrived() < until {
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// goOn lets a fault last for a time by chance, up to a second.
func (s *siege) goOn() {
	<-time.After(time.Duration(s.chance.Int64N(int64(time.Second))))
}

func (s *siege) killNode() {
	i := s.chance.IntN(len(s.nodes))
	s.nodes[i].kill()
	s.bury(i)
	s.boot(i)
}

// bury counts what a dead node had in flight: the rows can change no more
// until others hold it for dead.
func (s *siege) bury(i int) {
	for _, id := range s.count(`WHERE node LIKE $1`, nodeName(i)+"%") {
		s.buried[id] = true
	}
}

// count notes the deliveries of hand-overs under way, but of those that were
// counted with their dead node, and gives the hand-overs' ids.
func (s *siege) count(where string, args ...any) []int64 {
	s.t.Helper()
	type handOver struct {
		ID         int64
		Deliveries []string
	}
	rows, err := s.pool.Query(s.t.Context(), `SELECT id, deliveries::text[] FROM hand_overs `+where, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[handOver])
	if err != nil {
		s.t.Fatal(err)
	}
	var ids []int64
	for _, h := range list {
		if s.buried[h.ID] {
			continue
		}
		ids = append(ids, h.ID)
		for _, d := range h.Deliveries {
			s.flying[d]++
		}
	}
	return ids
}

// crashDatabase stops the database at once and starts it again. meanwhile
// happens while it is away.
func (s *siege) crashDatabase(meanwhile func()) {
	s.database.Crash()
	meanwhile()
	s.goOn()
	thaw := s.freeze()
	s.database.Start()
	s.pool.Reset()
	s.count(``)
	thaw()
}

func (s *siege) killBoth() {
	i := s.chance.IntN(len(s.nodes))
	s.database.Crash()
	s.nodes[i].proc.signal(s.t, syscall.SIGKILL)
	<-s.nodes[i].proc.ended
	var others []*herald
	for j, node := range s.nodes {
		if j != i {
			others = append(others, node)
		}
	}
	thaw := (&cluster{t: s.t, nodes: others}).freeze()
	s.database.Start()
	s.pool.Reset()
	s.bury(i)
	s.count(``)
	thaw()
	s.boot(i)
}

func (s *siege) cutConnections() {
	thaw := s.freeze()
	s.sink.cut()
	s.count(``)
	thaw()
}

func (s *siege) shutSink() {
	thaw := s.freeze()
	s.sink.shut()
	s.count(``)
	thaw()
	s.goOn()
	s.sink.open()
}

func (s *siege) refuse() {
	s.sink.behave(manners{refusal: func(verb, _ string) string {
		switch {
		case verb == "MAIL" && rand.IntN(50) == 0:
			return "421 4.3.2 going down"
		case verb == "RCPT" && rand.IntN(5) == 0:
			return "450 4.2.0 busy"
		case verb == "." && rand.IntN(20) == 0:
			return "451 4.3.0 not now"
		}
		return ""
	}})
	s.goOn()
	s.sink.behave(manners{})
}

func (s *siege) holdAnswers() {
	resume := s.sink.pause()
	s.goOn()
	resume()
}
