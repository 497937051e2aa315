package bounces

import (
	"crypto/subtle"
	"encoding/base32"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Tokens knows the tokens of return addresses that Herald made.
type Tokens interface {
	// Verify is the delivery that a token was made for. The token comes as it
	// stood in an address, its case perhaps changed on the way.
	Verify(token string) (uuid.UUID, bool)
}

// Signer makes the codes that only Herald can make; *access.Signer does.
type Signer interface {
	MAC(purpose, value string) []byte
}

// SignedTokens makes and verifies tokens by a Signer, so that nothing need be
// kept of them.
//
// A token is the 16 bytes of the delivery's id and the first 16 of its MAC, in
// unpadded lower-case base32: 52 letters and digits, which survive a server
// that folds the case of local parts, and leave 12 of the 64 octets of one to
// what stands around them (RFC 5321, section 4.5.3.1.1). RFC 2104, section 5, allows
// a MAC to be cut to half its length.
type SignedTokens struct{ signer Signer }

// NewSignedTokens makes tokens by a signer; all nodes need the same secret.
func NewSignedTokens(signer Signer) SignedTokens { return SignedTokens{signer} }

const (
	purpose = "bounce"
	macSize = 16
)

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// TokenLength is how many characters a token has.
const TokenLength = 52

// Token stands for a delivery in its return address.
func (t SignedTokens) Token(delivery uuid.UUID) string {
	mac := t.signer.MAC(purpose, delivery.String())
	return tokenText.EncodeToString(slices.Concat(delivery[:], mac[:macSize]))
}

// Verify is the delivery of a token that Token made, whatever its case.
func (t SignedTokens) Verify(token string) (uuid.UUID, bool) {
	token = strings.ToLower(token)
	raw, err := tokenText.DecodeString(token)
	if err != nil || len(raw) != len(uuid.UUID{})+macSize {
		return uuid.Nil, false
	}
	var delivery uuid.UUID
	copy(delivery[:], raw)
	// The whole text is compared: base32 has several texts for some values.
	if subtle.ConstantTimeCompare([]byte(token), []byte(t.Token(delivery))) != 1 {
		return uuid.Nil, false
	}
	return delivery, true
}
