package sip_test

import (
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sip"
	"herald/hardware/sip/siptest"
)

// TestBaresipHoldsResumesAndHangsUp: what it asks within a call comes to us by
// each transport, and when it hangs up we hear of it at once, not by the silence.
func TestBaresipHoldsResumesAndHangsUp(t *testing.T) {
	t.Parallel()
	server, client := siptest.Certificate(t)
	for _, transport := range []sip.Transport{sip.UDP, sip.TCP, sip.TLS} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			says := make([]int16, 30*8000)
			cfg := sip.Config{Transport: transport, TLS: client, AskEvery: -1}
			var far siptest.Baresip
			if transport == sip.TLS {
				far, cfg.Server = siptest.EncryptedPhone(t, says, server)
				cfg.Encryption = sip.RequiredEncryption
			} else {
				far = siptest.Phone(t, says, "")
				cfg.Server = far.Addr
			}
			steps := make(chan sip.StepKind, 100)
			call, err := trunk(t, cfg).Call(t.Context(), "callee", sip.CallOptions{Watch: func(s sip.Step) { steps <- s.Kind }})
			if err != nil {
				t.Fatalf("%v\n%s", err, far.Said())
			}
			for range 2 {
				far.Command(t, "hold", "")
				happens(t, steps, sip.Held)
				far.Command(t, "resume", "")
				happens(t, steps, sip.Resumed)
				presses(t, far, call, "7")
			}
			far.Command(t, "hangup", "")
			select {
			case <-call.Done():
			case <-time.After(peers.Patience):
				t.Fatalf("nobody hears that it hangs up\n%s", far.Said())
			}
			timeline := call.Timeline()
			if end := timeline[len(timeline)-1]; end.Kind != sip.HungUp || end.By != sip.Them {
				t.Errorf("it ends with %+v", end)
			}
		})
	}
}
