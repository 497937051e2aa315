package templates

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// TestStarterMessagesReadWell fills every starter message from the sample and
// compares it with what a person once read and found good.
func TestStarterMessagesReadWell(t *testing.T) {
	starters, _, err := starterTemplates()
	if err != nil {
		t.Fatal(err)
	}
	if len(starters) != 16*4*2+3*2 {
		t.Errorf("%d templates, want 16 messages on 4 channels and 3 answers on one, in 2 locales", len(starters))
	}
	for _, template := range starters {
		name := template.Name + "." + template.Channel + "." + template.Locale
		t.Run(name, func(t *testing.T) {
			if _, err := check(t.Context(), &template); err != nil {
				t.Fatal(err)
			}
			data := Sample()
			if template.Name == "confirm_address" {
				data = map[string]any{"code": "482913", "address": "wei@example.com"}
			}
			content, err := preview(t.Context(), template, data)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", strings.TrimPrefix(content.Subject+"\n\n", "\n\n")+content.Text+"\n")
			if template.Name == "price_drop" && template.Channel == "email" {
				golden(t, name+".html", content.HTML)
			}
			if template.Channel == "sms" && len([]rune(content.Text)) > 160 {
				t.Errorf("an SMS of %d characters", len([]rune(content.Text)))
			}
		})
	}
}

// TestStarterCallsOfferWhatFits looks at what each call asks and leaves on a
// machine.
func TestStarterCallsOfferWhatFits(t *testing.T) {
	starters, _, err := starterTemplates()
	if err != nil {
		t.Fatal(err)
	}
	digits := map[string]string{
		"confirm_address": "2",  // nothing but the code
		"low_balance":     "12", // transactional: no end to such calls
		"order_status":    "12",
		"reminder":        "12",
		"birthday":        "29", // nothing to confirm in a greeting
		"festival":        "29",
		"digest":          "29",
	}
	for _, template := range starters {
		if template.Channel != "voice" {
			continue
		}
		content, err := preview(t.Context(), template, Sample())
		if err != nil {
			t.Fatal(err)
		}
		call := content.Script
		last := call.Steps[len(call.Steps)-1].Gather
		got := ""
		for _, c := range last.Choices {
			got += string(c.Digit)
			if !strings.Contains(last.Say, string(c.Digit)) {
				t.Errorf("%s %s does not tell of %c", template.Name, template.Locale, c.Digit)
			}
		}
		if want := cmp.Or(digits[template.Name], "129"); got != want {
			t.Errorf("%s %s takes the digits %s, want %s", template.Name, template.Locale, got, want)
		}
		// A code is for whoever holds the telephone, not for who listens to the machine.
		if hears := len(call.ForMachine()) > 0; hears == (template.Name == "confirm_address") {
			t.Errorf("%s %s: a machine hears something: %v", template.Name, template.Locale, hears)
		}
		if n := len([]rune(call.Gist())); n == 0 || n > 250 {
			t.Errorf("%s %s is about something of %d characters", template.Name, template.Locale, n)
		}
	}
}

// TestStarterFaxesKeepTheirTables reads them as Markdown, filled from all and
// from hardly any data.
func TestStarterFaxesKeepTheirTables(t *testing.T) {
	starters, _, err := starterTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range starters {
		if template.Channel != "fax" {
			continue
		}
		for _, data := range []map[string]any{Sample(), {"event": map[string]any{"product": "teapot-3", "price": 45.0}}} {
			content, err := preview(t.Context(), template, data)
			if err != nil {
				t.Fatal(err)
			}
			built, said := outline(content.Text)
			if tables := strings.Count(content.Text, "|:---|"); strings.Count(built, "(Table(") != tables || strings.Contains(said, "|") {
				t.Errorf("%s %s has %d tables, but is built as %s:\n%s", template.Name, template.Locale, tables, built, content.Text)
			}
			if strings.Contains(built, "(Heading") != (template.Name == "confirm_address") || strings.Contains(built, "CodeBlock") || strings.Contains(built, "HTML") {
				t.Errorf("%s %s is built as %s:\n%s", template.Name, template.Locale, built, content.Text)
			}
		}
	}
}

// TestStarterMessagesBearMissingData fills them from an event that tells only
// what its trigger requires.
func TestStarterMessagesBearMissingData(t *testing.T) {
	starters, _, err := starterTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range starters {
		content, err := preview(t.Context(), template, map[string]any{"event": map[string]any{"product": "teapot-3"}})
		if err != nil {
			t.Errorf("%s %s %s: %v", template.Name, template.Channel, template.Locale, err)
		}
		if strings.Contains(content.Text, "{") || strings.Contains(content.HTML+content.Subject, "[[") {
			t.Errorf("%s %s %s shows its source:\n%s", template.Name, template.Channel, template.Locale, content.Text)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what was read before (write it anew with -update):\n%s", path, got)
	}
}
