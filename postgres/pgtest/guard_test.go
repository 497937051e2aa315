package pgtest_test

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

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
	fmt.Println("url", pgtest.URL(t))
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if how == "panic" {
		panic("as a test may")
	}
}

func TestNothingIsLeftBehindWhenTheTestsEndBadly(t *testing.T) {
	for _, how := range []string{"panic", "kill"} {
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
			if how == "kill" {
				err = run.Process.Kill()
			} else {
				_, err = in.Write([]byte("\n"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, errs); err != nil {
				t.Fatal(err)
			}
			_ = run.Wait() // it fails, as it should

			if conn, err := pgx.Connect(t.Context(), server); err == nil {
				t.Error("the server still runs")
				_ = conn.Close(t.Context())
			}
			u, err := url.Parse(server)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(u.Query().Get("host")); !os.IsNotExist(err) {
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
