package pgtest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"herald/postgres/pgtest"
)

// dying makes this test program, run once more, end in a bad way.
const dying = "HERALD_TEST_DYING"

// TestDying is the body of that other run; by itself it does nothing.
func TestDying(t *testing.T) {
	how := os.Getenv(dying)
	if how == "" {
		return
	}
	url := ""
	if how == "kill, with a server in a folder of a folder" {
		url = pgtest.NewServer(t, filepath.Join(pgtest.DataDir(t), "postgres")).URL()
	} else {
		url = pgtest.URL(t)
	}
	fmt.Println("url", url)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if how == "panic" {
		panic("as a test may")
	}
}

func TestNothingIsLeftBehindWhenTheTestsEndBadly(t *testing.T) {
	for _, how := range []string{"panic", "kill", "kill, with a server in a folder of a folder"} {
		t.Run(how, func(t *testing.T) {
			run := exec.Command(os.Args[0], "-test.run=^TestDying$", "-test.v")
			run.Env = append(os.Environ(), dying+"="+how)
			in, err := run.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := run.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			errs, err := run.StderrPipe() // also held by the guard, until it has done its work
			if err != nil {
				t.Fatal(err)
			}
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			server := waitForURL(t, out)
			u, err := url.Parse(server)
			if err != nil {
				t.Fatal(err)
			}
			sockets := u.Query().Get("host")
			pid := postmaster(t, filepath.Join(sockets, "..", "data"))
			if how == "panic" {
				_, err = in.Write([]byte("\n"))
			} else {
				err = run.Process.Kill()
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, errs); err != nil {
				t.Fatal(err)
			}
			_ = run.Wait() // it fails, as it should

			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("the server still runs: %v", err)
			}
			if _, err := os.Stat(sockets); !os.IsNotExist(err) {
				t.Errorf("its folder is still there: %v", err)
			}
		})
	}
}

func waitForURL(t *testing.T, out io.Reader) string {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "url "); ok {
			return url
		}
	}
	t.Fatal("the other run did not start its server")
	return ""
}

// postmaster is the process of the server with a data directory.
func postmaster(t *testing.T, data string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
