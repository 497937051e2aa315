package app

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// house is the plan: which rooms of ours each room may look into. A room that
// is not listed here has no place in the house.
var house = map[string][]string{
	"herald/problem":                  {},
	"herald/timeid":                   {},
	"herald/jsontext":                 {"herald/problem"},
	"herald/xmlform":                  {"herald/problem"},
	"herald/postgres":                 {"herald/postgres/internal/server"},
	"herald/postgres/internal/server": {},
	"herald/access":                   {"herald/problem"},
	"herald/templates":                {"herald/problem", "herald/templates/script"},
	"herald/templates/script":         {"herald/problem"},
	"herald/webhooks":                 {"herald/problem", "herald/timeid"},
	"herald/matcher/index":            {"herald/matcher/predicate"},
	"herald/matcher/predicate":        {"herald/problem"},
	"herald/hardware/sim":             {"herald/problem"},
	"herald/hardware/sim/smtp":        {"herald/problem", "herald/hardware/sim"},
	"herald/hardware/sim/texts":       {"herald/hardware/sim"},
	"herald/hardware/sim/hfaxd":       {"herald/problem", "herald/hardware/sim"},
	"herald/hardware/sim/modem":       {"herald/problem", "herald/hardware/sim", "herald/hardware/sim/texts", "herald/hardware/gsm/tpdu", "herald/dispatch/sms"},
	"herald/hardware/sim/smsc":        {"herald/problem", "herald/hardware/sim", "herald/hardware/sim/texts", "herald/dispatch/sms", "herald/dispatch/sms/smpp/pdu"}, // of the senders only what is pure
	"herald/hardware/sim/ismg":        {"herald/problem", "herald/hardware/sim", "herald/hardware/sim/texts", "herald/dispatch/sms", "herald/dispatch/sms/wire"},
	"herald/hardware/sim/cmpp":        {"herald/problem", "herald/hardware/sim", "herald/hardware/sim/texts", "herald/hardware/sim/ismg", "herald/dispatch/sms/wire"},
	"herald/hardware/sim/sgip":        {"herald/problem", "herald/hardware/sim", "herald/hardware/sim/texts", "herald/hardware/sim/ismg", "herald/dispatch/sms/wire"},
	"herald/hardware/fax":             {},
	"herald/hardware/gsm":             {"herald/hardware/gsm/tpdu"},
	"herald/hardware/gsm/tpdu":        {},
	"herald/hardware/sip":             {"herald/hardware/sip/g711", "herald/hardware/sip/media"},
	"herald/hardware/sip/g711":        {},
	"herald/hardware/sip/media":       {"herald/hardware/sip/g711", "herald/hardware/sip/tones"},
	"herald/hardware/sip/tones":       {},
	"herald/hardware/sip/wav":         {},
	"herald/hardware/sim/phone":       {"herald/problem", "herald/hardware/sim", "herald/hardware/sip/g711", "herald/hardware/sip/media", "herald/hardware/sip/tones", "herald/hardware/sip/wav"},
	"herald/calendar":                 {"herald/problem"},
	"herald/calendars":                {"herald/problem", "herald/calendar"},
	"herald/subscriptions":            {"herald/problem", "herald/access", "herald/calendar", "herald/matcher/predicate"},
	"herald/dispatch/pool":            {},
	"herald/dispatch/limits":          {"herald/problem"},
	"herald/dispatch":                 {"herald/dispatch/pool", "herald/problem", "herald/timeid", "herald/templates", "herald/subscriptions", "herald/dispatch/timing", "herald/dispatch/caps", "herald/dispatch/limits"},
	"herald/dispatch/caps":            {"herald/problem", "herald/subscriptions"},
	"herald/dispatch/timing":          {"herald/problem", "herald/calendar"},
	"herald/dispatch/conformance":     {"herald/dispatch"}, // tests of every driver
	"herald/dispatch/email":           {"herald/problem", "herald/templates", "herald/subscriptions", "herald/dispatch"},
	"herald/dispatch/sms/smpp/pdu":    {},
	"herald/dispatch/sms/smpp":        {"herald/problem", "herald/templates", "herald/subscriptions", "herald/dispatch", "herald/dispatch/sms", "herald/dispatch/sms/parts", "herald/dispatch/sms/smpp/pdu"},
	"herald/dispatch/voice":           {"herald/problem", "herald/subscriptions", "herald/templates", "herald/templates/script", "herald/dispatch", "herald/dispatch/voice/answering", "herald/hardware/sip", "herald/hardware/sip/g711", "herald/hardware/sip/media", "herald/hardware/sip/wav"},
	"herald/dispatch/voice/speech":    {"herald/problem", "herald/hardware/sip/wav"},
	"herald/dispatch/voice/answering": {"herald/problem", "herald/hardware/sip/tones"},
	"herald/dispatch/fax":             {"herald/problem", "herald/subscriptions", "herald/dispatch", "herald/dispatch/fax/pages", "herald/hardware/fax"},
	"herald/dispatch/fax/pages":       {},
	"herald/dispatch/replies":         {"herald/problem", "herald/subscriptions", "herald/dispatch"},
	"herald/dispatch/bounces":         {"herald/problem", "herald/subscriptions", "herald/dispatch"},
	"herald/dispatch/sms":             {},
	"herald/dispatch/sms/wire":        {"herald/problem", "herald/dispatch/sms"},
	"herald/dispatch/sms/link":        {"herald/problem", "herald/dispatch", "herald/dispatch/sms", "herald/dispatch/sms/parts", "herald/dispatch/sms/wire"},
	"herald/dispatch/sms/cmpp":        {"herald/problem", "herald/subscriptions", "herald/dispatch", "herald/dispatch/sms/link", "herald/dispatch/sms/wire"},
	"herald/dispatch/sms/sgip":        {"herald/problem", "herald/subscriptions", "herald/dispatch", "herald/dispatch/sms/link", "herald/dispatch/sms/parts", "herald/dispatch/sms/wire"},
	"herald/dispatch/sms/gateway":     {"herald/problem", "herald/templates", "herald/subscriptions", "herald/dispatch", "herald/dispatch/sms", "herald/dispatch/sms/parts"},
	"herald/dispatch/sms/modem":       {"herald/problem", "herald/subscriptions", "herald/dispatch", "herald/dispatch/sms", "herald/dispatch/sms/parts", "herald/hardware/gsm", "herald/hardware/gsm/tpdu"},
	"herald/dispatch/sms/parts":       {"herald/problem", "herald/subscriptions", "herald/dispatch", "herald/dispatch/sms"},
	"herald/matcher/follower":         {"herald/subscriptions", "herald/matcher/predicate", "herald/matcher/index"},
	"herald/matcher/absence":          {"herald/problem", "herald/subscriptions", "herald/matcher/predicate"},
	"herald/matcher/dates":            {"herald/problem", "herald/calendar", "herald/matcher/predicate", "herald/subscriptions"},
	"herald/matcher/history":          {"herald/timeid"},
	"herald/matcher/states":           {"herald/subscriptions", "herald/matcher/predicate"},
	"herald/matcher":                  {"herald/problem", "herald/calendar", "herald/timeid", "herald/matcher/history", "herald/subscriptions", "herald/matcher/predicate", "herald/matcher/index", "herald/matcher/follower", "herald/matcher/states", "herald/matcher/absence", "herald/matcher/dates", "herald/dispatch", "herald/dispatch/timing"},
	"herald/matcher/eventform":        {"herald/problem", "herald/matcher", "herald/subscriptions", "herald/jsontext", "herald/xmlform"},
	"herald/collectors":               {"herald/problem", "herald/matcher"},
	"herald/collectors/mapping":       {"herald/problem", "herald/matcher", "herald/matcher/eventform", "herald/xmlform"},
	"herald/collectors/folder":        {"herald/problem", "herald/matcher", "herald/matcher/eventform", "herald/collectors", "herald/collectors/mapping"},
	"herald/collectors/stream":        {"herald/problem", "herald/matcher/eventform", "herald/collectors"},
	"herald/collectors/poller":        {"herald/problem", "herald/collectors", "herald/collectors/mapping", "herald/matcher/eventform"},
	"herald/campaigns/segment":        {"herald/problem"},
	"herald/campaigns":                {"herald/problem", "herald/calendar", "herald/templates", "herald/subscriptions", "herald/dispatch", "herald/campaigns/segment"},
	"herald/web/page":                 below("herald/matcher"),
	"herald/web/api":                  append(below("herald/matcher"), "herald/campaigns", "herald/dispatch/replies", "herald/dispatch/sms", "herald/jsontext", "herald/matcher/eventform", "herald/xmlform"),
	"herald/web/receipts":             {"herald/problem", "herald/subscriptions", "herald/dispatch", "herald/dispatch/bounces", "herald/dispatch/sms/gateway"},
	"herald/web/portal":               append(below("herald/matcher"), "herald/web/page"),
	"herald/web/console":              append(below("herald/matcher"), "herald/campaigns", "herald/dispatch/replies", "herald/dispatch/sms", "herald/dispatch/voice", "herald/dispatch/fax", "herald/web/page", "herald/collectors"),
	"herald/web":                      append(below("herald/matcher"), "herald/web/page", "herald/web/api", "herald/web/portal", "herald/web/console", "herald/web/receipts"),
	"herald/app/config":               {"herald/problem", "herald/dispatch/limits"},
	"herald/app":                      {"*"},
	"herald/demo":                     {"*"},
	"herald/bench":                    {"*"},
	"herald/cmd/herald":               {"*"},
}

