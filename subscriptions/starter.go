package subscriptions

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"

	"herald/problem"
)

//go:embed starter/*.yaml
var starterFiles embed.FS

// starterLock is the advisory lock under which the starter set is loaded.
const starterLock = 0x48657261_7472 // "Hera", "tr"

// LoadStarter puts the triggers in force that most shops begin with, when
// there are none yet. Nodes that start together load them once.
func (s *Triggers) LoadStarter(ctx context.Context) error {
	starter, err := starterSet()
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(starterLock)); err != nil {
			return err
		}
		var some bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM triggers)`).Scan(&some); err != nil || some {
			return err
		}
		for _, t := range starter {
			t = t.completed()
			t.Version, t.Enabled = 1, true
			if _, err := s.write(ctx, tx, t, herald, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the starter triggers: %w", err)
	}
	return nil
}

// starterSet reads and checks the embedded definitions.
func starterSet() ([]Trigger, error) {
	var set []Trigger
	err := fs.WalkDir(starterFiles, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := starterFiles.ReadFile(path)
		if err != nil {
			return err
		}
		t, err := ParseTrigger(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := t.Check(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		set = append(set, t)
		return nil
	})
	return set, err
}

// What ParseTrigger reads at most: the YAML parser takes time by the square of
// the nesting.
const (
	maxDefinition = 64 << 10 // bytes
	maxNesting    = 32       // brackets open at once
)

// ParseTrigger reads a definition from YAML, as in the starter folder, without
// checking it. The error is Invalid with the place of the mistake as path:
// "line 3".
func ParseTrigger(text []byte) (Trigger, error) {
	var bad problem.Fields
	if len(text) > maxDefinition {
		bad.AddArgs("line 1", "max_len", map[string]any{"max_len": maxDefinition}, "must be at most %d bytes", maxDefinition)
		return Trigger{}, bad.Err("the definition cannot be read")
	}
	if line := nestedTooDeeply(text); line > 0 {
		bad.AddArgs(fmt.Sprintf("line %d", line), "yaml", map[string]any{"line": line}, "is nested too deeply")
		return Trigger{}, bad.Err("the definition cannot be read")
	}
	var t Trigger
	err := yaml.UnmarshalWithOptions(text, &t, yaml.Strict())
	if err == nil {
		return t, nil
	}
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
		position := at.GetToken().Position
		bad.AddArgs(fmt.Sprintf("line %d", position.Line), "yaml",
			map[string]any{"line": position.Line, "column": position.Column}, "%s", at.GetMessage())
	} else {
		bad.Add("line 1", "yaml", "%s", err.Error())
	}
	return Trigger{}, bad.Err("the definition cannot be read")
}

// nestedTooDeeply is the line where too many brackets are open, or that opens
// too many lists or mappings by "- " and "? "; 0 when there is none.
func nestedTooDeeply(text []byte) int {
	brackets := 0
	for i, line := range bytes.Split(text, []byte("\n")) {
		for _, c := range line {
			switch c {
			case '[', '{':
				brackets++
			case ']', '}':
				brackets--
			}
			if brackets > maxNesting {
				return i + 1
			}
		}
		if bytes.Count(line, []byte("- ")) > maxNesting || bytes.Count(line, []byte("? ")) > maxNesting {
			return i + 1
		}
	}
	return 0
}
