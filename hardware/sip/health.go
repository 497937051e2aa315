package sip

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Health is how a trunk stands.
type Health struct {
	// Reachable says that the provider answered when he was asked last.
	Reachable bool `json:"reachable"`
	// Registered says that the provider knows where we are.
	Registered bool      `json:"registered"`
	Since      time.Time `json:"since"` // of both
	// RoundTrip is how long his last answer took.
	RoundTrip time.Duration `json:"round_trip"`
	Calls     int           `json:"calls"` // under way
	// LastError is why he could not be reached, or did not register us.
	LastError   string    `json:"last_error,omitempty"`
	LastClass   Class     `json:"last_class,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// Health is how the trunk stands now.
func (t *Trunk) Health() Health {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.health
}

// Ready waits until calls can be made: until we are registered, where we
// should be, or until the provider has answered. When ctx ends first, or the
// provider does not know us, the error says why they cannot.
func (t *Trunk) Ready(ctx context.Context) error {
	for {
		t.mu.Lock()
		h, moved := t.health, t.moved
		t.mu.Unlock()
		if h.Registered || !t.cfg.Register && (h.Reachable || t.cfg.AskEvery < 0) {
			return nil
		}
		if h.LastClass == Credentials && t.cfg.Register { // somebody must act
			return fmt.Errorf("sip: %w", &Error{Class: Credentials, err: errors.New(h.LastError)})
		}
		select {
		case <-moved:
		case <-ctx.Done():
			if h.LastError == "" {
				h.LastError = "the provider has not answered yet"
			}
			return fmt.Errorf("sip: %s: %w", h.LastError, ctx.Err())
		}
	}
}

func (t *Trunk) change(do func(*Health)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.health
	do(&t.health)
	if before.Reachable != t.health.Reachable || before.Registered != t.health.Registered {
		t.health.Since = t.cfg.Now()
		t.cfg.Logger.Info("a telephone line changed", "reachable", t.health.Reachable, "registered", t.health.Registered)
	}
	close(t.moved)
	t.moved = make(chan struct{})
}

func (t *Trunk) failed(err error, change func(*Health)) {
	t.change(func(h *Health) {
		change(h)
		h.LastError, h.LastClass, h.LastErrorAt = err.Error(), ClassOf(err), t.cfg.Now()
	})
}

// keepAsking asks every now and then whether the provider is there.
func (t *Trunk) keepAsking() {
	if t.cfg.AskEvery < 0 {
		return
	}
	for {
		begun := t.cfg.Now()
		ctx, cancel := context.WithTimeout(t.running, min(t.cfg.AskEvery, t.cfg.Response))
		req := sip.NewRequest(sip.OPTIONS, t.address(""))
		req.SetTransport(sip.NetworkToUpper(string(t.cfg.Transport)))
		req.AppendHeader(t.contact.Clone())
		_, err := t.ask(ctx, req) // whatever he answers, he is there
		cancel()
		if err == nil || ClassOf(err) == Credentials {
			t.change(func(h *Health) { h.Reachable, h.RoundTrip = true, t.cfg.Now().Sub(begun) })
		} else {
			t.failed(errors.New("the provider does not answer"), func(h *Health) { h.Reachable = false })
		}
		if !t.rest(t.cfg.AskEvery) {
			return
		}
	}
}

// rest lets time pass; it is false when the trunk is closed.
func (t *Trunk) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.closing:
		return false
	}
}

// ask sends a request outside of calls, with proof of who we are where it is
// wanted, and gives the final answer.
func (t *Trunk) ask(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	for proofs := 0; ; proofs++ {
		tx, err := t.send(ctx, req)
		if err != nil {
			return nil, &Error{Class: Unreachable, err: errors.New("it cannot be sent")}
		}
		res, err := final(ctx, tx)
		if err != nil {
			return nil, err
		}
		if _, asked := challenges[res.StatusCode]; !asked {
			return res, nil
		}
		if req, err = t.proven(req, res, proofs); err != nil {
			return nil, &Error{Class: Credentials, Code: res.StatusCode, err: err}
		}
	}
}

// How long it is until the next try to register: the first time, and at most.
const (
	registerFirst = 2 * time.Second
	registerLast  = 5 * time.Minute
)

// keepRegistered registers, again before the time is over, and ends the
// registration when the trunk is closed.
func (t *Trunk) keepRegistered() {
	if !t.cfg.Register {
		return
	}
	callID := sip.CallIDHeader("register-" + sip.GenerateTagN(16))
	number := uint32(0)
	again := registerFirst
	for {
		granted, err := t.register(t.running, callID, &number, t.cfg.RegisterFor)
		wait := granted - granted/5
		if err != nil {
			t.failed(err, func(h *Health) { h.Registered = false })
			wait, again = again, min(2*again, registerLast)
			if ClassOf(err) == Credentials {
				wait = registerLast // more tries would lock us out
			}
		} else {
			again = registerFirst
			t.change(func(h *Health) { h.Registered, h.Reachable = true, true })
		}
		if !t.rest(wait) {
			break
		}
	}
	if t.Health().Registered {
		_, _ = t.register(t.running, callID, &number, 0) // it ends by itself otherwise
	}
}

// register registers once, and gives for how long (RFC 3261, section 10.2).
func (t *Trunk) register(ctx context.Context, callID sip.CallIDHeader, number *uint32, lasts time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Response)
	defer cancel()
	for range 2 { // once more where the time is too short for the provider
		*number += mostProofs + 1 // each proof counts, too
		req := t.newRegister(callID, *number, lasts)
		res, err := t.ask(ctx, req)
		if err != nil {
			if ctx.Err() != nil {
				return 0, &Error{Class: Unreachable, err: errors.New("the provider does not answer")}
			}
			return 0, err
		}
		if least := seconds(res.GetHeader("Min-Expires")); res.StatusCode == sip.StatusIntervalToBrief && least > lasts {
			lasts = least
			continue
		}
		if !res.IsSuccess() {
			return 0, fmt.Errorf("the provider does not register us: %w", outcome(res))
		}
		return granted(req, res, lasts), nil
	}
	return 0, &Error{Class: Unexpected, err: errors.New("the provider wants ever longer registrations")}
}

func (t *Trunk) newRegister(callID sip.CallIDHeader, number uint32, lasts time.Duration) *sip.Request {
	req := sip.NewRequest(sip.REGISTER, t.address(""))
	req.SetTransport(sip.NetworkToUpper(string(t.cfg.Transport)))
	self := sip.Uri{Scheme: "sip", User: t.cfg.Username, Host: t.cfg.Domain}
	from := &sip.FromHeader{Address: self, Params: sip.NewParams()}
	from.Params.Add("tag", sip.GenerateTagN(16))
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: self})
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: number, MethodName: sip.REGISTER})
	req.AppendHeader(t.contact.Clone())
	req.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(int(lasts/time.Second))))
	return req
}

// granted is for how long we are registered by an answer to a request: what
// stands beside our address, or is for all.
func granted(req *sip.Request, res *sip.Response, asked time.Duration) time.Duration {
	granted := asked
	if d := seconds(res.GetHeader("Expires")); d > 0 {
		granted = d
	}
	own := req.Contact().Address.HostPort()
	for _, h := range res.GetHeaders("Contact") {
		for _, one := range strings.Split(h.Value(), ",") {
			_, text, found := strings.Cut(strings.ToLower(one), "expires=")
			if found && strings.Contains(one, own) {
				text = text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
				if d := seconds(sip.NewHeader("Expires", text)); d > 0 {
					granted = d
				}
			}
		}
	}
	return max(granted, time.Second)
}

// seconds reads a header that is a number of them; 0: it is none.
func seconds(h sip.Header) time.Duration {
	if h == nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(h.Value()), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second //nolint:gosec // of 31 bits
}
