package access

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herald/problem"
)

func TestAPasswordIsVerifiedByItsHash(t *testing.T) {
	p := NewPasswords(2)
	phc, err := p.Hash(t.Context(), "three blind mice")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash is %s", phc)
	}
	if again, err := p.Hash(t.Context(), "three blind mice"); err != nil || again == phc {
		t.Errorf("the same password has the same hash twice (%v)", err)
	}
	tests := map[string]struct {
		phc, clear string
		want       bool
	}{
		"the password":                {phc, "three blind mice", true},
		"another":                     {phc, "three blind mouse", false},
		"other case":                  {phc, "Three blind mice", false},
		"typed with a wide space":     {phc, "three\u3000blind mice", true},
		"nothing":                     {phc, "", false},
		"with a control character":    {phc, "three blind mice\x00", false},
		"an account without password": {"", "three blind mice", false},
		"nothing for nobody":          {"", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := p.Verify(t.Context(), test.phc, test.clear); err != nil || got != test.want {
				t.Errorf("got %t (%v), want %t", got, err, test.want)
			}
		})
	}
}

func TestAccentsMayBeComposedOrNot(t *testing.T) {
	p := NewPasswords(1)
	phc, err := p.Hash(t.Context(), "caf\u00e9 au lait")
	if err != nil {
		t.Fatal(err)
	}
	if same, err := p.Verify(t.Context(), phc, "cafe\u0301 au lait"); err != nil || !same {
		t.Errorf("got %t (%v)", same, err)
	}
}

// The phc-winner-argon2 program made this one: argon2id, 64 MiB, 2 passes.
func TestHashesOfOtherProgramsAreUnderstood(t *testing.T) {
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if same, err := NewPasswords(1).Verify(t.Context(), phc, "password"); err != nil || !same {
		t.Errorf("got %t (%v)", same, err)
	}
}

func TestAPasswordThatCannotBeTypedIsRefused(t *testing.T) {
	for _, clear := range []string{"", "tab\there", "nul\x00", "\xff\xfe"} {
		_, err := NewPasswords(1).Hash(t.Context(), clear)
		wantFields(t, err, "password", "charset")
	}
}

func TestADamagedHashIsAnError(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	tests := map[string]string{
		"clear text":          "three blind mice",
		"another algorithm":   "$2b$12$abcdefghijklmnopqrstuv",
		"argon2i":             "$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + sum,
		"an old version":      "$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + sum,
		"no cost":             "$argon2id$v=19$$" + salt + "$" + sum,
		"no passes":           "$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + sum,
		"no lanes":            "$argon2id$v=19$m=65536,t=2,p=0$" + salt + "$" + sum,
		"too much memory":     "$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + sum,
		"too many passes":     "$argon2id$v=19$m=65536,t=4294967295,p=1$" + salt + "$" + sum,
		"too many lanes":      "$argon2id$v=19$m=65536,t=2,p=255$" + salt + "$" + sum,
		"more after the cost": "$argon2id$v=19$m=65536,t=2,p=1,x=1$" + salt + "$" + sum,
		"no salt":             "$argon2id$v=19$m=65536,t=2,p=1$$" + sum,
		"no hash":             "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$",
		"not base64":          "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$****",
		"cut off":             "$argon2id$v=19$m=65536,t=2,p=1$" + salt,
	}
	p := NewPasswords(1)
	for name, phc := range tests {
		t.Run(name, func(t *testing.T) {
			same, err := p.Verify(t.Context(), phc, "password")
			if same || !errors.Is(err, errNotHash) || problem.CodeOf(err) != "" {
				t.Errorf("got %t, %v", same, err)
			}
		})
	}
}

func TestHashesWaitForASlotAndHonourTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPasswords(0) // one all the same
		p.slots <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Hash(ctx, "three blind mice"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		<-p.slots
		if _, err := p.Hash(t.Context(), "three blind mice"); err != nil {
			t.Error(err)
		}
		if _, err := p.Verify(ctx, "", "three blind mice"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a free slot, past the deadline: got %v", err)
		}
		if len(p.slots) != 0 {
			t.Error("a slot was not given back")
		}
	})
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=8,t=+1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := parseHash(phc)
		if err == nil && (h.String() != phc || !h.sane()) {
			t.Errorf("%q was read as %q", phc, h)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p := NewPasswords(1)
	phc, err := p.Hash(b.Context(), "three blind mice")
	if err != nil {
		b.Fatal(err)
	}
	for name, stored := range map[string]string{"known": phc, "unknown": ""} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Verify(b.Context(), stored, "three blind mouse"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
