package dispatch

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"herald/subscriptions"
	"herald/timeid"
)

func TestDecide(t *testing.T) {
	email := task{Channel: subscriptions.Email, State: Pending, Attempts: 1}
	doubtful := task{Channel: subscriptions.Email, State: InDoubt, Attempts: 2}
	sms := task{Channel: subscriptions.SMS, State: Pending, Attempts: 1}
	call := task{Channel: subscriptions.Voice, State: Pending, Attempts: 1}
	fax := task{Channel: subscriptions.Fax, State: Pending, Attempts: 1}
	tests := map[string]struct {
		task   task
		err    error
		left   time.Duration
		state  State
		reason string
		wait   time.Duration
	}{
		"what the provider took is accepted":                      {email, nil, time.Hour, Accepted, "", 0},
		"a permanent refusal fails":                               {email, &SendError{Class: Permanent}, time.Hour, Failed, "refused", 0},
		"a dead address fails and says so":                        {email, &SendError{Class: Permanent, AddressDead: true}, time.Hour, Failed, "address_dead", 0},
		"a transient refusal is tried again":                      {email, &SendError{Class: Transient}, time.Hour, Deferred, "transient", time.Minute},
		"an unmarked error is transient":                          {email, errors.New("reset"), time.Hour, Deferred, "transient", time.Minute},
		"a lost session is tried again":                           {email, &SendError{Class: SessionFatal}, time.Hour, Deferred, "session_fatal", time.Minute},
		"a wrong configuration waits to be mended":                {email, &SendError{Class: Configuration}, time.Hour, Deferred, "configuration", time.Minute},
		"the provider's wish is heeded":                           {email, &SendError{Class: Throttled, After: 10 * time.Minute}, time.Hour, Deferred, "throttled", 10 * time.Minute},
		"what would come after its expiry fails":                  {email, &SendError{Class: Transient}, time.Minute, Failed, "expired", 0},
		"doubt about an e-mail is tried again":                    {email, &SendError{Class: Doubt}, time.Hour, InDoubt, "in_doubt", time.Minute},
		"doubt about an SMS waits for its receipt":                {sms, &SendError{Class: Doubt}, time.Hour, InDoubt, "waits_for_receipt", 0},
		"doubt about a call is taken for a call":                  {call, &SendError{Class: Doubt}, time.Hour, Accepted, "assumed_sent", 0},
		"doubt about a fax is held":                               {fax, &SendError{Class: Doubt}, time.Hour, InDoubt, "held", 0},
		"doubt at the expiry stays doubt":                         {email, &SendError{Class: Doubt}, time.Minute, InDoubt, "expired", 0},
		"doubt outlives a transient refusal":                      {doubtful, &SendError{Class: Transient}, time.Hour, InDoubt, "transient", time.Minute},
		"doubt outlives the expiry":                               {doubtful, &SendError{Class: Transient}, time.Minute, InDoubt, "expired", 0},
		"doubt ends when the provider takes it":                   {doubtful, nil, time.Hour, Accepted, "", 0},
		"doubt ends when the provider refuses the message itself": {doubtful, &SendError{Class: Permanent}, time.Hour, Failed, "refused", 0},
	}
	for rule, test := range tests {
		t.Run(rule, func(t *testing.T) {
			v := decide(&test.task, usualDoubt.of(test.task.Channel, ""), false, Receipt{}, test.err, test.left, func(wish time.Duration) time.Duration { return max(time.Minute, wish) })
			if v.state != test.state || v.reason != test.reason || v.wait != test.wait {
				t.Errorf("got %s %q after %s, want %s %q after %s", v.state, v.reason, v.wait, test.state, test.reason, test.wait)
			}
		})
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	want := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 4 * time.Hour}
	for i, d := range want {
		if got := backoff(time.Minute, i+1, 0); got != d {
			t.Errorf("after %d attempts: %s, want %s", i+1, got, d)
		}
		if got := backoff(time.Minute, i+1, 1); got != d+d/5 {
			t.Errorf("after %d attempts, stretched: %s, want %s", i+1, got, d+d/5)
		}
	}
	if got := waitAfter(time.Minute, 1, 2*time.Hour); got != 2*time.Hour {
		t.Errorf("the provider's longer wish: %s, want 2h", got)
	}
}

func TestIDsOrderByTime(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.UTC)
	id := timeid.New(at)
	if id.Version() != 7 || id.Variant().String() != "RFC4122" {
		t.Errorf("%s is version %d, variant %s", id, id.Version(), id.Variant())
	}
	sec, nsec := id.Time().UnixTime()
	if got := time.Unix(sec, nsec); got.UnixMilli() != at.UnixMilli() {
		t.Errorf("%s is of %s, want %s", id, got, at)
	}
	later := timeid.New(at.Add(time.Microsecond))
	if bytes.Compare(id[:], later[:]) >= 0 {
		t.Errorf("%s does not come before %s, a microsecond later", id, later)
	}
	floor, next := timeid.Floor(at), timeid.Floor(at.Add(time.Millisecond))
	if bytes.Compare(floor[:], id[:]) > 0 || bytes.Compare(id[:], next[:]) >= 0 {
		t.Errorf("%s is not between %s and %s", id, floor, next)
	}
	if got := timeid.Floor(time.Time{}); got[0] != 0 {
		t.Errorf("the floor of no time is %s", got)
	}
}

func TestStorableText(t *testing.T) {
	for in, want := range map[string]string{"550 no\x00 such": "550 no such", "caf\xe9": "caf", "": ""} {
		if got := storable(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := storable(string(bytes.Repeat([]byte("é"), detailMax))); len(got) > detailMax {
		t.Errorf("%d bytes kept, want at most %d", len(got), detailMax)
	}
}
