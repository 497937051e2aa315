package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"herald/dispatch/pool"
	"herald/subscriptions"
)

// openAccounts are accounts of one session each, without their nodes.
func openAccounts(t *testing.T, configs ...AccountConfig) []*account {
	t.Helper()
	var list []*account
	for _, cfg := range configs {
		cfg.MaxSessions = 1
		one, err := newAccount(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		one.pool.Start()
		list = append(list, one)
	}
	return list
}

func closeAccounts(t *testing.T, list []*account) {
	t.Helper()
	for _, one := range list {
		if err := one.pool.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func named(name string) *scripted { return &scripted{name: name} }

func TestAFullAccountHoldsUpNothingThatCanGoBeside(t *testing.T) {
	toExample := func(c AccountConfig) AccountConfig { c.Recipients = []string{"example.com"}; return c }
	tests := map[string]struct {
		first, second AccountConfig
		want          string // who takes the message within the time; "": nobody
	}{
		"an equal one takes it":         {AccountConfig{Sender: named("full")}, AccountConfig{Sender: named("free")}, "free"},
		"a dearer one does not":         {AccountConfig{Sender: named("full")}, AccountConfig{Sender: named("free"), Cost: 1}, ""},
		"one not made for it does not":  {toExample(AccountConfig{Sender: named("full")}), AccountConfig{Sender: named("free")}, ""},
		"an equal one made for it, too": {toExample(AccountConfig{Sender: named("full")}), toExample(AccountConfig{Sender: named("free")}), "free"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				routes := openAccounts(t, tt.first, tt.second)
				message := &task{Address: "wei@example.com", Purpose: subscriptions.Transactional, Priority: 1}
				taken, _, err := acquire(t.Context(), routes[:1], message)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				lease, by, err := acquire(ctx, routes, message)
				switch {
				case tt.want == "" && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("taken by %v, %v; want nobody", by, err)
				case tt.want != "" && err != nil:
					t.Errorf("nobody took it: %v", err)
				case tt.want != "" && by.name != tt.want:
					t.Errorf("taken by %s, want %s", by.name, tt.want)
				}
				if lease != nil {
					lease.Release(false)
				}
				taken.Release(false)
				closeAccounts(t, routes)
			})
		})
	}
}

func TestWhoWaitsForTwoAccountsTakesTheFirstThatIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routes := openAccounts(t, AccountConfig{Sender: named("one")}, AccountConfig{Sender: named("other")})
		message := &task{Address: "wei@example.com", Purpose: subscriptions.Transactional, Priority: 1}
		first, _, err := acquire(t.Context(), routes[:1], message)
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := acquire(t.Context(), routes[1:], message)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3*time.Second, func() { second.Release(false) })
		began := time.Now()
		lease, by, err := acquire(t.Context(), routes, message)
		if err != nil || by.name != "other" {
			t.Fatalf("taken by %v, %v; want the other", by, err)
		}
		if waited := time.Since(began); waited > 3*time.Second+besideAfter {
			t.Errorf("waited %v for what was free after 3s", waited)
		}
		lease.Release(false)
		first.Release(false)
		closeAccounts(t, routes)
	})
}

// breaking is a sender whose sessions break at their first message.
type breaking struct {
	*scripted
	class Class
}

func (s *breaking) Open(context.Context) (Session, error) {
	return &breakingSession{class: s.class}, nil
}

type breakingSession struct {
	class  Class
	broken bool
}

func (s *breakingSession) Send(context.Context, Message) (Receipt, error) {
	s.broken = true
	return Receipt{}, &SendError{Class: s.class, Err: errors.New("the server closed the connection")}
}

func (s *breakingSession) Broken() bool                { return s.broken }
func (s *breakingSession) Close(context.Context) error { return nil }

// Sessions that break with every message are the account's fault, whatever
// class the outcomes have.
func TestSessionsThatBreakOpenTheCircuit(t *testing.T) {
	for _, class := range []Class{Transient, Doubt} {
		t.Run(string(class), func(t *testing.T) {
			b := newIdleBench(t)
			list := openAccounts(t, AccountConfig{
				Sender: &breaking{named("breaking"), class},
				tune:   func(c *pool.Config[Session]) { c.BackoffFirst, c.BreakLimit = 10*time.Millisecond, 3 },
			})
			defer closeAccounts(t, list)
			r := &run{Worker: b.worker}
			for range 3 {
				p := &parcel{tasks: []*task{{Channel: subscriptions.Email, Priority: 1, ExpiresAt: b.clock.now().Add(time.Hour)}}}
				lease, _, err := acquire(t.Context(), list, p.first())
				if err != nil {
					t.Fatal(err)
				}
				r.speak(t.Context(), lease, list[0], []*parcel{p})
			}
			if list[0].works() {
				t.Error("three sessions broke, and the circuit is closed")
			}
			list[0].pool.SetLimit(0) // as the others say to a node that wants nothing
			if c := list[0].claim(); c.Wanted != 1 {
				t.Errorf("the failing account wants %d sessions, want 1 to try whether it works again", c.Wanted)
			}
		})
	}
}

