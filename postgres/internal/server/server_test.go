package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestTheOwnersLockIsHeldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "owner.lock")
	first, err := tryLock(path)
	if err != nil || first == nil {
		t.Fatalf("a free lock was not given: %v, %v", first, err)
	}
	if second, err := tryLock(path); err != nil || second != nil {
		t.Errorf("a held lock was given: %v, %v", second, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := tryLock(path)
	if err != nil || again == nil {
		t.Fatalf("a released lock was not given: %v, %v", again, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tryLock(filepath.Join(path, "below a file")); err == nil {
		t.Error("a lock was found where there can be none")
	}
}

func TestTheLogStaysBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	if err := boundLog(path, 10); err != nil {
		t.Errorf("a log that is not there yet: %v", err)
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, line := range []string{"a line longer than ten bytes\n", "next\n"} {
		if _, err := log.WriteString(line); err != nil {
			t.Fatal(err)
		}
		if err := boundLog(path, 10); err != nil {
			t.Fatal(err)
		}
	}
	now, _ := os.ReadFile(path)
	old, _ := os.ReadFile(path + ".old")
	if string(now) != "next\n" || string(old) != "a line longer than ten bytes\n" {
		t.Errorf("the log is %q, the one before %q", now, old)
	}
}

func TestTheEndOfTheLogIsShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(logTail(path), "\n")
	if len(lines) != tailLines || lines[tailLines-1] != "line 9999" {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	if tail := logTail(path + ".none"); !strings.Contains(tail, "cannot be read") {
		t.Errorf("of a missing log it says %q", tail)
	}
}

func TestAProcessNumberOfAnotherProgramIsNotTheServer(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		content string
		left    bool // whether the file is left for PostgreSQL to judge
	}{
		"another program's": {fmt.Sprintf("%d\n", os.Getpid()), false},
		"nobody's":          {fmt.Sprintf("%d\n", gone.Process.Pid), true},
		"no number":         {"scrambled\n", true},
		"none at all":       {"", true},
		"a negative one":    {"-1\n", true}, // to kill, -1 means everybody
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			path := filepath.Join(data, "postmaster.pid")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if p := findProcess(data); p != nil {
				t.Errorf("took process %d for a server", p.pid)
			}
			if _, err := os.Stat(path); (err == nil) != test.left {
				t.Errorf("postmaster.pid: %v, want left: %t", err, test.left)
			}
		})
	}
}

func TestWaysTheServersUserMayNotGo(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{root, filepath.Dir(root)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	below := filepath.Join(root, "closed", "data")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(root, "closed")
	info, err := os.Stat(root)
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("this system does not tell owners")
	}
	stranger := &syscall.Credential{Uid: owner.Uid + 1, Gid: owner.Gid + 1}
	tests := map[string]struct {
		mode os.FileMode
		who  *syscall.Credential
		want bool
	}{
		"a stranger, closed to others":   {0o770, stranger, true},
		"a stranger, passable by others": {0o771, stranger, false},
		"one of its group":               {0o710, &syscall.Credential{Uid: owner.Uid + 1, Gid: owner.Gid}, false},
		"one of a group that may not":    {0o701, &syscall.Credential{Uid: owner.Uid + 1, Gid: owner.Gid}, true},
		"its owner":                      {0o700, &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := os.Chmod(closed, test.mode); err != nil {
				t.Fatal(err)
			}
			// The folders above are a matter of the machine: only ours counts.
			got, _ := account{credential: test.who}.closedParent(below)
			if (got == closed) != test.want {
				t.Errorf("closed is %q, want %s: %t", got, closed, test.want)
			}
		})
	}
}

func TestAFolderOfSomebodyElseIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} { // a link in /tmp could lead anywhere
		if err := (account{}).take(path); err == nil || !strings.Contains(err.Error(), "not a folder") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestAFolderInUseIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	l, err := newLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.checkOurs(); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "letters.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.checkOurs(); err == nil || !strings.Contains(err.Error(), "folder of its own") {
		t.Errorf("a folder with other things: %v", err)
	}
	if err := os.WriteFile(l.lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.checkOurs(); err != nil {
		t.Errorf("a folder with a server: %v", err)
	}
}