// below is a room's own list and the room itself, for those above it.
func below(room string) []string {
	return []string{"herald/problem", "herald/access", "herald/templates", "herald/subscriptions", "herald/matcher/predicate", "herald/dispatch", "herald/webhooks", "herald/calendar", "herald/calendars", room}
}

// closed lists what only some rooms may import.
var closed = map[string][]string{
	"herald/postgres":             {"herald/app", "herald/demo", "herald/bench"}, // the latter for a folder that is thrown away
	"github.com/jackc/pgx/v5":     {"herald/postgres", "herald/postgres/internal/server", "herald/access", "herald/subscriptions", "herald/templates", "herald/webhooks", "herald/matcher", "herald/matcher/absence", "herald/matcher/dates", "herald/matcher/follower", "herald/matcher/history", "herald/matcher/states", "herald/dispatch", "herald/dispatch/limits", "herald/dispatch/caps", "herald/dispatch/replies", "herald/dispatch/fax", "herald/dispatch/sms/modem", "herald/dispatch/sms/parts", "herald/dispatch/voice", "herald/calendars", "herald/campaigns", "herald/collectors", "herald/collectors/poller", "herald/app", "herald/bench"},
	"github.com/riverqueue/river": {"herald/postgres", "herald/subscriptions", "herald/webhooks", "herald/dispatch", "herald/campaigns", "herald/app"},
}

