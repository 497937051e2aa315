package webhooks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Class is what went wrong with an attempt; empty: nothing.
type Class string

// The classes.
const (
	Forbidden   Class = "forbidden_address" // the guard lets nothing through to it
	NoName      Class = "dns"               // its name could not be resolved
	NoConnect   Class = "connect"           // nobody listens there, or no network leads there
	NoTLS       Class = "tls"               // no encrypted connection: its certificate, mostly
	TimedOut    Class = "timeout"           // it did not answer in time
	Broken      Class = "broken"            // it hung up, or does not speak HTTP
	Redirected  Class = "redirect"          // it answered 3xx, which is not followed
	Throttled   Class = "throttled"         // it answered 429
	Refused     Class = "status"            // it answered anything else that is not 2xx
	SaidGone    Class = "gone"              // it answered 410
	SwitchedOff Class = "disabled"          // the endpoint is off: nothing was posted
	NoSecret    Class = "secret"            // its secret cannot be read: nothing was posted
)

const (
	postTimeout = 15 * time.Second // the specification asks for 15 to 30
	dialTimeout = 10 * time.Second
	// Of an answer only the status is of interest; what comes after it is read
	// so far, that the connection can be used again.
	maxAnswer  = 16 << 10
	maxHeaders = 64 << 10
	idleFor    = 90 * time.Second
	idleEach   = 16 // connections of one host kept open
)

// letter is what one attempt posts.
type letter struct {
	url, id, body string
	at            time.Time // of the attempt
	secrets       []signingSecret
}

// outcome is what came of an attempt.
type outcome struct {
	status int // 0: there was no answer
	class  Class
	wish   time.Duration // Retry-After
	took   time.Duration
}

// poster posts letters: to nowhere the guard refuses, through no proxy, and
// following no redirect.
type poster struct {
	encrypted, plain *http.Client
	timeout          time.Duration
	agent            string
	now              func() time.Time
}

// newPoster makes one. resolver may be nil: the system's.
func newPoster(g guard, cfg WorkerConfig, resolver *net.Resolver, now func() time.Time) *poster {
	client := func(encrypted bool) *http.Client {
		return &http.Client{
			Transport: &http.Transport{
				Proxy:                  nil, // one in the environment would connect where the guard cannot see
				DialContext:            g.dialer(encrypted, resolver).DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    dialTimeout,
				ForceAttemptHTTP2:      true,
				DisableCompression:     true,
				MaxResponseHeaderBytes: maxHeaders,
				MaxIdleConnsPerHost:    idleEach,
				IdleConnTimeout:        idleFor,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &poster{encrypted: client(true), plain: client(false), timeout: cfg.Timeout, agent: "Herald/" + cfg.Version, now: now}
}

// close ends the connections that are kept open.
func (p *poster) close() {
	p.encrypted.CloseIdleConnections()
	p.plain.CloseIdleConnections()
}

// post makes one attempt.
func (p *poster) post(ctx context.Context, l letter) outcome {
	began := time.Now() // a stopwatch, whatever the clock says
	o := p.exchange(ctx, l)
	o.took = time.Since(began)
	return o
}

func (p *poster) exchange(ctx context.Context, l letter) outcome {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(l.body))
	if err != nil {
		return outcome{class: Broken}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", p.agent)
	req.Header.Set("webhook-id", l.id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(l.at.Unix(), 10))
	req.Header.Set("webhook-signature", signatures(l.secrets, l.id, l.at, l.body))
	client := p.plain
	if req.URL.Scheme == "https" {
		client = p.encrypted
	}
	res, err := client.Do(req)
	if err != nil {
		return outcome{class: classOf(err)}
	}
	defer res.Body.Close()
	o := outcome{status: res.StatusCode, class: classOfStatus(res.StatusCode)}
	if o.class != "" {
		o.wish = retryAfter(res.Header.Get("Retry-After"), p.now())
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // the status has said it all
	return o
}

// classOf says what kept an answer from coming.
func classOf(err error) Class {
	var (
		name      *net.DNSError
		dialing   *net.OpError
		timeout   net.Error
		record    tls.RecordHeaderError
		alert     tls.AlertError
		untrusted *tls.CertificateVerificationError
		hostname  x509.HostnameError
	)
	switch {
	case errors.Is(err, errForbidden):
		return Forbidden
	case errors.As(err, &name):
		return NoName
	case errors.As(err, &record), errors.As(err, &alert), errors.As(err, &untrusted), errors.As(err, &hostname):
		return NoTLS
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.As(err, &dialing) && dialing.Op == "dial":
		return NoConnect
	}
	return Broken
}

// classOfStatus says what an answer means (Standard Webhooks 1.0.0, "Delivery
// success and failure").
func classOfStatus(status int) Class {
	switch {
	case status >= 200 && status <= 299:
		return ""
	case status >= 300 && status <= 399:
		return Redirected
	case status == http.StatusGone:
		return SaidGone
	case status == http.StatusTooManyRequests:
		return Throttled
	}
	return Refused
}

// strained reports whether an attempt says that the endpoint as a whole cannot
// take messages now, so that others need not try.
func (o outcome) strained() bool {
	switch o.class {
	case NoName, NoConnect, NoTLS, TimedOut, Broken, Throttled:
		return true
	case Refused:
		return o.wish > 0 || o.status == http.StatusBadGateway || o.status == http.StatusServiceUnavailable || o.status == http.StatusGatewayTimeout
	}
	return false
}
