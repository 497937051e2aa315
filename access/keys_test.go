package access

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"herald/postgres/pgtest"
	"herald/problem"
)

func TestAKeyOpensByItsSecret(t *testing.T) {
	clock, pool := newClock(), pgtest.New(t)
	keys := NewKeys(pool, clock.now)
	made, secret, err := keys.Create(t.Context(), " shop ", []Scope{MembersRead, EventsWrite, MembersRead})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^hk_[0-9a-f]{8}_[a-z2-7]{26}$`).MatchString(secret) || !strings.HasPrefix(secret, made.Prefix+"_") {
		t.Errorf("the secret is %q, the prefix %q", secret, made.Prefix)
	}
	if made.Name != "shop" || len(made.Scopes) != 2 || !made.Can(EventsWrite) || made.Can(MembersWrite) {
		t.Errorf("made %+v", made)
	}
	got, err := keys.Authenticate(t.Context(), secret)
	if err != nil || got.ID != made.ID || !got.Can(MembersRead) {
		t.Errorf("got %+v (%v)", got, err)
	}
	var row string
	if err := pool.QueryRow(t.Context(), `SELECT api_keys::text FROM api_keys`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(row, secret[prefixLen+1:]) {
		t.Error("the database holds the secret")
	}
}

func TestOnlyTheWholeSecretOpens(t *testing.T) {
	keys := NewKeys(pgtest.New(t), newClock().now)
	made, secret, err := keys.Create(t.Context(), "shop", Scopes)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := keys.Create(t.Context(), "other", Scopes)
	if err != nil {
		t.Fatal(err)
	}
	wrong := []string{
		"", "hk_", made.Prefix, secret[:len(secret)-1], secret + "a", strings.ToUpper(secret), " " + secret,
		made.Prefix + other[prefixLen:], "hk_zzzzzzzz" + secret[prefixLen:], "hk_00000000" + secret[prefixLen:],
		"hk_\x00\x00\x00\x00\x00\x00\x00\x00" + secret[prefixLen:], strings.Repeat("a", 1<<16),
	}
	for _, s := range wrong {
		_, err := keys.Authenticate(t.Context(), s)
		wantCode(t, err, problem.Unauthorized)
	}
	for range 2 { // revoking again changes nothing
		if err := keys.Revoke(t.Context(), made.Prefix); err != nil {
			t.Fatal(err)
		}
	}
	_, err = keys.Authenticate(t.Context(), secret)
	wantCode(t, err, problem.Unauthorized)
	if _, err := keys.Authenticate(t.Context(), other); err != nil {
		t.Errorf("the other key: %v", err)
	}
	wantCode(t, keys.Revoke(t.Context(), "hk_00000000"), problem.NotFound)
	wantCode(t, keys.Revoke(t.Context(), "\x00\xff"), problem.NotFound)
	all, err := keys.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "other" || all[1].RevokedAt == nil {
		t.Errorf("the list is %+v (%v)", all, err)
	}
}

func TestAKeyThatLeakedIsRevokedByItself(t *testing.T) {
	keys := NewKeys(pgtest.New(t), newClock().now)
	_, secret, err := keys.Create(t.Context(), "shop", Scopes)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Revoke(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	_, err = keys.Authenticate(t.Context(), secret)
	wantCode(t, err, problem.Unauthorized)
}

func TestUseIsNotedOnceAMinute(t *testing.T) {
	clock := newClock()
	keys := NewKeys(pgtest.New(t), clock.now)
	made, secret, err := keys.Create(t.Context(), "shop", Scopes)
	if err != nil || made.LastUsedAt != nil {
		t.Fatalf("a new key was used at %v (%v)", made.LastUsedAt, err)
	}
	steps := []struct {
		pass time.Duration
		want time.Duration // since the start
	}{{0, 0}, {59 * time.Second, 0}, {time.Second, time.Minute}, {time.Hour, 61 * time.Minute}}
	start := clock.now()
	for _, step := range steps {
		clock.pass(step.pass)
		if _, err := keys.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		all, err := keys.List(t.Context())
		if err != nil || !all[0].LastUsedAt.Equal(start.Add(step.want)) {
			t.Errorf("last used at %v (%v), want %v after the start", all[0].LastUsedAt, err, step.want)
		}
	}
}

func TestAKeyIsCheckedBeforeItIsMade(t *testing.T) {
	keys := NewKeys(pgtest.New(t), newClock().now)
	tests := map[string]struct {
		name   string
		scopes []Scope
		want   []string
	}{
		"nothing":          {" ", nil, []string{"name", "required", "scopes", "required"}},
		"an unknown scope": {"shop", []Scope{EventsWrite, "everything"}, []string{"scopes", "options"}},
		"a long name":      {strings.Repeat("店", 101), Scopes, []string{"name", "max_len"}},
		"no text":          {"a\x00b", Scopes, []string{"name", "charset"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := keys.Create(t.Context(), test.name, test.scopes)
			wantFields(t, err, test.want...)
		})
	}
}

func TestKeysFailWithTheDatabase(t *testing.T) {
	keys := NewKeys(pgtest.New(t), newClock().now)
	_, secret, err := keys.Create(t.Context(), "shop", Scopes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keys.Authenticate(ctx, secret); !errors.Is(err, context.Canceled) || problem.CodeOf(err) != "" {
		t.Errorf("got %v, want a plain error: the key may be good", err)
	}
}

func TestATokenCountsForItsPurposeOnly(t *testing.T) {
	signer, err := NewSigner(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSigner(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"", "42", "d/018f:7", "带空格 的值", "\x00\xff."} {
		token := signer.Sign("unsubscribe", value)
		if !regexp.MustCompile(`^[A-Za-z0-9_.-]+$`).MatchString(token) {
			t.Errorf("%q cannot stand in a URL", token)
		}
		if got, err := signer.Verify("unsubscribe", token); err != nil || got != value {
			t.Errorf("got %q (%v), want %q", got, err, value)
		}
		_, err := signer.Verify("why", token)
		wantCode(t, err, problem.NotFound)
		_, err = other.Verify("unsubscribe", token)
		wantCode(t, err, problem.NotFound)
	}
}

func TestAChangedTokenIsRefused(t *testing.T) {
	signer, err := NewSigner(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	token := signer.Sign("unsubscribe", "42")
	for i := range token { // every byte counts, the last few bits included
		for _, c := range []byte("Az0_") {
			changed := token[:i] + string(c) + token[i+1:]
			if value, err := signer.Verify("unsubscribe", changed); err == nil && changed != token {
				t.Errorf("%q is %q", changed, value)
			}
		}
	}
	for _, bad := range []string{"", ".", "42", token + "=", token + ".", token[:len(token)-1], "\n" + token} {
		_, err := signer.Verify("unsubscribe", bad)
		wantCode(t, err, problem.NotFound)
	}
	if _, err := NewSigner(make([]byte, 31)); err == nil {
		t.Error("31 bytes are enough for a secret")
	}
}
