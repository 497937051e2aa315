package dispatch

import (
	"time"

	"github.com/google/uuid"
)

// verdict is what becomes of a delivery after an attempt, or instead of one.
type verdict struct {
	state  State
	reason string
	wait   time.Duration // until the next attempt; 0: there is none
	// stays says that the next attempt is the same job's: what went wrong is
	// the account's matter and not this delivery's.
	stays bool
	steps Decision // what is added to the notification's decision

	// Of the attempt; an empty outcome means that none was made.
	outcome     string // "accepted", "template_failed" or a Class
	account     string
	code        string
	detail      string
	providerID  string
	addressDead bool
	carriedBy   uuid.UUID // whose message it went in; zero: its own
	parts       int       // that the provider took, or may have; 0: it does not count them
}

// stop is the verdict that ends t without an attempt. What may have arrived
// already rests in doubt instead, whatever would have ended it.
func stop(t *task, state State, reason string) verdict {
	if t.doubtful() {
		state = InDoubt
	}
	return verdict{state: state, reason: reason}
}

// decide says what an attempt's outcome means for t. left is the time until t
// expires, and wait asks how long to wait for the next attempt when the
// provider wishes a time (0: none). asks says that the account can be asked
// about doubt.
func decide(t *task, policy DoubtPolicy, asks bool, receipt Receipt, err error, left time.Duration, wait func(wish time.Duration) time.Duration) verdict {
	if err == nil {
		return verdict{
			state: Accepted, outcome: string(Accepted),
			account: receipt.Account, code: receipt.Code, detail: receipt.Detail, providerID: receipt.ProviderID,
		}
	}
	e := asSendError(err)
	v := verdict{
		state: Deferred, reason: string(e.Class), outcome: string(e.Class),
		account: e.Account, code: e.Code, detail: detailOf(e), addressDead: e.AddressDead,
	}
	switch e.Class {
	case Permanent:
		v.state, v.reason = Failed, "refused"
		if e.AddressDead {
			v.reason = "address_dead"
		}
		return v
	case Doubt:
		if policy != Resend {
			v.state, v.reason = policy.rest(asks)
			if asks && v.state == InDoubt {
				v.wait, v.stays = wait(e.After), true
			}
			return v
		}
		v.state = InDoubt
	case Throttled, SessionFatal, Configuration:
		v.stays = true
	case Transient:
	}
	if t.doubtful() {
		v.state = InDoubt
	}
	v.wait = wait(e.After)
	if v.wait >= left {
		v.wait, v.stays, v.reason = 0, false, "expired"
		if v.state == Deferred {
			v.state = Failed
		}
	}
	return v
}

func detailOf(e *SendError) string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}
