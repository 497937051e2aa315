package follower

import (
	"context"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/postgres"
	"herald/postgres/pgtest"
)

// kill ends all connections of a test's database but the one that does it.
func (w *world) kill() {
	w.Helper()
	conn, err := pgx.ConnectConfig(w.ctx, w.pool.Config().ConnConfig)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = conn.Close(w.ctx) }()
	_, err = conn.Exec(w.ctx, `
		SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
	if err != nil {
		w.Fatal(err)
	}
}

func TestKilledConnectionsLoseNothing(t *testing.T) {
	w := newWorld(t)
	f := w.follow(Config{Poll: time.Millisecond})
	w.sync(f)
	for i := range 5 {
		w.subscribe(w.order("below", products[i%4], float64(i), 0))
		w.kill()
		w.sync(f)
		w.pool.Reset() // it may have others that are cut
	}
	w.equal(f)
	if s := f.Stats(); s.Loads != 1 {
		t.Errorf("the index was loaded %d times, want once: the transactions are of the same line", s.Loads)
	}
}

// barAnchors lets nobody read what subscriptions wait on while the
// transaction lasts.
func (w *world) barAnchors() pgx.Tx {
	w.Helper()
	holder := w.begin()
	if _, err := holder.Exec(w.ctx, `LOCK TABLE subscription_anchors IN ACCESS EXCLUSIVE MODE`); err != nil {
		w.Fatal(err)
	}
	return holder
}

// barred are those in this database who wait for a lock of a table.
const barred = `pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// awaitBarred returns when somebody waits for the lock of holder.
func (w *world) awaitBarred(holder pgx.Tx) {
	w.Helper()
	waitUntil(w, func() bool {
		var waiting int
		err := holder.QueryRow(w.ctx, `SELECT count(*) FROM `+barred).Scan(&waiting)
		return err == nil && waiting > 0
	})
}

func TestALoadThatIsKilledIsDoneAgain(t *testing.T) {
	w := newWorld(t)
	w.subscribe(w.order("below", "a", 5, 0))
	// The load waits for this lock with its snapshot taken.
	holder := w.barAnchors()
	f := w.follow(Config{Poll: rare, IdlePoll: rare})
	w.awaitBarred(holder)
	if _, ok := f.View(); ok {
		t.Error("there is a view of what is not loaded")
	}
	w.kill() // the holder too, so that its lock goes
	w.sync(f)
	w.pool.Reset() // it may have others that are cut
	w.equal(f)
	if s := f.Stats(); s.Loads != 1 || s.Failures == 0 {
		t.Errorf("stats %+v, want one load, and a failure", s)
	}
}

func TestChangesThatCouldNotBeTakenInAreNotPassedOver(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	w.subscribe(w.order("below", "a", 5, 0))
	// The look finds the change, and waits for this lock to read what it is.
	holder := w.barAnchors()
	f.kick()
	w.awaitBarred(holder)
	if _, err := holder.Exec(w.ctx, `SELECT pg_terminate_backend(pid, 10000) FROM `+barred); err != nil {
		t.Fatal(err)
	}
	w.commit(holder)
	w.sync(f)
	w.equal(f)
	if s := f.Stats(); s.Loads != 1 || s.Failures != 1 {
		t.Errorf("stats %+v, want the one load, and a failure", s)
	}
}

// waitUntil asks again and again; what it waits for has no signal.
func waitUntil(t testing.TB, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !done() {
		if ctx.Err() != nil {
			t.Fatal("waited in vain")
		}
		runtime.Gosched()
	}
}

func TestAfterACrashAllIsLoadedAnew(t *testing.T) {
	for name, crash := range map[string]func(s *pgtest.Server, w *world){
		"of the server": func(s *pgtest.Server, _ *world) {
			s.Crash()
			s.Start()
		},
		// The others are ended and the server recovers, while its first
		// process stays.
		"of a backend": func(_ *pgtest.Server, w *world) {
			var pid int
			if err := w.pool.QueryRow(w.ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.NewServer(t, pgtest.DataDir(t))
			db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(), MaxConns: 8})
			if err != nil {
				t.Fatal(err)
			}
			w := worldOn(t, db.Pool())
			t.Cleanup(func() { _ = db.Close(w.ctx) })
			f := w.loaded()
			v, ok := f.View()
			if !ok {
				t.Fatal("the index cannot be used")
			}
			w.subscribe(w.order("below", "a", 5, 0))
			crash(server, w)
			recovered := func() bool {
				var up bool
				err := w.pool.QueryRow(w.ctx, `SELECT NOT EXISTS (SELECT FROM anchor_line)`).Scan(&up)
				return err == nil && up
			}
			waitUntil(t, recovered)
			// Before the follower has noticed.
			if !w.fenceOf(v).Changed("below") {
				t.Error("the fence lets an index decide that was loaded before the crash")
			}
			w.sync(f)
			w.equal(f)
			if s := f.Stats(); s.Loads != 2 {
				t.Errorf("the index was loaded %d times, want twice: the last transactions may be lost", s.Loads)
			}
		})
	}
}

