package main

import (
	"fmt"
	"os"
	"runtime"

	"herald/app"
	"herald/app/config"
)

type configCmd struct {
	Print   configPrintCmd   `cmd:"" help:"Print the effective configuration, secrets hidden."`
	Example configExampleCmd `cmd:"" help:"Write a commented file with every setting."`
}

type configPrintCmd struct{}

func (configPrintCmd) Run(c *cli) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return cfg.Print(os.Stdout)
}

type configExampleCmd struct{}

func (configExampleCmd) Run() error { return config.Example(os.Stdout) }

type versionCmd struct{}

func (versionCmd) Run() error {
	_, err := fmt.Printf("herald %s, %s\n", app.Version(), runtime.Version())
	return err
}
