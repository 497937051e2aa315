package bench

import (
	"context"
	"fmt"
	"time"

	"herald/app/config"
	"herald/campaigns"
	"herald/hardware/sim/modem"
	"herald/subscriptions"
)

// LineOptions say how a modem is kept busy.
type LineOptions struct {
	Messages int           // at least two
	PartTime time.Duration // what its network takes for a message
}

// LineResult is how well a modem was kept busy.
type LineResult struct {
	Messages int `json:"messages"`
	// LinePerSecond is what the network takes when the next message is always
	// there, and ReachedPerSecond what it took, from the first to the last.
	LinePerSecond    float64 `json:"line_per_second"`
	ReachedPerSecond float64 `json:"reached_per_second"`
}

// startLine plugs a simulated modem in.
func startLine(ctx context.Context, o LineOptions) (*modem.Modem, error) {
	if o.Messages < 2 || o.PartTime <= 0 {
		return nil, fmt.Errorf("the modem's line: measure at least two messages, and let each take a time")
	}
	m := modem.New(modem.Config{PartTime: o.PartTime})
	return m, m.Start(ctx)
}

// The members who are told by modem are those of one country.
const (
	lineMembers = "line"
	linePrefix  = "+44"
)

// lineAccount is the account at a modem.
func lineAccount(m *modem.Modem) config.ModemAccount {
	return config.ModemAccount{Name: "modem", Device: m.Path(), Use: config.Use{MaxSessions: 1, Recipients: []string{linePrefix}}}
}

// keepBusy sends a campaign by the modem and holds its pace against the line's.
func (s *stage) keepBusy(ctx context.Context, m *modem.Modem, o LineOptions) (LineResult, error) {
	all := crowd{accounts: lineMembers, channel: subscriptions.SMS, address: `'` + linePrefix + `7946' || lpad(i::text, 6, '0')`, number: o.Messages}
	if err := s.seed(ctx, all); err != nil {
		return LineResult{}, err
	}
	whom := campaigns.Segment{Condition: fmt.Sprintf("member.account.startsWith(%q)", lineMembers)}
	if _, err := s.send(ctx, textPlan("Benchmark of a modem", whom)); err != nil {
		return LineResult{}, err
	}
	sent := m.Texts().All()
	if len(sent) != o.Messages {
		return LineResult{}, fmt.Errorf("the modem sent %d of %d messages", len(sent), o.Messages)
	}
	between := sent[len(sent)-1].At.Sub(sent[0].At).Seconds()
	return LineResult{
		Messages: len(sent), LinePerSecond: 1 / o.PartTime.Seconds(), ReachedPerSecond: float64(len(sent)-1) / between,
	}, nil
}
