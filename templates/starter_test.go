package templates

import (
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
	if len(starters) != 16*2*2+3*2 {
		t.Errorf("%d templates, want 16 messages on 2 channels and 3 answers on one, in 2 locales", len(starters))
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
			content, err := Preview(t.Context(), template, data)
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

// TestStarterMessagesBearMissingData fills them from an event that tells only
// what its trigger requires.
func TestStarterMessagesBearMissingData(t *testing.T) {
	starters, _, err := starterTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range starters {
		content, err := Preview(t.Context(), template, map[string]any{"event": map[string]any{"product": "teapot-3"}})
		if err != nil {
			t.Errorf("%s %s %s: %v", template.Name, template.Channel, template.Locale, err)
		}
		if strings.Contains(content.Text, "{") || strings.Contains(content.HTML, "[[") {
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
