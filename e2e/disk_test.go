package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"herald/postgres/pgtest"
)

// TestFullDisk takes the room away from the database under load: first its
// tables cannot grow, then its log. Herald refuses events meanwhile, loses
// none that it accepted, and goes on by itself when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const members = 50
	disk := mountDisk(t, 200<<20)
	database, mail := pgtest.NewServer(t, filepath.Join(disk, "server")), newSink(t)
	c := newCluster(t, database.URL(), 1, members, mailAccount("sink", mail, "max_sessions: 4"))
	pool := connectTo(t, database.URL())

	mail.behave(manners{before: 2 * time.Millisecond}) // so that messages are on their way when the room ends
	told := 0
	for ; told < 20; told++ {
		if err := c.tell(t.Context(), told); err != nil {
			t.Fatal(err)
		}
	}
	free := fill(t, disk)
	eventually(t, patience, "events to be refused", func() bool {
		status, text, err := c.ask("POST", "/api/v1/events", structured, price(fmt.Sprint("full-", told), told))
		switch {
		case err != nil:
			t.Fatal(err)
		case status == http.StatusAccepted: // there was a page left
			told++
		case status != http.StatusServiceUnavailable:
			t.Fatalf("POST event = %d: %s", status, text)
		}
		return status == http.StatusServiceUnavailable
	})
	eventually(t, patience, "the database to break down", func() bool {
		_, err := pool.Exec(t.Context(), `SELECT pg_switch_wal()`)
		return err != nil
	})
	c.isReady(http.StatusServiceUnavailable)

	free()
	began := time.Now()
	c.isReady(http.StatusOK)
	ready := time.Since(began)
	if err := c.tell(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	told++
	l := c.rest(patience)
	if int(l.Accepted) != told*members || !l.Balanced {
		t.Errorf("ledger = %+v, want %d accepted", l, told*members)
	}
	if n := len(mail.arrivals()); n != told*members {
		t.Errorf("%d messages came, want %d", n, told*members)
	}
	t.Logf("ready %v after there was room, at rest after %v; %d messages, %d came again",
		ready, time.Since(began), told*members, mail.arrived()-told*members)
}

// isReady waits until /readyz answers so.
func (c *cluster) isReady(want int) {
	c.t.Helper()
	eventually(c.t, patience, fmt.Sprint("/readyz to answer ", want), func() bool {
		status, _, err := c.ask("GET", "/readyz", "", nil)
		return err == nil && status == want
	})
}

// mountDisk mounts a file system of so many bytes.
func mountDisk(t *testing.T, size int) string {
	t.Helper()
	dir := filepath.Join(pgtest.DataDir(t), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("size=%d,mode=0755,uid=%d", size, os.Getuid())
	if out, err := asRoot("mount", "-t", "tmpfs", "-o", options, "herald-test", dir).CombinedOutput(); err != nil {
		t.Fatalf("this test mounts a small file system: run it as root, or let sudo work without a password: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := asRoot("umount", "--lazy", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %v\n%s", dir, err, out)
		}
	})
	return dir
}

func asRoot(args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// fill takes all the room that a file system has left, until the function is
// called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "filling"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	end := int64(0)
	for piece := int64(16 << 20); piece >= 4<<10; {
		err := syscall.Fallocate(int(file.Fd()), 0, end, piece)
		switch {
		case err == nil:
			end += piece
		case errors.Is(err, syscall.ENOSPC):
			piece /= 2
		default:
			t.Fatalf("fill %s: %v", dir, err)
		}
	}
	return func() {
		t.Helper()
		if err := os.Remove(file.Name()); err != nil {
			t.Fatal(err)
		}
	}
}
