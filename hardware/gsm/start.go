package gsm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"herald/hardware/gsm/tpdu"
)

// PINMemory remembers which PINs were tried. A SIM locks itself after three
// wrong ones, so a PIN is tried once: a program that restarts again and again
// must not try it each time.
type PINMemory interface {
	// Try notes durably that a PIN is about to be tried, and reports whether
	// it may be: false when it was tried before and not found Right. key tells
	// SIM and PIN, and has neither.
	Try(ctx context.Context, key string) (bool, error)
	// Right notes that it was right.
	Right(ctx context.Context, key string) error
}

// pinMemory is a PINMemory that forgets when the program ends.
type pinMemory struct {
	mu    sync.Mutex
	tried map[string]bool // guarded by mu
}

func (t *pinMemory) Try(_ context.Context, key string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tried[key] {
		return false, nil
	}
	if t.tried == nil {
		t.tried = map[string]bool{}
	}
	t.tried[key] = true
	return true, nil
}

func (t *pinMemory) Right(_ context.Context, key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tried, key)
	return nil
}

const (
	// wakes is how often a silent modem is asked before it is given up, and
	// wakeLimit how long each time: one that starts takes half a minute.
	wakes     = 10
	wakeLimit = 3 * time.Second
	// simTries is how often a SIM that is busy is asked, simPause apart.
	simTries = 15
	simPause = 2 * time.Second
)

