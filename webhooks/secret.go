package webhooks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lengths in bytes: of a signing secret (the specification asks for 24 to 64),
// and the least of the installation's.
const (
	signingBytes = 32
	minSecret    = 32
)

// signingSecret is what an endpoint's messages are signed with.
type signingSecret []byte

func newSigningSecret() signingSecret {
	secret := make(signingSecret, signingBytes)
	_, _ = rand.Read(secret) // crypto/rand does not fail: it ends the program
	return secret
}

// text is the secret as the specification serialises it.
func (s signingSecret) text() string { return "whsec_" + base64.StdEncoding.EncodeToString(s) }

// sign is a signature of version 1: HMAC-SHA256 over "id.timestamp.body"
// (Standard Webhooks 1.0.0, "Signature scheme").
func (s signingSecret) sign(id string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, s)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// signatures are a message's, one by each secret, with blanks between them.
func signatures(secrets []signingSecret, id string, at time.Time, body string) string {
	list := make([]string, len(secrets))
	for i, s := range secrets {
		list[i] = s.sign(id, at, body)
	}
	return strings.Join(list, " ")
}

// vault keeps signing secrets unreadable for whoever has only the database.
type vault struct{ aead cipher.AEAD }

// newVault derives its key from the installation's secret (HKDF, RFC 5869).
func newVault(secret []byte) (vault, error) {
	if len(secret) < minSecret {
		return vault{}, fmt.Errorf("webhooks: the secret key has %d bytes, and needs at least %d", len(secret), minSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "herald webhook secrets 1", 32)
	if err != nil {
		return vault{}, fmt.Errorf("webhooks: derive the key of secrets: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return vault{}, fmt.Errorf("webhooks: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return vault{}, fmt.Errorf("webhooks: %w", err)
	}
	return vault{aead}, nil
}

// seal makes a secret ready to be kept. It opens for the same endpoint only.
func (v vault) seal(endpoint int64, s signingSecret) []byte {
	return v.aead.Seal(nil, nil, s, owner(endpoint))
}

// open gives it back. It fails where the installation's secret key is another
// than when it was sealed.
func (v vault) open(endpoint int64, sealed []byte) (signingSecret, error) {
	s, err := v.aead.Open(nil, nil, sealed, owner(endpoint))
	if err != nil {
		return nil, fmt.Errorf("the secret of webhook endpoint %d cannot be opened, was secret_key changed? rotate it: %w", endpoint, err)
	}
	return s, nil
}

func owner(endpoint int64) []byte { return []byte("endpoint " + strconv.FormatInt(endpoint, 10)) }
