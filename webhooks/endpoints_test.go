package webhooks

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/problem"
)

func TestAnEndpointIsMadeReadChangedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	made, secret, err := s.Create(t.Context(), NewEndpoint{
		URL: " https://shop.example/hook ", Description: " the CRM ", Types: []string{"delivery.*", "campaign.finished", "delivery.*"}, By: "key:shop",
	})
	must(t, err)
	if made.URL != "https://shop.example/hook" || made.Description != "the CRM" || !made.Enabled || made.Version != 1 || made.CreatedBy != "key:shop" ||
		strings.Join(made.Types, " ") != "campaign.finished delivery.*" {
		t.Errorf("made %+v", made)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	must(t, err)
	if len(key) != 32 || strings.Contains(string(made.secret), string(key)) {
		t.Errorf("the secret %q has %d bytes, or is kept as it is", secret, len(key))
	}
	off, text := false, "the new CRM"
	changed, err := s.Change(t.Context(), made.ID, Change{Description: &text, Enabled: &off, Version: 1, By: "operator:ann"})
	must(t, err)
	if changed.Enabled || changed.DisabledFor != ByOperator || changed.Description != text || changed.URL != made.URL || changed.Version != 2 || changed.ChangedBy != "operator:ann" {
		t.Errorf("changed %+v", changed)
	}
	_, err = s.Change(t.Context(), made.ID, Change{Description: &text, Version: 1})
	is(t, err, problem.Conflict)
	list, err := s.List(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].ID != made.ID {
		t.Errorf("listed %+v", list)
	}
	must(t, s.Delete(t.Context(), made.ID))
	is(t, s.Delete(t.Context(), made.ID), problem.NotFound)
	_, err = s.Get(t.Context(), made.ID)
	is(t, err, problem.NotFound)
	_, err = s.Change(t.Context(), made.ID, Change{})
	is(t, err, problem.NotFound)
	_, _, err = s.Rotate(t.Context(), made.ID, 0, "operator:ann")
	is(t, err, problem.NotFound)
	_, err = s.Ping(t.Context(), made.ID)
	is(t, err, problem.NotFound)
	_, err = s.Messages(t.Context(), Filter{Endpoint: made.ID, Limit: 1})
	is(t, err, problem.NotFound)
	_, err = s.Attempts(t.Context(), Filter{Endpoint: made.ID, Limit: 1})
	is(t, err, problem.NotFound)
}

