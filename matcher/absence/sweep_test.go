package absence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var errCrash = errors.New("crashed")

// TestACrashNeitherLosesNorRepeats fails the firing of a watch at each of its
// steps, once, and sweeps again.
func TestACrashNeitherLosesNorRepeats(t *testing.T) {
	kill := func(ctx context.Context, tx pgx.Tx, _ []Absence) error {
		_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
		return err
	}
	fail := func(context.Context, pgx.Tx, []Absence) error { return errCrash }
	for _, c := range []struct {
		step  string
		crash func(*yard)
		fired []int // at the moment of the crash
	}{
		{"before the events are accepted", func(y *yard) { y.before = fail }, nil},
		{"the connection, before them", func(y *yard) { y.before = kill }, nil},
		{"after the watches were deleted", func(y *yard) { y.after = fail }, nil},
		{"the connection, after them", func(y *yard) { y.after = kill }, nil},
		{"after the commit", func(y *yard) { y.committed = func() error { return errCrash } }, []int{1, 2}},
	} {
		t.Run(c.step, func(t *testing.T) {
			y := newYard(t, orders())
			sound := *y
			y.record(happening{1, created, 0})
			if err := y.recordFor("2", happening{2, created, 0}); err != nil {
				t.Fatal(err)
			}
			c.crash(y)
			y.clock = noon.Add(2 * day)
			if _, err := y.Turn(t.Context()); err == nil {
				t.Error("nothing crashed")
			}
			y.expectFired("after the crash", c.fired...)
			if n := y.count("watches"); n != 2-len(c.fired) {
				t.Errorf("%d watches after the crash", n)
			}
			y.before, y.after, y.committed = sound.before, sound.after, sound.committed
			y.sweep(2 * day)
			y.sweep(2 * day)
			y.expectFired("afterwards", 1, 2)
		})
	}
}

