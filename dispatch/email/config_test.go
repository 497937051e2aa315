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
	m, err := NewMailer(goodAccount(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := m.cfg; a.Port != 587 || a.TLS != "starttls" || a.Timeout != 30*time.Second || a.Hello == "" {
		t.Errorf("the defaults are %+v", a)
	}
	if m.composer.idDomain != "shop.example" {
		t.Errorf("the domain of Message-IDs is %q", m.composer.idDomain)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	noCertificate := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(noCertificate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, change := range map[string]func(*Account){
		"name":     func(a *Account) { a.Name = "" },
		"host":     func(a *Account) { a.Host = "" },
		"port":     func(a *Account) { a.Port = 70000 },
		"tls":      func(a *Account) { a.TLS = "yes" },
		"password": func(a *Account) { a.Username = "herald" },
		"from":     func(a *Account) { a.From = "Herald <a@b.example>" },
		"timeout":  func(a *Account) { a.Timeout = -1 },
		"root_cas": func(a *Account) { a.RootCAs = noCertificate },
	} {
		account := goodAccount()
		change(&account)
		_, err := NewMailer(account, "", nil)
		isMistake(t, path, err)
	}
	_, err := NewMailer(goodAccount(), "a b", nil)
	isMistake(t, "message_id_domain", err)
}

func isMistake(t *testing.T, path string, err error) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Path != path {
		t.Errorf("%s gives %v", path, err)
	}
}

func TestAPasswordIsNotSentInTheClear(t *testing.T) {
	for host, allowed := range map[string]bool{"mail.shop.example": false, "192.0.2.1": false, "127.0.0.1": true, "::1": true, "localhost": true} {
		a := goodAccount()
		a.Host, a.TLS, a.Username, a.Password = host, "none", "herald", "secret"
		if _, err := NewMailer(a, "", nil); (err == nil) != allowed {
			t.Errorf("to %s gives %v", host, err)
		}
	}
}
