package config

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/robfig/cron/v3"

	"herald/problem"
)

// check finds every mistake in the merged configuration.
func (c Config) check() problem.Fields {
	var f problem.Fields
	c.checkNode(&f)
	c.Company.check(&f)
	c.checkHTTP(&f)
	within(&f, "database.max_connections", c.Database.MaxConnections, 4, 500)
	if c.Database.URL != "" && !strings.HasPrefix(c.Database.URL, "postgres://") && !strings.HasPrefix(c.Database.URL, "postgresql://") {
		f.Add("database.url", "url", "must begin with postgres://")
	}
	within(&f, "api.requests_per_second", c.API.RequestsPerSecond, 1, 1_000_000)
	within(&f, "api.burst", c.API.Burst, 1, 1_000_000)
	within(&f, "matcher.batch_events", c.Matcher.BatchEvents, 1, 10_000)
	within(&f, "matcher.queue_events", c.Matcher.QueueEvents, c.Matcher.BatchEvents, 10_000_000)
	lasting(&f, "matcher.keep_events", c.Matcher.KeepEvents, 24*time.Hour, 10*365*24*time.Hour)
	if _, err := cron.ParseStandard(c.Subscriptions.ExpirySchedule); err != nil {
		f.Add("subscriptions.expiry_schedule", "cron", "is not a cron expression: %v", err)
	}
	within(&f, "subscriptions.renewal_days", c.Subscriptions.RenewalDays, 0, 90)
	c.Collectors.check(&f)
	within(&f, "dispatch.workers", c.Dispatch.Workers, 1, 10_000)
	lasting(&f, "dispatch.reconcile_every", c.Dispatch.ReconcileEvery, time.Minute, 24*time.Hour)
	lasting(&f, "dispatch.first_retry", c.Dispatch.FirstRetry, 10*time.Millisecond, 24*time.Hour)
	lasting(&f, "dispatch.send_timeout", c.Dispatch.SendTimeout, time.Second, time.Hour)
	c.Dispatch.checkWhen(&f)
	c.Dispatch.checkDoubt(&f)
	c.Email.check(&f)
	c.SMS.check(&f)
	c.Voice.check(&f)
	c.Fax.check(&f)
	c.checkAccounts(&f)
	c.checkBounces(&f)
	c.checkReceipts(&f)
	lasting(&f, "replies.keep", c.Replies.Keep, 24*time.Hour, 10*365*24*time.Hour)
	lasting(&f, "replies.remember", c.Replies.Remember, 24*time.Hour, 365*24*time.Hour)
	within(&f, "webhooks.workers", c.Webhooks.Workers, 1, 1000)
	for i, network := range c.Webhooks.AllowNetworks {
		if _, err := netip.ParsePrefix(network); err != nil {
			f.Add(fmt.Sprintf("webhooks.allow_networks[%d]", i), "network", "is %q and must be a network, such as 10.2.0.0/16", network)
		}
	}
	return f
}

func (c Config) checkNode(f *problem.Fields) {
	if len(c.Node) > 60 || strings.ContainsAny(c.Node, " \t\n") {
		f.Add("node", "name", "must be at most 60 characters without spaces")
	}
	if len(c.Roles) == 0 {
		f.Add("roles", "required", "name at least one of web, dispatch")
	}
	for i, r := range c.Roles {
		oneOf(f, fmt.Sprintf("roles[%d]", i), r, "web", "dispatch")
	}
	if c.DataDir == "" {
		f.Add("data_dir", "required", "name a directory")
	}
	if c.SecretKey != "" && len(c.SecretKey) < 32 {
		f.Add("secret_key", "min_len", "must have at least 32 characters; `openssl rand -hex 32` makes one")
	}
	oneOf(f, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(f, "log.format", c.Log.Format, "json", "text")
}

func (c Config) checkHTTP(f *problem.Fields) {
	if _, port, err := net.SplitHostPort(c.HTTP.Listen); err != nil || port == "" {
		f.Add("http.listen", "address", "must be host:port, such as 127.0.0.1:8080 or :8080")
	}
	if c.HTTP.PublicURL == "" && len(c.Roles) > 0 && !c.Has("web") {
		f.Add("http.public_url", "required", "is needed where the role web is not: links in messages are made from it")
	}
	if c.HTTP.PublicURL != "" {
		u, err := url.Parse(c.HTTP.PublicURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
			f.Add("http.public_url", "url", "must be http:// or https:// and a host, without a path")
		}
	}
	for i, network := range c.HTTP.TrustedProxies {
		if _, err := netip.ParsePrefix(network); err != nil {
			f.Add(fmt.Sprintf("http.trusted_proxies[%d]", i), "network", "is %q and must be a network, such as 10.0.0.0/8 or ::1/128", network)
		}
	}
	within(f, "http.max_body", c.HTTP.MaxBody, 1<<10, 1<<30)
	lasting(f, "http.stop_after", c.HTTP.StopAfter, time.Second, time.Hour)
}

func (e Email) check(f *problem.Fields) {
	for i, a := range e.Accounts {
		at := func(field string) string { return fmt.Sprintf("email.accounts[%d].%s", i, field) }
		if a.Host == "" {
			f.Add(at("host"), "required", "name the SMTP server")
		}
		within(f, at("port"), a.Port, 1, 65535)
		oneOf(f, at("tls"), a.TLS, "starttls", "tls", "none")
		if _, err := mail.ParseAddress(a.From); err != nil {
			f.Add(at("from"), "email", "must be an e-mail address")
		}
		if a.Username != "" && a.Password == "" {
			f.Add(at("password"), "required", "is needed with a username")
		}
		lasting(f, at("timeout"), a.Timeout, time.Second, 10*time.Minute)
	}
}

func within(f *problem.Fields, path string, n, low, high int) {
	if n < low || n > high {
		f.Add(path, "range", "is %d and must be from %d to %d", n, low, high)
	}
}

func lasting(f *problem.Fields, path string, d, low, high time.Duration) {
	if d < low || d > high {
		f.Add(path, "range", "is %v and must be from %v to %v", d, low, high)
	}
}

func oneOf(f *problem.Fields, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.Add(path, "option", "is %q and must be one of: %s", value, strings.Join(allowed, ", "))
	}
}

// locator finds where a field was set: in a variable, or at a line of the file.
type locator struct {
	path      string
	source    []byte
	variables map[string]any
}

func (l locator) explain(mistakes problem.Fields) error {
	var lines []error
	for _, m := range mistakes {
		lines = append(lines, fmt.Errorf("%s %s", l.of(m.Path), m.Message))
	}
	return errors.Join(lines...)
}

func (l locator) of(path string) string {
	for variable := range l.variables {
		if rest, found := strings.CutPrefix(path, variable); found && (rest == "" || rest[0] == '[' || rest[0] == '.') {
			return field{path: variable}.variable() + ": " + path
		}
	}
	if line := l.line(path); line > 0 {
		return fmt.Sprintf("%s:%d: %s", l.path, line, path)
	}
	return path
}

// line is where the file sets path or, when it does not, the nearest thing
// around it; 0 when the file has neither.
func (l locator) line(path string) int {
	for at := path; at != ""; at = parent(at) {
		p, err := yaml.PathString("$." + at)
		if err != nil { // a step of it is a key such as gmail.com
			continue
		}
		if node, err := p.ReadNode(bytes.NewReader(l.source)); err == nil && node.GetToken() != nil {
			return node.GetToken().Position.Line
		}
	}
	return 0
}

// parent cuts the last step off a path: "a.b[0].c", "a.b[0]", "a.b", "a", "".
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}
