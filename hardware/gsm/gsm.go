// Package gsm drives a GSM modem by AT commands over any serial line (3GPP TS
// 27.007 and 27.005, ITU-T V.250).
//
// A Modem is given a line to open and keeps it: Run opens it, sets the modem
// up, watches it, and sets it up again, resets it or opens the line anew when
// it fails. Meanwhile Submit hands over messages and says whether the modem
// took them, surely did not, or nobody knows; USSD asks the operator; what
// comes in goes out by Config.Messages and Config.Reports, and is deleted in
// the modem when those have taken it. Health tells how it stands.
//
// It deals in octets (package tpdu) and knows no text. Nothing it logs has
// numbers or contents; the wire can be watched by Trace.
package gsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"herald/hardware/gsm/tpdu"
)

// Config says which modem, and how patient we are with it. What is zero takes
// the value in brackets.
type Config struct {
	// Open opens the line, such as Serial gives. It is called again after the
	// line broke.
	Open func(ctx context.Context) (io.ReadWriteCloser, error)
	// PIN unlocks the SIM; empty for one without. It is tried once: PINs
	// remembers across restarts that it was (the Modem's own memory).
	PIN  string
	PINs PINMemory
	// Centre is the number of the service centre; empty: the SIM's own.
	Centre string
	// Memory is where messages are stored that come in: "SM", "ME" or "MT"
	// (the first of these that the modem has).
	Memory string
	// Notify are the settings of AT+CNMI to try in order, such as "2,1,0,1,0"
	// (usualNotify).
	Notify []string

	// Messages and Reports are given what waits in the modem, stored there or
	// passed on directly. When they return nil it is deleted there, and
	// acknowledged; after an error all of it is given again with what comes
	// next, when Collect is called, or after CheckEvery. nil: it is left there.
	Messages func(ctx context.Context, messages []tpdu.Deliver) error
	Reports  func(ctx context.Context, reports []tpdu.StatusReport) error
	// Late is told what a submission came to for whose answer nobody waited
	// any more: the same that Submit returns. nil: nobody is told.
	Late func(s tpdu.Submit, sent Sent, err error)

	// Timeout is how long a command takes at most (30 s), SubmitTimeout the
	// one that sends a message (150 s: the network may take 120), and
	// USSDTimeout the operator's answer (60 s).
	Timeout, SubmitTimeout, USSDTimeout time.Duration
	// WriteTimeout is how long the line may not take our bytes (10 s).
	WriteTimeout time.Duration
	// RegisterWithin is how long the modem may look for a network before it is
	// reset (3 min), and CheckEvery the time between two looks at it (30 s).
	RegisterWithin, CheckEvery time.Duration
	// BackoffFirst and BackoffLongest are the first and the longest time
	// between two tries to get a modem to work (1 s, 1 min).
	BackoffFirst, BackoffLongest time.Duration

	Logger *slog.Logger // nil: nothing is logged
	Now    func() time.Time
}

// usualNotify are the settings of AT+CNMI that we can live with, best first:
// messages stored (mt 1), reports at once (ds 1) or stored (ds 2) or not at
// all, and at last messages at once (mt 2). The modem keeps what it has to say
// while it answers (mode 2), or at least while the line is busy (mode 1).
var usualNotify = []string{
	"2,1,0,1,0", "1,1,0,1,0", "2,1,0,2,0", "1,1,0,2,0", "2,1,0,0,0", "1,1,0,0,0",
	"2,2,0,1,0", "1,2,0,1,0", "2,2,0,0,0",
}

// ErrConfig is what a configuration's mistakes wrap.
var ErrConfig = errors.New("the modem's configuration is not complete")

func (c Config) complete() (Config, error) {
	if c.Open == nil {
		return c, fmt.Errorf("%w: no line to open", ErrConfig)
	}
	if !isDigits(c.PIN) || len(c.PIN) > 8 {
		return c, fmt.Errorf("%w: a PIN has 4 to 8 digits", ErrConfig)
	}
	if c.Centre != "" {
		if _, err := tpdu.Number(c.Centre); err != nil {
			return c, fmt.Errorf("%w: the service centre: %w", ErrConfig, err)
		}
	}
	if c.PINs == nil {
		c.PINs = &pinMemory{}
	}
	if len(c.Notify) == 0 {
		c.Notify = usualNotify
	}
	if c.Late == nil {
		c.Late = func(tpdu.Submit, Sent, error) {}
	}
	for field, usual := range map[*time.Duration]time.Duration{
		&c.Timeout: 30 * time.Second, &c.SubmitTimeout: 150 * time.Second, &c.USSDTimeout: time.Minute,
		&c.WriteTimeout: 10 * time.Second, &c.RegisterWithin: 3 * time.Minute, &c.CheckEvery: 30 * time.Second,
		&c.BackoffFirst: time.Second, &c.BackoffLongest: time.Minute,
	} {
		if *field <= 0 {
			*field = usual
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
