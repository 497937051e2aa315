package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"herald/dispatch"
	"herald/hardware/gsm"
)

// meaning is what a refusal means for the message and the line.
type meaning struct {
	class dispatch.Class
	after time.Duration
	dead  bool // nobody has the number
}

// What is said of a message alone never is of the line: a bad number is
// Permanent, and the next message goes.
var (
	permanent = meaning{class: dispatch.Permanent}
	nobody    = meaning{class: dispatch.Permanent, dead: true}
	transient = meaning{class: dispatch.Transient}
	throttled = meaning{class: dispatch.Throttled, after: 30 * time.Second}
	noLine    = meaning{class: dispatch.SessionFatal} // another session or account takes it at once
	operator  = meaning{class: dispatch.Configuration}
	unknown   = meaning{class: dispatch.Doubt}
)

// ofMessages is what +CMS ERROR means. What is not here is transient.
var ofMessages = map[int]meaning{
	// The network's causes (3GPP TS 24.011, table 8.4).
	1:  nobody,                                                                // unassigned number
	8:  operator,                                                              // operator determined barring: of our subscription
	10: permanent,                                                             // call barred: of this destination
	28: permanent,                                                             // unidentified subscriber
	29: operator,                                                              // facility rejected
	30: nobody,                                                                // unknown subscriber
	38: noLine,                                                                // network out of order
	42: throttled,                                                             // congestion
	47: throttled,                                                             // resources unavailable
	50: operator,                                                              // facility not subscribed
	69: permanent,                                                             // facility not implemented
	95: permanent, 96: permanent, 97: permanent, 98: permanent, 99: permanent, // the unit is not understood
	// 21 (transfer rejected), 22, 27, 41, 81, 111 and 127 may pass. 21 often
	// means that there is no money left.

	// The service centre's causes (3GPP TS 23.040, section 9.2.3.22).
	128: permanent, 129: permanent, 130: permanent, // not supported for this message
	143: permanent, 144: permanent, 145: permanent, 159: permanent, // identifier, alphabet, class, coding
	160: permanent, 161: permanent, 175: permanent, 176: permanent,
	192: throttled,               // centre busy
	193: operator,                // no subscription at the centre
	195: nobody,                  // invalid address
	196: permanent,               // destination barred
	197: permanent,               // duplicate; of what was sent again it means success
	198: operator, 199: operator, // our validity period
	// 194 (centre failure), 208 to 213 (storage), 255 may pass.

	// The modem's (3GPP TS 27.005, section 3.2.5).
	300: noLine,                  // phone failure
	303: permanent,               // operation not supported
	304: permanent,               // invalid PDU: mostly the number
	305: permanent,               // invalid text
	310: operator, 311: operator, // no SIM, PIN
	312: operator, 313: operator, 315: operator, 316: operator, 317: operator, 318: operator,
	314: {class: dispatch.Transient, after: 5 * time.Second}, // SIM busy
	330: operator,                                            // no service centre
	331: noLine,                                              // no network
	332: unknown,                                             // network time-out: the message may be there
	// 302, 320 to 322 (memory), 340, 500 (unknown) and 512 and above may pass.
}

// ofEquipment is what +CME ERROR means. What is not here is transient.
var ofEquipment = map[int]meaning{
	10: operator, 11: operator, 12: operator, 13: operator, 15: operator, 16: operator, 17: operator, 18: operator, // SIM and PIN
	14: {class: dispatch.Transient, after: 5 * time.Second}, // SIM busy
	30: noLine, 31: unknown, 32: noLine,                     // network: none, time-out, emergency calls only
}

// duplicate is the centre's word for a message that it holds already (3GPP TS
// 23.040, sections 9.2.3.6 and 9.2.3.25).
const duplicate = 197

// saysDuplicate reports whether the centre has the message already.
func saysDuplicate(err error) bool {
	var refusal *gsm.Error
	return errors.As(err, &refusal) && refusal.Domain == gsm.CMS && refusal.Code == duplicate
}

// classify says what a failure of a submission means. The account is added by
// the caller.
func classify(err error) *dispatch.SendError {
	out := &dispatch.SendError{Class: dispatch.Transient, Err: err}
	var refusal *gsm.Error
	switch {
	case errors.Is(err, gsm.ErrUnanswered):
		out.Class = dispatch.Doubt
	case errors.As(err, &refusal):
		table := map[gsm.Domain]map[int]meaning{gsm.CMS: ofMessages, gsm.CME: ofEquipment}[refusal.Domain]
		m, known := table[refusal.Code]
		if !known {
			m = transient
		}
		out.Class, out.After, out.AddressDead = m.class, m.after, m.dead
		if refusal.Domain != gsm.Plain {
			out.Code = fmt.Sprintf("%s %d", refusal.Domain, refusal.Code)
		}
	case errors.Is(err, gsm.ErrLocked):
		out.Class = dispatch.Configuration
	case errors.Is(err, gsm.ErrNotReady), errors.Is(err, gsm.ErrGone), errors.Is(err, gsm.ErrStuck), errors.Is(err, gsm.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		out.Class = dispatch.SessionFatal
	}
	return out
}
