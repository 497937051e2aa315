package bench

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"herald/hardware/sip/media"
)

// ear is a socket that hears many calls.
type ear struct {
	conn  *net.UDPConn
	batch *ipv4.PacketConn // the same, many packets at a time
	echo  bool

	mu      sync.Mutex
	streams map[uint32]*stream // guarded by mu, by SSRC
	deviations
}

// stream is what was heard of a call.
type stream struct {
	packets     int
	first, last uint16 // sequence numbers
	at          time.Duration
	sum         uint32
}

// lost is how many packets never came. A run is too short for the numbers to
// begin anew: the sender's begin in the lower half.
func (s *stream) lost() int { return int(s.last-s.first) + 1 - s.packets }

func newEar(echo bool) (*ear, error) {
	conn, err := net.ListenUDP("udp4", loopback())
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) {
		// The kernel marks each packet with the time it came in (socket(7)).
		refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		// More than is allowed to others, where we may: else what is allowed.
		const room = 4 << 20
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, room)
		}
	}); err != nil {
		return nil, err
	}
	return &ear{conn: conn, batch: ipv4.NewPacketConn(conn), echo: echo, streams: map[uint32]*stream{}}, refused
}

func (e *ear) at() netip.AddrPort { return e.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

const (
	batchSize  = 64
	packetSize = 512 // more than a packet of 20 ms has
	markSize   = 64  // more than the mark with its time has
)

// listen hears until the socket is closed.
func (e *ear) listen() {
	packets := make([]ipv4.Message, batchSize)
	for i := range packets {
		packets[i].Buffers, packets[i].OOB = [][]byte{make([]byte, packetSize)}, make([]byte, markSize)
	}
	back := make([]ipv4.Message, batchSize)
	for {
		n, err := e.batch.ReadBatch(packets, 0)
		if err != nil {
			return
		}
		e.mu.Lock()
		for _, p := range packets[:n] {
			e.hear(p.Buffers[0][:p.N], cameAt(p.OOB[:p.NN]))
		}
		e.mu.Unlock()
		if !e.echo {
			continue
		}
		for i, p := range packets[:n] {
			back[i] = ipv4.Message{Buffers: [][]byte{p.Buffers[0][:p.N]}, Addr: p.Addr}
		}
		for rest := back[:n]; len(rest) > 0; {
			sent, err := e.batch.WriteBatch(rest, 0)
			if err != nil {
				sent = 1 // to a call that is over
			}
			rest = rest[sent:]
		}
	}
}

// cameAt is when a packet came in, by the kernel's mark; 0: it has none.
func cameAt(mark []byte) time.Duration {
	header, data, _, err := unix.ParseOneSocketControlMessage(mark)
	if err != nil || header.Level != unix.SOL_SOCKET || header.Type != unix.SCM_TIMESTAMPNS || len(data) < 16 {
		return 0
	}
	return time.Duration(binary.NativeEndian.Uint64(data))*time.Second + time.Duration(binary.NativeEndian.Uint64(data[8:])) //nolint:gosec // of this century
}

// quiet is a packet's sound when nobody speaks.
var quiet = bytes.Repeat([]byte{0xFF}, media.FrameSamples)

const rtpHeader = 12 // octets, without contributors (RFC 3550, section 5.1)

// hear takes a packet of RTP. It wants mu held.
func (e *ear) hear(packet []byte, at time.Duration) {
	if len(packet) != rtpHeader+media.FrameSamples || at == 0 {
		return
	}
	sequence, ssrc := binary.BigEndian.Uint16(packet[2:]), binary.BigEndian.Uint32(packet[8:])
	s := e.streams[ssrc]
	if s == nil {
		s = &stream{first: sequence, last: sequence - 1}
		e.streams[ssrc] = s
	} else if sequence == s.last+1 {
		e.note((at - s.at - media.FrameTime).Abs())
	}
	s.packets++
	s.last, s.at = sequence, at
	if sound := packet[rtpHeader:]; !bytes.Equal(sound, quiet) {
		s.sum = crc32.Update(s.sum, crc32.IEEETable, sound)
	}
}
