// Package demo shows Herald at work on one machine, with no account anywhere:
// a shop whose prices can be changed, members who asked to hear of it, the
// mailbox where their mail arrives, their phones, which an operator's gateway or
// a modem reaches and which can write back, those that are called, and their
// fax machines.
//
// The shop is outside Herald and speaks to it as a company's systems would,
// over HTTP with an API key. Run serves it until told to stop; Once plays a
// scripted scenario and says, in figures, whether everybody got exactly what
// they asked for.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"herald/access"
	"herald/app"
	"herald/hardware/sim/smtp"
	"herald/postgres"
)

// Options say where the demonstration runs.
type Options struct {
	DataDir  string // kept after the end; empty: one that goes with the process
	Listen   string // Herald's address
	Shop     string // the shop's address
	LogLevel string
}

// The demonstration's sign-ins. It listens on this machine alone.
const (
	operatorName = "anna"
	memberName   = "wei"
	password     = "price and prejudice"
)

// partTime is how long the modem takes to send a text, about what a real one
// does.
const partTime = time.Second

// Run serves Herald, the shop, the mailbox and the phones until ctx ends.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	fmt.Fprintln(out, "Starting Herald with a PostgreSQL of its own …")
	s, err := newStage(ctx, o, partTime)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.seed(ctx); err != nil {
		return fmt.Errorf("cannot seed the shop: %w", err)
	}
	if err := s.phones.SetFaults(habits()...); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.Shop)
	if err != nil {
		return fmt.Errorf("the shop's address: %w", err)
	}
	page, err := newShop(s, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	server := &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	welcome(out, s, listener.Addr().String())

	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "\nStopping …")
	case err = <-s.herald.Failed():
	case err = <-failed:
	}
	return errors.Join(err, server.Close())
}

func welcome(out io.Writer, s *stage, shop string) {
	fmt.Fprintf(out, `
Herald is running. Change a price in the shop and watch the messages arrive:

  The shop         http://%[1]s/
  The mailbox      http://%[1]s/mail/
  Phones           http://%[1]s/phones/    reached by the operator's gateway, SMPP at %[7]s
                   http://%[1]s/modem/     reached by a modem, at %[8]s
                   http://%[1]s/calls/     called over a trunk, SIP at %[9]s: listen to what they heard
  Faxes            http://%[1]s/faxes/     sent by a server as HylaFAX is one, at %[10]s

  Customers        %[2]s/            account %[3]s, password %[5]q
  Operators        %[2]s/console     name %[4]s, password %[5]q
  API              %[2]s/docs/api    key %[6]s

Phones can write back. Open the page of one that has a text, and answer STOP (or
退订): it hears so once, gets no more texts, and its member's record on the console
says why; START lifts it. What else they write is under %[2]s/console/replies

A campaign waits on the console, as a draft that its dry run has counted: start it
under %[2]s/console/campaigns

Send an event yourself:

  curl -i %[2]s/api/v1/events -H 'Authorization: Bearer %[6]s' \
    -H 'Content-Type: application/cloudevents+json' \
    -d '{"specversion":"1.0","id":"my-first","source":"me","type":"price.changed",
         "data":{"product":"stroller","name":"Stroller Lite","price":399,"currency":"CNY"}}'

Stop with Ctrl-C.
`, shop, s.herald.URL(), memberName, operatorName, password, s.client.key, s.centre.Addr(), s.modem.Path(), s.phones.Addr(), s.faxes.Addr())
}

// RunSMTP runs the SMTP simulator and its page until ctx ends.
func RunSMTP(ctx context.Context, listen, page string, out io.Writer) (err error) {
	mail := smtp.New(smtp.Config{Addr: listen})
	if err := mail.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mail.Close()) }()
	listener, err := net.Listen("tcp", page)
	if err != nil {
		return fmt.Errorf("the page's address: %w", err)
	}
	fmt.Fprintf(out, "SMTP at %s, its mail at http://%s/, its faults at http://%s/faults\n", mail.Addr(), listener.Addr(), listener.Addr())
	server := &http.Server{Handler: mail.Handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, server.Close())
}

// seed fills an empty database; one that has members is left as it is.
func (s *stage) seed(ctx context.Context) error {
	count, err := s.herald.Members.Count(ctx)
	if err != nil || count > 0 {
		return err
	}
	if _, err := s.herald.Operators.Create(ctx, operatorName, password, access.AdminRole); err != nil {
		return err
	}
	for i, p := range people() {
		id, err := s.register(ctx, p)
		if err != nil {
			return err
		}
		if i%4 != 3 { // the others did not tick the box
			if err := s.agree(ctx, id); err != nil {
				return err
			}
		}
		for _, order := range wishes(i, p) {
			if _, err := s.subscribe(ctx, id, order); err != nil {
				return err
			}
		}
	}
	return s.draft(ctx, weekOfTea())
}

// stage is a running Herald and its far ends.
type stage struct {
	farEnds
	herald *app.App
	client *client
	undo   []func(context.Context) error // newest last
}

// newStage starts them; the modem takes partTime for each part of a text.
func newStage(ctx context.Context, o Options, partTime time.Duration) (_ *stage, err error) {
	s := &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if o.DataDir == "" {
		scratch, err := postgres.NewScratch("")
		if err != nil {
			return nil, err
		}
		o.DataDir = scratch.Dir
		s.undo = append(s.undo, func(context.Context) error { return scratch.Remove() })
	}
	s.farEnds, err = startFarEnds(ctx, partTime, func(end func() error) {
		s.undo = append(s.undo, func(context.Context) error { return end() })
	})
	if err != nil {
		return nil, err
	}
	cfg, err := configuration(o, s.addresses())
	if err != nil {
		return nil, err
	}
	if s.herald, err = app.New(ctx, cfg, app.Logger(cfg.Log)); err != nil {
		return nil, err
	}
	s.undo = append(s.undo, s.herald.Stop)
	if err := s.herald.Start(ctx); err != nil {
		return nil, err
	}
	key, secret, err := s.herald.Keys.Create(ctx, "demo shop", access.Scopes)
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, func(ctx context.Context) error { return s.herald.Keys.Revoke(ctx, key.Prefix) })
	s.client = newClient(s.herald.URL(), secret)
	return s, nil
}

// stopWithin bounds the end of the stage.
const stopWithin = 20 * time.Second

func (s *stage) close(ctx context.Context) error {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	var failed []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		failed = append(failed, s.undo[i](limit))
	}
	s.undo = nil
	return errors.Join(failed...)
}
