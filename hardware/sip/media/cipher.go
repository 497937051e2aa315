package media

import (
	"errors"
	"fmt"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

var profiles = map[suite]srtp.ProtectionProfile{
	longProof:  srtp.ProtectionProfileAes128CmHmacSha1_80,
	shortProof: srtp.ProtectionProfileAes128CmHmacSha1_32,
}

// replayWindow is how many packets late one may be that was not there yet: the
// least that RFC 3711 wants (section 3.3.2), and more than jitter waits for.
const replayWindow = 64

// errWornOut is of a key that was used for as many packets as it is good for.
var errWornOut = errors.New("the key is used up")

// cipher is encrypted sound in one direction (SRTP, RFC 3711). One goroutine at
// a time may use it.
type cipher struct {
	secret  secret
	context *srtp.Context
	used    uint64     // packets
	header  rtp.Header // of the packet before, used again and again
	octets  []byte     // likewise
}

// cipher encrypts, or decrypts, with the secret.
func (s secret) cipher() (*cipher, error) {
	options := []srtp.ContextOption{srtp.SRTPReplayProtection(replayWindow)}
	if s.mki != "" {
		options = append(options, srtp.MasterKeyIndicator([]byte(s.mki)))
	}
	context, err := srtp.CreateContext(s.master[:masterKeyBytes], s.master[masterKeyBytes:], profiles[s.suite], options...)
	if err != nil {
		return nil, fmt.Errorf("preparing to encrypt: %w", err)
	}
	return &cipher{secret: s, context: context}, nil
}

// seal is a packet of RTP, encrypted. It is good until the next one.
func (c *cipher) seal(packet []byte) ([]byte, error) { return c.turn(packet, c.context.EncryptRTP) }

// open is what seal was given. It fails for what was encrypted with another
// key, or changed, and for what was there before.
func (c *cipher) open(packet []byte) ([]byte, error) { return c.turn(packet, c.context.DecryptRTP) }

func (c *cipher) turn(packet []byte, by func(dst, from []byte, header *rtp.Header) ([]byte, error)) ([]byte, error) {
	if c.used >= c.secret.packets {
		return nil, errWornOut
	}
	octets, err := by(c.octets[:0], packet, &c.header)
	if err != nil {
		return nil, err
	}
	c.used++
	c.octets = octets
	return octets, nil
}
