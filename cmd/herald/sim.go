package main

import (
	"context"
	"os"

	"herald/demo"
)

type simCmd struct {
	SMTP  simSMTPCmd  `cmd:"" name:"smtp" help:"An SMTP server that keeps mail and shows it on a page; it can be told to refuse, delay or drop."`
	SMSC  simSMSCCmd  `cmd:"" name:"smsc" help:"An operator's short message centre, by SMPP 3.4, that keeps texts and shows them on a page; it can be told to refuse, throttle, delay or drop."`
	CMPP  simCMPPCmd  `cmd:"" name:"cmpp" help:"China Mobile's gateway, by CMPP 2.0 or 3.0, that keeps texts and shows them on a page; it can be told to refuse, delay, lose or drop."`
	SGIP  simSGIPCmd  `cmd:"" name:"sgip" help:"China Unicom's gateway, by SGIP 1.2, that keeps texts and shows them on a page, and connects back to tell what became of them; it can be told to refuse, delay, lose or drop."`
	Modem simModemCmd `cmd:"" name:"modem" help:"A GSM modem on a pseudo-terminal, with its SIM and network; it shows what was sent, and can be told to err, hang and lose."`
	Phone simPhoneCmd `cmd:"" name:"phone" help:"Telephones, by SIP, that keep what they hear and let it be listened to on a page; they can be told to be busy, not to answer, to be a machine, to press keys and to hang up."`
	Fax   simFaxCmd   `cmd:"" name:"fax" help:"A HylaFAX server with fax machines behind its lines, by hfaxd's protocol, that keeps faxes and shows them on a page; it can be told to be busy, not to answer, to drop lines and to break sessions."`
}

type simSMTPCmd struct {
	Listen string `help:"Where it takes mail." default:"127.0.0.1:2525"`
	Page   string `help:"Where it shows mail, and takes faults at PUT /faults." default:"127.0.0.1:8025"`
}

func (s simSMTPCmd) Run(ctx context.Context) error {
	return demo.RunSMTP(ctx, s.Listen, s.Page, os.Stdout)
}
