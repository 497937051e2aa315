package subscriptions

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"herald/problem"
)

func TestNormalise(t *testing.T) {
	tests := []struct {
		name    string
		channel Channel
		address string
		region  string
		want    string // empty: refused
		rule    string
	}{
		{"a mail domain is lower-cased and the local part kept", Email, "Wei.Li@Example.COM", "", "Wei.Li@example.com", ""},
		{"space around an address is dropped", Email, "  a@example.com\n", "", "a@example.com", ""},
		{"full-width letters are what they look like", Email, "ｗｅｉ＠example.com", "", "wei@example.com", ""},
		{"a domain in Chinese becomes ASCII", Email, "wei@例子.中国", "", "wei@xn--fsqu00a.xn--fiqs8s", ""},
		{"an ideographic full stop divides a domain", Email, "wei@example。com", "", "wei@example.com", ""},
		{"a plus tag is kept", Email, "wei+shop@example.com", "", "wei+shop@example.com", ""},
		{"nothing is no address", Email, " ", "", "", "required"},
		{"no @", Email, "example.com", "", "", "email"},
		{"nothing before the @", Email, "@example.com", "", "", "email"},
		{"nothing after the @", Email, "wei@", "", "", "email"},
		{"two @", Email, "wei@li@example.com", "", "", "email"},
		{"a display name", Email, "Wei <wei@example.com>", "", "", "email"},
		{"a comment", Email, "wei(home)@example.com", "", "", "email"},
		{"a quoted local part", Email, `"wei li"@example.com`, "", "", "email"},
		{"two recipients", Email, "a@example.com,b@example.com", "", "", "email"},
		{"a header smuggled in", Email, "a@example.com\r\nBcc: b@example.com", "", "", "charset"},
		{"a NUL", Email, "a\x00@example.com", "", "", "charset"},
		{"bytes that are no text", Email, "a\xff@example.com", "", "", "charset"},
		{"a dot at the end of the local part", Email, "wei.@example.com", "", "", "email"},
		{"two dots together", Email, "wei..li@example.com", "", "", "email"},
		{"a domain without a dot", Email, "wei@localhost", "", "", "email"},
		{"an IP address", Email, "wei@192.0.2.1", "", "", "email"},
		{"an IP literal", Email, "wei@[192.0.2.1]", "", "", "email"},
		{"a domain that ends in a dot", Email, "wei@example.com.", "", "", "email"},
		{"an underscore in a domain", Email, "wei@exa_mple.com", "", "", "email"},
		{"a local part of 65 characters", Email, strings.Repeat("a", 65) + "@example.com", "", "", "max_len"},
		{"a domain label of 64 characters", Email, "a@" + strings.Repeat("b", 64) + ".com", "", "", "email"},
		{"an address of 255 characters", Email, "abcd@" + strings.Repeat(strings.Repeat("b", 48)+".", 5) + "comde", "", "", "max_len"},
		{"a domain of a megabyte", Email, "a@" + strings.Repeat("ü", 1<<19) + ".com", "", "", "max_len"},

		{"a number with country code", SMS, "+86 138-0013-8000", "", "+8613800138000", ""},
		{"a national number with a region", SMS, "138 0013 8000", "CN", "+8613800138000", ""},
		{"a number's own country code beats the region", SMS, "+44 7911 123456", "CN", "+447911123456", ""},
		{"00 before the country code", Voice, "0044 7911 123456", "", "+447911123456", ""},
		{"full-width digits", SMS, "＋８６１３８００１３８０００", "", "+8613800138000", ""},
		{"a fixed line with its area code", Fax, "(010) 6552-9988", "CN", "+861065529988", ""},
		{"an Italian number keeps its zero", Voice, "+39 06 6982", "", "+39066982", ""},
		{"a national number without a region", SMS, "13800138000", "", "", "international"},
		{"too few digits", SMS, "+86 138", "", "", "phone"},
		{"letters", Voice, "1-800-FLOWERS", "US", "", "phone"},
		{"an extension", Voice, "+1 212 555 0100 x12", "", "", "phone"},
		{"an emergency number", Voice, "110", "CN", "", "phone"},
		{"a premium-rate number", Voice, "+1 900 253 0000", "", "", "premium"},
		{"far too long", Voice, strings.Repeat("1", 41), "CN", "", "max_len"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Normalise(tt.channel, tt.address, tt.region)
			if got != tt.want {
				t.Errorf("Normalise(%q) = %q, want %q (%v)", tt.address, got, tt.want, err)
			}
			if tt.want == "" {
				wantField(t, err, "address", tt.rule)
			}
		})
	}
}

func TestRegionOfALocaleIsOnlyTheOneItNames(t *testing.T) {
	for locale, want := range map[string]string{"zh-CN": "CN", "zh": "", "en": "", "en-GB": "GB", "zh-Hant-TW": "TW", "es-419": "", "": "", "??": ""} {
		if got := regionOf(locale); got != want {
			t.Errorf("regionOf(%q) = %q, want %q", locale, got, want)
		}
	}
}

// An address that went through Normalise comes out of it unchanged, has no
// blank or control character, and can be searched for.
func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{"wei@example.com", "Wei <a@b.cn>", "a@例子.中国", "+8613800138000", "13800138000", "a\r\nb@c.de", "0039 06 6982", "１＠２", ""} {
		for ch := range Channels {
			f.Add(ch, seed, "CN")
		}
	}
	f.Fuzz(func(t *testing.T, channel int, address, region string) {
		ch := Channels[uint(channel)%uint(len(Channels))]
		normal, err := Normalise(ch, address, region)
		if err != nil {
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("%q: %v, want an invalid address", address, err)
			}
			return
		}
		wantNormal(t, ch, normal)
	})
}

// failer is what testing.T and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func wantNormal(t failer, ch Channel, normal string) {
	t.Helper()
	if again, err := Normalise(ch, normal, ""); err != nil || again != normal {
		t.Fatalf("%q became %q when normalised again (%v)", normal, again, err)
	}
	for _, r := range normal {
		if r <= ' ' || r > '~' {
			t.Fatalf("%q holds %q", normal, r)
		}
	}
	if sought(normal) != normal {
		t.Fatalf("a search for %q looks for %q", normal, sought(normal))
	}
}

func TestWhatIsNormalStaysNormal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringMatching(`[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,20}(\.[A-Za-z0-9]{1,8}){0,2}`).Draw(t, "local")
		domain := rapid.StringMatching(`[a-zA-Z0-9]{1,20}\.(com|cn|example|中国|MUSEUM)`).Draw(t, "domain")
		normal, err := Normalise(Email, local+"@"+domain, "")
		if err != nil {
			t.Fatalf("%s@%s: %v", local, domain, err)
		}
		if !strings.HasPrefix(normal, local+"@") {
			t.Fatalf("%q lost the local part %q", normal, local)
		}
		wantNormal(t, Email, normal)
	})
}
