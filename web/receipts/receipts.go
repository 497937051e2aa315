// Package receipts takes the webhooks of providers: what became of a message
// after they took it.
//
// A provider posts to /receipts/{provider}/{account}. The request is believed
// when it bears the signature of that account, in the provider's own scheme,
// and is not older than the provider may try; what it tells becomes
// dispatch.Report and goes to the Taker. The answer is 200 only after the Taker
// has it, 503 with Retry-After while the database is away, and otherwise an
// error that makes the provider try again: nothing is lost. Told twice, a
// report has the same Key.
//
// A described gateway for SMS calls /receipts/gateway/{account}/receipt, and
// /receipts/gateway/{account}/inbound for messages that came in, as its
// description says; they go to the Taker and to Inbound.
//
// # Which delivery
//
// A delivery is named by DeliveryKey among the custom arguments, metadata,
// tags or variables that the provider repeats; else by a Message-ID of ours,
// whose left side is its id; else by the account and the provider's own id. As
// only the provider can sign, all three are believed, and an account can
// report of its own channel only.
//
// # What is trusted
//
//	sendgrid   ECDSA P-256 over timestamp and body, by the account's key
//	mailgun    HMAC-SHA256 over timestamp and token. The body is not signed:
//	           the token is the report's Key, so that who has seen one request
//	           cannot tell another story with it
//	ses        RSA over the fields of an SNS message, by a certificate from the
//	           SNS host of the region of the topic; other topics are refused,
//	           for anybody can have one
//	postmark   a password (HTTP Basic). Nothing is signed and there is no time
//	twilio     HMAC-SHA1 over URL and parameters. There is no time
//	standard   Standard Webhooks: HMAC-SHA256 over id, timestamp and body
//
// A request that is replayed within its window tells what is known already.
package receipts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"herald/dispatch"
	"herald/dispatch/sms/gateway"
	"herald/problem"
)

// Base is the path under which the handler is mounted.
const Base = "/receipts/"

// Taker keeps reports; *dispatch.Store does. Its nil means that they are
// durable; a report that it has by its Key already is no error.
type Taker interface {
	Report(ctx context.Context, reports []dispatch.Report) error
}

// Config is what a Handler works on.
type Config struct {
	Accounts []Account
	// PublicURL is how providers reach Herald, without a path: Twilio signs
	// the address it calls.
	PublicURL string
	Taker     Taker
	// Gateways are the described ones that call back; Inbound takes what is
	// sent to them. Its nil means that the messages are durable; one that it
	// has by its Key already is no error. Required where there is a gateway.
	Gateways []*gateway.Gateway
	Inbound  func(ctx context.Context, messages []dispatch.Inbound) error
	// Away reports whether an error only says that the database could not be
	// reached. Nil: none does.
	Away func(error) bool
	// Fetch gets the certificates of Amazon SNS and confirms its
	// subscriptions. Required with an account of SES; Fetcher makes one.
	Fetch func(ctx context.Context, address string) ([]byte, error)
	// MaxBody is the largest request in bytes. 0: 1 MiB.
	MaxBody int64
	Now     func() time.Time
	Logger  *slog.Logger
}

// Handler takes the webhooks of all accounts. It is safe for many goroutines.
type Handler struct {
	cfg      Config
	accounts map[string]account // by provider/account
	gateways map[string]*gateway.Gateway
	told     *prometheus.CounterVec
}

// account is one configured account and how its provider speaks.
type account struct {
	Account
	scheme
}

// scheme is how a provider signs, and what its events say.
type scheme interface {
	// verify says whether the request is the provider's: nil, errForged,
	// errStale, or another error when it could not be found out.
	verify(ctx context.Context, r request) error
	// read is what a verified request tells. An event that says nothing of a
	// delivery is left out.
	read(ctx context.Context, r request) ([]dispatch.Report, error)
}

// request is one that has come in whole.
type request struct {
	header http.Header
	url    *url.URL
	body   []byte
}

var (
	errForged     = gateway.ErrForged
	errStale      = gateway.ErrStale
	errUnreadable = gateway.ErrUnreadable
	errBusy       = errors.New("not now")
)

