package peers

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// MariaDB starts a server on a folder of its own and gives its address; root
// has the password that is given.
func MariaDB(t testing.TB, password string) string {
	t.Helper()
	install, server := Program(t, "mariadb-install-db", "mariadb-server"), Program(t, "mariadbd", "mariadb-server")
	dir, err := os.MkdirTemp("", "herald-mariadb-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the system empties it in time
	owner := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // which the server refuses to be
		owner.Credential = nobodyOwns(t, dir)
	}
	data := filepath.Join(dir, "data")
	making := exec.Command(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	making.SysProcAttr, making.Dir = owner, dir
	if said, err := making.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	first := filepath.Join(dir, "first.sql")
	statement := "ALTER USER root@localhost IDENTIFIED BY '" + password + "';\nCREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '" + password + "';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
	if err := os.WriteFile(first, []byte(statement), 0o644); err != nil { //nolint:gosec // the server's user reads it
		t.Fatal(err)
	}
	address := Address(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(server, "--no-defaults", "--datadir="+data, "--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid"),
		"--bind-address=127.0.0.1", "--port="+port, "--init-file="+first, "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M")
	cmd.SysProcAttr, cmd.Dir = owner, dir
	Start(t, cmd).UntilSaid("ready for connections")
	return address
}

// nobodyOwns gives a folder to the user nobody.
func nobodyOwns(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids of a user are not negative
}
