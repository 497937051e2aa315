package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"herald/dispatch/limits"
	"herald/dispatch/pool"
	"herald/subscriptions"
)

// AccountConfig is an account and what it may be used for.
type AccountConfig struct {
	Sender Sender
	// MinSessions stay open when there is nothing to do; MaxSessions is the
	// most connections at a time, of all nodes together.
	MinSessions, MaxSessions int
	// IdleTimeout is how long a session rests before it is given back, and
	// CheckAfter before it is asked whether it still is one; 0: the pool's own.
	IdleTimeout, CheckAfter time.Duration
	// SendTimeout is how long a hand-over may take; 0: as the worker says. A
	// modem's network needs minutes.
	SendTimeout time.Duration
	// Purposes and Recipients narrow what the account is used for; none: for
	// everything. A recipient is the domain of an e-mail address, which
	// includes those below it, or the beginning of a number in E.164.
	Purposes   []subscriptions.Purpose
	Recipients []string
	// Among accounts that fit equally well the cheaper goes first, and those
	// of one cost share the messages by weight. 0: a weight of one.
	Weight int
	Cost   float64
	// Receipts says that the provider reports what arrived, so that what it
	// only took is not confirmed. A Sender that is a Reporter says so itself.
	Receipts bool
	// Rules are the account's rates; the zero Rules limit nothing.
	Rules limits.Rules

	// tune lets a test be patient with its far end.
	tune func(*pool.Config[Session])
}

func (c AccountConfig) check() error {
	switch {
	case c.Sender == nil:
		return errors.New("dispatch: an account needs a sender")
	case c.Weight < 0 || c.Cost < 0 || c.SendTimeout < 0:
		return fmt.Errorf("dispatch: account %s: weight, cost and times cannot be negative", c.Sender.Account())
	}
	return nil
}

// fits says how well a message fits the account: -1 not at all, 0 as any
// other, and more for a longer match of the recipient.
func (c AccountConfig) fits(purpose subscriptions.Purpose, address string) int {
	if len(c.Purposes) > 0 && !slices.Contains(c.Purposes, purpose) {
		return -1
	}
	if len(c.Recipients) == 0 {
		return 0
	}
	best := -1
	for _, r := range c.Recipients {
		if matchesRecipient(r, address) {
			best = max(best, len(r))
		}
	}
	return best
}

// takes reports whether the account may be used for t.
func (c AccountConfig) takes(t *task) bool {
	return c.Sender.Channel() == t.Channel && c.fits(t.Purpose, t.Address) >= 0
}

// matchesRecipient reports whether an address is at a domain or below it, or
// a number begins with a prefix.
func matchesRecipient(pattern, address string) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return strings.HasPrefix(address, pattern)
	}
	domain, pattern := strings.ToLower(address[at+1:]), strings.ToLower(pattern)
	return domain == pattern || strings.HasSuffix(domain, "."+pattern)
}

// account is an account at work on this node: its pool, and how fast it is.
type account struct {
	AccountConfig
	name   string
	pool   *pool.Pool[Session]
	limits *limits.Account
	logger *slog.Logger

	mu   sync.Mutex
	each time.Duration // what a message takes of a session, smoothed; 0: not known yet
	// spent is until when a quota of its rules is used up, as far as this node
	// has met with it.
	spent time.Time
}

func newAccount(cfg AccountConfig, logger *slog.Logger) (*account, error) {
	a := &account{AccountConfig: cfg, name: cfg.Sender.Account(), logger: logger.With("account", cfg.Sender.Account())}
	settings := pool.Config[Session]{
		Open: cfg.Sender.Open,
		Close: func(ctx context.Context, s Session) {
			if err := s.Close(ctx); err != nil {
				a.logger.DebugContext(ctx, "a session did not close well", "error", err)
			}
		},
		Alive: func(ctx context.Context, s Session) error {
			if live, able := s.(LiveSession); able {
				return live.Alive(ctx)
			}
			return nil
		},
		Min: cfg.MinSessions, Max: cfg.MaxSessions,
		CheckAfter: cfg.CheckAfter, Policy: pool.Policy{IdleTimeout: cfg.IdleTimeout},
		Hopeless:  func(err error) bool { return asSendError(err).Class == Configuration },
		OnCircuit: a.told,
	}
	if cfg.tune != nil {
		cfg.tune(&settings)
	}
	var err error
	if a.pool, err = pool.New(settings); err != nil {
		return nil, fmt.Errorf("account %s: %w", a.name, err)
	}
	a.limits, err = limits.NewAccount(a.name, cfg.Rules.Defaults())
	return a, err
}

