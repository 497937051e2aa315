package access

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herald/postgres/pgtest"
	"herald/problem"
)

// after is how long an error says to wait.
func after(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Throttled || p.After <= 0 {
		t.Fatalf("got %v, want a throttled problem with a time", err)
	}
	return p.After
}

func TestWaitsDoubleAfterTheFreeTries(t *testing.T) {
	clock := newClock()
	throttle := NewThrottle(pgtest.New(t), clock.now)
	want := []time.Duration{0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900}
	for failures, seconds := range want {
		wait := after(t, throttle.Check(t.Context(), "member:wei"))
		if wait != seconds*time.Second {
			t.Errorf("after %d failures: wait %s, want %s", failures, wait, seconds*time.Second)
		}
		clock.pass(wait)
		if err := throttle.Check(t.Context(), "member:wei"); err != nil {
			t.Errorf("having waited %s: %v", wait, err)
		}
		if err := throttle.Fail(t.Context(), "member:wei"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTryCountsAndRefusesWithoutCounting(t *testing.T) {
	clock := newClock()
	throttle := NewThrottle(pgtest.New(t), clock.now)
	for i := range freeTries {
		if err := throttle.Try(t.Context(), "member:wei", "address:203.0.113.7"); err != nil {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	for range 10 { // impatience does not make the wait longer
		if wait := after(t, throttle.Try(t.Context(), "member:wei", "address:203.0.113.7")); wait != time.Second {
			t.Fatalf("wait %s, want 1s", wait)
		}
	}
	if err := throttle.Try(t.Context(), "member:ann", "address:203.0.113.7"); err != nil {
		t.Errorf("somebody else at the same address: %v", err)
	}
	clock.pass(400 * time.Millisecond)
	if wait := after(t, throttle.Try(t.Context(), "member:wei")); wait != 600*time.Millisecond {
		t.Errorf("wait %s, want the remaining 600ms", wait)
	}
	if err := throttle.Clear(t.Context(), "member:wei"); err != nil {
		t.Fatal(err)
	}
	if err := throttle.Try(t.Context(), "member:wei"); err != nil {
		t.Errorf("cleared: %v", err)
	}
}

func TestFailuresAreForgottenAfterADay(t *testing.T) {
	clock := newClock()
	pool := pgtest.New(t)
	throttle := NewThrottle(pool, clock.now)
	for range 20 {
		if err := throttle.Fail(t.Context(), "member:wei"); err != nil {
			t.Fatal(err)
		}
	}
	clock.pass(forgottenAfter)
	if err := throttle.Try(t.Context(), "member:wei"); err != nil {
		t.Errorf("a day later: %v", err)
	}
	var failures int
	if err := pool.QueryRow(t.Context(), `SELECT failures FROM sign_in_failures`).Scan(&failures); err != nil || failures != 1 {
		t.Errorf("%d failures are kept (%v), want this one", failures, err)
	}
}

func TestMadeUpNamesDoNotPileUp(t *testing.T) {
	clock := newClock()
	pool := pgtest.New(t)
	throttle := NewThrottle(pool, clock.now)
	for i := range 3 * forgottenAtOnce {
		if err := throttle.Fail(t.Context(), fmt.Sprint("member:", i)); err != nil {
			t.Fatal(err)
		}
	}
	clock.pass(forgottenAfter)
	for range 3 {
		if err := throttle.Fail(t.Context(), "member:wei"); err != nil {
			t.Fatal(err)
		}
	}
	var kept int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM sign_in_failures`).Scan(&kept); err != nil || kept != 1 {
		t.Errorf("%d subjects are kept (%v), want 1", kept, err)
	}
}

func TestCountsAreExactWhenTriesComeAtOnce(t *testing.T) {
	pool := pgtest.New(t)
	throttle := NewThrottle(pool, newClock().now)
	var failing, trying sync.WaitGroup
	for i := range 40 {
		failing.Go(func() {
			subjects := []string{"member:wei", "member:ann"}
			if err := throttle.Fail(t.Context(), subjects[i%2], subjects[1-i%2]); err != nil { // in both orders
				t.Error(err)
			}
		})
	}
	failing.Wait()
	var failures int
	err := pool.QueryRow(t.Context(), `SELECT failures FROM sign_in_failures WHERE subject = 'member:wei'`).Scan(&failures)
	if err != nil || failures != 40 {
		t.Errorf("%d failures were counted (%v), want 40", failures, err)
	}
	var let atomic.Int64
	for range 40 {
		trying.Go(func() {
			if after(t, throttle.Try(t.Context(), "member:li", "address:203.0.113.7")) == 0 {
				let.Add(1)
			}
		})
	}
	trying.Wait()
	if let.Load() != freeTries {
		t.Errorf("%d of 40 tries at once were let through, want %d", let.Load(), freeTries)
	}
}

func TestAddressesAreSharedAndCountByNetwork(t *testing.T) {
	throttle := NewThrottle(pgtest.New(t), newClock().now)
	for i := range freeAddressTries {
		if err := throttle.Try(t.Context(), fmt.Sprintf("address:2001:db8::%x", i)); err != nil {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	after := map[string]bool{
		"address:2001:db8::ffff":        true,
		"address:[2001:db8::ffff]:4711": true,
		"address:2001:db8:0:1::1":       false,
		"address:203.0.113.7":           false,
		"address:":                      false,
		"address:not \x00 an address":   false,
	}
	for subject, waits := range after {
		if err := throttle.Check(t.Context(), subject); (err != nil) != waits {
			t.Errorf("%q: got %v, want it to wait: %t", subject, err, waits)
		}
	}
	if err := throttle.Forgive(t.Context(), "address:2001:db8::1"); err != nil {
		t.Fatal(err)
	}
	if err := throttle.Try(t.Context(), "address:2001:db8::1"); err != nil {
		t.Errorf("one was forgiven: %v", err)
	}
	if err := throttle.Try(t.Context(), "address:2001:db8::1"); err == nil {
		t.Error("more than one was forgiven")
	}
}

func TestANodeWhoseClockIsAheadDoesNotMakeOthersWaitLonger(t *testing.T) {
	if wait := remaining("member:wei", freeTries, -time.Hour); wait != time.Second {
		t.Errorf("wait %s, want 1s", wait)
	}
}
