package receipts

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// notice is a message of Amazon SNS to an HTTPS subscriber ("Parsing Amazon
// SNS message formats", docs.aws.amazon.com/sns/latest/dg).
type notice struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string
	TopicArn         string
	Subject          *string
	Message          string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	SubscribeURL     string
}

// The types of a notice.
const (
	notification             = "Notification"
	subscriptionConfirmation = "SubscriptionConfirmation"
	unsubscribeConfirmation  = "UnsubscribeConfirmation"
)

// signed is the text that is signed: names and values of some fields in the
// order of their names, each on a line ("Verifying the signatures of Amazon
// SNS messages").
func (n notice) signed() string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	line("Message", n.Message)
	line("MessageId", n.MessageID)
	if n.Type == notification {
		if n.Subject != nil {
			line("Subject", *n.Subject)
		}
	} else {
		line("SubscribeURL", n.SubscribeURL)
	}
	line("Timestamp", n.Timestamp)
	if n.Type != notification {
		line("Token", n.Token)
	}
	line("TopicArn", n.TopicArn)
	line("Type", n.Type)
	return b.String()
}

// isSignedBy checks an RSA signature with PKCS #1 v1.5 padding over the SHA-1
// (version 1) or SHA-256 (version 2) of the text.
func (n notice) isSignedBy(key *rsa.PublicKey) bool {
	signature, err := base64.StdEncoding.DecodeString(n.Signature)
	if err != nil {
		return false
	}
	text := []byte(n.signed())
	switch n.SignatureVersion {
	case "1":
		sum := sha1.Sum(text)
		return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature) == nil
	case "2":
		sum := sha256.Sum256(text)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}

// topic is an SNS topic and the one host that speaks for it.
type topic struct{ arn, host string }

var anARN = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{3,30}):[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)

// newTopic reads "arn:aws:sns:{region}:{account}:{name}".
func newTopic(arn string) (topic, error) {
	m := anARN.FindStringSubmatch(arn)
	if m == nil {
		return topic{}, errors.New("must be the ARN of an SNS topic, such as arn:aws:sns:eu-west-1:123456789012:receipts")
	}
	host := "sns." + m[2] + ".amazonaws.com"
	if m[1] == "aws-cn" {
		host += ".cn"
	}
	return topic{arn, host}, nil
}

var aCertificate = regexp.MustCompile(`^/SimpleNotificationService-[A-Za-z0-9]{1,100}\.pem$`)

// certificateAt checks where a certificate is said to be. Not any host of
// amazonaws.com will do: anybody can keep files at some of them.
func (t topic) certificateAt(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host == t.host && u.User == nil && u.RawQuery == "" && u.Fragment == "" && aCertificate.MatchString(u.Path)
}

// confirmsAt checks the address that confirms a subscription to this topic.
func (t topic) confirmsAt(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host != t.host || u.User != nil {
		return false
	}
	q := u.Query()
	return (u.Path == "/" || u.Path == "") && q.Get("Action") == "ConfirmSubscription" && q.Get("TopicArn") == t.arn
}

// certificates keeps the keys of SNS. Each is fetched once; who sends names of
// certificates that do not exist makes us fetch no more often than the limiter
// lets him, and holds up nobody whose certificate is known.
type certificates struct {
	fetch func(context.Context, string) ([]byte, error)
	now   func() time.Time
	limit *rate.Limiter

	fetching sync.Mutex // held while one is fetched, so that this is done once

	mu   sync.Mutex
	kept map[string]*x509.Certificate // guarded by mu
}

// maxKept is how many certificates are kept: SNS has one at a time, for years.
const maxKept = 8

func newCertificates(cfg Config) *certificates {
	return &certificates{fetch: cfg.Fetch, now: cfg.Now, limit: rate.NewLimiter(rate.Every(10*time.Second), 5), kept: map[string]*x509.Certificate{}}
}

// key is the public key of the certificate at an address that was checked.
func (c *certificates) key(ctx context.Context, address string) (*rsa.PublicKey, error) {
	certificate, known := c.known(address)
	if !known {
		var err error
		if certificate, err = c.get(ctx, address); err != nil {
			return nil, err
		}
	}
	key, is := certificate.PublicKey.(*rsa.PublicKey)
	if now := c.now(); !is || now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return nil, errForged
	}
	return key, nil
}

func (c *certificates) known(address string) (*x509.Certificate, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	certificate, known := c.kept[address]
	return certificate, known
}

func (c *certificates) get(ctx context.Context, address string) (*x509.Certificate, error) {
	c.fetching.Lock()
	defer c.fetching.Unlock()
	if certificate, known := c.known(address); known {
		return certificate, nil // somebody else has just fetched it
	}
	if !c.limit.AllowN(c.now(), 1) {
		return nil, fmt.Errorf("%w: too many certificates were asked for", errBusy)
	}
	text, err := c.fetch(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: fetch the certificate: %w", errBusy, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errForged
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errForged
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= maxKept {
		clear(c.kept)
	}
	c.kept[address] = certificate
	return certificate, nil
}

// maxFetched is more than any certificate or confirmation has, in bytes.
const maxFetched = 64 << 10

// Fetcher is a Config.Fetch over HTTP: a GET that follows nothing, takes 200
// only, and ends after ten seconds or 64 KiB.
func Fetcher(transport http.RoundTripper) func(context.Context, string) ([]byte, error) {
	client := &http.Client{
		Transport:     transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, address string) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("it answered %d", resp.StatusCode)
		}
		return io.ReadAll(io.LimitReader(resp.Body, maxFetched))
	}
}
