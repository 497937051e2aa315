package main

import (
	"context"
	"errors"
	"time"

	"herald/hardware/sim/phone"
)

type simPhoneCmd struct {
	Addr        string        `help:"Where it takes calls by SIP, over UDP and TCP." default:"127.0.0.1:5060"`
	Page        string        `help:"Where it shows the calls, lets them be listened to, and takes faults at PUT /faults." default:"127.0.0.1:8030"`
	AnswerAfter time.Duration `help:"How long a phone rings." default:"1s"`
}

// Run plays telephones and shows what they heard until ctx ends.
func (s simPhoneCmd) Run(ctx context.Context) (err error) {
	p := phone.New(phone.Config{Addr: s.Addr, AnswerAfter: s.AnswerAfter})
	if err := p.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return showPage(ctx, s.Page, "SIP at "+p.Addr(), p.Handler())
}