func TestOneAbsenceThatCannotBeTakenDoesNotHoldUpTheOthers(t *testing.T) {
	y := newYard(t, orders())
	for n := range 9 {
		if err := y.recordFor(fmt.Sprint(n), happening{n, created, time.Duration(n)}); err != nil {
			t.Fatal(err)
		}
	}
	y.before = func(_ context.Context, _ pgx.Tx, list []Absence) error {
		for _, a := range list {
			if a.Opener == numbered(4) {
				return errCrash
			}
		}
		return nil
	}
	y.clock = noon.Add(2 * day)
	if _, err := y.Turn(t.Context()); !errors.Is(err, errCrash) {
		t.Errorf("the turn says %v", err)
	}
	y.expectFired("all but one", 0, 1, 2, 3, 5, 6, 7, 8)
	tries := 0
	y.before = func(context.Context, pgx.Tx, []Absence) error { tries++; return errCrash }
	for n := range 9 {
		if err := y.recordFor(fmt.Sprint("x", n), happening{10 + n, created, time.Duration(n)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := y.Turn(t.Context()); err == nil || tries != 1+contested {
		t.Errorf("when none can be taken: %v after %d tries, want %d", err, tries, 1+contested)
	}
}

func TestACloserMayComeWhileItsWatchIsTaken(t *testing.T) {
	y := newYard(t, orders())
	y.record(happening{1, created, 0})
	y.before = func(ctx context.Context, _ pgx.Tx, list []Absence) error {
		return y.recordFor("1", happening{2, paid, time.Hour}) // after it was read
	}
	y.sweep(2 * day)
	y.expectFired("closed at the last moment")
	if n := y.count("watches"); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

func TestAWatchThatIsBeingClosedIsLeftAlone(t *testing.T) {
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprint(commits), func(t *testing.T) {
			y := newYard(t, orders())
			y.record(happening{1, created, 0})
			closer := mustBegin(t, y.pool)
			if err := y.recordTx(t.Context(), closer, "1", happening{2, paid, time.Hour}); err != nil {
				t.Fatal(err)
			}
			y.sweep(2 * day)
			y.expectFired("while it is being closed")
			if !commits {
				if err := closer.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
				y.sweep(2 * day)
				y.expectFired("rolled back", 1)
				return
			}
			if err := closer.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			y.sweep(2 * day)
			y.expectFired("committed")
		})
	}
}

// The closer has taken the watch after the sweep has read it, and not committed.
func TestAWatchThatACloserHoldsIsLeftToIt(t *testing.T) {
	y := newYard(t, orders())
	y.record(happening{1, created, 0})
	var closer pgx.Tx
	y.before = func(ctx context.Context, _ pgx.Tx, _ []Absence) error {
		closer = mustBegin(t, y.pool)
		return y.recordTx(ctx, closer, "1", happening{2, paid, time.Hour})
	}
	y.sweep(2 * day)
	if err := closer.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	y.sweep(2 * day)
	y.expectFired("closed at the last moment")
	if n := y.count("watches"); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

func TestATurnEndsAndTheNextGoesOn(t *testing.T) {
	y := newYard(t, orders())
	for n := range 3 {
		if err := y.recordFor(fmt.Sprint(n), happening{n, created, time.Duration(n)}); err != nil {
			t.Fatal(err)
		}
	}
	y.cfg.Batch, y.lasts = 1, 0
	y.clock = noon.Add(2 * day)
	for left := 2; left >= 0; left-- {
		wait, err := y.Turn(t.Context())
		if n := y.count("watches"); err != nil || n != left || (left > 0) != (wait <= time.Millisecond) {
			t.Errorf("%d watches are left, want %d; the next turn is in %v, %v", n, left, wait, err)
		}
	}
	y.expectFired("in three turns", 0, 1, 2)
}

// Another node is about to tell of the first of two openers, which ends the
// second: whoever does not see that yet leaves both.
func TestWhatDependsOnAWatchThatIsHeldIsLeft(t *testing.T) {
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprint(commits), func(t *testing.T) {
			y := newYard(t, orders())
			y.record(happening{1, created, 0}, happening{2, created, time.Hour})
			if err := y.recordFor("2", happening{3, created, 2 * time.Hour}); err != nil {
				t.Fatal(err)
			}
			due, err := y.read(t.Context())
			if err != nil || len(due) != 0 {
				t.Fatalf("%d are due at once, %v", len(due), err)
			}
			y.clock = noon.Add(2 * day)
			if due, err = y.read(t.Context()); err != nil || len(due) != 3 {
				t.Fatalf("%d are due, %v", len(due), err)
			}
			other := mustBegin(t, y.pool)
			if err := fireTx(t.Context(), other, due[:1], y.clock); err != nil {
				t.Fatal(err)
			}
			y.sweep(2 * day)
			y.expectFired("while the first is held", 3)
			if commits {
				err = other.Commit(t.Context())
			} else {
				err = other.Rollback(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			y.sweep(2 * day)
			if commits {
				y.expectFired("the other node has it", 3) // its own table is not ours
			} else {
				y.expectFired("nobody has it", 1, 3)
			}
			if n := y.count("watches"); n != 0 {
				t.Errorf("%d watches are left", n)
			}
		})
	}
}

// Of openers that cannot be handed on together the one fails that a closer has
// just ended: what it would have ended is open, and ends the next.
func TestWhatDependsOnAWatchThatFailsIsLeft(t *testing.T) {
	y := newYard(t, orders())
	y.record(happening{1, created, 0}, happening{2, created, 20 * time.Hour}, happening{3, created, 30 * time.Hour})
	tries := 0
	y.before = func(_ context.Context, _ pgx.Tx, list []Absence) error {
		switch tries++; tries {
		case 1:
			return errCrash
		case 2:
			return y.recordFor("1", happening{4, paid, 10 * time.Hour})
		}
		return nil
	}
	y.clock = noon.Add(3 * day)
	if _, err := y.Turn(t.Context()); !errors.Is(err, errCrash) {
		t.Errorf("the turn says %v", err)
	}
	y.sweep(3 * day)
	y.expectFired("the first was paid", 2)
	if n := y.count("watches"); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

// The closer ran before its watch could be seen, and commits after the sweep
// has read it: only its end tells.
func TestACloserThatSawNoWatchMayComeWhileItIsTaken(t *testing.T) {
	y := newYard(t, orders())
	closer := mustBegin(t, y.pool)
	if err := y.recordTx(t.Context(), closer, "1", happening{2, paid, time.Hour}); err != nil {
		t.Fatal(err)
	}
	y.record(happening{1, created, 0})
	taken := 0
	y.before = func(ctx context.Context, _ pgx.Tx, _ []Absence) error {
		if taken++; taken > 1 {
			return nil
		}
		return closer.Commit(ctx)
	}
	y.sweep(2 * day)
	y.expectFired("closed at the last moment")
	if n := y.count("watches"); n != 0 || taken != 1 {
		t.Errorf("%d watches are left; taken %d times, want once", n, taken)
	}
}

// A closer and its watch have not seen each other, and the trigger has waited
// longer once: the end is forgotten only after the watch was looked at.
func TestAnEndStaysWhileThereIsAWatchThatItEnds(t *testing.T) {
	y := newYard(t, orders())
	opener := mustBegin(t, y.pool)
	if err := y.recordTx(t.Context(), opener, "1", happening{1, created, 0}); err != nil {
		t.Fatal(err)
	}
	short := orders()
	short.Version, short.Absence.Within = 2, "1h"
	y.save(short)
	y.record(happening{2, paid, time.Minute})
	if err := opener.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	y.sweep(3 * time.Hour)
	if n := y.count("watch_ends"); n != 1 {
		t.Errorf("%d ends, want the one that is needed", n)
	}
	y.sweep(2 * day)
	y.expectFired("closed in time")
	if watches, ends := y.count("watches"), y.count("watch_ends"); watches != 0 || ends != 0 {
		t.Errorf("%d watches and %d ends are left", watches, ends)
	}
}

// TestAnOpenerAndItsCloserNeedNotSeeEachOther commits them in transactions that
// run at once.
func TestAnOpenerAndItsCloserNeedNotSeeEachOther(t *testing.T) {
	for _, openerFirst := range []bool{true, false} {
		y := newYard(t, orders())
		opener, closer := mustBegin(t, y.pool), mustBegin(t, y.pool)
		if err := y.recordTx(t.Context(), opener, "1", happening{1, created, 0}); err != nil {
			t.Fatal(err)
		}
		if err := y.recordTx(t.Context(), closer, "1", happening{2, paid, time.Hour}); err != nil {
			t.Fatal(err)
		}
		order := []pgx.Tx{opener, closer}
		if !openerFirst {
			order = []pgx.Tx{closer, opener}
		}
		for _, tx := range order {
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := y.count("watches"); n != 1 {
			t.Fatalf("%d watches, want the one that the closer did not see", n)
		}
		y.sweep(2 * day)
		y.expectFired("opened and closed at once")
	}
}

// TestNodesThatSweepTogetherFireOnce lets nodes sweep without taking turns,
// while closers come.
func TestNodesThatSweepTogetherFireOnce(t *testing.T) {
	y := newYard(t, orders())
	y.cfg.Batch = 7
	const watches, nodes = 200, 4
	for n := range watches {
		if err := y.recordFor(fmt.Sprint(n), happening{n, created, 0}); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	times := map[string]int{}
	y.after = func(_ context.Context, _ pgx.Tx, list []Absence) error {
		mu.Lock()
		defer mu.Unlock()
		for _, a := range list {
			times[a.ID()]++
		}
		return nil
	}
	y.clock = noon.Add(2 * day)
	var group sync.WaitGroup
	for range nodes {
		group.Go(func() {
			for y.count("watches") > 0 {
				if err := y.fireAll(context.Background()); err != nil && !errors.Is(err, errOvertaken) {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Go(func() {
		for n := 0; n < watches; n += 3 {
			if err := y.recordFor(fmt.Sprint(n), happening{watches + n, paid, time.Hour}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	group.Wait()
	fired := y.fired()
	if len(fired) != len(times) || len(fired) < watches-watches/3-1 {
		t.Errorf("%d fired, %d were handed on for good", len(fired), len(times))
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s fired %d times", id, n)
		}
	}
}

func TestOnlyOneNodeSweepsAtATime(t *testing.T) {
	y := newYard(t, orders())
	y.record(happening{1, created, 0})
	other := mustBegin(t, y.pool)
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_xact_lock($1)`, int64(sweepLock)); err != nil {
		t.Fatal(err)
	}
	y.sweep(2 * day)
	y.expectFired("while another sweeps")
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	y.sweep(2 * day)
	y.expectFired("afterwards", 1)
}

func TestRunWakesWhenTheNextIsDue(t *testing.T) {
	y := newYard(t, orders())
	y.cfg.Every = time.Hour
	var firstAt atomic.Pointer[time.Time] // the clock stands until then, however long that takes
	y.cfg.Now = func() time.Time {
		if at := firstAt.Load(); at != nil {
			return noon.Add(time.Since(*at))
		}
		return noon
	}
	for n, late := range []time.Duration{-µs, 300 * time.Millisecond, 2 * time.Hour} { // due now, soon, and not today
		if err := y.recordFor(fmt.Sprint(n), happening{n, created, late - day}); err != nil {
			t.Fatal(err)
		}
	}
	fires := make(chan struct{}, 10)
	y.committed = func() error {
		now := time.Now()
		firstAt.CompareAndSwap(nil, &now)
		fires <- struct{}{}
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		y.Run(ctx)
		close(done)
	}()
	<-fires
	<-fires
	cancel()
	<-done
	y.expectFired("those that are due", 0, 1)
}

func TestWithoutADatabaseNothingIsSwept(t *testing.T) {
	y := newYard(t, orders())
	y.pool.Close()
	if wait, err := y.Turn(t.Context()); err == nil || wait != time.Second {
		t.Errorf("%v, and again in %s", err, wait)
	}
	if err := y.recordFor("1", happening{1, created, 0}); err == nil {
		t.Error("an opener is recorded without a database")
	}
}
