package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"herald/app/config"
	"herald/campaigns"
	"herald/dispatch"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp"
	"herald/subscriptions"
	"herald/templates"
)

// SMSOptions says what SMS sends, and where to.
type SMSOptions struct {
	DatabaseURL string // empty: a private server in a temporary directory
	SMSC        string // host:port of the message centre; empty: our simulator, as a process of its own
	Program     string // this program: it plays the simulator
	Sessions    int    // binds to the centre, at most
	Window      int    // messages that may wait for their answers on each
	Recipients  int
	Receipts    bool // receipts are asked for, and recorded
	Line        LineOptions
	Log         *slog.Logger
}

// SMSResult is what a campaign took, from its start to its finished ledger,
// and how well a modem was kept busy.
type SMSResult struct {
	Recipients        int     `json:"recipients"`
	MessagesPerSecond float64 `json:"messages_per_second"` // over the whole campaign, preparing included
	// BareDriverPerSecond is what the same sessions carry with nothing around
	// them: no database, no record, no template.
	BareDriverPerSecond float64 `json:"bare_driver_per_second"`
	// FloorPerSecond is what a sender of one prebuilt unit reached over as many
	// binds.
	FloorPerSecond float64 `json:"floor_per_second"`
	// PreparedPerSecond is how fast the notifications were made, while the
	// first were being sent already.
	PreparedPerSecond float64 `json:"prepared_per_second"`
	Seconds           float64 `json:"seconds"`
	// ReceiptsAfterSeconds is how long after the campaign's end the last
	// receipt was recorded; 0: none were asked for.
	ReceiptsAfterSeconds float64 `json:"receipts_after_seconds"`
	CPUSeconds           float64 `json:"cpu_seconds"`          // of Herald
	DatabaseCPUSeconds   float64 `json:"database_cpu_seconds"` // of the private PostgreSQL; 0: not ours
	SMSCCPUSeconds       float64 `json:"smsc_cpu_seconds"`     // of our simulator; 0: not ours
	// CPUMicrosecondsPerMessage is all of these for one message.
	CPUMicrosecondsPerMessage float64         `json:"cpu_microseconds_per_message"`
	PeakRSS                   int64           `json:"peak_rss_bytes"` // of Herald
	Ledger                    dispatch.Ledger `json:"ledger"`
	Modem                     LineResult      `json:"modem"`
}

