// Package gateway hands text messages to providers that are spoken to by HTTP.
//
// How a provider is spoken to is described in a file, not programmed: Load
// reads it, or one that Herald brings along, into a Description. A Gateway is
// one account at such a provider; dispatch opens sessions of it. A message
// goes out as the request that the description says, and the answer comes back
// as a Receipt or as a dispatch.SendError by its rules. What the provider
// calls us with later, web/receipts gives to Read, which checks whose it is
// and returns reports and messages that came in.
//
// # Texts, and what stands around them
//
// What is filled in is written as text/template: its errors are found when the
// file is read, it has no way to files or the network, and an unknown name is
// an error rather than nothing, as it would be in Liquid. Neither escapes for
// a query, a form or JSON, so that is not left to the text: the description
// gives parameters and JSON as YAML, and each value is filled alone and then
// written by the encoder of its place. Only body, for what has no place of its
// own, must call json, xml or query itself.
//
// # Connections
//
// A session is one connection of HTTP/1.1, which it writes and reads itself.
// http.Transport would repeat a GET, or a POST with an Idempotency-Key, by
// itself when a kept connection ends before the answer, and so send a message
// twice without a word. Here nothing is repeated in silence: what was not
// written is session_fatal, what was written without an answer is in doubt,
// and only a request that is described as idempotent is repeated, once, on a
// new connection. Redirects are not followed.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/problem"
	"herald/subscriptions"
)

// Account is one account at a described provider.
type Account struct {
	Name string // letters, digits, - and _: it stands in the callbacks' address
	// Settings and Secrets are those that the description asks for, by name.
	Settings map[string]string
	Secrets  map[string]string
	// Timeout is how long one request may take, from its first byte to the last
	// of its answer, and a connection until it stands; 0: 30 s.
	Timeout time.Duration
	// RootCAs is a PEM file with the authorities behind the provider's
	// certificate; empty: the system's.
	RootCAs string
	// PlainHTTP allows an address of http:// on another machine than this.
	PlainHTTP bool
	// CallbackURL is how the provider reaches Herald, such as
	// https://herald.example, without a path; empty: it does not.
	CallbackURL string
	// Networks are those that callbacks come from; none: those of the
	// description, or else all.
	Networks []string
	// Text is how texts may be written.
	Text sms.Options
}

// Gateway is an account at work. It keeps no connection itself: it opens
// sessions. It is safe for many goroutines; a session is not.
type Gateway struct {
	cfg         Account
	description *Description
	parts       Parts
	now         func() time.Time

	base     *url.URL // scheme and host that all requests go to
	address  string   // host:port
	tls      *tls.Config
	networks []netip.Prefix
	token    string // in the address of callbacks
}

var (
	_ dispatch.Sender      = (*Gateway)(nil)
	_ dispatch.PartCounter = (*Gateway)(nil)
)

// New checks an account against its description; problem.Invalid names the
// mistakes by their fields. parts remembers the parts of messages; it may be
// nil where the description hands them over whole.
func New(d *Description, a Account, parts Parts, now func() time.Time) (*Gateway, error) {
	var mistakes problem.Fields
	g := &Gateway{description: d, parts: parts, now: now}
	g.cfg = a.complete(d, &mistakes)
	if len(mistakes) == 0 {
		g.prepare(&mistakes)
	}
	if err := mistakes.Err("the account of a gateway is not complete"); err != nil {
		return nil, err
	}
	if d.inParts() && parts == nil {
		return nil, fmt.Errorf("account %s: nothing that remembers parts", a.Name)
	}
	if a.RootCAs != "" {
		pem, err := os.ReadFile(a.RootCAs)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", a.Name, err)
		}
		g.tls.RootCAs = x509.NewCertPool()
		if !g.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("account %s: %s has no certificate", a.Name, a.RootCAs)
		}
	}
	return g, nil
}

