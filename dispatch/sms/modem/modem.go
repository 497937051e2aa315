// Package modem hands text messages to a GSM modem, and takes what comes in
// there.
//
// A Sender is one modem with its SIM: an account of dispatch, with one session
// at a time. Between Start and Close it keeps the modem at work (package
// hardware/gsm), whether or not a session is open; what comes in waits in the
// modem until Reports and Receive gave it to somebody. A message is cut into
// parts; each has a reference that is durable in the Store before its first
// byte goes out, so that a part in doubt can be sent again under the same one,
// which the service centre refuses if it has it already. The Store also counts
// what the SIM sent against its quotas.
package modem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
	"herald/hardware/gsm"
	"herald/problem"
	"herald/subscriptions"
)

// Parts keeps which parts of a message were taken, and puts together what
// comes in; *parts.Store does.
type Parts interface {
	Begin(ctx context.Context, account string, starts []parts.Start) ([]parts.Progress, error)
	Accepted(ctx context.Context, account string, taken ...parts.Part) error
	Reports(ctx context.Context, reports []dispatch.Report) ([]dispatch.Report, error)
	Collect(ctx context.Context, account string, pieces []sms.Piece, take func(context.Context, []dispatch.Inbound) error) error
	Overdue(ctx context.Context, account string, take func(context.Context, []dispatch.Inbound) error) error
}

// Sender is one modem. It is safe for many goroutines; a session is not.
type Sender struct {
	cfg    Account
	quotas Quotas
	amount *regexp.Regexp
	store  *Store
	parts  Parts
	modem  *gsm.Modem
	logger *slog.Logger
	now    func() time.Time

	stop    context.CancelFunc
	running sync.WaitGroup
	usage   atomic.Pointer[Usage] // as of the last message; nil: not known
	full    atomic.Int64          // when the quota that is used up begins anew, in Unix seconds

	mu      sync.Mutex
	receive func(context.Context, []dispatch.Inbound) error // guarded by mu; nil: nobody takes
	report  func(context.Context, []dispatch.Report) error  // guarded by mu; nil: nobody takes
}

var (
	_ dispatch.Sender      = (*Sender)(nil)
	_ dispatch.Resolver    = (*Sender)(nil)
	_ dispatch.Reporter    = (*Sender)(nil)
	_ dispatch.Receiver    = (*Sender)(nil)
	_ dispatch.PartCounter = (*Sender)(nil)
)

// New fills in cfg's defaults and checks it; problem.Invalid names the mistakes
// by their fields. The modem is at work from Start on.
func New(cfg Account, store *Store, parts Parts, logger *slog.Logger) (*Sender, error) {
	var mistakes problem.Fields
	cfg, quotas, amount := cfg.complete(&mistakes)
	if err := mistakes.Err("the modem is not set up completely"); err != nil {
		return nil, err
	}
	s := &Sender{
		cfg: cfg, quotas: quotas, amount: amount, store: store, parts: parts,
		logger: logger.With("account", cfg.Name), now: store.now,
	}
	settings := gsm.Config{
		Open: gsm.Serial(cfg.Device, cfg.Baud), PIN: cfg.PIN, PINs: store, Centre: cfg.Centre, Memory: cfg.Memory, Notify: cfg.Notify,
		Messages: s.takeMessages, Reports: s.takeReports, Late: s.late,
		Timeout: cfg.Timeout, SubmitTimeout: cfg.SubmitTimeout, RegisterWithin: cfg.RegisterWithin,
		Logger: s.logger, Now: store.now,
	}
	if cfg.tune != nil {
		cfg.tune(&settings)
	}
	var err error
	if s.modem, err = gsm.New(settings); err != nil {
		return nil, fmt.Errorf("modem %s: %w", cfg.Name, err)
	}
	return s, nil
}

// Start keeps the modem at work until Close. It may be called once.
func (s *Sender) Start() {
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.running.Go(func() { _ = s.modem.Run(ctx) }) // it ends with ctx
	s.running.Go(func() { s.watchBalance(ctx) })
}

// Close lets the modem go and returns when its line is closed. What is being
// submitted then is in doubt.
func (s *Sender) Close() {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
}

