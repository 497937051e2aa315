package main

import (
	"fmt"
	"os"
	"runtime/debug"

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
	version, revision, modified := "development", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = " " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " with changes"
			}
		}
		_, err := fmt.Printf("herald %s%s%s, %s\n", version, revision, modified, info.GoVersion)
		return err
	}
	_, err := fmt.Println("herald", version)
	return err
}
