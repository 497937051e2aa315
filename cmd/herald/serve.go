package main

import (
	"context"
	"os"

	"herald/app"
)

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return app.Serve(ctx, cfg)
}

type migrateCmd struct {
	Status bool `help:"Only say what is applied and what is not."`
}

func (m migrateCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	cfg.Log.Level, cfg.Log.Format = "warn", "text" // a person reads along
	return app.Migrate(ctx, cfg, app.Logger(cfg.Log), m.Status, os.Stdout)
}