// Channel is SMS.
func (s *Sender) Channel() subscriptions.Channel { return subscriptions.SMS }

// Account is the account's name.
func (s *Sender) Account() string { return s.cfg.Name }

// Parts is how many parts m takes, as the operator counts and charges them.
func (s *Sender) Parts(m dispatch.Message) int {
	c, err := s.compose(m)
	if err != nil {
		return 1 // it will not be sent
	}
	return len(c.Parts)
}

func (s *Sender) compose(m dispatch.Message) (sms.Composition, error) {
	return sms.Compose(m.Content.Text, sms.Options{Transliterate: s.cfg.Transliterate, Languages: s.cfg.Languages})
}

// openWithin is how long Open waits for a modem that is being set up, and
// awayWithin for one that failed and is to be tried again.
const (
	openWithin = 20 * time.Second
	awayWithin = time.Second
)

// Open waits until the modem is ready. It fails with *dispatch.SendError, soon
// while the modem is away, and at once while the SIM may send no more.
func (s *Sender) Open(ctx context.Context) (dispatch.Session, error) {
	if until := s.fullUntil(); !until.IsZero() {
		return nil, &dispatch.SendError{
			Class: dispatch.Throttled, After: until.Sub(s.now()), Account: s.cfg.Name, Err: errors.New("the SIM's quota is used up"),
		}
	}
	if err := s.ready(ctx); err != nil {
		failure := classify(err)
		failure.Account = s.cfg.Name
		return nil, failure
	}
	return &session{sender: s, starts: s.modem.Health().Starts}, nil
}

// ready waits for the modem, not long while it is away.
func (s *Sender) ready(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, awayWithin)
	err := s.modem.Ready(waiting)
	cancel()
	if state := s.modem.Health().State; err == nil || state != gsm.Starting && state != gsm.Searching {
		return err
	}
	waiting, cancel = context.WithTimeout(ctx, openWithin)
	defer cancel()
	return s.modem.Ready(waiting)
}

// fullUntil is when a quota that is used up begins anew; zero when there is
// something left.
func (s *Sender) fullUntil() time.Time {
	until := time.Unix(s.full.Load(), 0)
	if until.After(s.now()) {
		return until
	}
	return time.Time{}
}

// Weight is how well the modem would take a message now, from 0 (not at all)
// to 1: the worse its signal and the less of its quota is left, the fewer
// messages it should be given.
func (s *Sender) Weight() float64 {
	if !s.fullUntil().IsZero() {
		return 0
	}
	return weight(s.modem.Health(), s.usage.Load())
}

// weight is Weight of what is known; u may be nil.
func weight(h gsm.Health, u *Usage) float64 {
	if h.State != gsm.Ready {
		return 0
	}
	w := 1.0
	if u != nil {
		w = max(u.Left(), leastWeight)
	}
	if h.Signal != 0 {
		w *= min(max(float64(h.Signal-noSignal)/(goodSignal-noSignal), leastWeight), 1)
	}
	return w
}

const (
	// leastWeight keeps an account in use that can be used.
	leastWeight = 0.05
	// goodSignal is as good as any, and noSignal hardly one, in dBm.
	goodSignal, noSignal = -85, -113
)

// Status is how a modem stands, for the console.
type Status struct {
	gsm.Health
	Usage Usage `json:"usage"`
	// Balance is what the operator said last; nil: nothing yet.
	Balance    *Balance `json:"balance"`
	BalanceLow bool     `json:"balance_low"`
	Tracing    bool     `json:"tracing"`
}

// Status is how the modem stands now.
func (s *Sender) Status(ctx context.Context) (Status, error) {
	st := Status{Health: s.modem.Health(), Tracing: s.modem.Trace().On()}
	var err error
	if st.Usage, err = s.store.usage(ctx, st.SIM, s.quotas); err != nil {
		return st, err
	}
	b, said, err := s.store.balance(ctx, st.SIM)
	if said {
		st.Balance, st.BalanceLow = &b, s.isLow(b)
	}
	return st, err
}

// Trace watches the modem's line; what it shows has numbers and texts.
func (s *Sender) Trace() *gsm.Trace { return s.modem.Trace() }
