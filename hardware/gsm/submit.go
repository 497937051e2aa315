package gsm

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"herald/hardware/gsm/tpdu"
)

// Sent is what the modem says of a message that the network took.
type Sent struct {
	// Reference is TP-MR as it went out, by which the status report names the
	// message. Many modems write their own over the one they were given.
	Reference byte
	// Own says that the modem named none, or another than it was given.
	Own bool
}

// Submit hands a message over and returns when the network has answered. One
// that follows at once goes over the same link (AT+CMMS).
//
// An error that wraps ErrUnanswered leaves open what came of it: the answer
// goes to Config.Late if it still comes. Any other says that the network did
// not take it, and wraps *Error where the modem said why. ErrNotReady and
// ErrGone say that there is no modem to ask.
func (m *Modem) Submit(ctx context.Context, s tpdu.Submit) (Sent, error) {
	unit, err := s.MarshalBinary()
	if err != nil {
		return Sent{}, err
	}
	p, err := m.readyPort()
	if err != nil {
		return Sent{}, err
	}
	if err := m.take(ctx, p); err != nil {
		return Sent{}, err
	}
	defer m.give()
	c := command{
		// The length is without the centre's octet, which says: the SIM's.
		text: fmt.Sprintf("AT+CMGS=%d", len(unit)),
		own:  prefixed("+CMGS:"),
		unit: strings.ToUpper("00" + hex.EncodeToString(unit)),
	}
	late := func(a answer) {
		sent, err := sentOf(s, a.lines, a.err)
		m.cfg.Late(s, sent, err)
	}
	lines, err := p.do(ctx, c, m.cfg.SubmitTimeout, late)
	sent, err := sentOf(s, lines, err)
	if err != nil && (isRefusal(err) || errors.Is(err, ErrUnanswered)) {
		m.update(func(h *Health) { h.LastError, h.LastErrorAt = err.Error(), m.cfg.Now() })
	}
	if is(err, CMS, cmsNoNetwork) || is(err, CME, cmeNoNetwork, cmeEmergencyOnly) {
		m.doubtNetwork()
	}
	return sent, err
}

// sentOf reads "+CMGS: <mr>[,…]".
func sentOf(s tpdu.Submit, lines []string, err error) (Sent, error) {
	if err != nil {
		return Sent{}, err
	}
	sent := Sent{Reference: s.Reference, Own: true}
	if len(lines) > 0 {
		if mr := number(fields(lines[0]), 0); mr >= 0 && mr <= 255 {
			sent = Sent{byte(mr), byte(mr) != s.Reference}
		}
	}
	return sent, nil
}