// AccountSetup is what an account may be used for, and how fast it may go.
type AccountSetup struct {
	Purposes   []subscriptions.Purpose `json:"purposes,omitempty" doc:"Absent: all."`
	Recipients []string                `json:"recipients,omitempty" doc:"Domains, or beginnings of numbers; absent: all."`
	Cost       float64                 `json:"cost"`
	Weight     int                     `json:"weight"`
	Limits     limits.Rules            `json:"limits"`
	Device     bool                    `json:"device" doc:"It is hardware of the company's own."`
}

func (a *account) setup() AccountSetup {
	_, device := a.Sender.(Device)
	return AccountSetup{a.Purposes, a.Recipients, a.Cost, max(a.Weight, 1), a.Rules.Defaults(), device}
}

// claim is what this node says of the account to the others. While the account
// fails it wants a session to find out whether it works again, though nobody
// waits: without a share the circuit could never close.
func (a *account) claim() limits.Claim {
	s := a.pool.Stats()
	least := a.MinSessions
	if s.Circuit != pool.CircuitClosed {
		least = max(least, 1)
	}
	return limits.Claim{
		Max:    a.MaxSessions,
		Wanted: min(max(s.Planned, s.InUse+s.WaitingUrgent+s.WaitingBulk, least), a.MaxSessions),
		Open:   s.Open + s.Opening + s.Closing,
	}
}

// parts is how many a provider that counts parts makes of a message; 0: it
// counts none.
func (a *account) parts(m Message) int {
	if counter, able := a.Sender.(PartCounter); able {
		return counter.Parts(m)
	}
	return 0
}

// told says that the account fails, or works again.
func (a *account) told(open bool, err error, next time.Time) {
	if !open {
		a.logger.Info("the account works again")
		return
	}
	failure := asSendError(err)
	a.logger.Error("the account fails: its messages wait or take another way",
		"class", failure.Class, "code", failure.Code, "error", failure.Err, "next_try", next)
}

// weight is the account's part of the messages that it shares with others: what
// was set for it, less what its sender says it can do now.
func (a *account) weight() float64 {
	weight := float64(max(a.Weight, 1))
	if able, weighs := a.Sender.(Weigher); weighs {
		weight *= able.Weight()
	}
	return weight
}

// works reports whether the account takes work as far as is known: it does not
// fail, no quota of its is used up, and its sender is up to it.
func (a *account) works() bool {
	return a.pool.Stats().Circuit == pool.CircuitClosed && !a.isSpent() && a.weight() > 0
}

// spend notes that a quota is used up for so long.
func (a *account) spend(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spent = time.Now().Add(d)
}

func (a *account) isSpent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.spent)
}

const (
	// sliceTime is how long a session should be busy with one slice: so long
	// may what is urgent wait for it, and so much is in flight in a crash.
	sliceTime = 150 * time.Millisecond
	// sliceMax is the longest slice.
	sliceMax = 100
	// sliceFirst is the slice while nothing is known of the account: it may
	// take seconds for a message.
	sliceFirst = 1
)

// slice is how many messages a session should be given at once.
func (a *account) slice() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.each == 0 {
		return sliceFirst
	}
	return min(max(int(sliceTime/a.each), 1), sliceMax)
}

// took notes how long a slice was in hand.
func (a *account) took(n int, d time.Duration) {
	if n == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	each := max(d/time.Duration(n), time.Microsecond)
	if a.each == 0 {
		a.each = each
		return
	}
	a.each += (each - a.each) / 8
}
