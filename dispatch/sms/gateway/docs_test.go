package gateway

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// rest is what the examples of the manual that show a part stand in.
const rest = `
about: the rest of an example
settings: {url: {about: its address}, from: {about: the sender, optional: true}}
secrets: {key: {about: the key}}
request:
  url: '{{.Settings.url}}'
answer:
  rules: [{status: 200, is: accepted}]
`

// TestTheManualsExamplesAreTrue tries every example of the manual, and holds
// its tables against the program.
func TestTheManualsExamplesAreTrue(t *testing.T) {
	page, err := os.ReadFile("../../../docs/sms-gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 10 {
		t.Fatalf("only %d examples were found", len(blocks))
	}
	for _, block := range blocks {
		example := block[1]
		switch {
		case strings.HasPrefix(example, "sms:"):
			tryAccounts(t, example)
		case strings.HasPrefix(example, "about:"):
			if _, err := Parse("example.yaml", []byte(example)); err != nil {
				t.Errorf("%s\n%v", example, err)
			}
		default:
			tryPart(t, example)
		}
	}
	for _, name := range Names() {
		row := regexp.MustCompile("(?m)^\\| `" + name + "` \\| ([^|]*`[^|]*) \\| ([^|]*) \\|$").FindStringSubmatch(string(page))
		if row == nil {
			t.Errorf("%s has no row", name)
			continue
		}
		holdRow(t, name+"'s settings", row[1], load(t, name).spec.Settings)
		holdRow(t, name+"'s secrets", row[2], load(t, name).spec.Secrets)
	}
	for function := range functions {
		if !strings.Contains(string(page), "`"+function) {
			t.Errorf("the function %s is not named", function)
		}
	}
}

// tryPart puts a part of a description among the rest.
func tryPart(t *testing.T, example string) {
	t.Helper()
	var whole, part map[string]any
	for source, to := range map[string]*map[string]any{rest: &whole, example: &part} {
		if err := yaml.Unmarshal([]byte(source), to); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range part {
		whole[name] = value
	}
	asks := func(name string) bool { return strings.Contains(example, name) }
	if !asks(".Secrets.key") {
		delete(whole, "secrets")
	}
	if !asks(".Settings.from") {
		delete(whole["settings"].(map[string]any), "from")
	}
	source, err := yaml.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse("example.yaml", source); err != nil {
		t.Errorf("%s\n%v", example, err)
	}
}

func tryAccounts(t *testing.T, example string) {
	t.Helper()
	var configuration struct {
		SMS struct {
			Gateways []struct {
				Name, Description string
				Settings, Secrets map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(example), &configuration, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, a := range configuration.SMS.Gateways {
		_, err := New(load(t, a.Description), Account{
			Name: a.Name, Settings: a.Settings, Secrets: a.Secrets, CallbackURL: "https://herald.example",
		}, nil, time.Now)
		if err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
}

// holdRow checks that a row names what accounts must give, and in brackets what
// they may.
func holdRow(t *testing.T, of, row string, asked map[string]setting) {
	t.Helper()
	must, may, _ := strings.Cut(row, "[")
	for name, s := range asked {
		where := must
		if s.Optional || s.Default != "" {
			where = may
		}
		if !strings.Contains(where, "`"+name+"`") {
			t.Errorf("the row of %s says %s, without %s at its place", of, row, name)
		}
	}
	if n := strings.Count(row, "`") / 2; n != len(asked) {
		t.Errorf("the row of %s has %d names, of %d", of, n, len(asked))
	}
}
