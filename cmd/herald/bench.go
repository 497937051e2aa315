package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"herald/bench"
)

type benchCmd struct {
	Email  benchEmailCmd  `cmd:"" help:"Send a whole campaign to a mail server, and hold it against a bare sender."`
	SMS    benchSMSCmd    `cmd:"" name:"sms" help:"Send a whole campaign by SMPP and hold it against the bare driver, then keep a simulated modem busy. Takes half a minute."`
	Alert  benchAlertCmd  `cmd:"" help:"Time one event from its POST to DATA at the mail server, alone and beside a campaign."`
	Ingest benchIngestCmd `cmd:"" help:"Send events over HTTP and time until they are durably accepted, with what they cause; then one that very many wait for."`
	Match  benchMatchCmd  `cmd:"" help:"Time how events find the subscriptions they meet: by the index, by a plain map and by the database."`
	Voice  benchVoiceCmd  `cmd:"" help:"Make many calls at once by SIP to a far end of our own, and measure how evenly they speak. Takes a minute."`
	Pool   benchPoolCmd   `cmd:"" help:"Hold the growing pool of sessions against a fixed one. Takes a minute."`

	VoiceFarEnd benchVoiceFarEndCmd `cmd:"" hidden:"" help:"The far end of voice, which runs it by itself."`
}

// benchWhere is where measurements with a node of Herald run.
type benchWhere struct {
	SMTP     string `help:"host:port of the mail server, such as Postfix's smtp-sink." required:""`
	Sessions int    `help:"Connections to it at most." default:"10"`
	Database string `help:"A database to use; everything in it may be changed. Empty: a private one." env:"HERALD_BENCH_DATABASE"`
}

// benchFigures is how figures are put out.
type benchFigures struct {
	JSON    bool   `help:"Print the figures on one line."`
	Profile string `help:"Write a profile of the processor's time to this file, for go tool pprof." type:"path"`
}

// measured runs a measurement, with a profile where one is wanted, and prints
// its figures.
func (w benchFigures) measured(run func() (any, error)) (err error) {
	if w.Profile != "" {
		file, err := os.Create(w.Profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	figures, err := run()
	if err != nil {
		return err
	}
	return w.print(figures)
}

func (w benchWhere) where() bench.Where {
	return bench.Where{SMTP: w.SMTP, Sessions: w.Sessions, DatabaseURL: w.Database, Log: benchLog()}
}

func benchLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// print writes figures as JSON.
func (w benchFigures) print(figures any) error {
	encoder := json.NewEncoder(os.Stdout)
	if !w.JSON {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(figures); err != nil {
		return fmt.Errorf("print the figures: %w", err)
	}
	return nil
}

type benchEmailCmd struct {
	benchWhere
	benchFigures
	Recipients int `help:"Members whom the campaign is meant for." default:"50000"`
}

func (c benchEmailCmd) Run(ctx context.Context) error {
	return c.measured(func() (any, error) {
		return bench.Email(ctx, bench.EmailOptions{Where: c.where(), Recipients: c.Recipients})
	})
}

type benchSMSCmd struct {
	benchFigures
	SMSC         string        `help:"host:port of the message centre, which lets anybody bind. Without one: our simulator, as a process of its own." placeholder:"HOST:PORT"`
	Sessions     int           `help:"Binds to it at most." default:"4"`
	Window       int           `help:"Messages that may wait for their answers on each." default:"50"`
	Recipients   int           `help:"Members whom the campaign is meant for." default:"50000"`
	Receipts     bool          `help:"Ask for receipts too, and record them."`
	LineMessages int           `help:"Messages by the simulated modem." default:"30"`
	LinePartTime time.Duration `help:"What the modem's network takes for each." default:"500ms"`
	Database     string        `help:"A database to use; everything in it may be changed. Empty: a private one." env:"HERALD_BENCH_DATABASE"`
}

func (c benchSMSCmd) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return c.measured(func() (any, error) {
		return bench.SMS(ctx, bench.SMSOptions{
			DatabaseURL: c.Database, SMSC: c.SMSC, Program: program, Sessions: c.Sessions, Window: c.Window,
			Recipients: c.Recipients, Receipts: c.Receipts,
			Line: bench.LineOptions{Messages: c.LineMessages, PartTime: c.LinePartTime}, Log: benchLog(),
		})
	})
}

type benchAlertCmd struct {
	benchWhere
	benchFigures
	Alerts     int `help:"Alerts when nothing else is going on." default:"1000"`
	Recipients int `help:"Members whom the campaign beside the other alerts is meant for." default:"100000"`
}

func (c benchAlertCmd) Run(ctx context.Context) error {
	return c.measured(func() (any, error) {
		return bench.Alert(ctx, bench.AlertOptions{Where: c.where(), Alerts: c.Alerts, Recipients: c.Recipients})
	})
}

type benchIngestCmd struct {
	benchFigures
	Subscriptions int    `help:"Subscriptions in force, each for a product of its own." default:"100000"`
	Events        int    `help:"Events for each rate of matches." default:"100000"`
	Callers       int    `help:"Clients at once." default:"16"`
	Batch         int    `help:"Events of one request." default:"100"`
	Recipients    int    `help:"Members who wait for the one event." default:"100000"`
	Database      string `help:"A database to use; everything in it may be changed. Empty: a private one." env:"HERALD_BENCH_DATABASE"`
}

func (c benchIngestCmd) Run(ctx context.Context) error {
	return c.measured(func() (any, error) {
		return bench.Ingest(ctx, bench.IngestOptions{
			DatabaseURL: c.Database, Subscriptions: c.Subscriptions, Events: c.Events, Callers: c.Callers, Batch: c.Batch,
			Recipients: c.Recipients, Log: benchLog(),
		})
	})
}

type benchVoiceCmd struct {
	benchFigures
	Calls     int     `help:"Calls at once." default:"500"`
	Seconds   int     `help:"How long each speaks." default:"20"`
	PerSecond float64 `help:"Calls that are dialled in a second." default:"100"`
}

func (c benchVoiceCmd) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return c.measured(func() (any, error) {
		return bench.Voice(ctx, bench.VoiceOptions{
			Program: program, Calls: c.Calls, PerSecond: c.PerSecond, Talk: time.Duration(c.Seconds) * time.Second,
		})
	})
}

type benchVoiceFarEndCmd struct {
	Echo bool `help:"Send back what is heard."`
}

func (c benchVoiceFarEndCmd) Run(ctx context.Context) error {
	return bench.VoiceFarEnd(ctx, c.Echo, os.Stdout)
}

type benchPoolCmd struct{ benchFigures }

func (c benchPoolCmd) Run(ctx context.Context) error {
	return c.measured(func() (any, error) { return bench.Pool(ctx) })
}

type benchMatchCmd struct {
	benchFigures
	Subscriptions int64  `help:"Subscriptions of the mix. Ten millions take 6 GB of memory and as much of the disk." default:"1000000"`
	Database      string `help:"A database to use; everything in it may be changed. Empty: a private one." env:"HERALD_BENCH_DATABASE"`
}

func (c benchMatchCmd) Run(ctx context.Context) error {
	return c.measured(func() (any, error) {
		return bench.Match(ctx, bench.MatchOptions{DatabaseURL: c.Database, Subscriptions: c.Subscriptions, Log: benchLog()})
	})
}
