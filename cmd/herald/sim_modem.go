package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"herald/hardware/sim/modem"
)

type simModemCmd struct {
	Link     string        `help:"A symbolic link to keep to the modem's line; without one, its path is another at each start." type:"path"`
	Page     string        `help:"Where it shows messages, and takes faults at PUT /faults." default:"127.0.0.1:8027"`
	PIN      string        `help:"The PIN of its SIM; none is asked for without one."`
	Number   string        `help:"The number of its SIM." default:"+15550100"`
	PartTime time.Duration `help:"How long it takes to send one part." default:"1s"`
}

// Run plays a GSM modem and shows its messages until ctx ends.
func (s simModemCmd) Run(ctx context.Context) (err error) {
	m := modem.New(modem.Config{Link: s.Link, SIM: modem.SIM{PIN: s.PIN, Number: s.Number}, PartTime: s.PartTime})
	if err := m.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	listener, err := net.Listen("tcp", s.Page)
	if err != nil {
		return fmt.Errorf("the page's address: %w", err)
	}
	fmt.Fprintf(os.Stdout, "modem at %s, its messages at http://%s/, its faults at http://%s/faults\n", m.Path(), listener.Addr(), listener.Addr())
	server := &http.Server{Handler: m.Handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, server.Close())
}
