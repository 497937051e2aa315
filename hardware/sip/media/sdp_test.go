package media

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"herald/hardware/sip/g711"
)

// describes writes a description of these lines.
func describes(lines ...string) []byte {
	return []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\n" + strings.Join(lines, "\r\n") + "\r\n")
}

func read(t *testing.T, value string) secret {
	t.Helper()
	s, err := parseSecret(value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDescriptionsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		text []byte
		want description
	}{
		"the usual": {
			describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000"),
			description{netip.MustParseAddrPort("192.0.2.1:4000"), []codec{{g711.A, 8}, {g711.Mu, 0}}, 101, true, both, nil, others{}},
		},
		"an address of its own, a type of its own, and no events": {
			describes("c=IN IP4 192.0.2.1", "t=0 0", "m=video 0 RTP/AVP 31", "m=audio 4000/2 RTP/AVP 9 97", "c=IN IP4 192.0.2.2/127", "a=rtpmap:97 pcmu/8000/1", "a=sendonly"),
			description{netip.MustParseAddrPort("192.0.2.2:4000"), []codec{{g711.Mu, 97}}, 0, false, sendOnly, nil, others{}},
		},
		"the old way to hold": {
			describes("c=IN IP4 0.0.0.0", "t=0 0", "a=inactive", "m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000"),
			description{netip.AddrPort{}, []codec{{g711.Mu, 0}}, 96, true, inactive, nil, others{}},
		},
		"encrypted, the second key of use": {
			describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/SAVP 0", "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:"+someKey, "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"+someKey),
			description{netip.MustParseAddrPort("192.0.2.1:4000"), []codec{{g711.Mu, 0}}, 0, false, both, []secret{read(t, "2 AES_CM_128_HMAC_SHA1_32 inline:"+someKey)}, others{}},
		},
		"beside a fax": {
			describes("c=IN IP4 192.0.2.1", "t=0 0", "m=image 4002 udptl t38", "a=T38FaxVersion:0", "m=audio 4000 RTP/AVP 0"),
			description{netip.MustParseAddrPort("192.0.2.1:4000"), []codec{{g711.Mu, 0}}, 0, false, both, nil, others{}},
		},
		"IPv6": {
			describes("c=IN IP6 2001:db8::1", "t=0 0", "m=audio 4000 RTP/AVP 0"),
			description{netip.MustParseAddrPort("[2001:db8::1]:4000"), []codec{{g711.Mu, 0}}, 0, false, both, nil, others{}},
		},
	} {
		d, err := parseSDP(c.text)
		if err != nil || d.at != c.want.at || !slices.Equal(d.codecs, c.want.codecs) || d.events != c.want.events || d.keys != c.want.keys || d.goes != c.want.goes || !slices.Equal(d.secrets, c.want.secrets) {
			t.Errorf("%s is read as %+v, %v", name, d, err)
		}
	}
}

func TestWhatCannotBeSpokenWithFails(t *testing.T) {
	for name, text := range map[string][]byte{
		"nothing":       nil,
		"no sound":      describes("c=IN IP4 192.0.2.1", "t=0 0", "m=image 4000 udptl t38"),
		"a fax instead": describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 0 RTP/AVP 0", "m=image 4000 udptl t38"),
		"no medium":     describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio"),
		"refused":       describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 0 RTP/AVP 0"),
		"no address":    describes("t=0 0", "m=audio 4000 RTP/AVP 0"),
		"a name":        describes("c=IN IP4 host.example", "t=0 0", "m=audio 4000 RTP/AVP 0"),
		"a crowd":       describes("c=IN IP4 224.0.0.1", "t=0 0", "m=audio 4000 RTP/AVP 0"),
		"other codecs":  describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 9 18"),
		"another sense": describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 0", "a=rtpmap:0 G722/8000"),
		"no key":        describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/SAVP 0"),
		"a useless key": describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/SAVP 0", "a=crypto:1 F8_128_HMAC_SHA1_80 inline:"+someKey),
		"DTLS":          describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 UDP/TLS/RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+someKey),
		"too long":      []byte(strings.Repeat("a=x\r\n", mostSDP)),
	} {
		if d, err := parseSDP(text); !errors.Is(err, ErrNoAudio) {
			t.Errorf("%s is read as %+v, %v", name, d, err)
		}
	}
}

func FuzzSDP(f *testing.F) {
	f.Add(describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000"))
	f.Add(describes("c=IN IP4 192.0.2.1", "t=0 0", "m=audio 4000 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+someKey+"|2^20|1:4"))
	f.Add(describes("c=IN IP4 192.0.2.1", "t=0 0", "m=image 4002 udptl t38", "m=audio 4000 RTP/AVP 0", "m=x y z"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseSDP(text)
		if err == nil && len(d.codecs) == 0 {
			t.Errorf("%+v has no codec", d)
		}
	})
}
