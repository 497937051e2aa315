package main

import (
	"context"
	"errors"
	"time"

	"herald/hardware/sim/smsc"
)

type simSMSCCmd struct {
	Listen       string        `help:"Where clients bind by SMPP 3.4, with any name and password." default:"127.0.0.1:2775"`
	Page         string        `help:"Where it shows the phones, lets them answer, and takes faults at PUT /faults." default:"127.0.0.1:8026"`
	PerSecond    int           `help:"How many it takes in a second before it answers RTHROTTLED; 0: any number."`
	ReceiptAfter time.Duration `help:"When the receipt of a message comes." default:"200ms"`
}

func (s simSMSCCmd) Run(ctx context.Context) (err error) {
	center := smsc.New(smsc.Config{Addr: s.Listen, PerSecond: s.PerSecond, Receipts: smsc.Receipts{Delay: s.ReceiptAfter}})
	if err := center.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, center.Close()) }()
	return showPage(ctx, s.Page, "SMPP at "+center.Addr(), center.Handler())
}