// Channel is SMS.
func (g *Gateway) Channel() subscriptions.Channel { return subscriptions.SMS }

// Account is the account's name.
func (g *Gateway) Account() string { return g.cfg.Name }

// Parts is how many parts a message has.
func (g *Gateway) Parts(m dispatch.Message) int {
	c, err := g.compose(m)
	if err != nil {
		return 1 // it will not be sent
	}
	return len(c.Parts)
}

// HasReceipts says whether the provider tells later what became of messages, so
// that what it only took is not confirmed.
func (g *Gateway) HasReceipts() bool { return g.description.receipt != nil && g.cfg.CallbackURL != "" }

// Open connects. It fails with *dispatch.SendError. The session is a
// dispatch.LiveSession.
func (g *Gateway) Open(ctx context.Context) (dispatch.Session, error) {
	l, err := g.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &session{gateway: g, link: l}, nil
}

var aName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)

// complete fills in the defaults of an account and checks it.
func (a Account) complete(d *Description, f *problem.Fields) Account {
	if !aName.MatchString(a.Name) {
		f.Add("name", "format", "use 1 to 60 letters, digits, - and _")
	}
	if a.Timeout == 0 {
		a.Timeout = 30 * time.Second
	}
	if a.Timeout < 0 || a.Timeout > time.Hour {
		f.Add("timeout", "range", "is %v and must be from 1ns to 1h", a.Timeout)
	}
	a.Settings = given(d.spec.Settings, a.Settings, "settings", f)
	a.Secrets = given(d.spec.Secrets, a.Secrets, "secrets", f)
	if a.CallbackURL != "" {
		u, err := url.Parse(a.CallbackURL)
		if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			f.Add("callback_url", "url", "must be https:// and a host, without a path")
		}
		a.CallbackURL = strings.TrimRight(a.CallbackURL, "/")
	}
	if d.spec.Text.UCS2 {
		a.Text.UCS2Only = true
	}
	return a
}

// given is what an account gives of what its description asks for.
func given(asked map[string]setting, values map[string]string, at string, f *problem.Fields) map[string]string {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, known := asked[name]; !known {
			f.Add(at+"."+name, "unknown", "is not asked for by the description; it knows %s", strings.Join(slices.Sorted(maps.Keys(asked)), ", "))
		}
	}
	all := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		s := asked[name]
		all[name] = values[name]
		if all[name] == "" {
			all[name] = s.Default
		}
		if all[name] == "" && !s.Optional {
			f.Add(at+"."+name, "required", "is needed: %s", s.About)
		}
	}
	return all
}

// prepare fills the texts that are the same for all messages.
func (g *Gateway) prepare(f *problem.Fields) {
	us := g.identity()
	address, err := g.description.url.fill(target{account: us, To: "+8613800138000", DeliveryID: "0196a0b0-0000-7000-8000-000000000001"})
	if err == nil {
		g.base, err = baseOf(address)
	}
	if err != nil {
		f.Add("settings", "url", "give an address that cannot be used: %v", err)
		return
	}
	if g.base.Scheme == "http" && !g.cfg.PlainHTTP && !isHere(g.base.Hostname()) {
		f.Add("plain_http", "required", "must allow it: %s is not encrypted", g.base.Host)
	}
	port := g.base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[g.base.Scheme]
	}
	g.address = net.JoinHostPort(g.base.Hostname(), port)
	g.tls = &tls.Config{ServerName: g.base.Hostname(), MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	g.prepareTrust(f)
}

func (g *Gateway) identity() account {
	return account{Account: g.cfg.Name, Settings: g.cfg.Settings, Secrets: g.cfg.Secrets}
}

// baseOf is the scheme and host of an address that messages can go to.
func baseOf(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is no address")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return nil, fmt.Errorf("it must be https:// or http:// and a host")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, fmt.Errorf("it can have neither parameters, which go into query, nor a password or a fragment")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// isHere reports whether a host is this machine.
func isHere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
