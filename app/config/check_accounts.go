package config

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"herald/problem"
)

// listed is an account and where it stands.
type listed struct {
	path    string // "email.accounts[0]"
	name    string
	numbers bool // its recipients are numbers; otherwise domains
	use     *Use
}

// accounts are those of all channels.
func (c *Config) accounts() []listed {
	var list []listed
	add := func(path string, i int, name string, use *Use) {
		list = append(list, listed{fmt.Sprintf("%s[%d]", path, i), name, path != "email.accounts", use})
	}
	for i := range c.Email.Accounts {
		add("email.accounts", i, c.Email.Accounts[i].Name, &c.Email.Accounts[i].Use)
	}
	for i := range c.SMS.SMPP {
		add("sms.smpp", i, c.SMS.SMPP[i].Name, &c.SMS.SMPP[i].Use)
	}
	for i := range c.SMS.CMPP {
		add("sms.cmpp", i, c.SMS.CMPP[i].Name, &c.SMS.CMPP[i].Use)
	}
	for i := range c.SMS.SGIP {
		add("sms.sgip", i, c.SMS.SGIP[i].Name, &c.SMS.SGIP[i].Use)
	}
	for i := range c.SMS.Gateways {
		add("sms.gateways", i, c.SMS.Gateways[i].Name, &c.SMS.Gateways[i].Use)
	}
	for i := range c.SMS.Modems {
		add("sms.modems", i, c.SMS.Modems[i].Name, &c.SMS.Modems[i].Use)
	}
	for i := range c.Voice.Trunks {
		add("voice.trunks", i, c.Voice.Trunks[i].Name, &c.Voice.Trunks[i].Use)
	}
	for i := range c.Fax.Servers {
		add("fax.servers", i, c.Fax.Servers[i].Name, &c.Fax.Servers[i].Use)
	}
	return list
}

// checkAccounts finds mistakes in what accounts of all kinds have.
func (c Config) checkAccounts(f *problem.Fields) {
	names := map[string]bool{}
	for _, a := range c.accounts() {
		switch {
		case a.name == "":
			f.Add(a.path+".name", "required", "give the account a name")
		case names[a.name]:
			f.Add(a.path+".name", "unique", "another account has this name")
		}
		names[a.name] = true
		a.checkSessions(f)
		a.checkUse(f)
	}
	for i, a := range c.SMS.SMPP {
		checkLanguages(f, fmt.Sprintf("sms.smpp[%d].languages", i), a.Languages)
	}
	for i, m := range c.SMS.Modems {
		checkLanguages(f, fmt.Sprintf("sms.modems[%d].languages", i), m.Languages)
		if m.MaxSessions != 1 {
			f.Add(fmt.Sprintf("sms.modems[%d].max_sessions", i), "range", "must be 1: a modem sends one message at a time")
		}
	}
}

// check finds mistakes in what holds for all accounts.
func (s SMS) check(f *problem.Fields) {
	if !(s.PricePerPart >= 0 && s.PricePerPart <= 1e9) {
		f.Add("sms.price_per_part", "range", "is %v and must be from 0 to 1e9", s.PricePerPart)
	}
	if s.Currency != "" && !currencyPattern.MatchString(s.Currency) {
		f.Add("sms.currency", "currency", "must be three capitals, such as EUR (ISO 4217)")
	}
	if _, err := s.Zone(); err != nil {
		f.Add("sms.time_zone", "time_zone", "must be a time zone such as Asia/Shanghai")
	}
	within(f, "sms.gateway_from", s.GatewayFrom, -1, 1_000_000_000)
}

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)

// Zone is where the days of the accounts' volumes begin.
func (s SMS) Zone() (*time.Location, error) {
	if s.TimeZone == "Local" {
		return nil, errors.New("it must be the same on every node")
	}
	return time.LoadLocation(s.TimeZone)
}

// checkLanguages holds them against the tables that there are (3GPP TS 23.038,
// section 6.2.1.2.4).
func checkLanguages(f *problem.Fields, at string, languages []int) {
	for i, l := range languages {
		within(f, fmt.Sprintf("%s[%d]", at, i), l, 1, 13)
	}
}

// mostSessions is the largest max_sessions.
const mostSessions = 1000

func (a listed) checkSessions(f *problem.Fields) {
	within(f, a.path+".max_sessions", a.use.MaxSessions, 1, mostSessions)
	within(f, a.path+".min_sessions", a.use.MinSessions, 0, max(a.use.MaxSessions, 0))
	lasting(f, a.path+".idle_timeout", a.use.IdleTimeout, 0, 24*time.Hour)
	lasting(f, a.path+".check_after", a.use.CheckAfter, 0, 24*time.Hour)
}

var (
	domainPattern = regexp.MustCompile(`^[\pL\pN_-]+(\.[\pL\pN_-]+)*$`)
	prefixPattern = regexp.MustCompile(`^\+[1-9][0-9]{0,14}$`)
)

// checkUse finds mistakes in what the account is used for and how much.
func (a listed) checkUse(f *problem.Fields) {
	for i, p := range a.use.Purposes {
		oneOf(f, fmt.Sprintf("%s.purposes[%d]", a.path, i), p, "transactional", "service", "marketing")
	}
	for i, r := range a.use.Recipients {
		at := fmt.Sprintf("%s.recipients[%d]", a.path, i)
		if a.numbers && !prefixPattern.MatchString(r) {
			f.Add(at, "prefix", "is %q and must be + and the first digits of a number, such as +86, in quotes", r)
		} else if !a.numbers && !domainPattern.MatchString(r) {
			f.Add(at, "domain", "is %q and must be a domain, such as example.com", r)
		}
	}
	within(f, a.path+".weight", a.use.Weight, 1, 1000)
	if !(a.use.Cost >= 0 && a.use.Cost <= 1e9) {
		f.Add(a.path+".cost", "range", "is %v and must be from 0 to 1e9", a.use.Cost)
	}
	*f = append(*f, a.use.Limits.Check(a.path+".limits")...)
	switch {
	case a.numbers && len(a.use.Limits.Domains) > 0:
		f.Add(a.path+".limits.domains", "unknown", "is for e-mail: numbers have prefixes")
	case !a.numbers && len(a.use.Limits.Prefixes) > 0:
		f.Add(a.path+".limits.prefixes", "unknown", "is for numbers: e-mail has domains")
	}
}

func (d Dispatch) checkDoubt(f *problem.Fields) {
	seen := map[Doubt]bool{}
	for i, doubt := range d.Doubt {
		at := fmt.Sprintf("dispatch.doubt[%d].", i)
		oneOf(f, at+"channel", doubt.Channel, "email", "sms", "voice", "fax")
		if doubt.Purpose != "" {
			oneOf(f, at+"purpose", doubt.Purpose, "transactional", "service", "marketing")
		}
		oneOf(f, at+"policy", doubt.Policy, "resend", "wait", "hold", "assume_sent")
		class := Doubt{Channel: doubt.Channel, Purpose: doubt.Purpose}
		if seen[class] {
			f.Add(at+"purpose", "unique", "an entry above speaks of the same messages")
		}
		seen[class] = true
	}
}
