package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// A key is "hk_" + 8 hexadecimal digits + "_" + 26 letters and digits, which
// are 130 random bits. What comes before the second "_" is its prefix.
const (
	keyStart   = "hk_"
	prefixLen  = len(keyStart) + 8
	secretLen  = prefixLen + 1 + 26
	maxKeyName = 100 // characters
)

// usedEvery is how exact a key's LastUsedAt is: it is not written more often.
const usedEvery = time.Minute

// Keys keeps the API keys.
type Keys struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewKeys keeps them in the database that pool leads to.
func NewKeys(pool *pgxpool.Pool, now func() time.Time) *Keys {
	return &Keys{pool: pool, now: now}
}

const keyColumns = `id, name, prefix, scopes, created_at, last_used_at, revoked_at`

func scanKey(row pgx.CollectableRow) (Key, error) {
	var k Key
	err := row.Scan(&k.ID, &k.Name, &k.Prefix, &k.Scopes, &k.CreatedAt, &k.LastUsedAt, &k.RevokedAt)
	return k, err
}

// Create makes a key. The secret is what its user sends; only its SHA-256 is
// kept, so it cannot be shown again. The error is Invalid, with fields name
// and scopes.
func (k *Keys) Create(ctx context.Context, name string, scopes []Scope) (made Key, secret string, err error) {
	name, scopes = strings.TrimSpace(name), slices.Clone(scopes)
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if err := checkKey(name, scopes); err != nil {
		return Key{}, "", err
	}
	prefix, secret := newSecret()
	rows, err := k.pool.Query(ctx, `
		INSERT INTO api_keys (name, prefix, hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5)
		RETURNING `+keyColumns, name, prefix, keyHash(secret), scopes, k.now())
	if err != nil {
		return Key{}, "", fmt.Errorf("make an API key: %w", err)
	}
	made, err = pgx.CollectExactlyOneRow(rows, scanKey)
	if err != nil {
		return Key{}, "", fmt.Errorf("make an API key: %w", err)
	}
	return made, secret, nil
}

func checkKey(name string, scopes []Scope) error {
	var f problem.Fields
	switch {
	case name == "":
		f.Add("name", "required", "say who or what will use the key")
	case utf8.RuneCountInString(name) > maxKeyName:
		f.AddArgs("name", "max_len", map[string]any{"max": maxKeyName}, "must have at most %d characters", maxKeyName)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		f.Add("name", "charset", "must be text")
	}
	if len(scopes) == 0 {
		f.Add("scopes", "required", "say what the key may do: %v", Scopes)
	}
	for _, s := range scopes {
		if !slices.Contains(Scopes, s) {
			f.Add("scopes", "options", "%q is none of %v", s, Scopes)
		}
	}
	return f.Err("this key cannot be made")
}

func newSecret() (prefix, secret string) {
	var public [4]byte
	_, _ = rand.Read(public[:]) // crypto/rand does not fail: it ends the program
	prefix = keyStart + hex.EncodeToString(public[:])
	return prefix, prefix + "_" + strings.ToLower(rand.Text())
}

// keyHash needs no salt and no work factor: the key is random.
func keyHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Authenticate is the key whose secret this is. The error is Unauthorized when
// there is none, or it was revoked.
func (k *Keys) Authenticate(ctx context.Context, secret string) (Key, error) {
	unknown := problem.New(problem.Unauthorized, "this API key is not known, or was revoked")
	if len(secret) != secretLen || !strings.HasPrefix(secret, keyStart) || secret[prefixLen] != '_' {
		return Key{}, unknown
	}
	prefix := secret[:prefixLen]
	if _, err := hex.DecodeString(prefix[len(keyStart):]); err != nil {
		return Key{}, unknown
	}
	var found Key
	var hash []byte
	err := k.pool.QueryRow(ctx, `SELECT `+keyColumns+`, hash FROM api_keys WHERE prefix = $1`, prefix).
		Scan(&found.ID, &found.Name, &found.Prefix, &found.Scopes, &found.CreatedAt, &found.LastUsedAt, &found.RevokedAt, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, unknown
	}
	if err != nil {
		return Key{}, fmt.Errorf("look up an API key: %w", err)
	}
	if subtle.ConstantTimeCompare(hash, keyHash(secret)) != 1 || found.RevokedAt != nil {
		return Key{}, unknown
	}
	return found, k.use(ctx, &found)
}

// use notes that a key is in use.
func (k *Keys) use(ctx context.Context, key *Key) error {
	now := k.now()
	if key.LastUsedAt != nil && now.Sub(*key.LastUsedAt) < usedEvery {
		return nil
	}
	_, err := k.pool.Exec(ctx, `
		UPDATE api_keys SET last_used_at = $2
		WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)`,
		key.ID, now, now.Add(-usedEvery))
	if err != nil {
		return fmt.Errorf("note the use of API key %d: %w", key.ID, err)
	}
	key.LastUsedAt = &now
	return nil
}

// List is all keys, the newest first, revoked ones included.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	rows, err := k.pool.Query(ctx, `SELECT `+keyColumns+` FROM api_keys ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanKey)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	return all, nil
}

// Revoke ends a key at once, named by its prefix ("hk_3f9a1b2c") or by the
// whole of it, as one finds it where it has leaked. A revoked one stays so.
// NotFound when there is none.
func (k *Keys) Revoke(ctx context.Context, key string) error {
	prefix := strings.ToValidUTF8(strings.ReplaceAll(key, "\x00", ""), "")
	if len(prefix) == secretLen {
		prefix = prefix[:prefixLen]
	}
	done, err := k.pool.Exec(ctx, `UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE prefix = $1`, prefix, k.now())
	if err != nil {
		return fmt.Errorf("revoke an API key: %w", err)
	}
	if done.RowsAffected() == 0 {
		return problem.New(problem.NotFound, "there is no such API key")
	}
	return nil
}
