package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch/limits"
	"herald/dispatch/pool"
	"herald/subscriptions"
)

// Accounts are the accounts of this node, with their sessions. They share what
// the accounts may use with the other nodes on the database: connections from
// Start on, and rates with each hand-over.
type Accounts struct {
	list   []*account // in the order given
	rates  *limits.Rates
	shares *limits.Shares
	stop   context.CancelFunc // ends the sharing
	turns  sync.WaitGroup
}

// NewAccounts makes accounts without a session; Start opens the first.
func NewAccounts(db *pgxpool.Pool, node *Node, list []AccountConfig, logger *slog.Logger) (*Accounts, error) {
	a := &Accounts{
		rates:  limits.NewRates(db),
		shares: limits.NewShares(db, node.name, node.silent, node.now, logger),
	}
	names := map[string]bool{}
	for _, cfg := range list {
		if err := cfg.check(); err != nil {
			return nil, err
		}
		name := cfg.Sender.Account()
		if names[name] {
			return nil, fmt.Errorf("dispatch: two accounts are called %q", name)
		}
		names[name] = true
		made, err := newAccount(cfg, logger)
		if err != nil {
			return nil, err
		}
		a.list = append(a.list, made)
	}
	return a, nil
}

// shareEvery is the time between two turns of the shares.
const shareEvery = time.Second

// Start opens sessions and lets work in, as far as the other nodes leave some.
// The node must have beaten; it must outlive the accounts.
func (a *Accounts) Start() {
	for _, one := range a.list {
		one.pool.SetLimit(0) // until the first turn
		one.pool.Start()
	}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	a.turns.Go(func() { a.shares.Run(ctx, shareEvery, a.claims, a.give) })
}

func (a *Accounts) claims() map[string]limits.Claim {
	claims := make(map[string]limits.Claim, len(a.list))
	for _, one := range a.list {
		claims[one.name] = one.claim()
	}
	return claims
}

func (a *Accounts) give(granted map[string]int) {
	for _, one := range a.list {
		one.pool.SetLimit(granted[one.name])
	}
}

// Close lets the conversations end that are under way; when ctx ends first
// they are broken, and it says so.
func (a *Accounts) Close(ctx context.Context) error {
	errs := make([]error, len(a.list))
	var closing sync.WaitGroup
	for i, one := range a.list {
		closing.Go(func() {
			if err := one.pool.Close(ctx); err != nil {
				errs[i] = fmt.Errorf("account %s: %w", one.name, err)
			}
		})
	}
	closing.Wait()
	if a.stop != nil {
		a.stop()
		a.turns.Wait()
	}
	return errors.Join(errs...)
}

// Channels are those that an account sends on.
func (a *Accounts) Channels() []subscriptions.Channel {
	var channels []subscriptions.Channel
	for _, one := range a.list {
		if ch := one.Sender.Channel(); !slices.Contains(channels, ch) {
			channels = append(channels, ch)
		}
	}
	return channels
}

// sessions is how many there may be at once on a channel.
func (a *Accounts) sessions(ch subscriptions.Channel) int {
	n := 0
	for _, one := range a.list {
		if one.Sender.Channel() == ch {
			n += one.MaxSessions
		}
	}
	return n
}

// AccountStats is how an account stands on this node.
type AccountStats struct {
	Name    string
	Channel subscriptions.Channel
	pool.Stats
}

// Stats are the accounts in the order they were given.
func (a *Accounts) Stats() []AccountStats {
	list := make([]AccountStats, len(a.list))
	for i, one := range a.list {
		list[i] = AccountStats{one.name, one.Sender.Channel(), one.pool.Stats()}
	}
	return list
}

// route gives the accounts that a message may take, best first: those made
// for its recipient before those for all, what works before what fails, the
// cheap before the dear, and of equals one by chance of its weight.
func (a *Accounts) route(ch subscriptions.Channel, purpose subscriptions.Purpose, address string) []*account {
	type candidate struct {
		*account
		fit   int
		works bool
		dice  float64
	}
	var fitting []candidate
	for _, one := range a.list {
		if one.Sender.Channel() != ch {
			continue
		}
		if fit := one.fits(purpose, address); fit >= 0 {
			// The smallest of exponential variates with the weights as rates
			// is each with a probability of its weight.
			fitting = append(fitting, candidate{one, fit, len(a.list) == 1 || one.works(), rand.ExpFloat64() / one.weight()})
		}
	}
	slices.SortStableFunc(fitting, func(x, y candidate) int {
		return cmp.Or(
			-compareBool(x.works, y.works),
			-cmp.Compare(x.fit, y.fit),
			cmp.Compare(x.Cost, y.Cost),
			cmp.Compare(x.dice, y.dice),
		)
	})
	routes := make([]*account, len(fitting))
	for i, c := range fitting {
		routes[i] = c.account
	}
	return routes
}

// take reports whether there is an account for t, working or not.
func (a *Accounts) take(t *task) bool {
	return slices.ContainsFunc(a.list, func(one *account) bool { return one.takes(t) })
}

// beside reports whether t may take another account than one, that works.
func (a *Accounts) beside(one *account, t *task) bool {
	return slices.ContainsFunc(a.list, func(b *account) bool {
		return b != one && b.takes(t) && b.works()
	})
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

// noWay says that no account takes a message now.
type noWay struct {
	after time.Duration // ask again then
	err   error
}

func (e *noWay) Error() string {
	return fmt.Sprintf("no account takes it before %s: %v", e.after, e.err)
}

// besideAfter is how long a message waits for one account while another is as good.
const besideAfter = 250 * time.Millisecond

// acquire takes a session of the first of the routes that has one, and names
// the account. It fails with *noWay when every one refuses. Where all sessions
// are taken it waits for the accounts that are as good as the first by turns:
// so a slow one holds up nothing that can go beside it.
func acquire(ctx context.Context, routes []*account, t *task) (*pool.Lease[Session], *account, error) {
	class := pool.Bulk
	if t.urgent() {
		class = pool.Urgent
	}
	for {
		way := &noWay{after: time.Minute, err: errors.New("no account is made for it")}
		var full *account // the best that is
		for i, one := range routes {
			if full != nil && !one.asGoodAs(full, t) {
				break
			}
			beside := full != nil || i+1 < len(routes) && routes[i+1].asGoodAs(one, t)
			lease, err := one.acquire(ctx, class, beside)
			var refused *pool.Refused
			switch {
			case err == nil:
				return lease, one, nil
			case errors.As(err, &refused):
				way.after, way.err = min(way.after, max(time.Until(refused.Next), 0)), err
			case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
				return nil, nil, err
			case full == nil:
				full = one
			}
		}
		if full == nil {
			return nil, nil, way
		}
	}
}

// asGoodAs reports whether only chance decides between two accounts for a delivery.
func (a *account) asGoodAs(b *account, t *task) bool {
	return a.Cost == b.Cost && a.fits(t.Purpose, t.Address) == b.fits(t.Purpose, t.Address)
}

// acquire waits for a session until ctx ends, or not long when there is
// another account beside.
func (a *account) acquire(ctx context.Context, class pool.Class, beside bool) (*pool.Lease[Session], error) {
	if beside {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, besideAfter)
		defer cancel()
	}
	return a.pool.Acquire(ctx, class)
}
