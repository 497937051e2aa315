package gateway

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"herald/problem"
)

//go:embed ready/*.yaml
var ready embed.FS

// Names are the descriptions that Herald brings along, in order.
func Names() []string {
	entries, err := ready.ReadDir("ready")
	if err != nil {
		panic(err) // it is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// maxFile is how long a description may be, in bytes.
const maxFile = 256 << 10

// Load gives the description that Herald brings along under a name, or else
// reads the file of that path. An error names the file and, where it can, the
// line.
func Load(name string) (*Description, error) {
	if slices.Contains(Names(), name) {
		source, err := ready.ReadFile("ready/" + name + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("the description %s: %w", name, err)
		}
		return Parse(name+".yaml", source)
	}
	if filepath.Ext(name) == "" {
		return nil, fmt.Errorf("there is no description %s: name one of %s, or a file", name, strings.Join(Names(), ", "))
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the description: %w", err)
	}
	if info.Size() > maxFile || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: a description is a file of at most %d bytes", name, maxFile)
	}
	source, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the description: %w", err)
	}
	return Parse(name, source)
}

// Parse reads a description strictly. file is what errors call it; they name
// the line of every mistake.
func Parse(file string, source []byte) (*Description, error) {
	if len(source) > maxFile {
		return nil, fmt.Errorf("%s: a description has at most %d bytes", file, maxFile)
	}
	d := &Description{name: file, source: source, mayAsk: map[string]bool{}, mayReveal: map[string]bool{}}
	if err := yaml.NewDecoder(bytes.NewReader(source), yaml.Strict()).Decode(&d.spec); err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			p := at.GetToken().Position
			return nil, fmt.Errorf("%s:%d:%d: %s", file, p.Line, p.Column, at.GetMessage())
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var mistakes problem.Fields
	d.compile(&mistakes)
	if len(mistakes) > 0 {
		return nil, d.explain(mistakes)
	}
	return d, nil
}

// explain says where in the file the mistakes are.
func (d *Description) explain(mistakes problem.Fields) error {
	var lines []error
	for _, m := range mistakes {
		if line := d.line(m.Path); line > 0 {
			lines = append(lines, fmt.Errorf("%s:%d: %s %s", d.name, line, m.Path, m.Message))
		} else {
			lines = append(lines, fmt.Errorf("%s: %s %s", d.name, m.Path, m.Message))
		}
	}
	return errors.Join(lines...)
}

// line is where the file has path or, when it has not, the nearest thing
// around it; 0 when it has neither.
func (d *Description) line(path string) int {
	for at := path; at != ""; at = at[:max(strings.LastIndexAny(at, ".["), 0)] {
		p, err := yaml.PathString("$." + at)
		if err != nil { // a step is a key that paths cannot name
			continue
		}
		if node, err := p.ReadNode(bytes.NewReader(d.source)); err == nil && node.GetToken() != nil {
			return node.GetToken().Position.Line
		}
	}
	return 0
}
