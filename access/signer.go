package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	stdhash "hash"
	"strings"
	"sync"

	"herald/problem"
)

// minSecret is the least length of a signer's secret in bytes: that of the
// hash, as RFC 2104, section 3, asks.
const minSecret = sha256.Size

// Signer makes tokens that only Herald can make, for links that work without
// signing in. A token shows its value to everybody who has it.
type Signer struct {
	secret []byte
	keyed  sync.Map // purpose to *sync.Pool of hashes under the purpose's key; there are few
}

// NewSigner signs with a secret of at least 32 random bytes. All nodes need
// the same one; another makes all earlier tokens void.
func NewSigner(secret []byte) (*Signer, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the signing secret has %d bytes, and needs at least %d", len(secret), minSecret)
	}
	return &Signer{secret: append([]byte(nil), secret...)}, nil
}

// Sign makes a token of a value: "value.mac", both in unpadded base64url, so
// that it can stand in a URL as it is. It counts for its purpose only
// ("unsubscribe"): each has a key of its own.
func (s *Signer) Sign(purpose, value string) (token string) {
	text := base64.RawURLEncoding
	return text.EncodeToString([]byte(value)) + "." + text.EncodeToString(s.MAC(purpose, value))
}

// Verify is the value of a token that Sign made for the purpose. The error is
// NotFound for anything else.
func (s *Signer) Verify(purpose, token string) (value string, err error) {
	bad := problem.New(problem.NotFound, "this link is not valid: a part of it is missing or was changed")
	text, _, _ := strings.Cut(token, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", bad
	}
	// The whole token is compared: base64 has several texts for one value.
	value = string(decoded)
	if !hmac.Equal([]byte(token), []byte(s.Sign(purpose, value))) {
		return "", bad
	}
	return value, nil
}

// MAC is the HMAC-SHA256 of a value, 32 bytes, keyed by the purpose's own key,
// which the secret gives: for tokens of another form than Sign's. Compare it
// in constant time.
func (s *Signer) MAC(purpose, value string) []byte {
	pool, known := s.keyed.Load(purpose)
	if !known {
		key := sum(hmac.New(sha256.New, s.secret), "herald "+purpose)
		pool, _ = s.keyed.LoadOrStore(purpose, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
	}
	mac := pool.(*sync.Pool).Get().(stdhash.Hash)
	defer pool.(*sync.Pool).Put(mac)
	mac.Reset()
	return sum(mac, value)
}

func sum(mac stdhash.Hash, message string) []byte {
	mac.Write([]byte(message)) // a hash takes everything
	return mac.Sum(nil)
}
