package demo

import (
	"context"
	"time"

	"herald/hardware/sim/hfaxd"
	"herald/hardware/sim/modem"
	"herald/hardware/sim/phone"
	"herald/hardware/sim/smsc"
	"herald/hardware/sim/smtp"
	"herald/hardware/sim/texts"
)

// farEnds are the simulators that Herald sends to. They keep what they get.
type farEnds struct {
	mail   *smtp.Server
	centre *smsc.SMSC   // the operator's
	modem  *modem.Modem // with a SIM of its own
	phones *phone.Phone // that are called
	faxes  *hfaxd.Server
}

// kept is how many messages each of them keeps.
const kept = 100_000

// receiptAfter is how long phones take to say that they have a text.
const receiptAfter = 200 * time.Millisecond

// startFarEnds starts them all; the modem takes partTime for each part. Each is
// given to undo, which ends it, once it is running.
func startFarEnds(ctx context.Context, partTime time.Duration, undo func(func() error)) (f farEnds, err error) {
	f.mail = smtp.New(smtp.Config{Keep: kept})
	if err := f.mail.Start(ctx); err != nil {
		return f, err
	}
	undo(f.mail.Close)
	f.centre = smsc.New(smsc.Config{Keep: kept, Receipts: smsc.Receipts{Delay: receiptAfter}})
	if err := f.centre.Start(ctx); err != nil {
		return f, err
	}
	undo(f.centre.Close)
	f.modem = modem.New(modem.Config{Keep: kept, PartTime: partTime, ReportAfter: receiptAfter, SIM: modem.SIM{Number: modemNumber}})
	if err := f.modem.Start(ctx); err != nil {
		return f, err
	}
	undo(f.modem.Close)
	f.phones = phone.New(phone.Config{Keep: callsKept, AnswerAfter: ringing})
	if err := f.phones.Start(ctx); err != nil {
		return f, err
	}
	undo(f.phones.Close)
	f.faxes = hfaxd.New(hfaxd.Config{Keep: faxesKept})
	if err := f.faxes.Start(ctx); err != nil {
		return f, err
	}
	undo(f.faxes.Close)
	return f, nil
}

// callsKept is how many calls are kept, with their sound, faxesKept how many
// faxes, and ringing how long phones ring.
const (
	callsKept = 500
	faxesKept = 1_000
	ringing   = time.Second
)

// modemNumber is the number of the modem's SIM.
const modemNumber = "+12025550100"

// received is how many texts a simulated network delivered to phones.
func received(b *texts.Box) (n int64) {
	for _, t := range b.All() {
		if !t.Reply {
			n++
		}
	}
	return n
}

// answered is how many calls were.
func answered(calls []phone.Call) (n int64) {
	for _, c := range calls {
		if c.Answered {
			n++
		}
	}
	return n
}

// whole is how many faxes arrived with all their pages.
func whole(faxes []hfaxd.Fax) (n int64) {
	for _, f := range faxes {
		if f.Whole() {
			n++
		}
	}
	return n
}
