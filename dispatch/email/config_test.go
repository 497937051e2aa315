package email

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"herald/problem"
)

func goodAccount() Account {
	return Account{Name: "main", Host: "mail.shop.example", From: "alerts@shop.example"}
}

func TestConfigurationHasDefaults(t *testing.T) {
	cfg, err := Config{Accounts: []Account{goodAccount()}}.complete()
	if err != nil {
		t.Fatal(err)
	}
	a := cfg.Accounts[0]
	if a.Port != 587 || a.TLS != "starttls" || a.MaxSessions != 10 || a.Timeout != 30*time.Second || a.Hello == "" {
		t.Errorf("the defaults are %+v", a)
	}
	if cfg.MessageIDDomain != "shop.example" {
		t.Errorf("the domain of Message-IDs is %q", cfg.MessageIDDomain)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	noCertificate := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(noCertificate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, change := range map[string]func(*Config){
		"accounts":                 func(c *Config) { c.Accounts = nil },
		"accounts[1].name":         func(c *Config) { c.Accounts = append(c.Accounts, goodAccount()) },
		"accounts[0].name":         func(c *Config) { c.Accounts[0].Name = "" },
		"accounts[0].host":         func(c *Config) { c.Accounts[0].Host = "" },
		"accounts[0].port":         func(c *Config) { c.Accounts[0].Port = 70000 },
		"accounts[0].tls":          func(c *Config) { c.Accounts[0].TLS = "yes" },
		"accounts[0].password":     func(c *Config) { c.Accounts[0].Username = "herald" },
		"accounts[0].from":         func(c *Config) { c.Accounts[0].From = "Herald <a@b.example>" },
		"accounts[0].max_sessions": func(c *Config) { c.Accounts[0].MaxSessions = 2000 },
		"accounts[0].min_sessions": func(c *Config) { c.Accounts[0].MinSessions = 11 },
		"accounts[0].timeout":      func(c *Config) { c.Accounts[0].Timeout = -1 },
		"accounts[0].idle_timeout": func(c *Config) { c.Accounts[0].IdleTimeout = time.Millisecond },
		"accounts[0].root_cas":     func(c *Config) { c.Accounts[0].RootCAs = noCertificate },
		"message_id_domain":        func(c *Config) { c.MessageIDDomain = "a b" },
	} {
		cfg := Config{Accounts: []Account{goodAccount()}}
		change(&cfg)
		_, err := New(cfg, nil)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Path != path {
			t.Errorf("%s gives %v", path, err)
		}
	}
}

func TestAPasswordIsNotSentInTheClear(t *testing.T) {
	for host, allowed := range map[string]bool{"mail.shop.example": false, "192.0.2.1": false, "127.0.0.1": true, "::1": true, "localhost": true} {
		a := goodAccount()
		a.Host, a.TLS, a.Username, a.Password = host, "none", "herald", "secret"
		if _, err := (Config{Accounts: []Account{a}}).complete(); (err == nil) != allowed {
			t.Errorf("to %s gives %v", host, err)
		}
	}
}
