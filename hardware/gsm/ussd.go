package gsm

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// USSD is the operator's answer to a code such as *100#.
type USSD struct {
	// Status is <m> of +CUSD: 0 the end, 1 the operator asks for more, 2 ended
	// by the network, 3 answered by another, 4 not supported, 5 time-out (3GPP
	// TS 27.007, section 7.15).
	Status int
	// Text is as the modem writes it: characters of its alphabet, or
	// hexadecimal digits of packed septets or UCS-2, depending on modem and DCS.
	Text string
	// DCS is the data coding scheme of 3GPP TS 23.038, section 5; -1: not said.
	DCS int
}

// ErrNoAnswer says that the operator did not answer in time, or not with a text.
var ErrNoAnswer = errors.New("the operator gave no answer")

// USSD sends a code and waits for the operator's answer, which a modem may
// give before its OK or long after. A dialogue that the operator would go on
// with is ended. The code goes out as it is given: in hexadecimal for a modem
// that wants it so.
func (m *Modem) USSD(ctx context.Context, code string) (USSD, error) {
	if code == "" || len(code) > 4*182 || strings.ContainsAny(code, "\"\r\n"+ctrlZ+escape) {
		return USSD{}, fmt.Errorf("%w: no code to ask with", ErrConfig)
	}
	p, err := m.readyPort()
	if err != nil {
		return USSD{}, err
	}
	if err := m.take(ctx, p); err != nil {
		return USSD{}, err
	}
	defer m.give()
	ctx, cancel := context.WithTimeout(ctx, m.cfg.USSDTimeout)
	defer cancel()
	answers := m.expectUSSD()
	defer m.expectUSSDNoMore()
	if _, err := p.do(ctx, command{text: `AT+CUSD=1,"` + code + `",15`}, m.cfg.USSDTimeout, nil); err != nil {
		if !isRefusal(err) {
			m.cancelUSSD(p)
		}
		return USSD{}, err
	}
	select {
	case u := <-answers:
		if u.Status == 1 {
			m.cancelUSSD(p)
		}
		if u.Status > 1 && u.Text == "" {
			return u, fmt.Errorf("%w: status %d", ErrNoAnswer, u.Status)
		}
		return u, nil
	case <-p.done:
		return USSD{}, p.err
	case <-ctx.Done():
		m.cancelUSSD(p)
		return USSD{}, fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
	}
}

// cancelUSSD ends the dialogue, also when nobody waits any more.
func (m *Modem) cancelUSSD(p *port) {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	_, _ = p.do(ctx, command{text: "AT+CUSD=2"}, 0, nil) // one that is over already is an error
}

func (m *Modem) expectUSSD() <-chan USSD {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ussd = make(chan USSD, 1)
	return m.ussd
}

func (m *Modem) expectUSSDNoMore() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ussd = nil
}

// heardUSSD takes a +CUSD note; one that nobody asked for is the operator's
// advertisement.
func (m *Modem) heardUSSD(line string) {
	values := fields(line)
	u := USSD{Status: number(values, 0), DCS: -1}
	if len(values) > 1 {
		u.Text = values[1]
	}
	if n := number(values, 2); n >= 0 && n <= 255 {
		u.DCS = n
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.ussd <- u: // nil, when nobody waits, takes nothing
	default:
	}
}