func TestArrowsPointDown(t *testing.T) {
	for room, imports := range rooms(t) {
		allowed, planned := house[room]
		if !planned {
			t.Errorf("%s is not in the plan of the house: add it to house in this test, with what it may import", room)
			continue
		}
		for _, imported := range imports {
			if strings.HasPrefix(imported, room+"/internal/") {
				continue // its own back room
			}
			if strings.HasPrefix(imported, "herald/") && !slices.Contains(allowed, imported) && !slices.Contains(allowed, "*") {
				t.Errorf("%s imports %s: that arrow points up or sideways", room, imported)
			}
			for shut, keys := range closed {
				if (imported == shut || strings.HasPrefix(imported, shut+"/")) && !slices.Contains(keys, room) {
					t.Errorf("%s imports %s, which only %s may", room, imported, strings.Join(keys, ", "))
				}
			}
		}
	}
}

func TestEveryRoomSaysWhatItIsFor(t *testing.T) {
	for room := range rooms(t) {
		dir := filepath.Join("..", strings.TrimPrefix(room, "herald/"))
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		var comments []string
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Doc != nil && !strings.HasPrefix(parsed.Doc.Text(), "go:build") {
				comments = append(comments, filepath.Base(file))
			}
		}
		if len(comments) != 1 {
			t.Errorf("%s has %d package comments (%v), want one", room, len(comments), comments)
		}
	}
}

// rooms lists our packages that are part of the product, and what each imports.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	list := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		switch words[0] {
		case "herald/postgres/pgtest", "herald/dispatch/sms/link/linktest", "herald/collectors/collectortest", "herald/hardware/sim/simtest", "herald/hardware/sip/siptest", "herald/e2e", "herald/e2e/peers":
			continue // tests
		}
		list[words[0]] = words[1:]
	}
	return list
}