func TestAFollowerBehindWhatWasDeletedLoadsAnew(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	v, ok := f.View()
	if !ok {
		t.Fatal("the index cannot be used")
	}
	w.subscribe(w.order("below", "a", 5, 0))
	var at cursor
	if err := w.pool.QueryRow(w.ctx, `SELECT id::text, `+selectSnapshot+` FROM anchor_line`).Scan(&at.line, &at.min, &at.max, &at.pending); err != nil {
		t.Fatal(err)
	}
	if n, err := pruneBefore(w.ctx, w.pool, at.line, at.min); n != 1 || err != nil {
		t.Fatalf("deleted %d changes, %v; want 1", n, err)
	}
	if !w.fenceOf(v).Changed("below") {
		t.Error("the fence lets the index decide though it cannot know what changed")
	}
	w.sync(f)
	w.equal(f)
	if s := f.Stats(); s.Loads != 2 {
		t.Errorf("the index was loaded %d times, want twice", s.Loads)
	}
	if n, err := pruneBefore(w.ctx, w.pool, at.line, at.min); n != 0 || err != nil {
		t.Errorf("a second node deleted %d changes, %v", n, err)
	}
}

func TestOldChangesAreDeletedAndYoungOnesKept(t *testing.T) {
	w := newWorld(t)
	f := w.follow(Config{Poll: rare, IdlePoll: rare, Keep: time.Hour, Now: w.clock.now})
	count := func() (n int) {
		if err := w.pool.QueryRow(w.ctx, `SELECT count(*) FROM anchor_changes`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	w.sync(f)
	w.subscribe(w.order("below", "a", 5, 0)) // before the mark of 9:30
	w.clock.move(30 * time.Minute)
	w.sync(f)
	w.subscribe(w.order("below", "b", 5, 0)) // after it
	w.clock.move(59 * time.Minute)
	w.sync(f)
	w.sync(f) // so that the look before has ended, with its deletion
	if n := count(); n != 2 {
		t.Errorf("%d changes after 59 minutes, want both", n)
	}
	w.clock.move(time.Minute)
	w.sync(f)
	w.sync(f)
	if n := count(); n != 1 {
		t.Errorf("%d changes after an hour, want the younger one", n)
	}
	w.equal(f)
	if s := f.Stats(); s.Pruned != 1 || s.Loads != 1 {
		t.Errorf("stats %+v, want 1 pruned, 1 load", s)
	}
}

func TestChangesThatADumpBroughtAlongAreForgotten(t *testing.T) {
	for name, brought := range map[string]string{
		"changes":  `INSERT INTO anchor_changes (xid, trigger) VALUES ('4611686018427387904', 'below')`,
		"boundary": `UPDATE anchor_changes_pruned SET before = '4611686018427387904'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(brought)
			f := w.loaded()
			if w.fence(f).Changed("below") {
				t.Error("what happened on another server keeps the index from being used")
			}
			w.subscribe(w.order("below", "a", 5, 0))
			w.complete(f, w.probes())
			w.equal(f)
		})
	}
}

func TestTheAuditFindsWhatWasChangedBehindTheFollowersBack(t *testing.T) {
	for name, change := range map[string]string{
		"an anchor more":      `INSERT INTO subscription_anchors (subscription_id, trigger, key) SELECT id, 'below', 'x' FROM subscriptions`,
		"an anchor less":      `DELETE FROM subscription_anchors`,
		"another bound":       `UPDATE subscription_anchors SET bound = 7`,
		"another validity":    `UPDATE subscriptions SET valid_until = '2027-01-01'`,
		"one that is gone":    `ALTER TABLE subscriptions DISABLE TRIGGER USER; DELETE FROM subscriptions`,
		"its note is missing": `DELETE FROM anchor_changes; UPDATE subscription_anchors SET key = 's1:c'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.subscribe(w.order("below", "a", 5, 0))
			f := w.loaded()
			w.exec(change)
			n, err := f.Audit(w.ctx)
			if n != 1 || err != nil {
				t.Errorf("%d differences, %v; want 1", n, err)
			}
			w.equal(f)
			if s := f.Stats(); s.Differences != 1 || s.Distrusts != 1 || s.Loads != 2 {
				t.Errorf("stats %+v, want 1 difference, mended by a second load", s)
			}
		})
	}
}

