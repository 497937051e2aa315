package bounces

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"herald/access"
)

func testTokens(t testing.TB) SignedTokens {
	t.Helper()
	signer, err := access.NewSigner(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return NewSignedTokens(signer)
}

func TestATokenComesBackInAnyCaseAndFits(t *testing.T) {
	tokens := testTokens(t)
	rapid.Check(t, func(t *rapid.T) {
		delivery := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "delivery"))
		token := tokens.Token(delivery)
		if len("bounce+"+token) > 64 || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Fatalf("the token is %q", token)
		}
		for _, form := range []string{token, strings.ToUpper(token), strings.ToUpper(token[:20]) + token[20:]} {
			if got, ok := tokens.Verify(form); !ok || got != delivery {
				t.Fatalf("%q gives %v, %v", form, got, ok)
			}
		}
	})
}

func TestAChangedTokenIsNobodys(t *testing.T) {
	tokens := testTokens(t)
	token := tokens.Token(uuid.MustParse("0196a0b0-0000-7000-8000-000000000001"))
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		letter := rapid.SampledFrom([]byte("abcdefghijklmnopqrstuvwxyz234567=0 \n")).Draw(t, "letter")
		changed := token[:at] + string(letter) + token[at+1:]
		if _, ok := tokens.Verify(changed); ok && changed != token {
			t.Fatalf("%q is taken", changed)
		}
	})
	for _, bad := range []string{"", "a", token[:51], token + "a", token + "======", strings.Repeat("a", 52)} {
		if _, ok := tokens.Verify(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzVerify(f *testing.F) {
	tokens := testTokens(f)
	f.Add(tokens.Token(uuid.MustParse("0196a0b0-0000-7000-8000-000000000001")))
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if delivery, ok := tokens.Verify(token); ok && tokens.Token(delivery) != strings.ToLower(token) {
			t.Errorf("%q is taken for %v", token, delivery)
		}
	})
}
