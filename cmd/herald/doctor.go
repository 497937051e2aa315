package main

import (
	"context"
	"fmt"
	"os"
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
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.State, f.Part, f.Text)
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