func TestTheAuditTakesNoChangeForADifference(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	w.subscribe(w.order("below", "a", 5, 0)) // which the follower has not seen
	if n, err := f.Audit(w.ctx); n != 0 || err != nil {
		t.Errorf("%d differences, %v; want none", n, err)
	}
	w.equal(f)
}

func TestAuditsRunOnSchedule(t *testing.T) {
	w := newWorld(t)
	f := w.follow(Config{AuditEvery: time.Millisecond})
	waitUntil(t, func() bool { return f.Stats().Audits > 1 })
	w.equal(f)
}

func TestATriggerThatCannotBeUsedDisturbsNothing(t *testing.T) {
	w := newWorld(t)
	w.subscribe(w.order("below", "a", 5, 0))
	w.subscribe(w.order("equal", "a", 5, 0))
	w.exec(`UPDATE triggers SET definition = jsonb_set(definition, '{condition}', '"event.nothing"') WHERE name = 'below'`)
	f := w.loaded()
	w.subscribe(w.order("equal", "b", 5, 0))
	w.exec(`INSERT INTO anchor_changes (trigger, subscription_id) SELECT trigger, id FROM subscriptions`)
	w.exec(`INSERT INTO anchor_changes (trigger) VALUES ('below'), ('never there')`)
	w.sync(f)
	if n, err := f.Audit(w.ctx); n != 0 || err != nil {
		t.Errorf("%d differences, %v; want none", n, err)
	}
	w.exec(`UPDATE triggers SET definition = jsonb_set(definition, '{condition}', '"event.product == param.product"') WHERE name = 'below'`)
	w.exec(`INSERT INTO anchor_changes (trigger) VALUES ('below')`)
	w.bounds["below"] = ""
	w.equal(f)
}

func TestTheLooksBecomeRareWhileNobodyAsks(t *testing.T) {
	w := newWorld(t)
	f := w.follow(Config{Poll: time.Millisecond, IdlePoll: rare})
	w.sync(f)
	waitUntil(t, f.idle.Load)
	polls := f.Stats().Polls
	w.subscribe(w.order("below", "a", 5, 0))
	if got := f.Stats().Polls; got != polls {
		t.Errorf("%d looks while nobody asked", got-polls)
	}
	w.complete(f, w.probes()) // the fence has it
	waitUntil(t, func() bool { return f.Stats().Changes > 0 })
	w.equal(f)
}

func TestBackoffGrowsAndIsNotTheSameForAll(t *testing.T) {
	var b backoff
	waits := make([]time.Duration, 10)
	for i := range waits {
		waits[i] = b.next()
	}
	if waits[0] < firstBackoff/2 || slices.Max(waits) > lastBackoff*3/2 || waits[9] < lastBackoff/2 {
		t.Errorf("waits %v", waits)
	}
	var other backoff
	if waits[0] == other.next() {
		t.Error("two nodes wait equally long")
	}
}

// A dump takes the name of its line of transactions along, to a server that
// has counted fewer of them.
func TestAServerThatHasCountedLessIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	f := w.loaded()
	there := *f.state.Load()
	there.min, there.max, there.pending = there.max+1000, there.max+1000, nil
	f.state.Store(&there)
	w.subscribe(w.order("below", "a", 5, 0))
	if !w.fence(f).Changed("below") {
		t.Error("the fence lets an index decide that has come farther than this server")
	}
	holder := w.barAnchors()
	f.kick()
	w.awaitBarred(holder)
	if _, ok := f.View(); ok {
		t.Error("there is a view of what is being loaded anew")
	}
	w.commit(holder)
	w.sync(f)
	w.equal(f)
	if s := f.Stats(); s.Loads != 2 {
		t.Errorf("the index was loaded %d times, want twice", s.Loads)
	}
}
