package receipts

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"herald/problem"
)

// The providers, as they stand in the path and in the configuration.
const (
	SendGrid = "sendgrid"
	Mailgun  = "mailgun"
	SES      = "ses" // Amazon SES, by way of SNS
	Postmark = "postmark"
	Twilio   = "twilio" // status of SMS
	Standard = "standard"
)

// Account is one account of a provider that may report to us.
type Account struct {
	// Name is what dispatch calls the account that sends by this provider, and
	// the last part of the path. Letters, digits, - and _.
	Name string
	// Provider is one of the above.
	Provider string
	// Secret proves who speaks:
	//	sendgrid   the verification key, base64, that SendGrid shows for the
	//	           signed event webhook
	//	mailgun    the HTTP webhook signing key
	//	ses        nothing
	//	postmark   the password in the webhook's address, at least 16 characters
	//	twilio     the auth token
	//	standard   whsec_ and at least 24 bytes in base64
	Secret string
	// Username stands before the password of postmark. Empty: "herald".
	Username string
	// Topic is the ARN of the SNS topic that SES publishes to.
	Topic string
	// Window is how old a signed request may be. 0: as long as the provider
	// tries again: 25 hours with sendgrid, 9 with mailgun, 2 with ses, and 5
	// minutes with standard, which signs each try anew.
	Window time.Duration
}

var aName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)

// scheme makes the account's scheme, noting what is wrong with it.
func (a Account) scheme(at string, cfg Config, mistakes *problem.Fields) scheme {
	if !aName.MatchString(a.Name) {
		mistakes.Add(at+".name", "format", "use 1 to 60 letters, digits, - and _")
	}
	clock := clock{now: cfg.Now, window: a.Window}
	switch a.Provider {
	case SendGrid:
		return newSendGrid(a, clock.or(25*time.Hour), at, mistakes)
	case Mailgun:
		a.needSecret(at, 16, mistakes)
		return mailgun{account: a.Name, key: []byte(a.Secret), clock: clock.or(9 * time.Hour)}
	case SES:
		if cfg.Fetch == nil {
			mistakes.Add(at, "required", "ses needs a way to fetch certificates")
		}
		return newSES(a, cfg, clock.or(2*time.Hour), at, mistakes)
	case Postmark:
		a.needSecret(at, 16, mistakes)
		if a.Username == "" {
			a.Username = "herald"
		}
		return postmark{account: a.Name, username: a.Username, password: a.Secret}
	case Twilio:
		a.needSecret(at, 16, mistakes)
		public, err := url.Parse(cfg.PublicURL)
		if err != nil || public.Host == "" {
			mistakes.Add(at, "public_url", "twilio needs http.public_url: it signs the address it calls")
			return nil
		}
		return twilio{account: a.Name, token: []byte(a.Secret), public: public}
	case Standard:
		return newStandard(a, clock.or(5*time.Minute), at, mistakes)
	}
	mistakes.Add(at+".provider", "one_of", "use one of: %s", strings.Join([]string{SendGrid, Mailgun, SES, Postmark, Twilio, Standard}, ", "))
	return nil
}

func (a Account) needSecret(at string, length int, mistakes *problem.Fields) {
	if len(a.Secret) < length {
		mistakes.Add(at+".secret", "min_len", "must have at least %d characters", length)
	}
}

// clock says whether a time of signing is one to accept.
type clock struct {
	now    func() time.Time
	window time.Duration
}

func (c clock) or(window time.Duration) clock {
	if c.window <= 0 {
		c.window = window
	}
	return c
}

// skew is how far a provider's clock may be ahead of ours.
const skew = 5 * time.Minute

func (c clock) check(signed time.Time) error {
	now := c.now()
	if signed.Before(now.Add(-c.window)) || signed.After(now.Add(skew)) {
		return errStale
	}
	return nil
}
