package templates

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var docBlock = regexp.MustCompile("(?ms)^```(yaml|markdown|liquid|text)\n(.*?)^```")

// TestDocumentedExamplesWork saves what the guide shows, and compares what the
// guide says a call reads like.
func TestDocumentedExamplesWork(t *testing.T) {
	guide, err := os.ReadFile("../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	channels := map[string]string{"yaml": "voice", "markdown": "fax", "liquid": "sms"}
	tried := map[string]int{}
	var last Content
	for _, found := range docBlock.FindAllStringSubmatch(string(guide), -1) {
		kind, source := found[1], found[2]
		tried[kind]++
		if kind == "text" {
			if want := strings.TrimSpace(source); last.Text != want {
				t.Errorf("the guide shows\n%s\nbut the call before it reads\n%s", want, last.Text)
			}
			continue
		}
		example := Template{Name: "example", Channel: channels[kind], Locale: "en", Body: source, SavedBy: "operator:ann"}
		if _, err := check(t.Context(), &example); err != nil {
			t.Errorf("%v in\n%s", err, source)
		}
		if last, err = NewStore(nil, teaShop, time.Now).Preview(t.Context(), example, Sample()); err != nil {
			t.Errorf("%v in\n%s", err, source)
		}
	}
	if tried["yaml"] < 3 || tried["markdown"] < 1 || tried["liquid"] < 1 || tried["text"] != 1 {
		t.Errorf("the guide shows %v", tried)
	}
}
