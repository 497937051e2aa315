package media

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"herald/e2e/peers"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/siptest"
)

func TestEncryptedSoundIsHeard(t *testing.T) {
	t.Parallel()
	var wheel Wheel
	for name, change := range map[string]func(string) string{
		"the first suite": same,
		"the second suite": func(offer string) string {
			return strings.Replace(offer, "a=crypto:1 AES_CM_128_HMAC_SHA1_80", "a=crypto:1 AEAD_AES_128_GCM", 1)
		},
		"without events": func(offer string) string { return strings.Replace(offer, " 101\r\n", "\r\n", 1) },
	} {
		a, b := open(t, Config{Wheel: &wheel, Encrypt: true}), open(t, Config{Wheel: &wheel})
		connect(t, a, b, change)
		if !a.Encrypted() || !b.Encrypted() {
			t.Fatalf("%s: it is not encrypted", name)
		}
		stop := b.Record(time.Minute)
		prompt := siptest.Prompt(t, "Your order is ready.")
		if _, err := a.Play(t.Context(), prompt); err != nil {
			t.Error(err)
		}
		if err := a.Press(t.Context(), "1#"); err != nil {
			t.Error(err)
		}
		if digits := digitsOf(t, b, 2); digits != "1#" {
			t.Errorf("%s: heard the digits %q", name, digits)
		}
		if like := siptest.Likeness(prompt, stop()); like < siptest.Like {
			t.Errorf("%s: it is heard with a likeness of %.3f", name, like)
		}
	}
}

