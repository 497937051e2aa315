package main

import (
	"context"
	"errors"
	"time"

	"herald/hardware/sim/hfaxd"
)

type simFaxCmd struct {
	Listen     string        `help:"Where clients of HylaFAX connect, with any name and password." default:"127.0.0.1:4559"`
	Page       string        `help:"Where it shows the faxes and what became of their jobs, and takes faults at PUT /faults." default:"127.0.0.1:8031"`
	Lines      int           `help:"How many calls there can be at a time." default:"4"`
	PageTime   time.Duration `help:"How long a page takes." default:"1s"`
	RetryAfter time.Duration `help:"How long after a try the next one comes, for jobs that do not say." default:"5s"`
}

// Run plays a HylaFAX with its lines and fax machines, and shows what arrived
// until ctx ends.
func (s simFaxCmd) Run(ctx context.Context) (err error) {
	server := hfaxd.New(hfaxd.Config{Addr: s.Listen, Lines: s.Lines, PageTime: s.PageTime, RetryAfter: s.RetryAfter})
	if err := server.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return showPage(ctx, s.Page, "HylaFAX's protocol at "+server.Addr(), server.Handler())
}
