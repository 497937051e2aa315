package media

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"herald/e2e/peers"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/siptest"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// open opens a session until the test ends.
func open(t *testing.T, cfg Config) *Session {
	t.Helper()
	cfg.Local = loopback
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect has two sessions speak with each other; change may change what the
// first one offers.
func connect(t *testing.T, a, b *Session, change func(string) string) {
	t.Helper()
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Answer([]byte(change(string(offer))))
	if err == nil {
		err = a.Accept(answer)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func same(offer string) string { return offer }

// digitsOf are the next n digits.
func digitsOf(t *testing.T, s *Session, n int) string {
	t.Helper()
	var heard strings.Builder
	limit := time.After(peers.Patience)
	for range n {
		select {
		case d := <-s.Digits():
			heard.WriteRune(d)
		case <-limit:
			t.Fatalf("heard only %q", heard.String())
		}
	}
	return heard.String()
}

func TestWhatIsSaidIsHeard(t *testing.T) {
	t.Parallel()
	var wheel Wheel
	for law, change := range map[g711.Law]func(string) string{
		g711.Mu: same,
		g711.A:  func(offer string) string { return strings.Replace(offer, "AVP 0 8", "AVP 8 0", 1) },
	} {
		a, b := open(t, Config{Wheel: &wheel}), open(t, Config{Wheel: &wheel})
		connect(t, a, b, change)
		if a.Law() != law || b.Law() != law {
			t.Errorf("%s is spoken as %s and %s", law, a.Law(), b.Law())
		}
		stop := b.Record(time.Minute)
		prompt := siptest.Prompt(t, "Your order is ready.")
		heard, err := a.Play(t.Context(), prompt)
		if want := time.Duration(len(prompt)) * time.Second / g711.Rate; err != nil || heard != want {
			t.Errorf("%v of %v is heard, %v", heard, want, err)
		}
		if err := a.Press(t.Context(), "11#*0"); err != nil {
			t.Error(err)
		}
		if digits := digitsOf(t, b, 5); digits != "11#*0" {
			t.Errorf("heard the digits %q", digits)
		}
		recorded := stop()
		if like := siptest.Likeness(prompt, recorded); like < siptest.Like {
			t.Errorf("%s is heard with a likeness of %.3f", law, like)
		}
		if like := siptest.Likeness(siptest.Prompt(t, "A meeting was moved to Thursday, at nine."), recorded); like > siptest.Unlike {
			t.Errorf("another prompt has a likeness of %.3f", like)
		}
	}
}

func TestDigitsAreTonesWhereThereAreNoEvents(t *testing.T) {
	t.Parallel()
	var wheel Wheel
	a, b := open(t, Config{Wheel: &wheel}), open(t, Config{Wheel: &wheel})
	connect(t, a, b, func(offer string) string { return strings.Replace(offer, " 101\r\n", "\r\n", 1) })
	if err := a.Press(t.Context(), "50#"); err != nil {
		t.Fatal(err)
	}
	if digits := digitsOf(t, b, 3); digits != "50#" {
		t.Errorf("heard the digits %q", digits)
	}
}

func TestWhoInterruptsKnowsHowMuchWasHeard(t *testing.T) {
	t.Parallel()
	a, b := open(t, Config{}), open(t, Config{})
	connect(t, a, b, same)
	ctx, cancel := context.WithCancel(t.Context())
	stop := b.Listen(func([]int16) { cancel() })
	defer stop()
	heard, err := a.Play(ctx, make([]int16, 60*g711.Rate))
	if !errors.Is(err, context.Canceled) || heard > 5*time.Second {
		t.Errorf("%v is heard, %v", heard, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Play(t.Context(), make([]int16, 10)); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if err := a.Accept(nil); err == nil {
		t.Error("after the end an answer is taken")
	}
}

func TestAHeldCallerWaits(t *testing.T) {
	t.Parallel()
	a, b := open(t, Config{}), open(t, Config{})
	connect(t, a, b, same)
	hold, err := b.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.Answer([]byte(strings.Replace(string(hold), "sendrecv", "sendonly", 1)))
	if err != nil || !a.Held() || !strings.Contains(string(answer), "a=recvonly") {
		t.Fatalf("the answer to a hold is %v\n%s", err, answer)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if heard, err := a.Play(ctx, make([]int16, 160)); heard != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("on hold, %v is heard, %v", heard, err)
	}
	if _, err := a.Answer(hold); err != nil || a.Held() {
		t.Fatalf("the hold does not end: %v", err)
	}
	if heard, err := a.Play(t.Context(), make([]int16, 160)); heard != FrameTime || err != nil {
		t.Errorf("after the hold, %v is heard, %v", heard, err)
	}
}

// TestWhatIsBesideTheSoundIsRefused, in its place, and again in each
// description that follows.
func TestWhatIsBesideTheSoundIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, Config{})
	first, err := s.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Answer(describes("c=IN IP4 127.0.0.1", "t=0 0", "m=image 4002 udptl t38", "a=T38FaxVersion:0", "m=audio 4000 RTP/AVP 8", "m=video 4004/2 RTP/AVP 31 99", "a=rtpmap:99 H264/90000"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Offer()
	if err != nil {
		t.Fatal(err)
	}
	ports := regexp.MustCompile(`m=audio \d+`)
	for i, want := range []string{"m=image 0 udptl t38", "m=audio 1 RTP/AVP", "m=video 0 RTP/AVP 31 99"} {
		for name, text := range map[string][]byte{"the answer": answer, "an offer after it": second} {
			media := regexp.MustCompile(`(?m)^m=.*?\r?$`).FindAllString(ports.ReplaceAllString(string(text), "m=audio 1"), -1)
			if len(media) != 3 || !strings.HasPrefix(media[i], want) {
				t.Errorf("%s has %q, want %q", name, media, want)
			}
		}
	}
	if strings.Contains(string(answer), "T38FaxVersion") || strings.Count(string(answer), "a=sendrecv") != 1 {
		t.Errorf("what is refused is described:\n%s", answer)
	}
	origin := regexp.MustCompile(`o=- (\d+) (\d+) `)
	var versions []string
	for _, text := range [][]byte{first, answer, second} {
		o := origin.FindSubmatch(text)
		if string(o[1]) != string(origin.FindSubmatch(first)[1]) {
			t.Errorf("its id changes to %s", o[1])
		}
		versions = append(versions, string(o[2]))
	}
	if len(slices.Compact(versions)) != 3 {
		t.Errorf("its versions are %q", versions)
	}
}

func TestAFarEndThatFallsSilentIsLost(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	a := open(t, Config{Quiet: time.Minute, Now: clock})
	nobody := describes("c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0")
	if err := a.Accept(nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Play(t.Context(), make([]int16, 320)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.Lost():
		t.Fatal("it is lost at once")
	default:
	}
	mu.Lock()
	now = now.Add(time.Minute + 1)
	mu.Unlock()
	select {
	case <-a.Lost():
	case <-time.After(peers.Patience):
		t.Error("it is never lost")
	}
}

// TestSoundGoesWhereItComesFrom: the far end is behind a router and does not
// know how we see it; a stranger is not heard.
func TestSoundGoesWhereItComesFrom(t *testing.T) {
	t.Parallel()
	a := open(t, Config{})
	if err := a.Accept(describes("c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000")); err != nil {
		t.Fatal(err)
	}
	to := net.UDPAddrFromAddrPort(a.own)
	far, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close() //nolint:errcheck // of a test
	stranger, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close() //nolint:errcheck // of a test
	send := func(from *net.UDPConn, kind byte, sequence uint16, timestamp uint32, payload []byte) {
		t.Helper()
		raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: kind, SequenceNumber: sequence, Timestamp: timestamp, SSRC: 1}, Payload: payload}).Marshal()
		if err == nil {
			_, err = from.Write(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	total := 0
	heard := make(chan struct{}, 100)
	defer a.Listen(func(samples []int16) {
		mu.Lock()
		total += len(samples)
		mu.Unlock()
		heard <- struct{}{}
	})()
	send(far, 0, 1, 1000, make([]byte, 240)) // 30 ms, as some send
	<-heard
	buffer := make([]byte, mostPacket)
	if err := far.SetReadDeadline(time.Now().Add(peers.Patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := far.Read(buffer); err != nil || n != 12+FrameSamples {
		t.Errorf("nothing comes back: %d octets, %v", n, err)
	}
	send(stranger, 96, 2, 5000, event{code: 9, end: true}.bytes())
	if _, err := far.Write([]byte("no RTP")); err != nil {
		t.Fatal(err)
	}
	send(far, 96, 3, 1240, event{code: 4, end: true}.bytes())
	send(far, typeEvents, 4, 9000, event{code: 5, end: true}.bytes()) // the type that we offered
	if digits := digitsOf(t, a, 2); digits != "45" {
		t.Errorf("heard the digits %q", digits)
	}
	send(far, 0, 2, 1240+800, make([]byte, 160)) // after 100 ms without a packet
	<-heard
	mu.Lock()
	defer mu.Unlock()
	if total != 240+800+160 {
		t.Errorf("heard %d samples", total)
	}
}

func FuzzPackets(f *testing.F) {
	raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: 1, SSRC: 1}, Payload: make([]byte, 20)}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, raw)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := &Session{cfg: Config{Now: time.Now}, digits: make(chan rune, mostDigits), codecs: usual}
		heard := 0
		s.Listen(func(samples []int16) { heard += len(samples) })
		var in incoming
		for _, raw := range [][]byte{first, second} {
			var p rtp.Packet
			if p.Unmarshal(raw) == nil {
				s.take(&in, &p, netip.AddrPort{})
			}
		}
		if heard > len(first)+len(second)+longestGap {
			t.Errorf("heard %d samples", heard)
		}
	})
}
