package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"herald/hardware/sim/cmpp"
	"herald/hardware/sim/sgip"
)

type simCMPPCmd struct {
	Listen      string        `help:"Where clients connect by CMPP, with any company's code and secret." default:"127.0.0.1:7890"`
	Page        string        `help:"Where it shows the phones, lets them write, and takes faults at PUT /faults." default:"127.0.0.1:8028"`
	Highest     string        `help:"The highest version it has." enum:"2.0,3.0" default:"3.0"`
	PerSecond   int           `help:"How many it takes in a second before it answers that we are too fast; 0: any number."`
	ReportAfter time.Duration `help:"When the report of a message comes." default:"200ms"`
}

func (s simCMPPCmd) Run(ctx context.Context) (err error) {
	gateway := cmpp.New(cmpp.Config{Addr: s.Listen, Highest: s.Highest, PerSecond: s.PerSecond, ReportAfter: s.ReportAfter})
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Close()) }()
	return showPage(ctx, s.Page, "CMPP at "+gateway.Addr(), gateway.Handler())
}

type simSGIPCmd struct {
	Listen         string        `help:"Where clients connect by SGIP, with any name and password." default:"127.0.0.1:8801"`
	Page           string        `help:"Where it shows the phones, lets them write, and takes faults at PUT /faults." default:"127.0.0.1:8029"`
	Client         string        `help:"Where the client listens for what became of its messages and what phones write; empty: it is not told." placeholder:"HOST:PORT"`
	ClientName     string        `help:"The name it signs in with there." default:"smg"`
	ClientPassword string        `help:"The password it signs in with there." default:"smg"`
	PerSecond      int           `help:"How many it takes in a second before it answers that it is busy; 0: any number."`
	ReportAfter    time.Duration `help:"When the report of a message comes." default:"200ms"`
}

func (s simSGIPCmd) Run(ctx context.Context) (err error) {
	gateway := sgip.New(sgip.Config{
		Addr: s.Listen, Client: s.Client, ClientName: s.ClientName, ClientPassword: s.ClientPassword,
		PerSecond: s.PerSecond, ReportAfter: s.ReportAfter,
	})
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Close()) }()
	return showPage(ctx, s.Page, "SGIP at "+gateway.Addr(), gateway.Handler())
}

// showPage serves a simulator's page until ctx ends.
func showPage(ctx context.Context, address, what string, page http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the page's address: %w", err)
	}
	fmt.Fprintf(os.Stdout, "%s, its page at http://%s/, its faults at http://%s/faults\n", what, listener.Addr(), listener.Addr())
	server := &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, server.Close())
}
