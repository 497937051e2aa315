package webhooks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheDocumentationListsEveryType(t *testing.T) {
	text, err := os.ReadFile("../docs/webhooks.md")
	must(t, err)
	var want, got []string
	for _, kind := range Types() {
		want = append(want, fmt.Sprintf("| `%s` | %s | `%s` |", kind.Name, kind.Text, strings.Join(kind.Fields, "`, `")))
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| `") && strings.Count(line, "|") == 4 {
			got = append(got, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/webhooks.md should say:\n%s", strings.Join(want, "\n"))
	}
}
