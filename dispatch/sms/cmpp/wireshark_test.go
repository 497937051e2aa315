package cmpp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch/sms/link/linktest"
	"herald/e2e/peers"
	sim "herald/hardware/sim/cmpp"
)

// TestWiresharkReadsUs: Wireshark's dissector, which knows CMPP 3.0, reads the
// driver and the simulator as we do. No independent gateway or client can be
// had: there is none among Debian's packages, and none in npm.
func TestWiresharkReadsUs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	g := startSim(t, sim.Config{Now: func() time.Time { return at }})
	tap := newTap(t, g.Addr())
	d := newGateway(t, accountAt(t, tap.listener.Addr().String()), linktest.NewStore())
	s := openSession(t, d)
	reports, inbox := linktest.Listen(t, d.Reports), linktest.Listen(t, d.Receive)
	for i, text := range []string{"hello", linktest.Long} {
		if _, err := s.Send(linktest.Within(t), linktest.Message(i, text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Say("13800138000", "10657012345", "TD"); err != nil {
		t.Fatal(err)
	}
	reports.Await(t, 4)
	inbox.Await(t, 1)
	linktest.Settled(t, g)
	if err := s.Alive(linktest.Within(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(linktest.Within(t)); err != nil {
		t.Fatal(err)
	}
	tap.close()
	units := dissect(t, tap.pcap())
	count := map[string]int{}
	for _, u := range units {
		count[u["cmpp.Command_Id"]]++
	}
	for command, n := range map[string]int{
		"0x00000001": 1, "0x80000001": 1, "0x00000004": 4, "0x80000004": 4, "0x00000005": 5, "0x80000005": 5,
		"0x00000008": 1, "0x80000008": 1, "0x00000002": 1, "0x80000002": 1,
	} {
		if count[command] != n {
			t.Errorf("Wireshark reads %d of %s, want %d: %v", count[command], command, n, count)
		}
	}
	part := 0
	for _, u := range units {
		if u["cmpp.Command_Id"] == "0x00000004" {
			part++
		}
		for field, value := range expected(u, part) {
			if u[field] != value {
				t.Errorf("Wireshark reads %s as %q, want %q", field, u[field], value)
			}
		}
	}
}

// expected are fields of a unit as they should be read; SUBMITs are counted
// from 1, and the first is a message alone.
func expected(u map[string]string, submits int) map[string]string {
	const stamp = "05/06 15:08:09" // in Beijing
	switch u["cmpp.Command_Id"] {
	case "0x00000001":
		return map[string]string{"cmpp.connect.Source_Addr": "900001", "cmpp.Version": "03.00"}
	case "0x80000001":
		return map[string]string{"cmpp.connect_resp.Status": "0", "cmpp.Version": "03.00"}
	case "0x00000004":
		want := map[string]string{
			"cmpp.submit.Pk_total": "1", "cmpp.submit.Pk_number": "1", "cmpp.Servicd_Id": "ALERT", "cmpp.submit.Fee_UserType": "2",
			"cmpp.TP_udhi": "0", "cmpp.Msg_Fmt": "0", "cmpp.submit.Msg_src": "900001", "cmpp.submit.FeeType": "01",
			"cmpp.submit.Src_Id": "10657012345", "cmpp.submit.DestUsr_tl": "1", "cmpp.Dest_terminal_Id": "13800130000",
			"cmpp.Msg_Length": "5",
		}
		if submits > 1 {
			want["cmpp.submit.Pk_total"], want["cmpp.submit.Pk_number"] = "3", fmt.Sprint(submits-1)
			want["cmpp.TP_udhi"], want["cmpp.Msg_Fmt"], want["cmpp.Dest_terminal_Id"] = "1", "8", "13800130001"
			delete(want, "cmpp.Msg_Length")
		}
		return want
	case "0x80000004":
		return map[string]string{"cmpp.submit_resp.Result": "0", "cmpp.Msg_Id.timestamp": stamp}
	case "0x80000005":
		return map[string]string{"cmpp.deliver_resp.Result": "0", "cmpp.Msg_Id.timestamp": stamp}
	case "0x00000005":
		if u["cmpp.deliver.Src_terminal_Id"] == "13800138000" {
			return map[string]string{"cmpp.deliver.Dest_Id": "10657012345"}
		}
		return map[string]string{"cmpp.deliver.Dest_Id": "10657012345", "cmpp.deliver.Report.Status": "DELIVRD"}
	}
	return nil
}

// dissect gives the fields of each unit that tshark finds.
func dissect(t *testing.T, capture []byte) []map[string]string {
	t.Helper()
	cmd := exec.CommandContext(linktest.Within(t), peers.Program(t, "tshark", "tshark"), "-n", "-r", "-", "-d", "tcp.port==7890,cmpp", "-Y", "cmpp", "-T", "json")
	cmd.Stdin = bytes.NewReader(capture)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, &failed)
	}
	if i := strings.Index(string(out), "["); i > 0 {
		out = out[i:]
	}
	var packets []struct {
		Source struct{ Layers map[string]json.RawMessage } `json:"_source"`
	}
	if err := json.Unmarshal(out, &packets); err != nil {
		t.Fatalf("tshark says %v:\n%s", err, out)
	}
	var units []map[string]string
	for _, p := range packets {
		unit := map[string]string{}
		flatten(p.Source.Layers["cmpp"], unit)
		units = append(units, unit)
	}
	return units
}

// flatten gathers the fields of a layer; the first of a name stays.
func flatten(layer json.RawMessage, into map[string]string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(layer, &fields) != nil {
		return
	}
	for name, value := range fields {
		var text string
		if json.Unmarshal(value, &text) != nil {
			flatten(value, into)
		} else if _, known := into[name]; !known {
			into[name] = text
		}
	}
}

// tap is a wire between two ends that remembers what each said, unit by unit.
type tap struct {
	t        *testing.T
	listener net.Listener
	running  sync.WaitGroup

	mu   sync.Mutex
	said []spoken
}

type spoken struct {
	byGateway bool
	octets    []byte
}

func newTap(t *testing.T, addr string) *tap {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{t: t, listener: l}
	t.Cleanup(p.close)
	p.running.Go(func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		gateway, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		p.running.Go(func() { p.pass(client, gateway, false) })
		p.running.Go(func() { p.pass(gateway, client, true) })
	})
	return p
}

func (p *tap) close() {
	_ = p.listener.Close() // again, perhaps
	p.running.Wait()
}

func (p *tap) pass(from, to net.Conn, byGateway bool) {
	defer from.Close()
	defer to.Close()
	for {
		u, err := protocol.Read(from)
		if err != nil {
			return
		}
		octets := protocol.Append(nil, u)
		p.mu.Lock()
		p.said = append(p.said, spoken{byGateway, octets})
		p.mu.Unlock()
		if _, err := io.Copy(to, bytes.NewReader(octets)); err != nil {
			return
		}
	}
}

// pcap is what was said as a capture of IPv4 packets, one for each unit.
func (p *tap) pcap() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	const raw = 101 // LINKTYPE_RAW
	var out bytes.Buffer
	put := func(fields ...any) {
		for _, f := range fields {
			_ = binary.Write(&out, binary.BigEndian, f) // to memory
		}
	}
	put(uint32(0xA1B2C3D4), uint16(2), uint16(4), uint32(0), uint32(0), uint32(65535), uint32(raw))
	next := map[bool]uint32{false: 1, true: 1}
	for i, s := range p.said {
		from, to := uint16(40000), uint16(7890)
		source, sink := uint32(0x7F000001), uint32(0x7F000002)
		if s.byGateway {
			from, to, source, sink = to, from, sink, source
		}
		length := uint32(40 + len(s.octets))
		put(uint32(i), uint32(0), length, length)
		put(uint8(0x45), uint8(0), uint16(length), uint16(i), uint16(0), uint8(64), uint8(6), uint16(0), source, sink)
		put(from, to, next[s.byGateway], next[!s.byGateway], uint8(0x50), uint8(0x18), uint16(65535), uint16(0), uint16(0))
		out.Write(s.octets)
		next[s.byGateway] += uint32(len(s.octets))
	}
	return out.Bytes()
}
