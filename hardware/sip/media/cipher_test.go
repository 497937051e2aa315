package media

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/pion/rtp"
)

// ciphers are both ends of a secret.
func ciphers(t testing.TB, s secret) (seals, opens *cipher) {
	t.Helper()
	seals, err := s.cipher()
	if err == nil {
		opens, err = s.cipher()
	}
	if err != nil {
		t.Fatal(err)
	}
	return seals, opens
}

// numbered is a packet of RTP, with sound.
func numbered(t testing.TB, sequence uint16) []byte {
	t.Helper()
	raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: sequence, SSRC: 7}, Payload: bytes.Repeat([]byte{0x55}, FrameSamples)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestAPacketIsEncryptedAsByOthers: the key of RFC 3711, appendix B.3, and the
// packet that libsrtp makes with it in its own tests (srtp_driver.c).
func TestAPacketIsEncryptedAsByOthers(t *testing.T) {
	octets := func(text string) []byte {
		t.Helper()
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	s := secret{suite: longProof, packets: mostPackets}
	copy(s.master[:], octets("E1F97A0D3E018BE0D64FA32C06DE4139"+"0EC675AD498AFEEBB6960B3AABE6"))
	plain := octets("800f1234decafbadcafebabe" + "abababababababababababababababab")
	want := octets("800f1234decafbadcafebabe" + "4e55dc4ce79978d88ca4d215949d2402" + "b78d6acc99ea179b8dbb")
	seals, opens := ciphers(t, s)
	sealed, err := seals.seal(plain)
	if err != nil || !bytes.Equal(sealed, want) {
		t.Fatalf("it is %x, %v", sealed, err)
	}
	if opened, err := opens.open(sealed); err != nil || !bytes.Equal(opened, plain) {
		t.Errorf("it was %x, %v", opened, err)
	}
}

func TestAPacketIsOpenedOnceAndOnlyAsItWas(t *testing.T) {
	for name, change := range map[string]func(*secret){
		"long proof":  func(*secret) {},
		"short proof": func(s *secret) { s.suite = shortProof },
		"with an MKI": func(s *secret) { s.mki = "\x00\x01" },
	} {
		s := newSecret("1", longProof)
		change(&s)
		seals, opens := ciphers(t, s)
		_, stranger := ciphers(t, newSecret("1", s.suite))
		sealed, err := seals.seal(numbered(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		sealed = bytes.Clone(sealed)
		changed := bytes.Clone(sealed)
		changed[20] ^= 1
		if _, err := opens.open(changed); err == nil {
			t.Errorf("%s: one that was changed is opened", name)
		}
		if _, err := stranger.open(sealed); err == nil {
			t.Errorf("%s: one of another key is opened", name)
		}
		for _, broken := range [][]byte{nil, sealed[:5], sealed[:12], sealed[:14], numbered(t, 1)} {
			if _, err := opens.open(broken); err == nil {
				t.Errorf("%s: %d octets are opened", name, len(broken))
			}
		}
		if opened, err := opens.open(sealed); err != nil || !bytes.Equal(opened, numbered(t, 1)) {
			t.Errorf("%s: it was %x, %v", name, opened, err)
		}
		if _, err := opens.open(sealed); err == nil {
			t.Errorf("%s: it is opened a second time", name)
		}
	}
}

func TestAKeyIsUsedForAsManyPacketsAsItIsGoodFor(t *testing.T) {
	s := newSecret("1", longProof)
	seals, _ := ciphers(t, s)
	s.packets = 2
	_, opens := ciphers(t, s)
	for n := range uint16(3) {
		sealed, err := seals.seal(numbered(t, n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opens.open(sealed); (n < 2) != (err == nil) || n == 2 && !errors.Is(err, errWornOut) {
			t.Errorf("packet %d: %v", n, err)
		}
	}
}

// TestSequenceNumbersMayBeginAgain: as they do after 65,536 packets.
func TestSequenceNumbersMayBeginAgain(t *testing.T) {
	seals, opens := ciphers(t, newSecret("1", longProof))
	for n := range 1<<16 + 100 {
		sealed, err := seals.seal(numbered(t, uint16(n+1<<15))) //nolint:gosec // modulo 2^16
		if err != nil {
			t.Fatal(err)
		}
		if n%50 == 0 {
			if _, err := opens.open(sealed); err != nil {
				t.Fatalf("packet %d: %v", n, err)
			}
		}
	}
}

func TestPacketsAreEncryptedWithoutGarbage(t *testing.T) {
	seals, opens := ciphers(t, newSecret("1", longProof))
	raw := numbered(t, 0)
	n := uint16(0)
	allocated := testing.AllocsPerRun(1000, func() {
		n++
		raw[2], raw[3] = byte(n>>8), byte(n)
		sealed, err := seals.seal(raw)
		if err == nil {
			_, err = opens.open(sealed)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if allocated > 1 { // what the library pools is lost now and then under the race detector
		t.Errorf("%.0f allocations", allocated)
	}
}