// start sets the modem up; it does not wait for a network.
func (m *Modem) start(ctx context.Context, p *port) error {
	if err := m.take(ctx, p); err != nil {
		return err
	}
	defer m.give()
	m.update(func(h *Health) { h.Starts++ })
	for _, step := range []struct {
		name string
		do   func(context.Context, *port) error
	}{
		{"wake the modem", m.awake},
		{"ask who it is", m.identify},
		{"unlock the SIM", m.unlock},
		{"read the SIM", m.readSIM},
		{"set the message format", m.setFormat},
		{"set the service centre", m.setCentre},
		{"choose the message storage", m.chooseMemory},
		{"hold the link between messages", m.holdLink},
		{"ask for what comes in", m.setNotify},
	} {
		if err := step.do(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// try gives a command that a modem may lack, and reports whether it has it. A
// line that fails ends everything, so that is found by the next command.
func try(ctx context.Context, p *port, text string, own func(string) bool) ([]string, bool) {
	lines, err := p.do(ctx, command{text: text, own: own}, 0, nil)
	return lines, err == nil
}

// patient repeats a command while the SIM is busy or still starting.
func patient(ctx context.Context, p *port, c command) (lines []string, err error) {
	for range simTries {
		lines, err = p.do(ctx, c, 0, nil)
		if !is(err, CME, cmeSIMBusy) && !is(err, CMS, cmsSIMBusy, cmsSIMNotReady) {
			return lines, err
		}
		sleep(ctx, simPause)
	}
	return lines, err
}

func (m *Modem) awake(ctx context.Context, p *port) error {
	// Whatever a former program left: out of a prompt and in step.
	r := &request{command: command{text: escape + "\rAT"}, limit: wakeLimit, reply: make(chan answer, 1), most: wakes}
	if _, err := p.ask(ctx, r); err != nil && p.isDone() {
		return err
	}
	for _, text := range []string{"ATE0", "ATV1", "AT+CMEE=1"} {
		if _, known := try(ctx, p, text, nil); !known && p.isDone() {
			return p.err
		}
	}
	return ctx.Err()
}

// identify asks what is for people to read.
func (m *Modem) identify(ctx context.Context, p *port) error {
	first := func(text, name string) string {
		lines, _ := try(ctx, p, text, unnamed(name))
		if len(lines) == 0 {
			return ""
		}
		return clip(strings.Trim(strings.TrimSpace(strings.TrimPrefix(lines[0], name)), `"`))
	}
	maker, model, revision, imei := first("AT+CGMI", "+CGMI:"), first("AT+CGMM", "+CGMM:"), first("AT+CGMR", "+CGMR:"), first("AT+CGSN", "+CGSN:")
	m.update(func(h *Health) { h.Maker, h.Model, h.Revision, h.IMEI = maker, model, revision, lastFour(imei) })
	return ctx.Err()
}

// unlock gives the PIN, once.
func (m *Modem) unlock(ctx context.Context, p *port) error {
	state, err := m.pinState(ctx, p)
	if err != nil || state == "READY" {
		return err
	}
	if state != "SIM PIN" {
		return fmt.Errorf("%w: it wants %s", ErrLocked, clip(state))
	}
	if m.cfg.PIN == "" {
		return fmt.Errorf("%w: it wants a PIN, and none is configured", ErrLocked)
	}
	key := digest(m.iccid(ctx, p), m.cfg.PIN)
	may, err := m.cfg.PINs.Try(ctx, key)
	if err != nil {
		return err
	}
	if !may {
		return fmt.Errorf("%w: the PIN was tried once and is not tried again", ErrLocked)
	}
	if _, err := p.do(ctx, command{text: `AT+CPIN="` + m.cfg.PIN + `"`}, 0, nil); err != nil {
		if is(err, CME, cmeWrongPIN, cmePUKWanted, cmePINWanted) {
			err = fmt.Errorf("%w: the PIN is wrong: %w", ErrLocked, err)
		}
		return err
	}
	if state, err = m.pinState(ctx, p); err != nil {
		return err
	}
	if state != "READY" {
		return fmt.Errorf("%w: after the PIN it wants %s", ErrLocked, clip(state))
	}
	return m.cfg.PINs.Right(ctx, key)
}

// pinState is what AT+CPIN? says: READY, SIM PIN, SIM PUK …
func (m *Modem) pinState(ctx context.Context, p *port) (string, error) {
	lines, err := patient(ctx, p, command{text: "AT+CPIN?", own: prefixed("+CPIN:")})
	switch {
	case is(err, CME, cmePINWanted):
		return "SIM PIN", nil
	case is(err, CME, cmePUKWanted):
		return "SIM PUK", nil
	case err != nil:
		return "", err
	case len(lines) == 0:
		return "READY", nil // a modem without this question has no locks
	}
	return fields(lines[0])[0], nil
}

// iccid is the SIM card's number, which can be read before it is unlocked;
// empty when the modem has no command for it.
func (m *Modem) iccid(ctx context.Context, p *port) string {
	for _, text := range []string{"AT+CCID", "AT+ICCID", "AT^ICCID?", "AT+QCCID"} {
		lines, known := try(ctx, p, text, unnamed("+CCID:", "+ICCID:", "^ICCID:", "+QCCID:"))
		if !known || len(lines) == 0 {
			continue
		}
		if id := strings.TrimRight(fields(lines[0])[0], "Ff"); isDigits(id) && len(id) >= 10 {
			return id
		}
	}
	return ""
}

func (m *Modem) readSIM(ctx context.Context, p *port) error {
	lines, err := patient(ctx, p, command{text: "AT+CIMI", own: unnamed("+CIMI:")})
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return &Error{Text: "no IMSI"}
	}
	imsi := fields(lines[0])[0]
	iccid := m.iccid(ctx, p)
	m.update(func(h *Health) { h.SIM, h.ICCID = digest(imsi), lastFour(iccid) })
	return ctx.Err()
}

func (m *Modem) setFormat(ctx context.Context, p *port) error {
	_, err := patient(ctx, p, command{text: "AT+CMGF=0"})
	return err
}

func (m *Modem) setCentre(ctx context.Context, p *port) error {
	if m.cfg.Centre != "" {
		centre, err := tpdu.Number(m.cfg.Centre)
		if err != nil {
			return err
		}
		if _, err := patient(ctx, p, command{text: fmt.Sprintf(`AT+CSCA="%s",%d`, centre.Number(), centre.Type)}); err != nil {
			return err
		}
	}
	lines, err := patient(ctx, p, command{text: "AT+CSCA?", own: prefixed("+CSCA:")})
	if err != nil && !isRefusal(err) {
		return err
	}
	has := len(lines) > 0 && fields(lines[0])[0] != ""
	m.update(func(h *Health) { h.HasCentre = has })
	if !has {
		m.cfg.Logger.WarnContext(ctx, "the SIM names no service centre")
	}
	return nil
}

// holdLink keeps the link to the network for a few seconds after a message, so
// that the next part goes over the same one, three times as fast (3GPP TS
// 27.005, section 3.5.6).
func (m *Modem) holdLink(ctx context.Context, p *port) error {
	if _, known := try(ctx, p, "AT+CMMS=2", nil); !known && p.isDone() {
		return p.err
	}
	return ctx.Err()
}

// chooseMemory finds where messages can be stored (3GPP TS 27.005, section
// 3.2.2) and takes the first of ours.
func (m *Modem) chooseMemory(ctx context.Context, p *port) error {
	lines, err := patient(ctx, p, command{text: "AT+CPMS=?", own: prefixed("+CPMS:")})
	if err != nil && !isRefusal(err) {
		return err
	}
	m.memories, m.memory = nil, ""
	for _, name := range []string{m.cfg.Memory, "SM", "ME", "MT", "SR"} {
		offered := len(lines) > 0 && strings.Contains(lines[0], `"`+name+`"`)
		if name != "" && (offered || len(lines) == 0 && name == "SM") && !slices.Contains(m.memories, name) {
			m.memories = append(m.memories, name)
		}
	}
	for _, name := range m.memories {
		if name == "SR" {
			continue // for reports alone
		}
		lines, err := patient(ctx, p, command{text: fmt.Sprintf(`AT+CPMS="%s","%s","%s"`, name, name, name), own: prefixed("+CPMS:")})
		if err == nil {
			m.memory = name
			m.noteStorage(name, lines)
			return nil
		}
		if !isRefusal(err) {
			return err
		}
	}
	return nil // a modem without storage passes on what comes
}

// noteStorage reads "+CPMS: <used>,<total>,…".
func (m *Modem) noteStorage(memory string, lines []string) {
	if len(lines) == 0 {
		return
	}
	values := fields(lines[0])
	m.update(func(h *Health) {
		h.Memory, h.Used, h.Capacity = memory, max(number(values, 0), 0), max(number(values, 1), 0)
	})
}

// setNotify asks that the modem tells of messages and reports (3GPP TS 27.005,
// section 3.4.1). A modem of phase 2+ then waits for an acknowledgement of
// what it does not store.
func (m *Modem) setNotify(ctx context.Context, p *port) error {
	_, m.phase2plus = try(ctx, p, "AT+CSMS=1", prefixed("+CSMS:"))
	if !m.phase2plus {
		try(ctx, p, "AT+CSMS=0", prefixed("+CSMS:"))
	}
	var err error
	for _, settings := range m.cfg.Notify {
		if _, err = p.do(ctx, command{text: "AT+CNMI=" + settings}, 0, nil); err == nil {
			if m.notify, err = notifies(ctx, p); err != nil {
				return err
			}
			m.update(func(h *Health) { h.Notify, h.Phase2Plus = settings, m.phase2plus })
			return nil
		}
		if !isRefusal(err) {
			return err
		}
	}
	return fmt.Errorf("it knows none of the settings: %w", err)
}

// notifies is what AT+CNMI? says, which need not be what was set; empty when it
// says nothing.
func notifies(ctx context.Context, p *port) (string, error) {
	lines, err := p.do(ctx, command{text: "AT+CNMI?", own: prefixed("+CNMI:")}, 0, nil)
	if err != nil && !isRefusal(err) {
		return "", err
	}
	if len(lines) == 0 {
		return "", nil
	}
	return clip(strings.Join(fields(lines[0]), ",")), nil
}

// isRefusal reports whether the modem answered, and said no.
func isRefusal(err error) bool {
	var refusal *Error
	return errors.As(err, &refusal)
}
