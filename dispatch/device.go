package dispatch

import (
	"context"
	"time"
)

// Weigher is a Sender that knows how well it would take a message now, from 0
// (not at all: its quota is used up, or its modem has no network) to 1. It is
// asked for every message, and answers from memory. Of accounts that are else
// as good, those that weigh more get more; one that weighs 0 is taken only
// where no other works.
type Weigher interface {
	Weight() float64
}

// Device is a Sender over hardware of our own, such as a modem, whose state an
// operator wants to see and whose line they may have to watch.
type Device interface {
	// DeviceState is how the hardware stands now, without personal data.
	DeviceState(ctx context.Context) (DeviceState, error)
	// SwitchTrace watches the line from now on, or no longer.
	SwitchTrace(on bool)
	// TraceLines are what was seen since the trace was switched on, the oldest
	// first, as many as are kept.
	TraceLines() []TraceLine
}

// DeviceState is how an account's hardware stands.
type DeviceState struct {
	State        string    `json:"state" doc:"closed, opening, starting, searching (for a network), ready, waiting (to be tried again) or blocked (somebody must act)."`
	Since        time.Time `json:"since"`
	Model        string    `json:"model" doc:"Maker and model."`
	SIM          string    `json:"sim" doc:"The last digits of its number."`
	Registration string    `json:"registration" doc:"home, roaming, searching, denied or none."`
	Operator     string    `json:"operator"`
	SignalDBm    int       `json:"signal_dbm" doc:"-113 to -51; 0: not known."`

	Today        int `json:"today" doc:"Parts that the SIM sent in this day and month of its time zone, and its quotas; 0: none."`
	ThisMonth    int `json:"this_month"`
	DailyQuota   int `json:"daily_quota"`
	MonthlyQuota int `json:"monthly_quota"`
	// QuotaUntil is when a quota that is used up begins anew.
	QuotaUntil *time.Time `json:"quota_until,omitempty"`

	Balance    *float64   `json:"balance,omitempty" doc:"Money left, as the operator said last."`
	BalanceAt  *time.Time `json:"balance_at,omitempty"`
	BalanceLow bool       `json:"balance_low"`

	LastError   string     `json:"last_error,omitempty"`
	LastErrorAt *time.Time `json:"last_error_at,omitempty"`
	Tracing     bool       `json:"tracing"`
}

// Works reports whether messages can go over the hardware.
func (d DeviceState) Works() bool { return d.State == deviceReady }

const deviceReady = "ready"

// nearer tells which node has the hardware: the others cannot open it.
func (d *DeviceState) nearer(than *DeviceState) bool {
	rank := func(d *DeviceState) int {
		switch {
		case d == nil:
			return -1
		case d.Works():
			return 2
		case d.State == "starting" || d.State == "searching" || d.State == "blocked":
			return 1
		}
		return 0
	}
	return rank(d) > rank(than)
}

// TraceLine is a line that went over an account's wire.
type TraceLine struct {
	At   time.Time `json:"at"`
	Sent bool      `json:"sent"` // by us; false: by the hardware
	Text string    `json:"text"` // with the numbers and texts of messages
	// Covered is Text without what tells of people.
	Covered string `json:"covered"`
}
