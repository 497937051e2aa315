package gateway

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"herald/problem"
)

// TestAliyunsOwnExample is that of "Request syntax and signature method V3":
// RunInstances with fixed parameters.
func TestAliyunsOwnExample(t *testing.T) {
	d := &Description{}
	var f problem.Fields
	a := d.newAliyun(&aliyunSpec{Key: "YourAccessKeyId", Secret: "YourAccessKeySecret", Action: "RunInstances", Version: "2014-05-26"}, &f)
	query := url.Values{"ImageId": {"win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}, "RegionId": {"cn-shanghai"}}
	r := &outgoing{
		method: http.MethodPost, header: http.Header{},
		url: &url.URL{Scheme: "https", Host: "ecs.cn-shanghai.aliyuncs.com", Path: "/", RawQuery: encode(query)},
	}
	err := a.sign(r, message{Now: time.Date(2023, 10, 26, 10, 22, 32, 0, time.UTC), Nonce: "3156853299f313e23d1673dc12e1703d"})
	if err != nil || len(f) > 0 {
		t.Fatal(err, f)
	}
	const want = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got := r.header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestTwiliosOwnExamples are those of Twilio's libraries (RequestValidator).
func TestTwiliosOwnExamples(t *testing.T) {
	public, called := &url.URL{Scheme: "https", Host: "mycompany.com"}, &url.URL{Path: "/myapp.php", RawQuery: "foo=1&bar=2"}
	for body, signature := range map[string]string{
		"CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309": "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
		"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234":                                    "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
	} {
		header := http.Header{"X-Twilio-Signature": {signature}}
		if !IsTwilios([]byte("12345"), public, called, header, []byte(body)) {
			t.Errorf("%s is refused", body)
		}
		for rule, wrong := range map[string]bool{
			"another parameter": IsTwilios([]byte("12345"), public, called, header, []byte(body+"&x=y")),
			"another address":   IsTwilios([]byte("12345"), public, &url.URL{Path: "/other"}, header, []byte(body)),
			"another token":     IsTwilios([]byte("12346"), public, called, header, []byte(body)),
			"no signature":      IsTwilios([]byte("12345"), public, called, http.Header{}, []byte(body)),
		} {
			if wrong {
				t.Errorf("%s with %s is taken", body, rule)
			}
		}
	}
}

const hashed = `
about: a gateway that asks for a hash
settings: {url: {about: its address}}
secrets: {key: {about: the key}}
request:
  url: '{{.Settings.url}}/send'
  headers: {X-Time: '{{unix .Now}}'}
  json: {to: '{{.To}}'}
  auth:
    hmac: {header: X-Sign, secret: '{{.Secrets.key}}', algorithm: ALGORITHM, encoding: ENCODING, prefix: 'v1=', over: '{{.Method}} {{.Path}} {{unix .Now}} {{.Body}}'}
answer:
  rules: [{status: 2xx, is: accepted}]
`

// The hashes are those of openssl dgst -hmac.
func TestHashOfARequest(t *testing.T) {
	for _, c := range []struct{ algorithm, encoding, want string }{
		{"sha1", "hex", "v1=" + opensslSHA1},
		{"sha256", "hex", "v1=" + opensslSHA256},
		{"sha256", "base64", "v1=" + opensslBase64},
	} {
		source := strings.NewReplacer("ALGORITHM", c.algorithm, "ENCODING", c.encoding).Replace(hashed)
		g := newGateway(t, source, Account{Name: "a", Settings: map[string]string{"url": "https://x.example"}, Secrets: map[string]string{"key": "Jefe"}})
		r, err := g.request(message{account: g.identity(), To: "+4915112345678", Now: time.Unix(1700000000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.header.Get("X-Sign"); got != c.want {
			t.Errorf("%s in %s is %s, want %s", c.algorithm, c.encoding, got, c.want)
		}
	}
}

func TestWhoWeAre(t *testing.T) {
	for auth, want := range map[string]string{
		`{basic: {username: '{{.Settings.user}}', password: '{{.Secrets.key}}'}}`: "Basic " + base64.StdEncoding.EncodeToString([]byte("me:opened")),
		`{bearer: '{{.Settings.user}}{{.Secrets.key}}'}`:                          "Bearer meopened",
	} {
		source := strings.Replace(byPost, "  json:", "  auth: "+auth+"\n  json:", 1)
		source = strings.Replace(source, "settings: {", "secrets: {key: {about: k}}\nsettings: {user: {about: u}, ", 1)
		g := newGateway(t, source, Account{
			Name: "a", Settings: map[string]string{"url": "https://x.example", "user": "me"}, Secrets: map[string]string{"key": "opened"},
		})
		r, err := g.request(message{account: g.identity(), To: "+1"})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.header.Get("Authorization"); got != want {
			t.Errorf("%s gives %s, want %s", auth, got, want)
		}
	}
}

const (
	opensslSHA1   = "9caf0c0b18d1367307a5676186ffe24a39cda57c"
	opensslSHA256 = "6b7fdc0c3d24447a6e6799d538f46728df92c9488fdcf5081544068f66cb4e3d"
	opensslBase64 = "a3/cDD0kRHpuZ5nVOPRnKN+SyUiP3PUIFUQGj2bLTj0="
)
