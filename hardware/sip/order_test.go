package sip

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"herald/hardware/sip/siptest"
)

// atOnce takes one connection of TCP, and answers an INVITE with all answers
// in one segment, the first with a description, and whatever else with 200.
func atOnce(t *testing.T, answers ...int) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close() // it may be closed
		<-served
	})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close() //nolint:errcheck // of a test
		stream, buffer := sip.NewParser().NewSIPStream(), make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			_ = stream.ParseSIPStream(buffer[:n], func(m sip.Message) { // what is no message yet is when more comes
				req, is := m.(*sip.Request)
				if !is || req.Method == sip.ACK {
					return
				}
				var all strings.Builder
				if req.Method == sip.INVITE {
					description := []byte(strings.NewReplacer("[media_port]", "9", "\n", "\r\n").Replace(siptest.Sound + "\n"))
					for _, code := range answers {
						all.WriteString(sip.NewResponseFromRequest(req, code, "so", description).String())
						description = nil
					}
				} else {
					all.WriteString(sip.NewResponseFromRequest(req, sip.StatusOK, "so", nil).String())
				}
				_, _ = conn.Write([]byte(all.String())) // the call fails without it
			})
		}
	}()
	return l.Addr().String()
}

// TestAnswersAreHeardInTheOrderInWhichTheyCome, however busy the machine is:
// here it has one processor, on which what was begun last goes on first.
func TestAnswersAreHeardInTheOrderInWhichTheyCome(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const rounds = 5
	for range rounds {
		call, err := open(t, Config{Server: atOnce(t, 183, 180, 200), Transport: TCP, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := call.Hangup(t.Context()); err != nil {
			t.Error(err)
		}
		if steps := kinds(call.Timeline()); steps != "dialled early_sound ringing answered hung_up" {
			t.Errorf("the timeline is %s", steps)
		}
		_, err = open(t, Config{Server: atOnce(t, 180, 603), Transport: TCP, AskEvery: -1}).Call(t.Context(), "15550199", CallOptions{})
		var e *Error
		if !errors.As(err, &e) || e.Class != Rejected || !e.Rang {
			t.Errorf("one that rings and is declined is %#v", e)
		}
	}
}
