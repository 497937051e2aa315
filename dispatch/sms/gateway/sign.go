package gateway

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"herald/problem"
)

// outgoing is a request before it is written.
type outgoing struct {
	method string
	url    *url.URL
	header http.Header
	body   []byte
}

// signer proves to the provider who we are.
type signer interface {
	sign(r *outgoing, m message) error
}

// compileAuth reads how we prove who we are.
func (d *Description) compileAuth(f *problem.Fields) {
	a := d.spec.Request.Auth
	var all []signer
	if a.Basic != nil {
		all = append(all, d.newBasic(a.Basic, message{}, "request.auth.basic", f))
	}
	if a.Bearer != "" {
		all = append(all, bearer{d.text(a.Bearer, message{}, "request.auth.bearer", f)})
	}
	if a.HMAC != nil {
		if a.HMAC.Timestamp != nil || a.HMAC.Window != 0 {
			f.Add("request.auth.hmac", "unknown", "has a timestamp and a window in callbacks only")
		}
		all = append(all, d.newKeyed(a.HMAC, signing{}, "request.auth.hmac", f))
	}
	if a.Aliyun != nil {
		all = append(all, d.newAliyun(a.Aliyun, f))
	}
	if len(all) > 1 {
		f.Add("request.auth", "one_of", "can have one of basic, bearer, hmac and aliyun")
	}
	if len(all) > 0 {
		d.sign = all[0]
	}
}

// basic is HTTP's own (RFC 7617).
type basic struct{ username, password *text }

func (d *Description) newBasic(s *basicSpec, sample any, at string, f *problem.Fields) basic {
	if s.Username == "" || s.Password == "" {
		f.Add(at, "required", "needs username and password")
	}
	return basic{d.text(s.Username, sample, at+".username", f), d.text(s.Password, sample, at+".password", f)}
}

func (b basic) fill(data any) (username, password string, err error) {
	username, err = b.username.fill(data)
	if err != nil {
		return "", "", err
	}
	password, err = b.password.fill(data)
	return username, password, err
}

func (b basic) sign(r *outgoing, m message) error {
	username, password, err := b.fill(m)
	if err == nil {
		r.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
	}
	return err
}

// bearer is a token (RFC 6750, section 2.1).
type bearer struct{ token *text }

