package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the system user the server runs as: PostgreSQL refuses to run as
// root. Its zero value is whoever runs Herald.
type account struct {
	name       string
	credential *syscall.Credential // nil: our own
}

// serverAccount chooses the account. Root gives way to the owner of an existing
// data directory, else to user postgres, else to nobody.
func serverAccount(l layout) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	if info, err := os.Stat(l.data); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
			return accountOf(owner.Uid, owner.Gid), nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errU, errG); err != nil {
			return account{}, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return account{name: name, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return account{}, errors.New("the database server may not run as root, and there is neither a user postgres nor nobody: " +
		"run Herald as another user, or create one with `useradd --system postgres`")
}

func accountOf(uid, gid uint32) account {
	name := fmt.Sprint(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return account{name: name, credential: &syscall.Credential{Uid: uid, Gid: gid}}
}

// prepare makes the folders, gives them to the account, and checks that it can
// reach them and the programs.
func (a account) prepare(l layout, i installation) error {
	if err := l.checkOurs(); err != nil {
		return err
	}
	for _, dir := range []string{l.dir, l.sockets} {
		// Folders above it that are made now must let the account through.
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the database's folder: %w", err)
		}
		if err := a.take(dir); err != nil {
			return err
		}
	}
	if a.credential == nil {
		return nil
	}
	for _, dir := range []string{l.dir, l.sockets, i.bin} {
		if closed, mode := a.closedParent(dir); closed != "" {
			return fmt.Errorf("the database server runs as user %s, who may not pass through %s (%s) to %s: "+
				"open it with `chmod o+x %s`, or choose another data directory", a.name, closed, mode, dir, closed)
		}
	}
	return nil
}

// checkOurs refuses a folder in which none of our things lie, but others do: it
// is about to be closed to everybody else.
func (l layout) checkOurs() error {
	inside, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at the database's folder: %w", err)
	}
	for _, entry := range inside {
		switch filepath.Join(l.dir, entry.Name()) {
		case l.data, l.lock, l.log, filepath.Join(l.dir, "run"):
			return nil
		}
	}
	if len(inside) > 0 {
		return fmt.Errorf("%s is not empty and holds no database of Herald's: choose a folder of its own", l.dir)
	}
	return nil
}

// take makes a folder the account's own and closes it to all others.
func (a account) take(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the database's folder: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	want := uint32(os.Geteuid())
	if a.credential != nil {
		want = a.credential.Uid
		if owner.Uid == 0 {
			if err := os.Chown(dir, int(want), int(a.credential.Gid)); err != nil {
				return fmt.Errorf("give the database's folder to user %s: %w", a.name, err)
			}
			owner.Uid = want
		}
	}
	if owner.Uid != want {
		return fmt.Errorf("%s belongs to user %d, not to the user %d that runs the database server", dir, owner.Uid, want)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close the database's folder to others: %w", err)
	}
	return nil
}

// closedParent is the first folder on the way to dir, dir included, that the
// account may not enter, or "".
func (a account) closedParent(dir string) (string, fs.FileMode) {
	var way []string
	for d := dir; ; d = filepath.Dir(d) {
		way = append(way, d)
		if d == filepath.Dir(d) {
			break
		}
	}
	for i := len(way) - 1; i >= 0; i-- {
		info, err := os.Stat(way[i])
		if err != nil {
			return way[i], 0
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		bit := fs.FileMode(0o001)
		switch {
		case owner.Uid == a.credential.Uid:
			bit = 0o100
		case owner.Gid == a.credential.Gid:
			bit = 0o010
		}
		if info.Mode()&bit == 0 {
			return way[i], info.Mode()
		}
	}
	return "", 0
}

// shortSocketDir is where the socket goes when the data directory's path is
// too long for one: always the same for a data directory, so that every
// process finds it. take refuses it when somebody else made it first.
func shortSocketDir(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join("/tmp", "herald-"+hex.EncodeToString(sum[:8]))
}
