package hfaxd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"herald/e2e/peers"
)

// run runs one of HylaFAX's own clients and gives what it says.
func run(t *testing.T, s *Server, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), peers.Program(t, name, "hylafax-client"), append([]string{"-h", s.Addr()}, args...)...)
	cmd.Env = append(os.Environ(), "FAXUSER=shop")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, said)
	}
	return string(said)
}

// TestHylaFAXClients proves the server by the clients of the real one.
func TestHylaFAXClients(t *testing.T) {
	s := start(t, Config{})
	document := filepath.Join(t.TempDir(), "two.pdf")
	if err := os.WriteFile(document, pdf(2), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.SetFaults(Fault{Kind: Busy, Number: "5550000"}); err != nil {
		t.Fatal(err)
	}
	if said := run(t, s, "sendfax", "-n", "-w", "-i", "our-id", "-d", "5551234", document); !strings.Contains(said, "request id is 1 (group id 1)") {
		t.Errorf("sendfax says %s", said)
	}
	got := s.Faxes().All()
	if len(got) != 1 || !got[0].Whole() || got[0].Of != 2 || got[0].Info != "our-id" || got[0].Number != "5551234" {
		t.Fatalf("what arrived is %+v", got)
	}
	run(t, s, "sendfax", "-n", "-w", "-T", "2", "-t", "2", "-d", "5550000", document)
	said := run(t, s, "faxstat", "-s", "-d")
	for _, want := range []string{"HylaFAX scheduler on simulator: Running", "Modem sim0 (+1.555.555.0100): Running and idle", "D ", "5551234", "2:2", "F ", "5550000", "Busy signal detected; too"} {
		if !strings.Contains(said, want) {
			t.Errorf("faxstat does not say %q:\n%s", want, said)
		}
	}
	if said := run(t, s, "faxrm", "1"); !strings.Contains(said, "Job 1 removed (from doneq)") {
		t.Errorf("faxrm says %s", said)
	}
	if said := run(t, s, "faxstat", "-d"); strings.Contains(said, "5551234") {
		t.Errorf("after faxrm, faxstat says\n%s", said)
	}
}