func TestRouteTakesTheBestFirst(t *testing.T) {
	bulk := AccountConfig{Sender: named("bulk"), Purposes: []subscriptions.Purpose{subscriptions.Marketing}}
	all := AccountConfig{Sender: named("all"), Cost: 1}
	dear := AccountConfig{Sender: named("dear"), Cost: 2}
	example := AccountConfig{Sender: named("example"), Cost: 9, Recipients: []string{"Example.com"}}
	shop := AccountConfig{Sender: named("shop"), Cost: 9, Recipients: []string{"shop.example.com", "other.org"}}
	mobile := AccountConfig{Sender: named("mobile"), Recipients: []string{"+86139"}}
	tests := map[string]struct {
		purpose subscriptions.Purpose
		address string
		want    []string
	}{
		"the cheap before the dear":      {subscriptions.Service, "wei@else.net", []string{"all", "dear"}},
		"only for its purpose":           {subscriptions.Marketing, "wei@else.net", []string{"bulk", "all", "dear"}},
		"its domain before all":          {subscriptions.Service, "wei@EXAMPLE.com", []string{"example", "all", "dear"}},
		"a domain below it too":          {subscriptions.Service, "wei@mail.example.com", []string{"example", "all", "dear"}},
		"the longest domain first":       {subscriptions.Service, "wei@a.shop.example.com", []string{"shop", "example", "all", "dear"}},
		"not a domain that ends like it": {subscriptions.Service, "wei@notexample.com", []string{"all", "dear"}},
		"the beginning of a number":      {subscriptions.Service, "+8613900139000", []string{"mobile", "all", "dear"}},
		"not of another number":          {subscriptions.Service, "+8613800138000", []string{"all", "dear"}},
	}
	synctest.Test(t, func(t *testing.T) {
		a := &Accounts{list: openAccounts(t, bulk, dear, all, example, shop, mobile)}
		defer closeAccounts(t, a.list)
		for name, test := range tests {
			if got := names(a.route(subscriptions.Email, test.purpose, test.address)); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
		}
		if got := a.route(subscriptions.SMS, subscriptions.Service, "+8613900139000"); len(got) != 0 {
			t.Errorf("accounts of another channel: %v", names(got))
		}
	})
}

func names(routes []*account) []string {
	list := make([]string, len(routes))
	for i, one := range routes {
		list[i] = one.name
	}
	return list
}

func TestEqualAccountsShareByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &Accounts{list: openAccounts(t, AccountConfig{Sender: named("one")}, AccountConfig{Sender: named("three"), Weight: 3})}
		defer closeAccounts(t, a.list)
		const trials = 20_000
		first := 0
		for range trials {
			if a.route(subscriptions.Email, subscriptions.Service, "wei@example.com")[0].name == "three" {
				first++
			}
		}
		// Eight standard deviations of sqrt(p(1-p)/n) = 0.3 %.
		if share := float64(first) / trials; share < 0.725 || share > 0.775 {
			t.Errorf("three of four should be its share, and %.3f are", share)
		}
	})
}

func TestAnAccountThatFailsIsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := named("failing")
		failing.opening = &SendError{Class: Configuration, Code: "535"}
		a := &Accounts{list: openAccounts(t,
			AccountConfig{Sender: failing, Recipients: []string{"example.com"}}, AccountConfig{Sender: named("dear"), Cost: 5})}
		defer closeAccounts(t, a.list)
		var none *noWay
		if _, _, err := acquire(t.Context(), a.list[:1], &task{Address: "wei@example.com", Priority: 1}); !errors.As(err, &none) {
			t.Fatalf("got %v", err)
		}
		if got := names(a.route(subscriptions.Email, subscriptions.Service, "wei@example.com")); !slices.Equal(got, []string{"dear", "failing"}) {
			t.Errorf("the order is %v", got)
		}
	})
}

func TestWhatIsInDoubtGoesBesideTheAccountThatLeftIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &Accounts{list: openAccounts(t,
			AccountConfig{Sender: named("one")}, AccountConfig{Sender: named("two")}, AccountConfig{Sender: &oracle{scripted: named("telling")}})}
		defer closeAccounts(t, a.list)
		r := &run{Worker: &Worker{accounts: a}}
		first := func(last string, state State) map[string]bool {
			seen := map[string]bool{}
			for range 1000 {
				doubtful := &task{Channel: subscriptions.Email, Purpose: subscriptions.Service, Address: "wei@example.com", State: state, Account: last}
				seen[r.routes(&parcel{tasks: []*task{doubtful}})[0].name] = true
			}
			return seen
		}
		if seen := first("one", InDoubt); seen["one"] || !seen["two"] {
			t.Errorf("in doubt since it was given to one, it goes to %v", seen)
		}
		if seen := first("telling", InDoubt); !seen["telling"] {
			t.Errorf("an account that can tell is not avoided, but it goes to %v", seen)
		}
		if seen := first("one", Deferred); !seen["one"] {
			t.Errorf("what is not in doubt may go to one again, but goes to %v", seen)
		}
	})
}