// TestNobodyElseHears: what goes over the line is not the sound, and what does
// not come from the far end is not taken.
func TestNobodyElseHears(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a, err := Open(t.Context(), Config{Local: loopback, Encrypt: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a.own))
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close() //nolint:errcheck // of a test
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(offer), "a=crypto:1 ")
	key, _, _ = strings.Cut(key, "\r\n")
	ours := read(t, "1 "+key)
	theirs := newSecret("1", longProof)
	at := far.LocalAddr().(*net.UDPAddr).AddrPort()
	answer, err := own{at: at, codecs: usual, events: typeEvents, keys: true, goes: both, secrets: []secret{theirs}}.describe()
	if err == nil {
		err = a.Accept(answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	seals, _ := ciphers(t, theirs)
	_, opens := ciphers(t, ours)
	press := func(sequence uint16, digit byte) []byte {
		t.Helper()
		raw, err := (&rtp.Packet{
			Header:  rtp.Header{Version: 2, PayloadType: typeEvents, SequenceNumber: sequence, Timestamp: 1000 * uint32(sequence), SSRC: 1},
			Payload: event{code: digit, end: true}.bytes(),
		}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	stranger, _ := ciphers(t, newSecret("1", longProof))
	for _, step := range []struct {
		by   *cipher
		code byte
	}{{nil, 9}, {stranger, 8}, {seals, 1}} {
		raw := press(uint16(step.code), step.code)
		if step.by != nil {
			if raw, err = step.by.seal(raw); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second is one too many in any case
			if _, err := far.Write(raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	raw, err := seals.seal(press(4, 4))
	if err == nil {
		_, err = far.Write(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	if digits := digitsOf(t, a, 2); digits != "14" {
		t.Errorf("heard the digits %q", digits)
	}
	buffer := make([]byte, mostPacket)
	if err := far.SetReadDeadline(time.Now().Add(peers.Patience)); err != nil {
		t.Fatal(err)
	}
	n, err := far.Read(buffer)
	if err != nil || bytes.Contains(buffer[:n], silence[g711.Mu][:8]) {
		t.Errorf("over the line goes %x, %v", buffer[:n], err)
	}
	if plain, err := opens.open(buffer[:n]); err != nil || !bytes.HasSuffix(plain, silence[g711.Mu]) {
		t.Errorf("it says %x, %v", plain, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "packets=5") || strings.Contains(said, "127.0.0.1") {
		t.Errorf("the log is %q", said)
	}
}

// TestAnotherKeyIsSilence, after which the far end is lost.
func TestAnotherKeyIsSilence(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	a, b := open(t, Config{Encrypt: true, Quiet: time.Minute, Now: clock}), open(t, Config{})
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(answer), "inline:")
	key, _, _ = strings.Cut(key, "\r\n")
	stop := a.Record(time.Minute)
	if err := a.Accept([]byte(strings.Replace(string(answer), key, someKey, 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Play(t.Context(), make([]int16, g711.Rate/5)); err != nil {
		t.Fatal(err)
	}
	if heard := stop(); len(heard) > 0 {
		t.Errorf("%d samples are heard", len(heard))
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

// TestKeysChange in a call, without a digit being lost.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	a, b := open(t, Config{Encrypt: true}), open(t, Config{})
	connect(t, a, b, same)
	secrets := func() (ours, theirs secret) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.privacy.ours.secret, a.privacy.theirs.secret
	}
	speak := func(digit string) {
		t.Helper()
		for _, pair := range [][2]*Session{{a, b}, {b, a}} {
			if err := pair[0].Press(t.Context(), digit); err != nil {
				t.Error(err)
			}
			if heard := digitsOf(t, pair[1], 1); heard != digit {
				t.Errorf("%s is heard as %s", digit, heard)
			}
		}
	}
	speak("1")
	ours, theirs := secrets()
	connect(t, b, a, same) // an offer of the same keys, as one that keeps a call alive
	if o, th := secrets(); !o.same(ours) || !th.same(theirs) {
		t.Error("the keys change though nobody wanted it")
	}
	speak("2")
	b.mu.Lock()
	b.privacy.ours = nil // it forgets its key
	b.mu.Unlock()
	b.cfg.Encrypt = true
	connect(t, b, a, same)
	if o, th := secrets(); o.same(ours) || th.same(theirs) {
		t.Error("the keys do not change")
	}
	speak("3")
	connect(t, b, a, func(offer string) string { return strings.Replace(offer, "a=crypto:1", "a=was:1", 1) })
	if o, th := secrets(); o.suite != shortProof || th.suite != shortProof {
		t.Error("the suite does not change")
	}
	speak("4")
}

func TestPlainSoundIsRefusedWhereItMustBeEncrypted(t *testing.T) {
	t.Parallel()
	plain := describes("c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0")
	encrypted := func(lines ...string) []byte {
		return describes(append([]string{"c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/SAVP 0"}, lines...)...)
	}
	const key = " AES_CM_128_HMAC_SHA1_80 inline:" + someKey
	for name, c := range map[string]struct {
		encrypt bool
		answer  []byte
	}{
		"plain, though it must not be":    {true, plain},
		"none":                            {true, describes("c=IN IP4 127.0.0.1", "t=0 0", "m=audio 0 RTP/SAVP 0", "a=crypto:1"+key)},
		"no key":                          {true, encrypted()},
		"a tag that we never offered":     {true, encrypted("a=crypto:3" + key)},
		"the other's suite":               {true, encrypted("a=crypto:2" + key)},
		"encrypted, though it was not so": {false, encrypted("a=crypto:1" + key)},
	} {
		s := open(t, Config{Encrypt: c.encrypt})
		if _, err := s.Offer(); err != nil {
			t.Fatal(err)
		}
		if err := s.Accept(c.answer); !errors.Is(err, ErrNoAudio) || s.Law() != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := open(t, Config{Encrypt: true})
	if offer, err := s.Offer(); err != nil || !errors.Is(s.Accept(offer), ErrNoAudio) {
		t.Errorf("our own key is taken: %v", err)
	}
	if _, err := s.Answer(plain); !errors.Is(err, ErrNoAudio) {
		t.Errorf("a plain offer: %v", err)
	}
	if answer, err := s.Answer(encrypted("a=crypto:9" + key)); err != nil || !strings.Contains(string(answer), "RTP/SAVP 0") || strings.Count(string(answer), "a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:") != 1 {
		t.Errorf("an encrypted offer is answered %v\n%s", err, answer)
	}
	if _, err := s.Answer(plain); !errors.Is(err, ErrNoAudio) || !s.Encrypted() {
		t.Errorf("a change to plain: %v", err)
	}
}

// TestATurnLeavesNoGarbage, with encryption and without.
func TestATurnLeavesNoGarbage(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		a, b := open(t, Config{Encrypt: encrypt}), open(t, Config{})
		connect(t, a, b, same)
		if allocated := testing.AllocsPerRun(500, a.turn); allocated >= 1 {
			t.Errorf("encrypted %t: %.0f allocations", encrypt, allocated)
		}
	}
}
