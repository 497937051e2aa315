package limits

import (
	"fmt"
	"strings"
	"time"
)

// Rules is what one account may use, as an operator writes it. Make it with
// Defaults, and use it once Check has found nothing.
type Rules struct {
	Rate     Rate            `yaml:"rate" json:"rate" help:"The whole account's rate. Empty: as fast as it goes."`
	Counts   string          `yaml:"counts" json:"counts" help:"What the provider counts: messages or parts."`
	Domains  map[string]Rate `yaml:"domains" json:"domains" help:"Rates by recipient domain: gmail.com, *.example.com for each of its subdomains, or * for each other."`
	Prefixes map[string]Rate `yaml:"prefixes" json:"prefixes" help:"Rates by the beginning of the number, such as +86139; the longest holds."`
	WarmUp   WarmUp          `yaml:"warm_up" json:"warm_up" help:"How a new account comes to its full rate."`
	TimeZone string          `yaml:"time_zone" json:"time_zone" help:"Whose midnight begins a day of the warm-up, such as Asia/Shanghai."`
}

// Rate is so many units in so long a time: never more in any stretch of that
// length, wherever it begins.
type Rate struct {
	Max   float64 `yaml:"max" json:"max" help:"Units in that time, such as 100 or 0.5."`
	Per   string  `yaml:"per" json:"per" help:"second, minute, hour or day."`
	Burst int     `yaml:"burst" json:"burst" help:"Units that may go at once after a pause. 1, the default, spaces them evenly."`
}

// periods are what a rate may be per.
var periods = map[string]time.Duration{
	"second": time.Second,
	"minute": time.Minute,
	"hour":   time.Hour,
	"day":    24 * time.Hour,
}

// Defaults fills what was left out.
func (r Rules) Defaults() Rules {
	r.Rate = r.Rate.defaults()
	r.Domains, r.Prefixes = allDefaults(r.Domains), allDefaults(r.Prefixes)
	setDefault(&r.Counts, "messages")
	setDefault(&r.TimeZone, "UTC")
	setDefault(&r.WarmUp.Growth, 2)
	setDefault(&r.WarmUp.Spread, 8)
	if r.Rate.Max > 0 {
		setDefault(&r.WarmUp.Full, int(r.Rate.Limit().PerSecond*24*time.Hour.Seconds()))
	}
	return r
}

func (r Rate) defaults() Rate {
	setDefault(&r.Per, "second")
	setDefault(&r.Burst, 1)
	return r
}

func allDefaults(rates map[string]Rate) map[string]Rate {
	filled := make(map[string]Rate, len(rates))
	for name, rate := range rates {
		filled[name] = rate.defaults()
	}
	return filled
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Limit is the rate as a limit, or the zero Limit when there is none. So that
// a burst does not lift any stretch above Max, the rest comes that much
// slower: a half-open stretch of length w holds up to Burst - 1 + w·PerSecond.
func (r Rate) Limit() Limit {
	if r.Max == 0 {
		return Limit{}
	}
	return Limit{PerSecond: (r.Max - float64(r.Burst-1)) / periods[r.Per].Seconds(), Burst: r.Burst}
}

// Account is the rules of one account, ready for messages.
type Account struct {
	name  string
	rules Rules
	zone  *time.Location
}

// NewAccount makes the account called name of rules with their defaults. Its
// error is a problem with the fields to mend.
func NewAccount(name string, r Rules) (*Account, error) {
	if err := r.Check("").Err("the limits of account " + name + " need mending"); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(r.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("limits of account %s: %w", name, err)
	}
	return &Account{name: name, rules: r, zone: zone}, nil
}

// Wants is what a message to an address takes of the account, the widest
// first, at about a time; nothing when the account has no limits. Parts is how
// many the provider makes of it.
func (a *Account) Wants(address string, parts int, at time.Time) []Want {
	units := 1
	if a.rules.Counts == "parts" {
		units = parts
	}
	var wants []Want
	if rate := a.rules.Rate.Limit(); rate != (Limit{}) {
		wants = append(wants, Want{Key: "account:" + a.name, Units: units, Limit: rate})
	}
	if quota, rate, ok := a.rules.WarmUp.Day(at, a.zone); ok {
		wants = append(wants, Want{Key: "warmup:" + a.name, Units: units, Limit: rate, Quota: quota})
	}
	if domain, rate, ok := a.domain(address); ok {
		wants = append(wants, Want{Key: "domain:" + a.name + ":" + domain, Units: units, Limit: rate.Limit()})
	}
	if prefix, rate, ok := a.prefix(address); ok {
		wants = append(wants, Want{Key: "prefix:" + a.name + ":" + prefix, Units: units, Limit: rate.Limit()})
	}
	return wants
}

// domain finds the rate for an address's domain: its own, that of the nearest
// domain above it, or that of all others. Each domain counts by itself.
func (a *Account) domain(address string) (string, Rate, bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || len(a.rules.Domains) == 0 {
		return "", Rate{}, false
	}
	domain := strings.ToLower(address[at+1:])
	rate, ok := a.rules.Domains[domain]
	for above := domain; !ok; {
		_, above, ok = strings.Cut(above, ".")
		if !ok {
			rate, ok = a.rules.Domains["*"]
			return domain, rate, ok && rate.Max > 0
		}
		rate, ok = a.rules.Domains["*."+above]
	}
	return domain, rate, rate.Max > 0
}

// prefix finds the longest beginning of a number that has a rate. All numbers
// that begin so count together.
func (a *Account) prefix(number string) (string, Rate, bool) {
	for n := len(number); n > 0 && len(a.rules.Prefixes) > 0; n-- {
		if rate, ok := a.rules.Prefixes[number[:n]]; ok {
			return number[:n], rate, rate.Max > 0
		}
	}
	return "", Rate{}, false
}

// Campaign is what a message takes of its campaign, whose own rate counts
// messages: put it after the account's first want.
func Campaign(id int64, rate Limit) Want {
	return Want{Key: fmt.Sprintf("campaign:%d", id), Units: 1, Limit: rate}
}