func TestWhatCannotBeAnEndpointIsNamedByField(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	_, _, err := s.Create(t.Context(), NewEndpoint{URL: "https://taken.example/", Types: []string{"*"}})
	must(t, err)
	for name, tt := range map[string]struct {
		made  NewEndpoint
		field string
		code  problem.Code
	}{
		"no types":          {NewEndpoint{URL: "https://a.example"}, "types", problem.Invalid},
		"an unknown type":   {NewEndpoint{URL: "https://a.example", Types: []string{"delivery.lost"}}, "types", problem.Invalid},
		"an unknown family": {NewEndpoint{URL: "https://a.example", Types: []string{"deliveries.*"}}, "types", problem.Invalid},
		"half a wildcard":   {NewEndpoint{URL: "https://a.example", Types: []string{"delivery*"}}, "types", problem.Invalid},
		"a long word":       {NewEndpoint{URL: "https://a.example", Types: []string{"*"}, Description: strings.Repeat("长", maxDescription+1)}, "description", problem.Invalid},
		"a NUL":             {NewEndpoint{URL: "https://a.example", Types: []string{"*"}, Description: "\x00"}, "description", problem.Invalid},
		"an inside address": {NewEndpoint{URL: "https://10.0.0.1", Types: []string{"*"}}, "url", problem.Invalid},
		"a taken address":   {NewEndpoint{URL: "https://taken.example/", Types: []string{"*"}}, "url", problem.Conflict},
	} {
		_, _, err := s.Create(t.Context(), tt.made)
		is(t, err, tt.code)
		if err == nil || !strings.Contains(err.Error(), tt.field+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, _, err := s.Create(t.Context(), NewEndpoint{URL: "https://other.example/", Types: []string{"*"}})
	must(t, err)
	taken := "https://taken.example/"
	_, err = s.Change(t.Context(), other.ID, Change{URL: &taken})
	is(t, err, problem.Conflict)
}

func TestThereAreNotTooManyEndpoints(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for i := range maxEndpoints {
		_, _, err := s.Create(t.Context(), NewEndpoint{URL: fmt.Sprintf("https://%d.example", i), Types: []string{"*"}})
		must(t, err)
	}
	_, _, err := s.Create(t.Context(), NewEndpoint{URL: "https://more.example", Types: []string{"*"}})
	is(t, err, problem.Conflict)
}

func TestASecretIsRotatedWithADayToChangeOver(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r := newReceiver(t)
	e := s.listen(r, "*")
	old := r.secrets[0]
	changed, secret, err := s.Rotate(t.Context(), e.ID, e.Version, "operator:ann")
	must(t, err)
	_, _, err = s.Rotate(t.Context(), e.ID, e.Version, "operator:ann") // the page was loaded again
	is(t, err, problem.Conflict)
	if changed.OldSecretUntil == nil || changed.ChangedBy != "operator:ann" {
		t.Errorf("changed %+v", changed)
	}
	r.trust(t, secret) // beside the old one: both must verify
	w := s.worker()
	s.announce(delivered(1))
	s.step(w)
	if len(r.got()) != 1 {
		t.Fatal("nothing came")
	}
	s.pass(oldSecretFor)
	r.secrets = r.secrets[1:]
	signatures := make(chan http.Header, 1)
	r.answers(func(_ http.ResponseWriter, req *http.Request) { signatures <- req.Header })
	s.announce(delivered(2))
	s.step(w)
	h := <-signatures
	if strings.Contains(h.Get("webhook-signature"), " ") {
		t.Errorf("after a day there are two signatures: %s", h.Get("webhook-signature"))
	}
	if old.VerifyIgnoringTimestamp([]byte(r.bodies[h.Get("webhook-id")][0]), h) == nil {
		t.Error("the old secret still signs")
	}
	if _, err := s.sweep(t.Context(), 10); err != nil || s.get(e.ID).oldSecret != nil {
		t.Errorf("the old secret is kept: %v", err)
	}
}

func TestAChangeIsInForceForWhatWaits(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r, second := newReceiver(t), newReceiver(t)
	r.says(http.StatusBadGateway)
	e := s.listen(r, "*")
	w := s.worker()
	s.announce(delivered(1))
	s.step(w)
	moved, err := s.Change(t.Context(), e.ID, Change{URL: &second.URL, By: "operator:ann"})
	must(t, err)
	if moved.FailingSince != nil || moved.HoldUntil != nil {
		t.Errorf("another address begins anew: %+v", moved)
	}
	s.pass(10 * time.Second)
	s.step(w)
	if len(second.got()) != 1 || s.only(e.ID).State != Delivered {
		t.Errorf("came %v", second.got())
	}
	off := false
	s.announce(delivered(2))
	_, err = s.Change(t.Context(), e.ID, Change{Enabled: &off})
	must(t, err)
	s.step(w)
	if m := s.messages(e.ID)[0]; m.State != Failed || m.Error != SwitchedOff || m.Attempts != 0 || len(second.got()) != 1 {
		t.Errorf("message for an endpoint that is off: %+v", m)
	}
}

func TestAnAnswerFromTheOldAddressDoesNotBlameTheNew(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r, second := newReceiver(t), newReceiver(t)
	e := s.listen(r, "*")
	r.answers(func(w http.ResponseWriter, req *http.Request) {
		if _, err := s.Change(req.Context(), e.ID, Change{URL: &second.URL}); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusGone)
	})
	s.announce(delivered(1))
	s.step(s.worker())
	if e := s.get(e.ID); !e.Enabled || e.FailingSince != nil {
		t.Errorf("endpoint %+v", e)
	}
}

func TestAStoreNeedsItsParts(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for name, cfg := range map[string]Config{
		"no clock":       {Secret: secretKey, Logger: log},
		"no logger":      {Secret: secretKey, Now: time.Now},
		"a short secret": {Secret: secretKey[1:], Now: time.Now, Logger: log},
	} {
		if _, err := NewStore(nil, cfg); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if _, err := NewWorker(nil, WorkerConfig{Workers: -1}); err == nil {
		t.Error("a worker with fewer than no hands was made")
	}
}

func TestASealedSecretOpensForItsEndpointOnly(t *testing.T) {
	t.Parallel()
	v, err := newVault(secretKey)
	must(t, err)
	secret := newSigningSecret()
	sealed := v.seal(7, secret)
	if opened, err := v.open(7, sealed); err != nil || string(opened) != string(secret) {
		t.Errorf("opened %v, %v", opened, err)
	}
	if _, err := v.open(8, sealed); err == nil {
		t.Error("another endpoint's secret was opened")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := v.open(7, sealed); err == nil {
		t.Error("a changed secret was opened")
	}
	if _, err := v.open(7, nil); err == nil {
		t.Error("nothing was opened")
	}
	if once, again := v.seal(7, secret), v.seal(7, secret); bytes.Equal(once, again) {
		t.Error("two seals are the same")
	}
}

// The example of the specification's own test suite.
func TestASignatureIsTheOneOfTheSpecification(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	must(t, err)
	got := signingSecret(key).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), `{"test": 2432232314}`)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
