// Package sip is a telephone line: calls go out through a trunk of a provider
// by SIP (RFC 3261), with their sound (package media). A Trunk registers where
// the provider wants it, asks whether he is there, and dials; a Call that was
// answered speaks samples, tells the digits pressed and what was heard, can be
// passed on to somebody else, and keeps a timeline. Whoever dials in is
// refused.
//
// Nothing it logs has numbers or sound.
package sip

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"herald/hardware/sip/g711"
	"herald/hardware/sip/media"
)

// Transport is what carries SIP.
type Transport string

// The transports.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
)

// Encryption says whether the sound of calls is encrypted. Between the two
// there is nothing: an offer in SDP is of one kind or of the other.
type Encryption string

// The kinds of encryption.
const (
	// NoEncryption offers plain sound. Where the far end changes it to encrypted
	// sound in a call, it is.
	NoEncryption Encryption = "none"
	// RequiredEncryption offers encrypted sound (SRTP, with its keys in SDP: RFC
	// 3711 and 4568); who does not want it so is not spoken with: a call fails
	// with NoSound. Without TLS whoever reads the signalling has the keys.
	RequiredEncryption Encryption = "required"
)

// Config says which trunk, and how patient we are with it. What is zero takes
// the value in brackets.
type Config struct {
	// Server is the provider's, as host or host:port (5060, with TLS 5061).
	Server    string
	Transport Transport // (UDP)
	// TLS is how TLS is spoken (with the system's authorities). With a
	// certificate in it, we take connections, too; without one the provider
	// speaks to us by those that we opened.
	TLS *tls.Config
	// Domain is the provider's in addresses (the host of Server).
	Domain string
	// Username and Password are for digest authentication; Realm, when it is
	// set, is the only one that gets them.
	Username, Password, Realm string
	// From is the number that calls come from (Username), FromName a name for
	// it (none).
	From, FromName string
	// Register keeps us registered, for RegisterFor at a time (10 min).
	Register    bool
	RegisterFor time.Duration
	// Local is the address that we listen at, as host or host:port (the host
	// that the way to Server begins at, any port). Public is the address that
	// the provider is told (Local's).
	Local  string
	Public netip.Addr
	// Laws are the codecs, the preferred first (PCMU, PCMA).
	Laws []g711.Law
	// Encryption is of the sound (NoEncryption).
	Encryption Encryption
	// Wheel gives the pace of the sound; all trunks should have the same (one
	// of its own).
	Wheel *media.Wheel
	// Response is how long the provider may say nothing to a call (8 s), Ring
	// how long a phone rings (45 s), Quiet how long a far end may send no sound
	// before it is taken for gone (60 s).
	Response, Ring, Quiet time.Duration
	// AskEvery is how often we ask whether the provider is there (30 s;
	// negative: never).
	AskEvery time.Duration
	// PerSecond is how many calls may begin in a second (any number).
	PerSecond float64

	Logger *slog.Logger // nil: nothing is logged
	Now    func() time.Time
}

// ErrConfig is what a configuration's mistakes wrap.
var ErrConfig = errors.New("the trunk's configuration is not complete")

func (c Config) complete() (Config, error) {
	if c.Transport == "" {
		c.Transport = UDP
	}
	usualPort := 5060
	switch c.Transport {
	case UDP, TCP:
	case TLS:
		usualPort = 5061
		if c.TLS == nil {
			c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	default:
		return c, fmt.Errorf("%w: there is no transport %q", ErrConfig, c.Transport)
	}
	switch c.Encryption {
	case "":
		c.Encryption = NoEncryption
	case NoEncryption, RequiredEncryption:
	default:
		return c, fmt.Errorf("%w: there is no encryption %q", ErrConfig, c.Encryption)
	}
	host, port, err := splitHost(c.Server, usualPort)
	if err != nil || host == "" {
		return c, fmt.Errorf("%w: the server is no host:port", ErrConfig)
	}
	c.Server = net.JoinHostPort(host, strconv.Itoa(port))
	if c.Domain == "" {
		c.Domain = host
	}
	if c.From == "" {
		c.From = c.Username
	}
	if !isUser(c.From) {
		return c, fmt.Errorf("%w: the number that calls come from has letters, digits and +*._- only", ErrConfig)
	}
	if c.Register && c.Username == "" {
		return c, fmt.Errorf("%w: nobody can register without a user name", ErrConfig)
	}
	for field, usual := range map[*time.Duration]time.Duration{
		&c.RegisterFor: 10 * time.Minute, &c.Response: 8 * time.Second, &c.Ring: 45 * time.Second,
		&c.Quiet: time.Minute, &c.AskEvery: 30 * time.Second,
	} {
		if *field == 0 {
			*field = usual
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// splitHost reads host or host:port.
func splitHost(address string, usual int) (host string, port int, err error) {
	if _, err := netip.ParseAddr(address); err == nil || !strings.Contains(address, ":") {
		return address, usual, nil
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, err
	}
	return host, int(number), nil
}

// isUser reports whether a number or name may stand before the @ of an address
// as it is (RFC 3261, section 25.1: user; without what needs care).
func isUser(s string) bool {
	const most = 64
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("+*._-", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= most
}

// address is the URI of a number at the provider, or of the provider himself.
func (t *Trunk) address(user string) sip.Uri {
	u := sip.Uri{Scheme: "sip", User: user, Host: t.host, Port: t.port}
	if t.cfg.Transport != UDP {
		u.UriParams = sip.NewParams()
		u.UriParams.Add("transport", string(t.cfg.Transport))
	}
	return u
}
