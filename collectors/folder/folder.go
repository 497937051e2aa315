// Package folder collects the files that the company's systems put into a
// folder: comma-separated values, events in JSON one a line, or events in XML.
//
// A Config comes in; the Folder that goes out is a collectors.Source. A file
// that has stopped changing is moved into "taking" below the folder, so that
// another may come under its name, and read as a stream; how many records were
// dealt with is committed with each page, and a reading that was cut off goes on
// behind them. A file that was read goes to "done", or to "failed" where it
// could not be read to its end, with its refused records beside it.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"herald/collectors"
	"herald/collectors/mapping"
	"herald/matcher/eventform"
	"herald/problem"
)

// Format is how a file is written, in UTF-8 with or without a byte order mark.
type Format string

// The formats.
const (
	CSV    Format = "csv"    // RFC 4180 with a header
	NDJSON Format = "ndjson" // CloudEvents, one a line
	XML    Format = "xml"    // CloudEvents, an <event> or a <batch>
)

// Config is one folder. Fields are required unless they say otherwise.
type Config struct {
	Path    string
	Pattern string        // which files, as "*.csv"; empty: all whose format is known
	Format  Format        // empty: by the file's ending: .csv, .ndjson, .jsonl or .xml
	Comma   rune          // between the values of CSV; 0: a comma
	Settle  time.Duration // how long a file must not have changed
	Page    int           // records that share a transaction, at most 1,000; 500 when zero
	Mapping mapping.Mapping
	// Types are what the triggers want, read anew for each run.
	Types func(context.Context) (eventform.Types, error)
	Now   func() time.Time // time.Now when nil
}

// Mistakes are what is wrong with a configuration, by its fields' names.
func (c Config) Mistakes() problem.Fields {
	var f problem.Fields
	if c.Path == "" {
		f.Add("path", "required", "name the folder")
	}
	if _, err := filepath.Match(c.Pattern, "x"); err != nil {
		f.Add("pattern", "pattern", "must be like *.csv")
	}
	switch c.Format {
	case "", CSV, NDJSON, XML:
	default:
		f.Add("format", "option", "is %q and must be one of: csv, ndjson, xml", c.Format)
	}
	if c.Comma == '"' || c.Comma == '\r' || c.Comma == '\n' || c.Comma == 0xFFFD {
		f.Add("comma", "character", "cannot part values")
	}
	return f
}

// Folder collects the files of one folder.
type Folder struct {
	cfg   Config
	looks map[string]look // at the files that are there; of the goroutine in Collect
}

// look is a file as it was when it had last changed.
type look struct {
	size  int64
	mtime time.Time
	since time.Time // it has been like this
}

