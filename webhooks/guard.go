package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"unicode/utf8"

	"herald/problem"
)

// guard keeps Herald from being used to reach what only Herald can reach
// (server-side request forgery). An address is judged when it is connected to,
// after its name was resolved: a name that resolves to something else later
// gains nothing.
type guard struct {
	networks []netip.Prefix // the company's own, which are let through
}

// errForbidden is wrapped when the guard refuses an address.
var errForbidden = errors.New("the address is not public")

// nat64 is the prefix under which IPv4 addresses stand in IPv6 ones (RFC 6052,
// section 2.1): the address within is what is reached.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// unicast6 is all there is of public IPv6 (RFC 4291, section 2.4).
var unicast6 = netip.MustParsePrefix("2000::/3")

// special are the networks of the public ranges that lead nowhere public: the
// IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890), with
// multicast and the transition prefixes, which hide another address.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// reached is the address that an address really leads to.
func reached(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		last := a.As16()
		return netip.AddrFrom4([4]byte(last[12:]))
	}
	return a
}

// public reports whether an address is anybody's to reach.
func public(a netip.Addr) bool {
	a = reached(a)
	if !a.IsValid() || a.Zone() != "" || a.Is6() && !unicast6.Contains(a) {
		return false
	}
	return !within(special, a)
}

// own reports whether an address is in one of the company's networks.
func (g guard) own(a netip.Addr) bool { return within(g.networks, reached(a)) }

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// control refuses a connection before it is made; a net.Dialer calls it with
// the address that is about to be connected to. Without encryption only the
// company's own networks are let through.
func (g guard) control(encrypted bool) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", errForbidden, err)
		}
		if g.own(to.Addr()) || encrypted && public(to.Addr()) && publicPort(to.Port()) {
			return nil
		}
		return errForbidden
	}
}

// publicPort reports whether a port may be posted to outside the company's
// networks: that of HTTPS, and those that no system service has. A webhook
// must not be spoken to a mail server or a database's front.
func publicPort(port uint16) bool { return port == 443 || port >= 1024 }

// maxURL is the longest address of an endpoint, in bytes.
const maxURL = 2000

// checkURL finds what can be said of an endpoint's address before anything is
// connected to; names are resolved when they are.
func (g guard) checkURL(text string, f *problem.Fields) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		f.Add("url", "required", "say where to post")
	case len(text) > maxURL:
		f.AddArgs("url", "max_len", map[string]any{"max": maxURL}, "must have at most %d bytes", maxURL)
	case err != nil || !utf8.ValidString(text) || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		f.Add("url", "url", "must be an address such as https://shop.example/herald")
	case u.User != nil || u.Fragment != "":
		f.Add("url", "url_plain", "must have no user, password or #part: messages are signed instead")
	default:
		g.checkHost(u, f)
	}
}

func (g guard) checkHost(u *url.URL, f *problem.Fields) {
	host, err := netip.ParseAddr(u.Hostname())
	literal := err == nil
	port := 0
	if text := u.Port(); text != "" {
		port, err = strconv.Atoi(text)
		if err != nil || port < 1 || port > 65535 {
			f.Add("url", "url", "must have a port from 1 to 65535, or none")
			return
		}
	}
	switch {
	case literal && g.own(host):
	case u.Scheme == "http" && (literal || len(g.networks) == 0):
		f.Add("url", "https", "must begin with https://: plain http is for the networks in webhooks.allow_networks")
	case literal && !public(host):
		f.Add("url", "internal", "must be a public address, or one in webhooks.allow_networks")
	case len(g.networks) == 0 && port != 0 && !publicPort(uint16(port)): //nolint:gosec // at most 65535, as checked above
		f.Add("url", "port", "must use port 443, or one from 1024")
	}
}

// dialer connects to nothing that the guard refuses.
func (g guard) dialer(encrypted bool, resolver *net.Resolver) *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, ControlContext: g.control(encrypted), Resolver: resolver}
}
