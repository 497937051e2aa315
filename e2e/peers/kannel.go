package peers

import (
	"os/exec"
	"testing"
)

// Smsbox starts the half of Kannel that takes texts by HTTP, with the
// configuration in a file; its bearerbox must listen. It takes them before it is
// connected to that, and then panics on the first (lock_out: Assertion `conn !=
// NULL' failed); so what is waited for is what it begins when it is (smsbox.c,
// main).
func Smsbox(t testing.TB, conf string) *Process {
	t.Helper()
	p := Start(t, exec.Command(Program(t, "smsbox", "kannel"), "-v", "0", conf))
	p.UntilSaid("gw/heartbeat.c:heartbeat_thread")
	return p
}
