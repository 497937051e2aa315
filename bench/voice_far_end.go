package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// voiceFarEnd answers calls and measures what it hears. It is little more than
// it needs for that, so that it is not what is measured: it answers SIP from
// one socket without keeping anything of it, and hears all calls by a few
// sockets, whose packets the kernel marks with the time they came in.
type voiceFarEnd struct {
	signals *net.UDPConn
	ears    []*ear
	echo    bool
	work    sync.WaitGroup
}

// ears is how many sockets hear: at 1,000 calls, 2,500 packets a second each.
const ears = 20

// voiceHeard is what a far end heard. Times are in milliseconds.
type voiceHeard struct {
	SIP     string        `json:"sip"`
	Sound   []string      `json:"sound"` // where it hears
	Streams []streamHeard `json:"streams"`
	Jitter
}

// streamHeard is what was heard of a call.
type streamHeard struct {
	Packets int    `json:"packets"`
	Lost    int    `json:"lost"`
	Sum     uint32 `json:"sum"` // CRC-32 of all that was no silence
}

// VoiceFarEnd runs a far end until ctx ends. It tells on out where it gives its
// figures by HTTP. With echo, it sends back what it hears.
func VoiceFarEnd(ctx context.Context, echo bool, out io.Writer) (err error) {
	f := &voiceFarEnd{echo: echo}
	defer func() { err = errors.Join(err, f.close()) }()
	if f.signals, err = net.ListenUDP("udp4", loopback()); err != nil {
		return err
	}
	for range ears {
		e, err := newEar(echo)
		if err != nil {
			return err
		}
		f.ears = append(f.ears, e)
		f.work.Go(e.listen)
	}
	f.work.Go(f.answerAll)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(f.serveHeard), ReadHeaderTimeout: time.Second}
	f.work.Go(func() { _ = server.Serve(listener) }) // until it is closed
	defer func() { err = errors.Join(err, server.Close()) }()
	if _, err := fmt.Fprintf(out, "figures at %s, of calls\n", listener.Addr()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func loopback() *net.UDPAddr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")) }

func (f *voiceFarEnd) close() (err error) {
	if f.signals != nil {
		err = f.signals.Close()
	}
	for _, e := range f.ears {
		err = errors.Join(err, e.conn.Close())
	}
	f.work.Wait()
	return err
}

// answerAll answers what is asked by SIP.
func (f *voiceFarEnd) answerAll() {
	const mostDatagram = 1 << 16
	datagram := make([]byte, mostDatagram)
	parser := sip.NewParser()
	for calls := 0; ; {
		n, from, err := f.signals.ReadFromUDPAddrPort(datagram)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		message, err := parser.ParseSIP(datagram[:n])
		if err != nil {
			continue // it is asked again
		}
		req, isRequest := message.(*sip.Request)
		if !isRequest || req.IsAck() {
			continue
		}
		var description []byte
		if req.IsInvite() {
			description = f.description(calls)
			calls++
		}
		_, _ = f.signals.WriteToUDPAddrPort([]byte(f.answer(req, description).String()), from) // it is asked again
	}
}

// answer is a success. Who is asked the same again answers the same.
func (f *voiceFarEnd) answer(req *sip.Request, description []byte) *sip.Response {
	if to := req.To(); to != nil {
		if _, tagged := to.Params.Get("tag"); !tagged {
			to.Params.Add("tag", fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(req.CallID().Value()))))
		}
	}
	res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", description)
	if description != nil {
		at := f.signals.LocalAddr().(*net.UDPAddr)
		res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "far", Host: "127.0.0.1", Port: at.Port}})
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	return res
}

// description sends the sound of a call to one of the ears.
func (f *voiceFarEnd) description(call int) []byte {
	goes := "recvonly"
	if f.echo {
		goes = "sendrecv"
	}
	return fmt.Appendf(nil, "v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0 101\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=%s\r\n", f.ears[call%ears].at().Port(), goes)
}

func (f *voiceFarEnd) serveHeard(w http.ResponseWriter, _ *http.Request) {
	heard := voiceHeard{SIP: f.signals.LocalAddr().String()}
	var all deviations
	for _, e := range f.ears {
		heard.Sound = append(heard.Sound, e.at().String())
		e.mu.Lock()
		all.add(&e.deviations)
		for _, s := range e.streams {
			heard.Streams = append(heard.Streams, streamHeard{Packets: s.packets, Lost: s.lost(), Sum: s.sum})
		}
		e.mu.Unlock()
	}
	heard.Jitter = all.jitter()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(heard) // who asked is gone
}

// Jitter is by how much packets of one call were more or less than 20 ms
// apart, in milliseconds.
type Jitter struct {
	P50 float64 `json:"p50_jitter_ms"`
	P99 float64 `json:"p99_jitter_ms"`
	Max float64 `json:"max_jitter_ms"`
}

// deviations counts them, by tens of microseconds.
type deviations struct {
	counts [20_000]int // the last one of all that are more
	most   time.Duration
	all    int
}

const deviationStep = 10 * time.Microsecond

func (d *deviations) note(deviation time.Duration) {
	d.counts[min(int(deviation/deviationStep), len(d.counts)-1)]++
	d.most = max(d.most, deviation)
	d.all++
}

func (d *deviations) add(other *deviations) {
	for i, n := range other.counts {
		d.counts[i] += n
	}
	d.most = max(d.most, other.most)
	d.all += other.all
}

func (d *deviations) jitter() Jitter {
	return Jitter{P50: d.quantile(0.5), P99: d.quantile(0.99), Max: milliseconds(d.most)}
}

// quantile is what so many are at most, in milliseconds.
func (d *deviations) quantile(part float64) float64 {
	left := int(part * float64(d.all))
	for i, n := range d.counts {
		if left -= n; left < 0 {
			return milliseconds(time.Duration(i+1) * deviationStep)
		}
	}
	return 0
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
