package media

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	someKey  = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
	otherKey = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"
)

func TestSecretsAreRead(t *testing.T) {
	mki := func(octets int) string { return strings.Repeat("\x00", octets-1) + "\x01" }
	for value, want := range map[string]secret{
		// The examples of RFC 4568, sections 4.3 and 10.
		"1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32": {tag: "1", suite: longProof, packets: 1 << 20, mki: mki(32)},
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + someKey + "|2^20|1:32":                          {tag: "1", suite: longProof, packets: 1 << 20, mki: mki(32)},
		"1 AES_CM_128_HMAC_SHA1_32 inline:" + otherKey + "|2^20|1:32":                         {tag: "1", suite: shortProof, packets: 1 << 20, mki: mki(32)},
		// As telephones write it.
		"4 AES_CM_128_HMAC_SHA1_80 inline:" + someKey:                        {tag: "4", suite: longProof, packets: mostPackets},
		"007  aes_cm_128_hmac_sha1_32\tINLINE:" + someKey + "|1000":          {tag: "007", suite: shortProof, packets: 1000},
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + someKey + "|258:2":             {tag: "1", suite: longProof, packets: mostPackets, mki: "\x01\x02"},
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + someKey + " WSH=128 -x=y -FEC": {tag: "1", suite: longProof, packets: mostPackets},
	} {
		s, err := parseSecret(value)
		at := strings.Index(strings.ToLower(value), "inline:") + len("inline:")
		if got := base64.StdEncoding.EncodeToString(s.master[:]); err != nil || got != value[at:at+len(someKey)] {
			t.Errorf("%s has the key %s, %v", value, got, err)
		}
		want.master = s.master
		if s != want {
			t.Errorf("%s is read as %+v", value, s)
		}
	}
}

func TestSecretsThatCannotBeUsedAreRefused(t *testing.T) {
	const good = "1 AES_CM_128_HMAC_SHA1_80 inline:" + someKey
	if _, err := parseSecret(good); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"nothing":                  "",
		"no key":                   "1 AES_CM_128_HMAC_SHA1_80",
		"a long tag":               "1234567890 AES_CM_128_HMAC_SHA1_80 inline:" + someKey,
		"a tag of letters":         "x" + good,
		"another suite":            "1 F8_128_HMAC_SHA1_80 inline:" + someKey,
		"a longer key":             "1 AES_CM_128_HMAC_SHA1_80 inline:" + someKey + someKey,
		"a shorter key":            "1 AES_CM_128_HMAC_SHA1_80 inline:" + someKey[4:],
		"no base64":                "1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Replace(someKey, "d", "*", 1),
		"another method":           "1 AES_CM_128_HMAC_SHA1_80 uri:https://example.net/key",
		"two keys":                 good + "|2^20|1:4;inline:" + otherKey + "|2^20|2:4",
		"no lifetime":              good + "|0",
		"a lifetime too long":      good + "|2^49",
		"a number too long":        good + "|281474976710657",
		"a lifetime of letters":    good + "|2^x",
		"an MKI without its size":  good + "|2^20|1:",
		"an MKI of no octets":      good + "|1:0",
		"an MKI too long":          good + "|1:129",
		"an MKI that does not fit": good + "|256:1",
		"a negative MKI":           good + "|-1:4",
		"an MKI before a lifetime": good + "|1:4|2^20",
		"something more":           good + "|2^20|1:4|",
		"no encryption":            good + " UNENCRYPTED_SRTP",
		"no proof":                 good + " UNAUTHENTICATED_SRTP",
		"keys that change":         good + " KDR=1",
		"another order":            good + " FEC_ORDER=FEC_SRTP",
	} {
		s, err := parseSecret(value)
		if err == nil {
			t.Errorf("%s is read as %+v", name, s)
		} else if strings.Contains(err.Error(), someKey) {
			t.Errorf("%s tells the key: %v", name, err)
		}
	}
}

func TestSecretsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := newSecret(rapid.StringMatching(`[0-9]{1,9}`).Draw(t, "tag"), rapid.SampledFrom(suites).Draw(t, "suite"))
		copy(want.master[:], rapid.SliceOfN(rapid.Byte(), masterBytes, masterBytes).Draw(t, "master"))
		text := want.String()
		if rapid.Bool().Draw(t, "limited") {
			want.packets = rapid.Uint64Range(1, mostPackets).Draw(t, "packets")
			text += fmt.Sprintf("|%d", want.packets)
		}
		if rapid.Bool().Draw(t, "named") {
			size := rapid.IntRange(1, mostMKI).Draw(t, "octets")
			name := rapid.Byte().Draw(t, "mki")
			want.mki = strings.Repeat("\x00", size-1) + string([]byte{name})
			text += fmt.Sprintf("|%d:%d", name, size)
		}
		if s, err := parseSecret(text); err != nil || s != want {
			t.Fatalf("%s is read as %+v, %v", text, s, err)
		}
	})
}

func FuzzSecret(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 inline:" + someKey + "|2^20|1:32 WSH=64")
	f.Fuzz(func(t *testing.T, value string) {
		s, err := parseSecret(value)
		if err != nil {
			return
		}
		if s.packets == 0 || s.packets > mostPackets || len(s.mki) > mostMKI {
			t.Errorf("it is %+v", s)
		}
		if _, err := s.cipher(); err != nil {
			t.Error(err)
		}
		s.packets, s.mki = mostPackets, ""
		if again, err := parseSecret(s.String()); err != nil || again != s {
			t.Errorf("it is %+v and then %+v, %v", s, again, err)
		}
	})
}
