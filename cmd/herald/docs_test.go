package main

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"herald/app"
	"herald/app/config"
)

const root = "../.."

// document is a page of the documentation.
type document struct {
	path string // from the root
	text string
	code string // its blocks and spans of code, a line each
}

var (
	codeBlock = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	codeSpan  = regexp.MustCompile("`([^`\n]+)`")
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// documents are the README and everything below docs.
func documents(t *testing.T) []document {
	t.Helper()
	paths := []string{"README.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			paths = append(paths, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list := make([]document, len(paths))
	for i, path := range paths {
		list[i] = readDocument(t, path)
	}
	return list
}

func readDocument(t *testing.T, path string) document {
	t.Helper()
	d := document{path: path, text: read(t, path)}
	for _, found := range codeBlock.FindAllStringSubmatch(d.text, -1) {
		d.code += found[1]
	}
	d.text = codeBlock.ReplaceAllString(d.text, "")
	for _, found := range codeSpan.FindAllStringSubmatch(d.text, -1) {
		d.code += found[1] + "\n"
	}
	return d
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	for _, d := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(d.text, ""), -1) {
			to, err := url.Parse(found[1])
			if err != nil {
				t.Errorf("%s links to %q: %v", d.path, found[1], err)
				continue
			}
			if to.Scheme != "" {
				continue // elsewhere
			}
			target := d.path
			if to.Path != "" {
				target = filepath.Join(filepath.Dir(d.path), to.Path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", d.path, found[1])
				continue
			}
			if to.Fragment != "" && !slices.Contains(anchors(read(t, target)), to.Fragment) {
				t.Errorf("%s links to %s: there is no such heading", d.path, found[1])
			}
		}
	}
}

// anchors are the headings' names in links, as GitHub and Gitea make them.
func anchors(markdown string) []string {
	var names []string
	for _, found := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(markdown, ""), -1) {
		name := strings.ToLower(strings.TrimSpace(found[1]))
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

var (
	command = regexp.MustCompile(`(?m)(?:^|\$\(|sudo -u herald |ExecStart=)(?:\S*bin/)?herald ((?:[^#)\n]|\$\()*)`)
	flag    = regexp.MustCompile(`--([a-z-]+)`)
)

func TestDocumentsNameCommandsThatExist(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range documents(t) {
		for _, found := range command.FindAllStringSubmatch(d.code, -1) {
			seen++
			checkCommand(t, d.path, parser.Model.Node, strings.Fields(found[1]))
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found: this test no longer reads the documents", seen)
	}
}

// checkCommand follows words down the commands, and holds the flags against
// the last one's.
func checkCommand(t *testing.T, path string, node *kong.Node, words []string) {
	t.Helper()
	flags := []string{"help", "config"}
	for i := 0; i < len(words) && len(node.Children) > 0; i++ {
		if words[i] == "--config" || words[i] == "-c" {
			i++ // its value
			continue
		}
		next := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == words[i] })
		if next < 0 {
			t.Errorf("%s: herald %s is no command", path, strings.Join(words, " "))
			return
		}
		node = node.Children[next]
	}
	for _, f := range node.Flags {
		flags = append(flags, f.Name)
	}
	for _, found := range flag.FindAllStringSubmatch(strings.Join(words, " "), -1) {
		if !slices.Contains(flags, found[1]) {
			t.Errorf("%s: herald %s: there is no --%s", path, strings.Join(words, " "), found[1])
		}
	}
}

func TestDocumentsNameSettingsThatExist(t *testing.T) {
	var example bytes.Buffer
	if err := config.Example(&example); err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`HERALD_[A-Z_]+`).FindAllString(example.String(), -1)
	known = append(known, config.FileVariable)
	setting := regexp.MustCompile(`(?m)^((?:log|database|http|api|matcher|subscriptions|dispatch|email|sms|bounces|replies|webhooks)\.[a-z_]+)$`)
	for _, d := range documents(t) {
		var named []string
		for line := range strings.Lines(d.code) {
			if !strings.Contains(line, "no such setting") { // what Herald says of one that does not exist
				named = append(named, regexp.MustCompile(`HERALD_[A-Z_]+`).FindAllString(line, -1)...)
			}
		}
		for _, found := range setting.FindAllStringSubmatch(d.code, -1) {
			if filepath.Ext(found[1]) != ".md" {
				named = append(named, config.Prefix+strings.ToUpper(strings.ReplaceAll(found[1], ".", "_")))
			}
		}
		for _, name := range named {
			if !slices.Contains(known, name) {
				t.Errorf("%s names %s, which is no setting", d.path, name)
			}
		}
	}
}

// Whoever copies an account or a collector from a guide has one that Herald takes.
func TestDocumentedSettingsAreTaken(t *testing.T) {
	seen := 0
	for _, found := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(read(t, "docs/sms.md")+read(t, "docs/collectors.md"), -1) {
		seen++
		path := filepath.Join(t.TempDir(), "herald.yaml")
		if err := os.WriteFile(path, []byte(found[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(path, nil, app.Check); err != nil {
			t.Errorf("%v\n%s", err, found[1])
		}
	}
	if seen < 9 {
		t.Errorf("only %d were found: this test no longer reads the guides", seen)
	}
}

func TestDocumentsNameMakeTargetsAndMetricsThatExist(t *testing.T) {
	makefile := read(t, "Makefile")
	var figures string
	for _, path := range []string{
		"web/traffic.go", "web/receipts/receipts.go", "webhooks/metrics.go", "matcher/metrics.go", "matcher/follower/metrics.go",
		"dispatch/metrics.go", "dispatch/receipts.go", "dispatch/bookkeeper.go", "dispatch/bounces/metrics.go", "collectors/metrics.go", "dispatch/replies/store.go",
	} {
		figures += read(t, path)
	}
	for _, d := range documents(t) {
		for _, found := range regexp.MustCompile(`(?m)^make ([a-z-]+)`).FindAllStringSubmatch(d.code, -1) {
			if !strings.Contains(makefile, "\n"+found[1]+":") {
				t.Errorf("%s: make %s: there is no such target", d.path, found[1])
			}
		}
		for _, name := range regexp.MustCompile(`herald_[a-z_]+_(?:total|seconds|events)\b`).FindAllString(d.code, -1) {
			if !strings.Contains(figures, `"`+name+`"`) {
				t.Errorf("%s: there is no metric %s", d.path, name)
			}
		}
	}
}
