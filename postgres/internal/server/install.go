package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// installation is one installed PostgreSQL.
type installation struct {
	bin   string // folder of initdb and postgres
	major int    // such as 17
}

// places are where installations are looked for.
type places struct {
	path  string   // a list of folders like $PATH: the first that fits wins
	globs []string // patterns of folders: the newest that fits wins
}

func defaultPlaces() places {
	return places{
		path: os.Getenv("PATH"),
		globs: []string{
			"/usr/lib/postgresql/*/bin",           // Debian, Ubuntu
			"/usr/pgsql-*/bin",                    // PostgreSQL's own RPMs
			"/usr/local/pgsql/bin",                // built from source
			"/opt/homebrew/opt/postgresql@*/bin",  // Homebrew on ARM
			"/usr/local/opt/postgresql@*/bin",     // Homebrew on Intel
			"/usr/libexec/postgresql*",            // Alpine
			"/Applications/Postgres.app/*/*/*bin", // Postgres.app
		},
	}
}

// ErrNotInstalled is wrapped when there are no PostgreSQL programs to run.
var ErrNotInstalled = errors.New("PostgreSQL is not installed")

// advice says how to get PostgreSQL.
const advice = "install it with `apt-get install postgresql` (Fedora: `dnf install postgresql-server`, macOS: `brew install postgresql`), or give Herald the URL of a database"

// findInstallation chooses the PostgreSQL to run: the one in binDir when given,
// else the first in PATH, else the newest of the usual places. A data
// directory that exists needs one of its own major version.
func findInstallation(binDir, data string, in places) (installation, error) {
	found, err := installations(binDir, in)
	if err != nil {
		return installation{}, err
	}
	made, err := dataMajor(data)
	if err != nil {
		return installation{}, err
	}
	if made == 0 {
		return found[0], nil
	}
	for _, i := range found {
		if i.major == made {
			return i, nil
		}
	}
	return installation{}, fmt.Errorf("%s was made by PostgreSQL %d, and only %s is installed: "+
		"install that version too (`apt-get install postgresql-%d`), or move the data to PostgreSQL %d with pg_upgrade (see `man pg_upgrade`)",
		data, made, majors(found), made, found[0].major)
}

// installations are all that can be used, best first; at least one.
func installations(binDir string, in places) ([]installation, error) {
	if binDir != "" {
		i, err := inspect(binDir)
		if err != nil {
			return nil, fmt.Errorf("%w in %s: %w; %s", ErrNotInstalled, binDir, err, advice)
		}
		return []installation{i}, nil
	}
	var found, usual []installation
	for _, dir := range filepath.SplitList(in.path) {
		if i, err := inspect(dir); err == nil {
			found = append(found, i)
		}
	}
	for _, glob := range in.globs {
		dirs, err := filepath.Glob(glob)
		if err != nil {
			return nil, fmt.Errorf("look for PostgreSQL: %w", err)
		}
		for _, dir := range dirs {
			if i, err := inspect(dir); err == nil {
				usual = append(usual, i)
			}
		}
	}
	slices.SortStableFunc(usual, func(a, b installation) int { return cmp.Compare(b.major, a.major) })
	found = append(found, usual...)
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: no initdb and postgres in PATH or in /usr/lib/postgresql/*/bin; %s", ErrNotInstalled, advice)
	}
	return found, nil
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect reports which version a folder holds, following symbolic links: the
// programs in PATH are often links into the real folder.
func inspect(dir string) (installation, error) {
	program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return installation{}, err
	}
	bin := filepath.Dir(program)
	if _, err := exec.LookPath(filepath.Join(bin, "initdb")); err != nil {
		return installation{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-V").Output()
	if err != nil {
		return installation{}, fmt.Errorf("ask %s for its version: %w", program, err)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return installation{}, fmt.Errorf("%s calls itself %q, which is no PostgreSQL version", program, strings.TrimSpace(string(out)))
	}
	major, err := strconv.Atoi(string(match[1]))
	if err != nil {
		return installation{}, fmt.Errorf("read the version of %s: %w", program, err)
	}
	return installation{bin: bin, major: major}, nil
}

// dataMajor is the version that made a data directory, 0 when there is none.
func dataMajor(data string) (int, error) {
	path := filepath.Join(data, "PG_VERSION")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the data directory: %w", err)
	}
	// Before PostgreSQL 10 this was "9.6".
	major, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0, fmt.Errorf("%s does not hold a version: %w", path, err)
	}
	return n, nil
}

func majors(found []installation) string {
	var names []string
	for _, i := range found {
		if name := strconv.Itoa(i.major); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "PostgreSQL " + strings.Join(names, ", ")
}