// SMS sends a campaign to so many members by SMPP, then some messages by a
// simulated modem, and says what it took.
func SMS(ctx context.Context, o SMSOptions) (result SMSResult, err error) {
	var centre farEnd
	if o.SMSC == "" {
		if centre, err = startFarEnd(ctx, "SMPP at ", o.Program, "sim", "smsc", "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0"); err != nil {
			return SMSResult{}, err
		}
		defer func() { err = errors.Join(err, centre.stop()) }()
		o.SMSC = centre.address
	}
	account, err := o.account()
	if err != nil {
		return SMSResult{}, err
	}
	result = SMSResult{Recipients: o.Recipients}
	if err := result.bare(ctx, o, account); err != nil {
		return SMSResult{}, err
	}
	line, err := startLine(ctx, o.Line)
	if err != nil {
		return SMSResult{}, err
	}
	defer func() { err = errors.Join(err, line.Close()) }()
	s, err := newStage(ctx, o.DatabaseURL, o.Log, func(cfg *config.Config) {
		cfg.SMS.SMPP = []config.SMPPAccount{account}
		cfg.SMS.Modems = []config.ModemAccount{lineAccount(line)}
	})
	if err != nil {
		return SMSResult{}, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.seed(ctx, crowd{accounts: "bench", channel: subscriptions.SMS, address: "'+86138' || lpad(i::text, 8, '0')", number: o.Recipients}); err != nil {
		return SMSResult{}, err
	}
	if err := s.herald.Start(ctx); err != nil {
		return SMSResult{}, err
	}
	if err := result.campaign(ctx, s, o, centre); err != nil {
		return SMSResult{}, err
	}
	result.Modem, err = s.keepBusy(ctx, line, o.Line)
	return result, err
}

// account is the one at the centre.
func (o SMSOptions) account() (config.SMPPAccount, error) {
	host, port, err := splitAddress("the message centre", o.SMSC)
	return config.SMPPAccount{
		Name: accountName, Host: host, Port: port, SystemID: "bench", Password: "bench", Source: "SHOP",
		Window: o.Window, NoReceipts: !o.Receipts, Timeout: 30 * time.Second,
		Use: config.Use{MinSessions: 1, MaxSessions: o.Sessions},
	}, err
}

// campaign sends to everybody there is.
func (r *SMSResult) campaign(ctx context.Context, s *stage, o SMSOptions, centre farEnd) error {
	usage := beginUsage(centre.pid())
	sent, err := s.send(ctx, textPlan(fmt.Sprintf("Benchmark to %d", o.Recipients), campaigns.Segment{All: true}))
	if err != nil {
		return err
	}
	r.Seconds = sent.took.Seconds()
	r.MessagesPerSecond = float64(o.Recipients) / r.Seconds
	r.PreparedPerSecond = float64(o.Recipients) / sent.prepared.Seconds()
	if o.Receipts {
		began := time.Now()
		if err := s.delivered(ctx, sent.run); err != nil {
			return err
		}
		r.ReceiptsAfterSeconds = time.Since(began).Seconds()
	}
	used, err := usage.end()
	if err != nil {
		return err
	}
	r.CPUSeconds, r.DatabaseCPUSeconds, r.SMSCCPUSeconds, r.PeakRSS = used.own, used.database, used.farEnd, used.peak
	r.CPUMicrosecondsPerMessage = 1e6 * (used.own + used.database + used.farEnd) / float64(o.Recipients)
	r.Ledger, err = s.herald.Campaigns.RunLedger(ctx, sent.run)
	return err
}

// delivered waits until the receipt of every message is recorded.
func (s *stage) delivered(ctx context.Context, runID int64) error {
	return s.until(ctx, func() (bool, error) {
		l, err := s.herald.Campaigns.RunLedger(ctx, runID)
		return l.Accepted == 0, err
	})
}

// bare measures the driver alone, and a sender of one prebuilt unit, with a
// message like the campaign's.
func (r *SMSResult) bare(ctx context.Context, o SMSOptions, account config.SMPPAccount) error {
	client, err := smpp.NewClient(smpp.Account{
		Name: account.Name, Host: account.Host, Port: account.Port, SystemID: account.SystemID, Password: account.Password,
		Source: account.Source, Window: account.Window, Timeout: account.Timeout,
		NoReceipts: true, // there would be nobody to take them
	}, parts.NewStore(nil)) // which a message of one part does not touch
	if err != nil {
		return err
	}
	run := smpp.FloorRun{Connections: o.Sessions, Messages: max(o.Recipients, 50_000)}
	run.Message.Address = "+8613800000000"
	run.Message.Content, err = templates.NewStore(nil, nil, time.Now).Preview(ctx, templates.Template{Name: "floor", Channel: "sms", Locale: "en", Body: textBody},
		map[string]any{"member": map[string]any{"name": "Member"}})
	if err != nil {
		return err
	}
	if r.FloorPerSecond, err = client.Floor(ctx, run); err != nil {
		return fmt.Errorf("measure the floor: %w", err)
	}
	if r.BareDriverPerSecond, err = drive(ctx, client, run); err != nil {
		return fmt.Errorf("measure the bare driver: %w", err)
	}
	return nil
}

// textPlan is a campaign by SMS.
func textPlan(name string, whom campaigns.Segment) campaigns.Plan {
	return campaigns.Plan{
		Name: name, Segment: whom, Channels: []subscriptions.Channel{subscriptions.SMS},
		Messages: []campaigns.Wording{{Channel: subscriptions.SMS, Locale: "en", Body: textBody}},
	}
}

// textBody makes a message of one part.
const textBody = "Dear {{ member.name }}, this week all teas are 20 % off, and your points count twice until Sunday. Reply STOP for no more of these."
