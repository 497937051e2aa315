package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch/limits"
)

func TestLoadLaysVariablesOverFileOverDefaults(t *testing.T) {
	file := write(t, `
http:
  listen: ":9000"
dispatch:
  workers: 7
email:
  accounts:
    - {name: main, host: smtp.example.com, from: shop@example.com}
`)
	got, err := Load(file, []string{"HERALD_DISPATCH_WORKERS=8", "HERALD_ROLES=[web]", "HERALD_DISPATCH_FIRST_RETRY=5s", "HERALD_CONFIG=x", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.HTTP.Listen = ":9000"
	want.Dispatch.Workers = 8
	want.Dispatch.FirstRetry = 5 * time.Second
	want.Roles = []string{"web"}
	want.Email.Accounts = []EmailAccount{{
		Name: "main", Host: "smtp.example.com", Port: 587, TLS: "starttls",
		From: "shop@example.com", Timeout: 30 * time.Second, Use: Use{MaxSessions: 10, Weight: 1, Limits: limits.Rules{}.Defaults()},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestLoadSaysWhereAMistakeIs(t *testing.T) {
	tests := map[string]struct {
		file    string
		environ []string
		want    []string
	}{
		"a value out of range":       {file: "http:\n  max_body: 12\n", want: []string{"herald.yaml:2: http.max_body is 12 and must be from 1024"}},
		"every mistake, not one":     {file: "log:\n  level: loud\nhttp:\n  listen: x\n", want: []string{":2: log.level", ":4: http.listen"}},
		"a field left out of a list": {file: "email:\n  accounts:\n    - name: a\n      from: a@example.com\n", want: []string{":3: email.accounts[0].host name the SMTP server"}},
		"an unknown field":           {file: "http:\n  lisen: x\n", want: []string{`herald.yaml:2:3: unknown field "lisen"`}},
		"a value of the wrong type":  {file: "http:\n  max_body: many\n", want: []string{"herald.yaml:2:13: max_body must be a whole number"}},
		"broken YAML":                {file: "http: [\n", want: []string{"herald.yaml:1:7"}},
		"an unknown variable":        {environ: []string{"HERALD_HTPP_LISTEN=x"}, want: []string{"HERALD_HTPP_LISTEN: no such setting"}},
		"a variable of wrong type":   {environ: []string{"HERALD_DISPATCH_WORKERS=many"}, want: []string{`HERALD_DISPATCH_WORKERS: "many" is not a whole number`}},
		"a variable out of range":    {environ: []string{"HERALD_DISPATCH_WORKERS=0"}, want: []string{"HERALD_DISPATCH_WORKERS: dispatch.workers is 0"}},
		"a short secret":             {environ: []string{"HERALD_SECRET_KEY=short"}, want: []string{"HERALD_SECRET_KEY: secret_key must have at least 32"}},
		"a bad schedule":             {file: "subscriptions:\n  expiry_schedule: sometimes\n", want: []string{":2: subscriptions.expiry_schedule is not a cron expression"}},
		"offers a year ahead":        {environ: []string{"HERALD_SUBSCRIPTIONS_RENEWAL_DAYS=365"}, want: []string{"subscriptions.renewal_days is 365 and must be from 0 to 90"}},
		"quiet hours without end":    {file: "dispatch:\n  quiet_hours: 21:00\n", want: []string{`:2: dispatch.quiet_hours is "21:00" and must be two times of day`}},
		"a cap of nothing":           {file: "dispatch:\n  caps:\n    - {purpose: adverts, within: 24h}\n", want: []string{":3: dispatch.caps[0].purpose is", "dispatch.caps[0].max is 0 and must be from 1 to 100"}},
		"a cap for ever":             {environ: []string{"HERALD_DISPATCH_CAPS=[{purpose: marketing, max: 2, within: 9000h}]"}, want: []string{"HERALD_DISPATCH_CAPS: dispatch.caps[0].within"}},
		"links to nowhere":           {environ: []string{"HERALD_ROLES=[dispatch]"}, want: []string{"http.public_url is needed where the role web is not"}},
		"no role":                    {environ: []string{"HERALD_ROLES=[]"}, want: []string{"HERALD_ROLES: roles name at least one"}},
		"two accounts of one name":   {environ: []string{"HERALD_EMAIL_ACCOUNTS=[{name: a, host: h, from: a@b.c}, {name: a, host: h, from: a@b.c}]"}, want: []string{"another account has this name"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := ""
			if tt.file != "" {
				file = write(t, tt.file)
			}
			_, err := Load(file, tt.environ)
			if err == nil {
				t.Fatal("was taken")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "short") {
				t.Errorf("error shows the secret: %v", err)
			}
		})
	}
}

func TestLoadOfAFileThatIsNotThere(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("err = %v, want one naming the file", err)
	}
}

func TestExampleIsAValidFileThatChangesNothing(t *testing.T) {
	var b strings.Builder
	if err := Example(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Load(write(t, b.String()), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("example differs from the defaults (-want +got):\n%s", diff)
	}
	for _, f := range fields() {
		if f.help == "" {
			t.Errorf("%s has no help", f.path)
		}
		if !strings.Contains(b.String(), f.variable()+"\n") {
			t.Errorf("the example does not name %s", f.variable())
		}
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	cfg := Default()
	cfg.SecretKey = "0123456789abcdef0123456789abcdef"
	cfg.Database.URL = "postgres://u:hunter2@h/d"
	cfg.Email.Accounts = []EmailAccount{{Name: "main", Username: "u", Password: "hunter3"}}
	var b strings.Builder
	if err := cfg.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"0123456789abcdef", "hunter2", "hunter3"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q is shown:\n%s", secret, b.String())
		}
	}
	if !strings.Contains(b.String(), "name: main") || !strings.Contains(b.String(), hidden) {
		t.Errorf("what is not secret is missing:\n%s", b.String())
	}
	if cfg.Email.Accounts[0].Password != "hunter3" {
		t.Error("printing changed the configuration")
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "herald.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
