package main

import (
	"context"
	"os"

	"herald/demo"
)

type demoCmd struct {
	Once     bool   `help:"Play a scripted scenario instead, print its figures and end; status 0 only if all of them are right."`
	JSON     bool   `help:"With --once: print the figures as one JSON object."`
	DataDir  string `help:"Keep everything in this directory; without one, it is gone at the end." type:"path"`
	Listen   string `help:"Herald's address." default:"127.0.0.1:8080"`
	Shop     string `help:"The shop's and the mailbox's address." default:"127.0.0.1:8081"`
	LogLevel string `help:"How much Herald says: debug, info, warn or error." default:"warn" enum:"debug,info,warn,error"`
}

func (d demoCmd) Run(ctx context.Context) error {
	o := demo.Options{DataDir: d.DataDir, Listen: d.Listen, Shop: d.Shop, LogLevel: d.LogLevel}
	if d.Once {
		o.Listen = "127.0.0.1:0"
		return demo.Once(ctx, o, d.JSON, os.Stdout)
	}
	return demo.Run(ctx, o, os.Stdout)
}
