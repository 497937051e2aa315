package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/app/config"
	"herald/dispatch"
	"herald/dispatch/email"
	"herald/dispatch/fax"
	"herald/dispatch/sms/cmpp"
	"herald/dispatch/sms/gateway"
	"herald/dispatch/sms/modem"
	"herald/dispatch/sms/sgip"
	"herald/dispatch/sms/smpp"
	"herald/dispatch/voice"
	"herald/dispatch/voice/speech"
)

// modemWithin is how long the doctor waits for a modem, which has to find its
// network first.
const modemWithin = 45 * time.Second

// examineAccounts opens a session of every account and closes it again; nothing
// is sent. db is nil where there is no database of this version, and running
// says that Herald is at work on this machine.
func examineAccounts(ctx context.Context, cfg config.Config, db *pgxpool.Pool, running bool) []Finding {
	for i := range cfg.SMS.Modems {
		cfg.SMS.Modems[i].Balance = config.BalanceCheck{} // it would be asked for
	}
	k := keepsOf(cfg, db, slog.New(slog.DiscardHandler))
	list := examineDevices(ctx, cfg, &k)
	made := makeAccounts(cfg, k)
	for _, trunk := range made.trunks {
		defer trunk.Close() //nolint:errcheck // nothing was said on it
	}
	for _, m := range made.mistakes {
		list = append(list, Finding{m.Path, Broken, m.Message, "mend this field"})
	}
	if len(made.mistakes)+len(made.list) == 0 {
		return []Finding{{"accounts", Warning, "none: nothing is sent", "add one below email, sms, voice or fax"}}
	}
	found := make([]Finding, len(made.list))
	var asking sync.WaitGroup
	for i, one := range made.list {
		asking.Go(func() { found[i] = examineAccount(ctx, one.Sender, db != nil, running) })
	}
	asking.Wait()
	return append(list, found...)
}

// examineDevices tries who speaks in calls, and looks for the font of faxes.
// They are ready in k unless they are broken.
func examineDevices(ctx context.Context, cfg config.Config, k *keeps) []Finding {
	var list []Finding
	for _, m := range checkDevices(cfg, k) {
		list = append(list, Finding{m.Path, Broken, m.Message, "mend this field"})
	}
	if len(list) > 0 || !calls(cfg) {
		return list
	}
	settings := speechConfig(cfg, k.log)
	speaker, err := speech.New(settings)
	if err == nil {
		defer speaker.Close() //nolint:errcheck // nobody waits for it
		err = speaker.Check(ctx, "en", "zh-CN")
	}
	if err != nil {
		return []Finding{{"speech", Broken, err.Error(), "install the Debian package espeak-ng, or mend voice.speech"}}
	}
	return []Finding{{"speech", Fine, "speaks English and Chinese", ""}}
}

// examineAccount tries one account.
func examineAccount(ctx context.Context, sender dispatch.Sender, stored, running bool) Finding {
	part := fmt.Sprintf("%s %s", sender.Channel(), sender.Account())
	within := askWithin
	if stick, is := sender.(*modem.Sender); is {
		switch {
		case running:
			return Finding{part, Fine, "not tried: Herald has it", ""}
		case !stored:
			return Finding{part, Warning, "not tried: what a modem must remember is in the database", "mend the database, or herald migrate, and ask again"}
		}
		stick.Start()
		defer stick.Close()
		within = modemWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	session, err := sender.Open(ctx)
	if err == nil {
		err = session.Close(ctx)
	}
	if err != nil {
		return Finding{part, Broken, strings.TrimSpace(err.Error()), adviceFor(sender)}
	}
	return Finding{part, Fine, fineOf(sender), ""}
}

// fineOf says what is known of an account of which a session can be opened.
func fineOf(sender dispatch.Sender) string {
	switch sender.(type) {
	case *gateway.Gateway:
		return "can be reached"
	case *modem.Sender:
		return "is in its network"
	case *voice.Sender:
		return "the provider answers"
	}
	return "takes our sign-in"
}

// adviceFor says what to look at when a session cannot be opened.
func adviceFor(sender dispatch.Sender) string {
	switch sender.(type) {
	case *email.Mailer:
		return "see host, port, tls and the sign-in of this account"
	case *smpp.Client:
		return "see host, port, tls, system_id and password; a Herald that runs may have all the sessions that the operator allows"
	case *cmpp.Gateway:
		return "see host, port, sp_id and secret, and that the operator knows this machine's address"
	case *sgip.Gateway:
		return "see host, port, login_name and password, and that the operator knows this machine's address"
	case *gateway.Gateway:
		return "see the address in settings, root_cas, and whether this machine may go out"
	case *voice.Sender:
		return "see server, transport, local, public and the sign-in of this trunk, and that the provider knows this machine's address"
	case *fax.Sender:
		return "see host, port and the sign-in of this server, etc/hosts.hfaxd there, and that faxq runs"
	case *modem.Sender:
		return "see device and its permissions (the group dialout), the SIM and its PIN, and that no other program has it"
	}
	return ""
}