// New makes a collector of a folder. Errors are those of Mistakes.
func New(c Config) (*Folder, error) {
	if err := c.Mistakes().Err("the folder cannot be collected"); err != nil {
		return nil, err
	}
	if c.Page <= 0 {
		c.Page = 500
	}
	if c.Comma == 0 {
		c.Comma = ','
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Folder{c, map[string]look{}}, nil
}

// The folders below the one that is watched.
const (
	taking = "taking"
	done   = "done"
	failed = "failed"
)

// position is where a reading stands; File is empty between two.
type position struct {
	File    string `json:"file,omitempty"`
	Reading string `json:"reading,omitempty"` // a hash of the file
	Size    int64  `json:"size,omitempty"`    // the bytes that were hashed
	Records int    `json:"records,omitempty"` // dealt with
}

// Collect implements collectors.Source.
func (f *Folder) Collect(ctx context.Context, turn *collectors.Turn) error {
	for _, dir := range []string{taking, done, failed} {
		if err := os.MkdirAll(filepath.Join(f.cfg.Path, dir), 0o750); err != nil {
			return fmt.Errorf("make the folders: %w", err)
		}
	}
	types, err := f.cfg.Types(ctx)
	if err != nil {
		return err
	}
	begun, err := f.list(taking)
	if err != nil {
		return err
	}
	if err := f.forget(ctx, turn, begun); err != nil {
		return err
	}
	for _, file := range begun {
		if err := f.take(ctx, turn, types, file.Name()); err != nil {
			return err
		}
	}
	ready, waiting, err := f.ready()
	if err != nil {
		return err
	}
	for i, name := range ready {
		turn.Waiting(int64(waiting - i - 1))
		same, err := f.claim(name)
		if err != nil {
			return fmt.Errorf("take a file: %w", err)
		}
		if !same {
			continue
		}
		if err := f.take(ctx, turn, types, name); err != nil {
			return err
		}
	}
	return nil
}

// claim moves a file into taking. It is put back, to be looked at again, when it
// is not the one that was looked at.
func (f *Folder) claim(name string) (same bool, err error) {
	looked := f.looks[name]
	delete(f.looks, name)
	from, to := f.path(name), f.path(taking, name)
	if err := os.Rename(from, to); err != nil {
		return false, err
	}
	info, err := os.Stat(to)
	if err != nil {
		return false, err
	}
	if info.Size() == looked.size && info.ModTime().Equal(looked.mtime) {
		return true, nil
	}
	if _, err := os.Lstat(from); err == nil {
		return true, nil // another has come already: this one is whole
	}
	return false, os.Rename(to, from)
}

func (f *Folder) path(names ...string) string {
	return filepath.Join(append([]string{f.cfg.Path}, names...)...)
}

// forget ends a reading whose file has been dealt with, which a crash kept from
// being noted: the same file may come again.
func (f *Folder) forget(ctx context.Context, turn *collectors.Turn, begun []fs.FileInfo) error {
	var at position
	if err := turn.Position(&at); err != nil {
		return err
	}
	there := slices.ContainsFunc(begun, func(file fs.FileInfo) bool { return file.Name() == at.File })
	if at.File == "" || there {
		return nil
	}
	return turn.Take(ctx, nil, position{})
}

// ready are the files that have stopped changing, the oldest first, and how
// many wait in all.
func (f *Folder) ready() (names []string, waiting int, err error) {
	files, err := f.list("")
	if err != nil {
		return nil, 0, err
	}
	now := f.cfg.Now()
	looks := make(map[string]look, len(files))
	for _, file := range files {
		was, seen := f.looks[file.Name()]
		is := look{file.Size(), file.ModTime(), now}
		if seen && was.size == is.size && was.mtime.Equal(is.mtime) {
			is.since = was.since
			if now.Sub(is.since) >= f.cfg.Settle {
				names = append(names, file.Name())
			}
		}
		looks[file.Name()] = is
	}
	f.looks = looks
	return names, len(files), nil
}

// list are the files to collect in a folder below, the oldest first.
func (f *Folder) list(below string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(f.path(below))
	if err != nil {
		return nil, fmt.Errorf("look into the folder: %w", err)
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if !e.Type().IsRegular() || below == "" && !f.wanted(e.Name()) || e.Name()[0] == '.' {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been taken away
		}
		if err != nil {
			return nil, fmt.Errorf("look at a file: %w", err)
		}
		files = append(files, info)
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		if c := a.ModTime().Compare(b.ModTime()); c != 0 {
			return c
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return files, nil
}

// errorsSuffix ends the names of the files with what was refused.
const errorsSuffix = ".errors.ndjson"

// wanted reports whether a file is to be collected by its name: those that
// begin with a dot or end with .part or .tmp are still being written.
func (f *Folder) wanted(name string) bool {
	if name[0] == '.' || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, errorsSuffix) {
		return false
	}
	if f.cfg.Pattern == "" {
		return f.format(name) != ""
	}
	matches, err := filepath.Match(f.cfg.Pattern, name)
	return err == nil && matches
}

// format is a file's; empty when it is not known.
func (f *Folder) format(name string) Format {
	if f.cfg.Format != "" {
		return f.cfg.Format
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV
	case ".ndjson", ".jsonl":
		return NDJSON
	case ".xml":
		return XML
	}
	return ""
}

// Check implements collectors.Source.
func (f *Folder) Check(context.Context) error {
	info, err := os.Stat(f.cfg.Path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", f.cfg.Path)
	}
	for _, dir := range []string{"", taking, done, failed} {
		switch err := writable(f.path(dir)); {
		case err == nil, dir != "" && errors.Is(err, fs.ErrNotExist): // it will be made
		default:
			return fmt.Errorf("files cannot be moved: %w", err)
		}
	}
	return nil
}

// writable makes a file and removes it.
func writable(dir string) error {
	file, err := os.CreateTemp(dir, ".herald-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
