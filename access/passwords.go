package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"herald/problem"
)

// cost is what a hash takes to make. OWASP's Password Storage Cheat Sheet
// names these for argon2id: 19 MiB, two passes, one lane.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// Sizes in bytes, from RFC 9106, section 3.1.
const (
	saltSize = 16
	hashSize = 32
)

// Bounds of what a stored hash may ask for, so that a damaged one cannot take
// the machine.
const (
	maxMemory = 256 << 10 // KiB
	maxPasses = 16
	maxLanes  = 16
	maxBytes  = 64 // of salt and of hash
)

// Passwords hashes and verifies passwords. Each hash takes 19 MiB and some
// 30 ms of a processor, so only so many are made at a time; the others wait.
type Passwords struct {
	cost cost
	// slots has a place for each hash that may be under way.
	slots chan struct{}
}

// NewPasswords allows as many hashes at a time as parallel says, at least one.
func NewPasswords(parallel int) *Passwords {
	return &Passwords{
		cost:  cost{memory: 19 << 10, passes: 2, lanes: 1},
		slots: make(chan struct{}, max(1, parallel)),
	}
}

// Hash makes the argon2id hash of a password, with a new salt, as a PHC string
// ("$argon2id$v=19$m=19456,t=2,p=1$salt$hash"). The password is prepared by
// RFC 8265's OpaqueString, so that the same characters typed on another
// keyboard are the same password; one that cannot be (it is empty, or has
// control characters) is Invalid. How long or good it must be is the caller's
// to say. The other error is ctx's, when no slot comes free.
func (p *Passwords) Hash(ctx context.Context, clear string) (phc string, err error) {
	prepared, usable := prepare(clear)
	if !usable {
		var f problem.Fields
		f.Add("password", "charset", "may not be empty or hold control characters")
		return "", f.Err("this password cannot be used")
	}
	h := hash{cost: p.cost, salt: make([]byte, saltSize)}
	if _, err := rand.Read(h.salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	h.sum, err = p.sum(ctx, prepared, h, hashSize)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// Verify reports whether a password is the one that phc was made from. An
// empty phc stands for an account that does not exist or has no password: the
// answer is false and takes as long as any other, so that nobody learns by the
// clock which accounts there are. It is an error when phc is not an argon2id
// hash, or when ctx ends before a slot is free.
func (p *Passwords) Verify(ctx context.Context, phc, clear string) (bool, error) {
	nobody := phc == ""
	h := hash{cost: p.cost, salt: make([]byte, saltSize), sum: make([]byte, hashSize)}
	if !nobody {
		var err error
		if h, err = parseHash(phc); err != nil {
			return false, err
		}
	}
	prepared, usable := prepare(clear)
	sum, err := p.sum(ctx, prepared, h, uint32(len(h.sum)))
	if err != nil {
		return false, err
	}
	same := subtle.ConstantTimeCompare(sum, h.sum) == 1
	return same && usable && !nobody, nil
}

// prepare writes a password as it is hashed.
func prepare(clear string) (prepared string, usable bool) {
	prepared, err := precis.OpaqueString.String(clear)
	return prepared, err == nil && utf8.ValidString(clear)
}

// sum hashes in a slot of its own.
func (p *Passwords) sum(ctx context.Context, prepared string, h hash, size uint32) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	return argon2.IDKey([]byte(prepared), h.salt, h.cost.passes, h.cost.memory, h.cost.lanes, size), nil
}

// hash is what a PHC string says.
// Source: github.com/P-H-C/phc-string-format, phc-sf-spec.md.
type hash struct {
	cost cost
	salt []byte
	sum  []byte
}

func (h hash) String() string {
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.cost.memory, h.cost.passes, h.cost.lanes, text.EncodeToString(h.salt), text.EncodeToString(h.sum))
}

// errNotHash does not quote the string: it may be a password in the wrong place.
var errNotHash = errors.New("a stored password is not an argon2id hash in PHC form")

func parseHash(phc string) (hash, error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return hash{}, errNotHash
	}
	var h hash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.cost.memory, &h.cost.passes, &h.cost.lanes); err != nil {
		return hash{}, errNotHash
	}
	var errSalt, errSum error
	h.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.sum, errSum = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if errSalt != nil || errSum != nil || h.String() != phc || !h.sane() {
		return hash{}, errNotHash
	}
	return h, nil
}

func (h hash) sane() bool {
	return h.cost.memory <= maxMemory && h.cost.memory >= 8*uint32(h.cost.lanes) &&
		h.cost.passes >= 1 && h.cost.passes <= maxPasses &&
		h.cost.lanes >= 1 && h.cost.lanes <= maxLanes &&
		len(h.salt) >= 8 && len(h.salt) <= maxBytes &&
		len(h.sum) >= 16 && len(h.sum) <= maxBytes
}
