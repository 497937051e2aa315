package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"herald/dispatch"
)

// cutConn is a connection that breaks after so many bytes.
type cutConn struct {
	*net.TCPConn
	writes, reads int  // that are left
	deaf          bool // nothing is read after a write that broke
}

// Write ends our half where the bytes end; what the server answers to those it
// got can still be read.
func (c *cutConn) Write(p []byte) (int, error) {
	if len(p) <= c.writes {
		c.writes -= len(p)
		return c.TCPConn.Write(p)
	}
	n, err := c.TCPConn.Write(p[:c.writes])
	if c.writes = 0; c.deaf {
		c.reads = 0
	}
	return n, errors.Join(syscall.EPIPE, err, c.CloseWrite())
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.reads == 0 {
		return 0, io.EOF
	}
	n, err := c.TCPConn.Read(p[:min(len(p), c.reads)])
	c.reads -= n
	return n, err
}

const endless = 1 << 30

// TestAConnectionBreaksAtEveryByte that we write, and at every byte that we
// read: what is said of each message of a batch is true.
func TestAConnectionBreaksAtEveryByte(t *testing.T) {
	for _, pipelining := range []bool{true, false} {
		for name, cut := range map[string]func(n int) cutConn{
			"writing":           func(n int) cutConn { return cutConn{writes: n, reads: endless} },
			"writing both ways": func(n int) cutConn { return cutConn{writes: n, reads: endless, deaf: true} },
			"reading":           func(n int) cutConn { return cutConn{writes: endless, reads: n} },
		} {
			t.Run(fmt.Sprintf("%s, pipelining %v", name, pipelining), func(t *testing.T) {
				for n := 0; cutBatch(t, &farEnd{pipelining: pipelining}, cut(n)) > 0; n++ {
				}
			})
		}
	}
}

// cutBatch hands three messages over, the second one refused, and returns how
// many failed but for that.
func cutBatch(t *testing.T, f *farEnd, cut cutConn) (failed int) {
	t.Helper()
	peer := newFarEndPeer(t, answerWithin, f)
	defer f.stop()
	peer.mailer.cfg.Username = ""
	ms := []dispatch.Message{peer.Message(0), peer.Message(1), peer.Message(2)}
	for i := range ms {
		ms[i].Content.HTML = ""
	}
	peer.Inject(t, "refuses the message for good", ms[1])
	conn, err := net.Dial("tcp", f.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	writes, reads := cut.writes, cut.reads
	cut.TCPConn = conn.(*net.TCPConn)
	s, err := peer.mailer.begin(t.Context(), &cut)
	if err != nil {
		return len(ms) // cut within the greeting
	}
	said := make([]error, len(ms))
	heard := make([]int, len(ms))
	s.SendBatch(t.Context(), ms, func(i int, _ dispatch.Receipt, err error) {
		said[i] = err
		heard[i]++
	})
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	f.stop() // everything that arrived is read now
	ended := false
	for i, m := range ms {
		if heard[i] != 1 {
			t.Fatalf("after %d bytes written, %d read, message %d was settled %d times", writes, reads, i, heard[i])
		}
		taken := peer.Taken(m)
		if said[i] == nil {
			if taken != 1 || ended {
				t.Errorf("after %d bytes written, %d read, message %d, taken %d times, succeeded", writes, reads, i, taken)
			}
			continue
		}
		class := failureOf(t, said[i]).Class
		wrong := class != dispatch.Doubt && taken > 0            // it would come twice
		wrong = wrong || class == dispatch.Doubt && taken == 0   // we know better
		wrong = wrong || ended && class != dispatch.SessionFatal // it was not its turn
		if wrong {
			t.Errorf("after %d bytes written, %d read, message %d, taken %d times, gives %v", writes, reads, i, taken, said[i])
		}
		if class != dispatch.Permanent {
			failed++
			ended = true
		}
	}
	return failed
}
