package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"herald/access"
	"herald/problem"
)

// keyHeader is the sender's name for a request that they may repeat
// (draft-ietf-httpapi-idempotency-key-header).
const keyHeader = "Idempotency-Key"

// maxIdempotencyKey is how many characters of it there may be.
const maxIdempotencyKey = 255

// recordTimeout bounds the writing down of an answer, which goes on when the
// sender has gone away.
const recordTimeout = 5 * time.Second

// replay lets a request that carries an Idempotency-Key act once: a second one
// gets the first one's answer.
func (a *API) replay(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	key := r.Header.Get(keyHeader)
	if key == "" || r.Method != http.MethodPost {
		next(ctx)
		return
	}
	attempt, err := newAttempt(r, key)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	answer, err := a.cfg.Replays.Begin(r.Context(), attempt)
	switch {
	case err != nil:
		a.refuse(w, r, err)
	case answer != nil:
		again(w, *answer)
	default:
		a.record(r, w, attempt, func(w http.ResponseWriter) {
			next(humago.NewContext(ctx.Operation(), r, w))
		})
	}
}

// newAttempt names the request; its body, which has been read before, is put
// back.
func newAttempt(r *http.Request, key string) (access.Attempt, error) {
	for _, c := range []byte(key) {
		if c < 0x20 || c > 0x7e || len(key) > maxIdempotencyKey {
			var f problem.Fields
			f.Add("header."+keyHeader, "text", "must be at most %d printable ASCII characters", maxIdempotencyKey)
			return access.Attempt{}, f.Err("the Idempotency-Key cannot be used")
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return access.Attempt{}, readError(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := callerOf(r.Context())
	return access.Attempt{
		KeyID: c.key.ID, Operation: r.Method + " " + r.URL.Path, Key: key,
		Fingerprint: c.fingerprint([]byte(r.URL.RawQuery), body),
	}, nil
}

// record does the request and keeps its answer when it succeeded. Otherwise
// nothing was changed, and the attempt may be made again.
func (a *API) record(r *http.Request, w http.ResponseWriter, attempt access.Attempt, do func(http.ResponseWriter)) {
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	done := false
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordTimeout)
		defer cancel()
		var err error
		if done && rec.status < 300 {
			err = a.cfg.Replays.Finish(ctx, attempt, access.Answer{
				Status: rec.status, Body: rec.body.Bytes(),
				ContentType: w.Header().Get("Content-Type"), Location: w.Header().Get("Location"),
			})
		} else {
			err = a.cfg.Replays.Abandon(ctx, attempt)
		}
		if err != nil {
			a.log.ErrorContext(ctx, "an answer could not be kept for repetition", "request_id", requestID(ctx), "error", err)
		}
	}()
	do(rec)
	done = true
}

// again gives an earlier answer once more.
func again(w http.ResponseWriter, answer access.Answer) {
	header := w.Header()
	header.Set("Idempotency-Replayed", "true")
	if answer.ContentType != "" {
		header.Set("Content-Type", answer.ContentType)
	}
	if answer.Location != "" {
		header.Set("Location", answer.Location)
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body)
}

// recorder keeps a copy of what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
