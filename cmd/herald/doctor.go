package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"herald/app"
)

type doctorCmd struct{}

func (doctorCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	cfg.Log.Level, cfg.Log.Format = "error", "text"
	broken := false
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, f := range app.Examine(ctx, cfg, app.Logger(cfg.Log)) {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.State, f.Part, oneLine(f.Text))
		if f.Advice != "" {
			fmt.Fprintf(table, "\t\t→ %s\n", f.Advice)
		}
		broken = broken || f.State == app.Broken
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if broken {
		return errSaid
	}
	return nil
}

// oneLine keeps what spans several lines, as errors of connections do, in its
// column.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
