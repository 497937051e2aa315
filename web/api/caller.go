package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"herald/access"
	"herald/problem"
)

// keyScheme is the name of the only security scheme.
const keyScheme = "key"

// caller is who makes a request.
type caller struct {
	key    access.Key
	secret string
}

// actor is how histories name the caller.
func (c caller) actor() string { return "key:" + c.key.Name }

// fingerprint tells the caller's requests apart. Its secret, the API key
// itself, is kept nowhere, so that a password in the request cannot be guessed
// from it.
func (c caller) fingerprint(parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, []byte(c.secret))
	for _, part := range parts {
		_, _ = mac.Write(part)
		_, _ = mac.Write([]byte{0})
	}
	return mac.Sum(nil)
}

// callerOf is whoever authenticate let in.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey).(caller)
	return c
}

// authenticate lets a request in whose key is good, may do what the operation
// asks for, and is not in a hurry.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	c, err := a.identify(r)
	if err == nil {
		err = authorize(c.key, ctx.Operation())
	}
	if err == nil {
		err = a.hurry.check(c.key.ID, a.now())
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	next(humago.NewContext(ctx.Operation(), r.WithContext(context.WithValue(r.Context(), callerKey, c)), w))
}

func (a *API) identify(r *http.Request) (caller, error) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "bearer") || secret == "" {
		return caller{}, challenge(http.StatusUnauthorized, problem.Unauthorized, "", "send an API key: Authorization: Bearer hk_…")
	}
	if len(secret) > 256 || !storable(secret) {
		return caller{}, unknownKey()
	}
	key, err := a.cfg.Keys.Authenticate(r.Context(), secret)
	if code := problem.CodeOf(err); code == problem.Unauthorized || code == problem.NotFound {
		return caller{}, unknownKey()
	}
	return caller{key: key, secret: secret}, err
}

func unknownKey() *Problem {
	return challenge(http.StatusUnauthorized, problem.Unauthorized, `, error="invalid_token"`, "this API key is not known, or was revoked")
}

// authorize holds the key's scopes against those of the operation.
func authorize(key access.Key, op *huma.Operation) error {
	for _, requirement := range op.Security {
		for _, scope := range requirement[keyScheme] {
			if !key.Can(access.Scope(scope)) {
				return challenge(http.StatusForbidden, problem.Forbidden,
					`, error="insufficient_scope", scope="`+scope+`"`, "this API key lacks the scope "+scope)
			}
		}
	}
	return nil
}

// challenge says how to get in (RFC 6750, section 3).
func challenge(status int, code problem.Code, params, detail string) *Problem {
	p := newProblem(status, code, "%s", detail)
	p.headers.Set("WWW-Authenticate", `Bearer realm="herald"`+params)
	return p
}

// hurry bounds how often each key may ask. It is small: there are no more
// entries than keys.
type hurry struct {
	perSecond rate.Limit
	burst     int

	mu   sync.Mutex
	keys map[int64]*rate.Limiter
}

// check takes one request from the key's allowance at an instant, or says how
// long to wait.
func (h *hurry) check(key int64, now time.Time) error {
	h.mu.Lock()
	limiter, ok := h.keys[key]
	if !ok {
		limiter = rate.NewLimiter(h.perSecond, h.burst)
		h.keys[key] = limiter
	}
	h.mu.Unlock()
	reservation := limiter.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	p := problem.New(problem.Throttled, "this API key asks too often: at most %v requests a second", h.perSecond)
	p.After = wait
	return p
}
