package gateway

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"herald/problem"
)

// caller is one way in which a callback proves whose it is.
type caller interface {
	// verify returns nil, ErrForged or ErrStale, or another error when it
	// cannot be found out.
	verify(g *Gateway, c Call) error
}

// compileTrust reads how callbacks prove whose they are.
func (d *Description) compileTrust(f *problem.Fields) {
	t := d.spec.Trust
	d.token = d.text(t.Token, call{}, "trust.token", f)
	if d.token != nil {
		d.callers = append(d.callers, byToken{})
	}
	if t.Basic != nil {
		d.callers = append(d.callers, byPassword{d.newBasic(t.Basic, call{}, "trust.basic", f)})
	}
	if t.Twilio != "" {
		d.callers = append(d.callers, byTwilio{d.text(t.Twilio, call{}, "trust.twilio", f)})
	}
	if t.HMAC != nil {
		if t.HMAC.Window < 0 || t.HMAC.Window > 48*time.Hour {
			f.Add("trust.hmac.window", "range", "is %v and must be from 0 to 48h", t.HMAC.Window)
		}
		if at := t.HMAC.Timestamp; at != nil && at.Header != "" && !strings.Contains(t.HMAC.Over, ".Timestamp") {
			f.Add("trust.hmac.over", "required", "must have {{.Timestamp}}: a time that is not signed proves nothing")
		}
		k := d.newKeyed(t.HMAC, call{}, "trust.hmac", f)
		d.callers = append(d.callers, byHash{k, newPlace(t.HMAC.Timestamp, "trust.hmac.timestamp", f)})
	}
	d.networks = d.text(t.Networks, call{}, "trust.networks", f)
	if (d.spec.Receipt != nil || d.spec.Inbound != nil) && len(d.callers) == 0 {
		f.Add("trust", "required", "must have one of token, basic, twilio and hmac: else anybody could report")
	}
}

// goodToken is what can stand in an address as it is. Kannel takes % for its own.
var goodToken = regexp.MustCompile(`^[A-Za-z0-9_-]{16,200}$`)

// prepareTrust fills what is the same for all callbacks of the account.
func (g *Gateway) prepareTrust(f *problem.Fields) {
	d, us := g.description, call{account: g.identity()}
	if d.receipt == nil && d.inbound == nil || g.cfg.CallbackURL == "" {
		return // nobody calls
	}
	var err error
	if g.token, err = d.token.fill(us); err != nil || d.token != nil && !goodToken.MatchString(g.token) {
		f.Add("secrets", "format", "must give a token for callbacks of 16 to 200 letters, digits, - and _")
		g.token = ""
	}
	if t := d.spec.Trust.Twilio; t != "" && !strings.HasPrefix(g.cfg.CallbackURL, "http") {
		f.Add("callback_url", "url", "must be an address: the provider signs it")
	}
	named, err := d.networks.fill(us)
	if err != nil {
		f.Add("settings", "template", "%v", err)
	}
	list := g.cfg.Networks
	if len(list) == 0 {
		list = strings.FieldsFunc(named, func(r rune) bool { return r == ' ' || r == ',' })
	}
	for i, n := range list {
		network, err := netip.ParsePrefix(n)
		if err != nil {
			f.Add(fmt.Sprintf("networks[%d]", i), "network", "is %q and must be a network, such as 192.0.2.0/24", n)
			continue
		}
		g.networks = append(g.networks, network.Masked())
	}
}

// verify asks for every proof that the description names.
func (g *Gateway) verify(c Call) error {
	if len(g.networks) > 0 && !slices.ContainsFunc(g.networks, func(n netip.Prefix) bool { return n.Contains(c.From.Unmap()) }) {
		return ErrForged
	}
	if len(g.description.callers) == 0 {
		return ErrForged
	}
	for _, proof := range g.description.callers {
		if err := proof.verify(g, c); err != nil {
			return err
		}
	}
	return nil
}

// byToken trusts who knows the address that we gave out.
type byToken struct{}

func (byToken) verify(g *Gateway, c Call) error {
	if g.token == "" || subtle.ConstantTimeCompare([]byte(c.URL.Query().Get(tokenKey)), []byte(g.token)) != 1 {
		return ErrForged
	}
	return nil
}

// byPassword is HTTP Basic.
type byPassword struct{ basic }

func (b byPassword) verify(g *Gateway, c Call) error {
	username, password, err := b.fill(call{account: g.identity()})
	if err != nil {
		return err
	}
	request := http.Request{Header: c.Header}
	givenName, givenPassword, has := request.BasicAuth()
	right := subtle.ConstantTimeCompare([]byte(givenName), []byte(username)) & subtle.ConstantTimeCompare([]byte(givenPassword), []byte(password))
	if !has || right != 1 || password == "" {
		return ErrForged
	}
	return nil
}

// byTwilio is X-Twilio-Signature.
type byTwilio struct{ token *text }

func (b byTwilio) verify(g *Gateway, c Call) error {
	token, err := b.token.fill(call{account: g.identity()})
	if err != nil {
		return err
	}
	public, err := url.Parse(g.cfg.CallbackURL)
	if err != nil {
		return fmt.Errorf("the callbacks' address: %w", err)
	}
	if token == "" || !IsTwilios([]byte(token), public, c.URL, c.Header, c.Body) {
		return ErrForged
	}
	return nil
}

// IsTwilios reports whether a request bears the signature of Twilio, who
// called it below the address public. Twilio has the port in the address or
// not, whichever way it was given, so both are tried.
func IsTwilios(token []byte, public, called *url.URL, header http.Header, body []byte) bool {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return false
	}
	given, err := base64.StdEncoding.DecodeString(header.Get("X-Twilio-Signature"))
	if err != nil {
		return false
	}
	hosts := []string{public.Host, public.Hostname()}
	if public.Port() == "" {
		hosts[1] = public.Host + map[string]string{"http": ":80", "https": ":443"}[public.Scheme]
	}
	right := false
	for _, host := range hosts {
		// All are compared, so that the time tells nothing.
		right = hmac.Equal(given, signTwilio(token, public.Scheme+"://"+host+called.RequestURI(), form)) || right
	}
	return right
}

// byHash is a keyed hash in a header, over the request and mostly its time.
type byHash struct {
	*keyed
	timestamp *place
}

// skew is how far a provider's clock may be ahead of ours.
const skew = 5 * time.Minute

func (b byHash) verify(g *Gateway, c Call) error {
	given, err := b.read(c.Header)
	if err != nil {
		return ErrForged
	}
	stamp := b.timestamp.find(&said{header: c.Header, query: c.URL.Query(), body: c.Body})
	want, err := b.sum(call{
		account: g.identity(), URL: g.cfg.CallbackURL + c.URL.RequestURI(), Path: c.URL.EscapedPath(), Query: c.URL.RawQuery,
		Body: string(c.Body), Timestamp: stamp,
	})
	if errors.Is(err, errTooLong) || errors.Is(err, errNoKey) || err == nil && !hmac.Equal(given, want) {
		return ErrForged
	}
	if err != nil || b.timestamp == nil {
		return err
	}
	signed, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrStale
	}
	window := b.spec.Window
	if window == 0 {
		window = 5 * time.Minute
	}
	now := g.now()
	if at := time.Unix(signed, 0); at.Before(now.Add(-window)) || at.After(now.Add(skew)) {
		return ErrStale
	}
	return nil
}