func (b bearer) sign(r *outgoing, m message) error {
	token, err := b.token.fill(m)
	if err == nil {
		r.header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// keyed is a hash with a key (RFC 2104) in a header.
type keyed struct {
	header, prefix string
	secret, over   *text
	algorithm      func() hash.Hash
	base64         bool
	spec           *hmacSpec
}

func (d *Description) newKeyed(s *hmacSpec, sample any, at string, f *problem.Fields) *keyed {
	k := &keyed{header: s.Header, prefix: s.Prefix, base64: s.Encoding == "base64", spec: s}
	if !isHeader(s.Header) {
		f.Add(at+".header", "header", "is %q and must be a header", s.Header)
	}
	if s.Secret == "" {
		f.Add(at+".secret", "required", "say by what it is made, such as {{.Secrets.key}}")
	}
	algorithms := map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New}
	if k.algorithm = algorithms[s.Algorithm]; k.algorithm == nil {
		f.Add(at+".algorithm", "option", "is %q and must be one of: sha1, sha256, sha512", s.Algorithm)
	}
	if !slices.Contains([]string{"", "hex", "base64"}, s.Encoding) {
		f.Add(at+".encoding", "option", "is %q and must be one of: hex, base64", s.Encoding)
	}
	over := s.Over
	if over == "" {
		over = "{{.Body}}"
	}
	k.secret = d.text(s.Secret, sample, at+".secret", f)
	k.over = d.text(over, sample, at+".over", f)
	return k
}

// errNoKey is the error of a hash whose key nobody gave: anybody could make it.
var errNoKey = errors.New("there is no key for the signature")

// sum is the hash over data.
func (k *keyed) sum(data any) ([]byte, error) {
	secret, err := k.secret.fill(data)
	if err != nil {
		return nil, err
	}
	if secret == "" {
		return nil, errNoKey
	}
	over, err := k.over.fill(data)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(k.algorithm, []byte(secret))
	mac.Write([]byte(over))
	return mac.Sum(nil), nil
}

func (k *keyed) sign(r *outgoing, m message) error {
	sum, err := k.sum(signing{
		message: m, Method: r.method, URL: r.url.String(),
		Path: r.url.EscapedPath(), Query: r.url.RawQuery, Body: string(r.body),
	})
	if err != nil {
		return err
	}
	written := hex.EncodeToString(sum)
	if k.base64 {
		written = base64.StdEncoding.EncodeToString(sum)
	}
	r.header.Set(k.header, k.prefix+written)
	return nil
}

// read is the hash that a callback bears.
func (k *keyed) read(header http.Header) ([]byte, error) {
	written, is := strings.CutPrefix(header.Get(k.header), k.prefix)
	if !is {
		return nil, errors.New("the signature begins otherwise")
	}
	if k.base64 {
		return base64.StdEncoding.DecodeString(written)
	}
	return hex.DecodeString(written)
}

// aliyun is Alibaba Cloud's signature V3, ACS3-HMAC-SHA256 ("Request syntax
// and signature method V3", alibabacloud.com/help/en/sdk).
type aliyun struct {
	key, secret     *text
	action, version string
}

func (d *Description) newAliyun(s *aliyunSpec, f *problem.Fields) aliyun {
	if s.Key == "" || s.Secret == "" || s.Action == "" || s.Version == "" {
		f.Add("request.auth.aliyun", "required", "needs key, secret, action and version")
	}
	return aliyun{
		d.text(s.Key, message{}, "request.auth.aliyun.key", f), d.text(s.Secret, message{}, "request.auth.aliyun.secret", f),
		s.Action, s.Version,
	}
}

func (a aliyun) sign(r *outgoing, m message) error {
	key, err := a.key.fill(m)
	if err != nil {
		return err
	}
	secret, err := a.secret.fill(m)
	if err != nil {
		return err
	}
	content := sha256.Sum256(r.body)
	for name, value := range map[string]string{
		"x-acs-action": a.action, "x-acs-version": a.version,
		"x-acs-date":            m.Now.UTC().Format("2006-01-02T15:04:05Z"),
		"x-acs-signature-nonce": m.Nonce,
		"x-acs-content-sha256":  hex.EncodeToString(content[:]),
	} {
		r.header.Set(name, value)
	}
	canonical, signed := a.canonical(r)
	sum := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "ACS3-HMAC-SHA256\n%x", sum)
	r.header.Set("Authorization", fmt.Sprintf("ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%x", key, signed, mac.Sum(nil)))
	return nil
}

// canonical is the request as it is signed, and the names of the headers that
// are: host, content-type and all of x-acs.
func (a aliyun) canonical(r *outgoing) (request, signed string) {
	values := map[string]string{"host": r.url.Host}
	for name, value := range r.header {
		if name := strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-acs-") {
			values[name] = strings.TrimSpace(value[0])
		}
	}
	names := slices.Sorted(maps.Keys(values))
	signed = strings.Join(names, ";")
	var lines strings.Builder
	for _, name := range names {
		lines.WriteString(name + ":" + values[name] + "\n")
	}
	path := r.url.EscapedPath()
	if path == "" {
		path = "/"
	}
	return strings.Join([]string{r.method, path, r.url.RawQuery, lines.String(), signed, r.header.Get("x-acs-content-sha256")}, "\n"), signed
}

// signTwilio is what X-Twilio-Signature must be, decoded: the HMAC-SHA1 over
// the address called and the parameters of the form, sorted by name, each name
// followed by its value ("Webhooks Security", twilio.com/docs).
func signTwilio(token []byte, address string, form url.Values) []byte {
	mac := hmac.New(sha1.New, token)
	mac.Write([]byte(address))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(form[name]))) {
			mac.Write([]byte(name + value))
		}
	}
	return mac.Sum(nil)
}
