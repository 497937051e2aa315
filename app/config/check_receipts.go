package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"herald/problem"
)

// checkBounces finds mistakes in what receives bounces. The return paths
// themselves are checked by those who write and read them.
func (c Config) checkBounces(f *problem.Fields) {
	b := c.Bounces
	if b.Listen != "" {
		if _, port, err := net.SplitHostPort(b.Listen); err != nil || port == "" {
			f.Add("bounces.listen", "address", "must be host:port, such as 0.0.0.0:25")
		}
		if len(c.ReturnPaths()) == 0 {
			f.Add("bounces.listen", "return_path", "needs an e-mail account with a return_path: nothing would come here")
		}
	}
	for i, network := range b.ComplaintNetworks {
		if _, err := netip.ParsePrefix(network); err != nil {
			f.Add(fmt.Sprintf("bounces.complaint_networks[%d]", i), "network", "is %q and must be a network, such as 192.0.2.0/24", network)
		}
	}
	if (b.TLSCertificate == "") != (b.TLSKey == "") {
		f.Add("bounces.tls_key", "required", "give tls_certificate and tls_key, or neither")
	}
	for i, a := range c.Email.Accounts {
		if a.ReturnPath != "" && (strings.Count(a.ReturnPath, "{token}") != 1 || !strings.Contains(a.ReturnPath, "@")) {
			f.Add(fmt.Sprintf("email.accounts[%d].return_path", i), "format", "use an address such as bounce+{token}@bounces.example.com")
		}
	}
}

// ReturnPaths are the addresses that bounces come to, each once.
func (c Config) ReturnPaths() []string {
	var paths []string
	seen := map[string]bool{}
	for _, a := range c.Email.Accounts {
		if a.ReturnPath != "" && !seen[a.ReturnPath] {
			seen[a.ReturnPath] = true
			paths = append(paths, a.ReturnPath)
		}
	}
	return paths
}

func (c Config) checkReceipts(f *problem.Fields) {
	names := map[string]bool{}
	for i, r := range c.Receipts {
		at := func(field string) string { return fmt.Sprintf("receipts[%d].%s", i, field) }
		if r.Name == "" {
			f.Add(at("name"), "required", "name the account that sends by this provider")
		}
		if path := r.Provider + "/" + r.Name; names[path] {
			f.Add(at("name"), "unique", "this provider has an account of this name already")
		} else {
			names[path] = true
		}
		oneOf(f, at("provider"), r.Provider, "sendgrid", "mailgun", "ses", "postmark", "twilio", "standard")
		lasting(f, at("window"), r.Window, 0, 7*24*time.Hour)
	}
}
