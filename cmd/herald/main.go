// Command herald is the whole of Herald: the server, its demonstration, and
// what an operator does from a shell. It parses and calls; see package app.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // members' zones, also where the system has none

	"github.com/alecthomas/kong"

	"herald/app"
	"herald/app/config"
)

const description = `Herald tells your members what they asked to hear.

Your systems send events; members subscribe to triggers; Herald matches the two
and reaches each member by the channel they chose, and can say of every message
where it is and why it was sent.

A shop, members and mail, all on this machine:

    herald demo

For real:

    herald config example > herald.yaml
    herald --config herald.yaml doctor
    herald --config herald.yaml serve
    herald --config herald.yaml admin create NAME`

type cli struct {
	Config string `help:"The configuration file; without one, the defaults and HERALD_… variables." short:"c" type:"path" env:"HERALD_CONFIG"`

	Serve   serveCmd   `cmd:"" help:"Run Herald until it is told to stop."`
	Demo    demoCmd    `cmd:"" help:"Show Herald at work: a seeded shop, simulators of every far end, no account anywhere."`
	Migrate migrateCmd `cmd:"" help:"Bring the database to this version; serve does it by itself at start."`
	Import  importCmd  `cmd:"" help:"Take in data from files."`
	Admin   adminCmd   `cmd:"" help:"Make and manage operators and API keys."`
	Doctor  doctorCmd  `cmd:"" help:"Check the configuration and everything it names, and say what to mend."`
	Bench   benchCmd   `cmd:"" help:"Measure Herald on this machine, with baselines from the same run."`
	Sim     simCmd     `cmd:"" help:"Run the simulator of a far end."`
	Conf    configCmd  `cmd:"" name:"config" help:"Show or make a configuration."`
	Version versionCmd `cmd:"" help:"Say which version this is."`
}

// load reads the configuration that the flags name.
func (c *cli) load() (config.Config, error) { return config.Load(c.Config, os.Environ(), app.Check) }

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("herald"), kong.Description(description),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}))
	if err != nil {
		fmt.Fprintln(os.Stderr, "herald:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err)
	}

	ctx, stop := signalled(context.Background())
	defer stop()
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(&c); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintln(os.Stderr, "herald:", err)
		}
		return 1
	}
	return 0
}

// errSaid ends a command with status 1 when what went wrong was already shown.
var errSaid = errors.New("already said")

// sameWish is within which time a second signal is the first once more: a
// terminal and the program that started Herald may both pass on one Ctrl-C.
const sameWish = time.Second / 2

// signalled is a context that ends at the first SIGINT or SIGTERM. Another
// one, half a second later or more, ends the process at once.
func signalled(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
			return
		}
		for first := time.Now(); time.Since(first) < sameWish; {
			<-signals
		}
		fmt.Fprintln(os.Stderr, "herald: stopped at once, as asked twice; what was under way is taken up at the next start")
		os.Exit(130)
	}()
	return ctx, cancel
}
