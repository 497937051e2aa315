package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A shop that cannot send drops a file, and an operator sees what came of it.
func TestAFileIsCollectedAndLookedAt(t *testing.T) {
	inbox := t.TempDir()
	t.Setenv("HERALD_COLLECTORS_FOLDERS", fmt.Sprintf(`[{name: prices, path: %q, every: 200ms, settle: 100ms, type: price.changed}]`, inbox))
	d := demonstrate(t)
	text := "product,name,price,currency\nteapot,Teapot,39.5,CNY\nkettle,Kettle,much,CNY\n"
	if err := os.WriteFile(filepath.Join(inbox, "prices.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	untilThere(t, filepath.Join(inbox, "done", "prices.csv.errors.ndjson"))

	o := visit(t, d.portal, desktop)
	o.open("/console")
	o.fill("name", demoOperator)
	o.fill("password", demoPassword)
	o.press("Sign in to the console")
	o.open("/console/collectors")
	o.sees("1 thing could not be taken", "prices", "folder")
	o.picture("console-collectors.png")
	o.press("prices")
	o.sees("prices.csv:3", "data.price", "kettle,Kettle,much,CNY")
	o.picture("console-collector.png")
	o.press("Try all again")
	o.sees("1 dead letter is being tried again")
	o.unfold("Throw all away")
	o.press("Throw them away")
	o.sees("Everything that was found could be taken")
	o.window.language = "zh"
	o.press("中文")
	o.open("/console/collectors")
}

func untilThere(t *testing.T, path string) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.After(patience)
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("waited %v for %s", patience, path)
		}
	}
}