// New makes a handler. Mistakes in the accounts come back as problem.Invalid
// with paths such as "accounts[0].secret".
func New(cfg Config) (*Handler, error) {
	if cfg.Taker == nil || cfg.Now == nil || cfg.Logger == nil {
		return nil, errors.New("receipts: taker, now and logger are required")
	}
	if cfg.Away == nil {
		cfg.Away = func(error) bool { return false }
	}
	if len(cfg.Gateways) > 0 && cfg.Inbound == nil {
		return nil, errors.New("receipts: gateways need somebody who takes what is sent to them")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 1 << 20
	}
	h := &Handler{cfg: cfg, accounts: map[string]account{}, gateways: map[string]*gateway.Gateway{}, told: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "herald_receipts_requests_total",
		Help: "Webhooks of providers, by provider and outcome: taken, nothing, forged, stale, unreadable, unavailable or failed.",
	}, []string{"provider", "outcome"})}
	var mistakes problem.Fields
	for i, a := range cfg.Accounts {
		at := fmt.Sprintf("accounts[%d]", i)
		scheme := a.scheme(at, cfg, &mistakes)
		path := a.Provider + "/" + a.Name
		if _, taken := h.accounts[path]; taken {
			mistakes.Add(at+".name", "unique", "another account of %s has this name", a.Provider)
		}
		h.accounts[path] = account{a, scheme}
	}
	for i, g := range cfg.Gateways {
		if h.gateways[g.Account()] != nil {
			mistakes.Add(fmt.Sprintf("gateways[%d].name", i), "unique", "another gateway has this name")
		}
		h.gateways[g.Account()] = g
	}
	if err := mistakes.Err("the accounts for receipts are not complete"); err != nil {
		return nil, err
	}
	return h, nil
}

// Describe implements prometheus.Collector.
func (h *Handler) Describe(ch chan<- *prometheus.Desc) { h.told.Describe(ch) }

// Collect implements prometheus.Collector.
func (h *Handler) Collect(ch chan<- prometheus.Metric) { h.told.Collect(ch) }

// ServeHTTP takes POST /receipts/{provider}/{account}, and the callbacks of
// described gateways below gateway.Base.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if called, is := strings.CutPrefix(r.URL.Path, gateway.Base); is {
		h.serveGateway(w, r, called)
		return
	}
	a, known := h.accounts[strings.TrimPrefix(r.URL.Path, Base)]
	switch {
	case !known:
		http.Error(w, "there is no such account", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	body, whole := readBody(w, r, h.cfg.MaxBody)
	if !whole {
		return
	}
	n, err := h.take(r.Context(), a, request{header: r.Header, url: r.URL, body: body})
	outcome, status := h.judge(w, r, a.Provider, a.Name, n, err)
	if err != nil {
		if outcome == "forged" && a.Provider == Postmark {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		http.Error(w, outcome, status)
		return
	}
	w.WriteHeader(status)
}

// readBody reads a request whole, or answers why not.
func readBody(w http.ResponseWriter, r *http.Request, most int64) (body []byte, whole bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	} else if err != nil {
		http.Error(w, "the request did not come in whole", http.StatusBadRequest)
		return nil, false
	}
	return body, true
}

// take verifies, reads and hands on, and gives the number of reports.
func (h *Handler) take(ctx context.Context, a account, r request) (int, error) {
	if err := a.verify(ctx, r); err != nil {
		return 0, err
	}
	reports, err := a.read(ctx, r)
	if err != nil || len(reports) == 0 {
		return 0, err
	}
	for i := range reports {
		reports[i].Account = a.Name
	}
	if err := h.cfg.Taker.Report(ctx, reports); err != nil {
		return 0, fmt.Errorf("take reports: %w", err)
	}
	return len(reports), nil
}

// awayFor is how long a provider is asked to wait while we cannot store, in
// seconds.
const awayFor = "10"

// judge says whether the provider must try again, which it does after anything
// but 2xx, and tells the log why.
func (h *Handler) judge(w http.ResponseWriter, r *http.Request, provider, account string, news int, err error) (outcome string, status int) {
	outcome, status = "taken", http.StatusOK
	switch {
	case err == nil && news == 0:
		outcome = "nothing"
	case err == nil:
	case errors.Is(err, errForged):
		outcome, status = "forged", http.StatusUnauthorized
	case errors.Is(err, errStale):
		outcome, status = "stale", http.StatusBadRequest
	case errors.Is(err, errUnreadable):
		outcome, status = "unreadable", http.StatusBadRequest
	case errors.Is(err, errBusy) || errors.Is(err, context.DeadlineExceeded) || h.cfg.Away(err) || problem.CodeOf(err) == problem.Unavailable:
		outcome, status = "unavailable", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", awayFor)
	default:
		outcome, status = "failed", http.StatusInternalServerError
	}
	h.told.WithLabelValues(provider, outcome).Inc()
	if err != nil {
		h.cfg.Logger.WarnContext(r.Context(), "a provider's webhook was not taken", "provider", provider, "account", account, "outcome", outcome, "error", err)
	}
	return outcome, status
}
