package media

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// suite is how packets are encrypted and proven (RFC 4568, section 6.2).
type suite string

// The suites that we know, which differ in how long the proof of a packet is:
// 10 octets, or 4.
const (
	longProof  suite = "AES_CM_128_HMAC_SHA1_80"
	shortProof suite = "AES_CM_128_HMAC_SHA1_32"
)

// suites are those that we offer, the preferred first.
var suites = []suite{longProof, shortProof}

const (
	masterKeyBytes = 16
	masterBytes    = masterKeyBytes + 14 // with the salt behind it
	// mostPackets is how many packets a key is good for (RFC 3711, section 9.2).
	mostPackets = 1 << 48
	mostMKI     = 128 // octets (RFC 4568, section 6.1)
)

// secret is what a side encrypts its packets with, as it tells the other:
//
//	a=crypto:TAG SUITE inline:BASE64(KEY SALT)[|LIFETIME][|MKI:OCTETS] [PARAMETER…]
//
// (RFC 4568, sections 4, 6 and 9.2).
type secret struct {
	tag     string // by which an answer names the offer that it takes
	suite   suite
	master  [masterBytes]byte // key and salt
	packets uint64            // how many it may be used for
	mki     string            // the octets that name it in each packet; empty: none do
}

// newSecret makes one of our own up.
func newSecret(tag string, s suite) secret {
	own := secret{tag: tag, suite: s, packets: mostPackets}
	_, _ = rand.Read(own.master[:]) // it never fails
	return own
}

// String is the attribute's value.
func (s secret) String() string {
	return fmt.Sprintf("%s %s inline:%s", s.tag, s.suite, base64.StdEncoding.EncodeToString(s.master[:]))
}

// same reports whether the same key is used in the same way.
func (s secret) same(other secret) bool {
	s.tag = other.tag
	return s == other
}

// parseSecret reads the value of an a=crypto. It fails for what we cannot, or
// would rather not, use; an error has nothing of the value in it.
func parseSecret(value string) (secret, error) {
	const leastWords, mostDigits = 3, 9
	words := strings.Fields(value)
	if len(words) < leastWords {
		return secret{}, errors.New("a key has a number, a suite and itself")
	}
	s := secret{tag: words[0], packets: mostPackets}
	if len(s.tag) > mostDigits || strings.Trim(s.tag, "0123456789") != "" {
		return secret{}, errors.New("a key's number has up to nine digits")
	}
	for _, known := range suites {
		if strings.EqualFold(string(known), words[1]) {
			s.suite = known
		}
	}
	if s.suite == "" {
		return secret{}, errors.New("its suite is none of ours")
	}
	for _, parameter := range words[leastWords:] {
		// What begins with - may be passed over (section 6.3.7); WSH is a hint.
		if !strings.HasPrefix(parameter, "-") && !strings.HasPrefix(strings.ToUpper(parameter), "WSH=") {
			return secret{}, errors.New("it wants another way to encrypt")
		}
	}
	return s, s.readInline(words[2])
}

// readInline reads key, lifetime and MKI. Several keys in one attribute are
// not taken: which one is used would change from packet to packet.
func (s *secret) readInline(text string) error {
	const method = "inline:"
	if len(text) < len(method) || !strings.EqualFold(text[:len(method)], method) || strings.Contains(text, ";") {
		return errors.New("it is not one key, inline")
	}
	parts := strings.Split(text[len(method):], "|")
	master, err := base64.StdEncoding.Strict().DecodeString(parts[0])
	if err != nil || len(master) != masterBytes {
		return fmt.Errorf("a key and its salt are %d octets in base64", masterBytes)
	}
	copy(s.master[:], master)
	parts = parts[1:]
	if len(parts) > 0 && !strings.Contains(parts[0], ":") {
		if s.packets, err = parseLifetime(parts[0]); err != nil {
			return err
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		if s.mki, err = parseMKI(parts[0]); err != nil {
			return err
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		return errors.New("there is more behind a key than its lifetime and its MKI")
	}
	return nil
}

// parseLifetime reads a number of packets, such as 1000 or 2^31.
func parseLifetime(text string) (uint64, error) {
	const mostPower = 48
	wrong := errors.New("a key is good for 1 to 2^48 packets")
	if exponent, power := strings.CutPrefix(text, "2^"); power {
		n, err := strconv.ParseUint(exponent, 10, 8)
		if err != nil || n > mostPower {
			return 0, wrong
		}
		return 1 << n, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || n > mostPackets {
		return 0, wrong
	}
	return n, nil
}

// parseMKI reads a number and how many octets it has in a packet, such as 1:4.
func parseMKI(text string) (string, error) {
	wrong := errors.New("an MKI is a number and how many octets it has")
	number, size, found := strings.Cut(text, ":")
	n, err := strconv.ParseUint(size, 10, 8)
	if !found || err != nil || n < 1 || n > mostMKI || number == "" || strings.Trim(number, "0123456789") != "" || len(number) > 3*mostMKI {
		return "", wrong
	}
	value, ok := new(big.Int).SetString(number, 10)
	if !ok || value.BitLen() > int(n)*8 {
		return "", wrong
	}
	return string(value.FillBytes(make([]byte, n))), nil
}
