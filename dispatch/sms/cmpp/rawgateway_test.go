package cmpp

import (
	"net"
	"testing"
	"time"

	"herald/dispatch/sms/link"
	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/wire"
)

// rawGateway is a gateway that says what a test wants, in 3.0.
type rawGateway struct {
	t    *testing.T
	conn net.Conn
}

// meetRaw signs a session of d's in at a gateway of the test's own.
func meetRaw(t *testing.T) (*rawGateway, *Gateway) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	met := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if u, err := protocol.Read(conn); err == nil {
			body := append(make([]byte, 4+16), v30)
			_, _ = conn.Write(protocol.Append(nil, wire.PDU{Command: connect | answer, Sequence: u.Sequence, Body: body})) // it is seen
		}
		met <- conn
	}()
	account := accountAt(t, l.Addr().String())
	account.CheckGateway = false
	d := newGateway(t, account, linktest.NewStore())
	openSession(t, d)
	conn := <-met
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(linktest.Patience)); err != nil {
		t.Fatal(err)
	}
	return &rawGateway{t, conn}, d
}

func (g *rawGateway) say(command, sequence uint32, body []byte) {
	g.t.Helper()
	if _, err := g.conn.Write(protocol.Append(nil, wire.PDU{Command: command, Sequence: wire.Sequence{2: sequence}, Body: body})); err != nil {
		g.t.Fatal(err)
	}
}

// expect hears the answer to a DELIVER.
func (g *rawGateway) expect(sequence uint32, result byte) {
	g.t.Helper()
	u, err := protocol.Read(g.conn)
	if err != nil || u.Command != deliver|answer || u.Sequence[2] != sequence || len(u.Body) != 12 || u.Body[11] != result {
		g.t.Fatalf("heard was %+v, %v; want %d of %d", u, err, result, sequence)
	}
}

// written is a DELIVER of 3.0; about is 1 when it is a report.
func written(id uint64, from string, pseudo, about byte, format wire.Format, content string) []byte {
	b := wire.Text(wire.Uint64(nil, id), "10657012345", 21)
	b = append(wire.Text(b, "", 10), 0, 0, byte(format))
	b = append(wire.Text(b, from, 32), pseudo, about, byte(len(content)))
	return append(append(b, content...), make([]byte, 20)...)
}

func TestWhatGatewaysSayWrongly(t *testing.T) {
	g, d := meetRaw(t)
	g.say(deliver, 1, []byte("half"))
	g.expect(1, resultNoSense)
	g.say(deliver, 2, written(7, "13800138000", 0, 1, 0, "half a report"))
	g.expect(2, resultNoSense)
	g.say(deliver, 3, written(7, "13800138000", 0, 0, wire.Binary, "\x01\x02"))
	g.expect(3, resultOK) // for a program: nobody reads it
	g.say(0x0000000A, 4, nil)
	g.say(submit|answer, 99, nil) // to nothing that was asked
	long := written(0, "13800138000", 0, 0, wire.ASCII, "TD")
	g.say(deliver, 5, long)
	g.say(deliver, 5, long) // told again, before anybody took it
	g.say(deliver, 6, written(0, "somebody", 1, 0, wire.GBK, "\xCD\xCB\xB6\xA9"))
	inbox := linktest.Listen(t, d.Receive)
	heard := inbox.Await(t, 2)
	g.expect(5, resultOK)
	g.expect(6, resultOK)
	if heard[0].From != "+8613800138000" || heard[0].Text != "TD" || heard[1].From != "somebody" || heard[1].Text != "退订" || heard[0].Key == heard[1].Key {
		t.Errorf("heard was %+v", heard)
	}
}

// TestFullInbox: what is told beyond it, the gateway is asked to tell again.
func TestFullInbox(t *testing.T) {
	g, _ := meetRaw(t)
	for i := range uint32(link.MostWritten + 1) {
		g.say(deliver, i, written(uint64(i)+1, "13800138000", 0, 0, wire.ASCII, "TD"))
	}
	g.expect(link.MostWritten, resultTooFast)
}
