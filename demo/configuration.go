package demo

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"herald/app/config"
)

// addresses are where the far ends are.
type addresses struct {
	smtp, smpp, sip, fax string // host:port
	device               string // the modem's line
}

func (f farEnds) addresses() addresses {
	return addresses{smtp: f.mail.Addr(), smpp: f.centre.Addr(), sip: f.phones.Addr(), fax: f.faxes.Addr(), device: f.modem.Path()}
}

// The accounts of the demonstration.
const (
	mailAccount    = "simulator"
	gatewayAccount = "operator"
	modemAccount   = "modem"
	trunkAccount   = "trunk"
	faxAccount     = "fax"
)

// modemPrefix is whose texts go by modem: the others' go by the operator's
// gateway, which also stands in for the modem.
const modemPrefix = "+1"

// configuration is Herald's for the demonstration: quick to try again, and
// with the simulated far ends as its only accounts. Variables still count, but
// for those that would lead it to a database or an operator in earnest, whose
// messages it would swallow.
func configuration(o Options, at addresses) (config.Config, error) {
	cfg, err := config.Load("", os.Environ())
	if err != nil {
		return config.Config{}, err
	}
	mailHost, mailPort, err := splitAddress(at.smtp)
	if err != nil {
		return config.Config{}, fmt.Errorf("the mail server: %w", err)
	}
	host, port, err := splitAddress(at.smpp)
	if err != nil {
		return config.Config{}, fmt.Errorf("the operator: %w", err)
	}
	faxHost, faxPort, err := splitAddress(at.fax)
	if err != nil {
		return config.Config{}, fmt.Errorf("the fax server: %w", err)
	}
	cfg.DataDir, cfg.Database.URL, cfg.SecretKey = o.DataDir, "", ""
	cfg.Roles, cfg.HTTP.Listen, cfg.HTTP.PublicURL = config.Default().Roles, o.Listen, ""
	cfg.Log = config.Log{Level: o.LogLevel, Format: "text"}
	if cfg.Company.Name == "" {
		cfg.Company = config.Company{Name: "The Shop", Names: map[string]string{"zh": "演示商店"}}
	}
	cfg.Dispatch.FirstRetry = 500 * time.Millisecond
	cfg.Email.Accounts = []config.EmailAccount{{
		Name: mailAccount, Host: mailHost, Port: mailPort, TLS: "none",
		From: "alerts@shop.example", FromName: cfg.Company.Name, Timeout: 30 * time.Second, Use: config.Use{MaxSessions: 10},
	}}
	cfg.SMS = config.SMS{
		SMPP: []config.SMPPAccount{{
			Name: gatewayAccount, Host: host, Port: port, SystemID: "shop", Password: "secret", Source: "10690", Use: config.Use{MinSessions: 1, MaxSessions: 2},
		}},
		Modems: []config.ModemAccount{{
			Name: modemAccount, Device: at.device, Use: config.Use{MaxSessions: 1, Recipients: []string{modemPrefix}},
		}},
	}
	cfg.Voice.Trunks = []config.TrunkAccount{{
		Name: trunkAccount, Server: at.sip, Local: "127.0.0.1", CallerNumber: "+861062530000", CallerName: "The Shop", Person: "+861062530001",
		Use: config.Use{MaxSessions: 20, Weight: 1},
	}}
	cfg.Fax.Servers = []config.FaxAccount{{
		Name: faxAccount, Host: faxHost, Port: faxPort, SenderName: cfg.Company.Name, SenderNumber: "+86 10 6253 0002",
		TimeZone: "Asia/Shanghai", Use: config.Use{MaxSessions: 2, Weight: 1},
	}}
	return cfg, nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(number)
	return host, port, err
}
