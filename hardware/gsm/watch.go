package gsm

import (
	"context"
	"fmt"
	"time"
)

// registerPause is the time between two looks for a network while there is none.
const registerPause = 2 * time.Second

// watch looks after a modem that is set up, until it fails. healthy says that
// it found a network.
func (m *Modem) watch(ctx context.Context, p *port, in *inbox) (healthy bool, err error) {
	lost := m.cfg.Now() // since when there is no network
	for {
		found, err := m.look(ctx, p)
		if err != nil {
			return healthy, err
		}
		pause := m.cfg.CheckEvery
		switch {
		case found:
			healthy, lost = true, time.Time{}
			m.setState(Ready)
		case lost.IsZero():
			lost = m.cfg.Now()
			m.setState(Searching)
			fallthrough
		default:
			pause = registerPause
			if m.cfg.Now().Sub(lost) > m.cfg.RegisterWithin {
				return false, fmt.Errorf("%w for %v", ErrNoNetwork, m.cfg.RegisterWithin)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-m.doubted:
		case <-in.restarted:
			return healthy, ErrRestarted
		case <-p.done:
			return healthy, p.err
		case <-ctx.Done():
			timer.Stop()
			return healthy, ctx.Err()
		}
		timer.Stop()
	}
}

// look asks for network, signal and operator, and whether the settings still
// hold. found says that there is a network.
func (m *Modem) look(ctx context.Context, p *port) (found bool, err error) {
	if err := m.take(ctx, p); err != nil {
		return false, err
	}
	defer m.give()
	registration, err := registered(ctx, p)
	if err != nil {
		return false, err
	}
	lines, _ := try(ctx, p, "AT+CSQ", solicited("+CSQ:"))
	signal := 0
	if len(lines) > 0 {
		if n := number(fields(lines[0]), 0); n >= 0 && n <= 31 {
			signal = 2*n - 113 // 3GPP TS 27.007, section 8.5
		}
	}
	operator := ""
	if registration.Registered() {
		operator = m.operator(ctx, p)
	}
	m.update(func(h *Health) { h.Registration, h.Signal, h.Operator = registration, signal, operator })
	if err := m.stillSet(ctx, p); err != nil {
		return false, err
	}
	return registration.Registered(), ctx.Err()
}

// registered asks for the circuit-switched registration, and where there is
// none for that of LTE, which some modems only have.
func registered(ctx context.Context, p *port) (r Registration, err error) {
	for _, name := range []string{"+CREG", "+CEREG"} {
		lines, err := p.do(ctx, command{text: "AT" + name + "?", own: solicited(name + ":")}, 0, nil)
		if err != nil && !isRefusal(err) {
			return 0, err
		}
		if len(lines) > 0 {
			n := Registration(number(fields(lines[0]), 1))
			if n.Registered() {
				return n, nil
			}
			r = max(r, n)
		}
	}
	return r, nil
}

func (m *Modem) operator(ctx context.Context, p *port) string {
	if m.Health().Operator == "" {
		try(ctx, p, "AT+COPS=3,0", nil) // by its long name
	}
	lines, _ := try(ctx, p, "AT+COPS?", prefixed("+COPS:"))
	if len(lines) == 0 {
		return ""
	}
	if values := fields(lines[0]); len(values) > 2 {
		return clip(values[2])
	}
	return ""
}

// stillSet asks for the settings that a modem forgets when it restarts, and
// takes back when we did not acknowledge in time.
func (m *Modem) stillSet(ctx context.Context, p *port) error {
	now, err := notifies(ctx, p)
	if err == nil && now != m.notify {
		err = fmt.Errorf("%w: it notifies by %s, not %s", ErrRestarted, now, m.notify)
	}
	return err
}
