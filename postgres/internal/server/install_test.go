package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// installed makes a folder with programs that call themselves a version.
func installed(t *testing.T, root, version string) string {
	t.Helper()
	bin := filepath.Join(root, version, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"postgres", "initdb"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s (Debian)'\n", program, version)
		if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func dataOf(t *testing.T, version string) string {
	t.Helper()
	data := t.TempDir()
	if version != "" {
		if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(version+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func TestFindInstallation(t *testing.T) {
	root := t.TempDir()
	bin9, bin15, bin17 := installed(t, root, "9.6"), installed(t, root, "15.18"), installed(t, root, "17beta1")
	links := t.TempDir()
	for _, program := range []string{"postgres", "initdb"} {
		if err := os.Symlink(filepath.Join(bin15, program), filepath.Join(links, program)); err != nil {
			t.Fatal(err)
		}
	}
	half := t.TempDir()
	if err := os.Symlink(filepath.Join(bin17, "postgres"), filepath.Join(half, "postgres")); err != nil {
		t.Fatal(err)
	}
	glob := filepath.Join(root, "*", "bin")
	tests := map[string]struct {
		bin  string
		in   places
		data string // version that made it
		want string
	}{
		"the newest of the usual places":     {in: places{globs: []string{glob}}, want: bin17},
		"PATH comes before the usual places": {in: places{path: bin15, globs: []string{glob}}, want: bin15},
		"a link in PATH leads to the folder": {in: places{path: "/nowhere:" + links}, want: bin15},
		"the programs may be links, each":    {in: places{path: half}, want: bin17},
		"existing data decides":              {in: places{path: bin17, globs: []string{glob}}, data: "15", want: bin15},
		"data from before version 10":        {in: places{globs: []string{glob}}, data: "9.6", want: bin9},
		"the folder that is given":           {bin: bin15, in: places{path: bin17}, want: bin15},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := findInstallation(test.bin, dataOf(t, test.data), test.in)
			if err != nil || got.bin != test.want {
				t.Errorf("got %q (%v), want %q", got.bin, err, test.want)
			}
		})
	}
}

func TestFindInstallationSaysWhatToDo(t *testing.T) {
	root := t.TempDir()
	bin15 := installed(t, root, "15.18")
	empty := t.TempDir()
	wrong := installed(t, t.TempDir(), "nonsense")
	tests := map[string]struct {
		bin          string
		in           places
		data         string
		notInstalled bool
		want         []string
	}{
		"nothing is installed":          {in: places{path: empty}, notInstalled: true, want: []string{"apt-get install postgresql`", "URL"}},
		"the given folder has none":     {bin: empty, notInstalled: true, want: []string{empty, "apt-get install postgresql`"}},
		"a program that is no postgres": {bin: wrong, notInstalled: true, want: []string{"no PostgreSQL version"}},
		"other data, newer":             {in: places{path: bin15}, data: "18", want: []string{"PostgreSQL 18", "only PostgreSQL 15", "apt-get install postgresql-18", "pg_upgrade"}},
		"data without a version":        {in: places{path: bin15}, data: "?", want: []string{"does not hold a version"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := findInstallation(test.bin, dataOf(t, test.data), test.in)
			if err == nil {
				t.Fatal("one was found")
			}
			if errors.Is(err, ErrNotInstalled) != test.notInstalled {
				t.Errorf("ErrNotInstalled: %t, want %t", !test.notInstalled, test.notInstalled)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}
