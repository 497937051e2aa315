package gsm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herald/hardware/gsm/tpdu"
)

func TestAModemIsSetUp(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		h := m.Health()
		h.Since, h.SIM = time.Time{}, ""
		want := Health{
			State: Ready, Maker: "HERALD", Model: "SCRIPT", Revision: "1.0", IMEI: "…3809", ICCID: "…1234",
			Registration: Home, Operator: "Simtel", Signal: -73, HasCentre: true, Memory: "SM", Capacity: 20,
			Notify: "2,1,0,1,0", Phase2Plus: true, Starts: 1,
		}
		if h != want {
			t.Errorf("its health is\n%+v, want\n%+v", h, want)
		}
		if len(m.Health().SIM) != 16 {
			t.Errorf("the SIM is told by %q", m.Health().SIM)
		}
		for _, command := range []string{"ATE0", "AT+CMEE=1", "AT+CMGF=0", "AT+CNMI=2,1,0,1,0", "AT+CMMS=2"} {
			if s.times(command) != 1 {
				t.Errorf("%s was given %d times", command, s.times(command))
			}
		}
	})
}

func TestAMessageIsHandedOver(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		sent, err := m.Submit(t.Context(), aSubmit(7))
		if err != nil || sent != (Sent{Reference: 7}) {
			t.Errorf("sent as %+v, %v", sent, err)
		}
		if sent, err = m.Submit(t.Context(), aSubmit(8)); err != nil || sent != (Sent{Reference: 7, Own: true}) {
			t.Errorf("a modem with references of its own: %+v, %v", sent, err)
		}
		// Pitfall 7: the length counts the unit without the centre's octet.
		if unit, err := aSubmit(7).MarshalBinary(); err != nil || len(unit) != 18 || s.times("AT+CMGS=18") != 2 {
			t.Errorf("a unit of %d octets was announced otherwise, %v", len(unit), err)
		}
	})
}

func TestRefusalsSayWhy(t *testing.T) {
	for result, want := range map[string]Error{
		"+CMS ERROR: 21":                       {Domain: CMS, Code: 21},
		"+CMS ERROR: 500":                      {Domain: CMS, Code: 500},
		"+CME ERROR: 30":                       {Domain: CME, Code: 30},
		"+CME ERROR: SIM busy":                 {Domain: CME, Code: 14, Text: "SIM busy"},
		"+CMS ERROR: unknown error":            {Domain: CMS, Code: 500, Text: "unknown error"},
		"+CMS ERROR: in words of its own":      {Domain: CMS, Code: -1, Text: "in words of its own"},
		"ERROR":                                {},
		"COMMAND NOT SUPPORT":                  {Text: "COMMAND NOT SUPPORT"},
		"+CMTI: \"SM\",3\r\n\r\n+CMS ERROR: 8": {Domain: CMS, Code: 8},
	} {
		for _, before := range []bool{true, false} { // the prompt
			s := newScript()
			with(t, s, nil, func(t *testing.T, m *Modem) {
				ready(t, m)
				if before {
					s.ends("AT+CMGS", result)
				} else {
					s.on("AT+CMGS", func(string) { s.takesUnit(result) })
				}
				_, err := m.Submit(t.Context(), aSubmit(1))
				var refusal *Error
				if !errors.As(err, &refusal) || *refusal != want || errors.Is(err, ErrUnanswered) {
					t.Errorf("%s (before the prompt %v) is %v, %+v", result, before, err, refusal)
				}
				if err.Error() == "" || m.Health().LastError == "" {
					t.Error("it is not noted")
				}
				// Pitfall 21: the line is free for the next.
				s.on("AT+CMGS", func(string) { s.takesUnit("+CMGS: 2\r\n\r\nOK") })
				ready(t, m) // of no network it convinces itself
				if _, err := m.Submit(t.Context(), aSubmit(2)); err != nil {
					t.Errorf("the next message: %v", err)
				}
			})
		}
	}
}

// Pitfall 1: the network may take two minutes.
func TestASlowNetworkIsNoFailure(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CMGS", func(string) {
			s.raw("\r\n> ")
			s.on("unit", func(string) {
				time.Sleep(119 * time.Second)
				s.write("+CMGS: 1\r\n\r\nOK")
			})
		})
		if sent, err := m.Submit(t.Context(), aSubmit(1)); err != nil || sent.Reference != 1 {
			t.Errorf("%+v, %v", sent, err)
		}
	})
}

// Pitfall 2: what comes after the time-out is the answer to nothing else, and
// still counts when it says what came of the message.
func TestALateAnswerAnswersNothingElse(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CMGS", func(string) {
			s.raw("\r\n> ")
			s.on("unit", func(string) {
				time.Sleep(152 * time.Second) // the questions wait until then
				s.write("+CMGS: 9\r\n\r\nOK")
			})
		})
		sent, err := m.Submit(t.Context(), aSubmit(9))
		if err != nil || sent.Reference != 9 {
			t.Errorf("an answer while we get back in step: %+v, %v", sent, err)
		}
		s.on("AT+CMGS", func(string) { s.takesUnit("+CMS ERROR: 38") })
		if _, err = m.Submit(t.Context(), aSubmit(10)); !is(err, CMS, 38) {
			t.Errorf("the next message has the answer %v", err)
		}
	})
}

func TestALateRefusalCountsToo(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CMGS", func(string) {
			s.raw("\r\n> ")
			s.on("unit", func(string) {
				time.Sleep(152 * time.Second)
				s.write("+CMS ERROR: 42")
			})
		})
		if _, err := m.Submit(t.Context(), aSubmit(9)); !is(err, CMS, 42) {
			t.Errorf("it is %v", err)
		}
	})
}

func TestAnAnswerAfterAllIsReported(t *testing.T) {
	s := newScript()
	type late struct {
		reference byte
		sent      Sent
		err       error
	}
	var heard chan late
	with(t, s, func(c *Config) {
		heard = make(chan late, 4) // of the bubble
		c.Late = func(submit tpdu.Submit, sent Sent, err error) { heard <- late{submit.Reference, sent, err} }
	}, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CMGS", func(string) { s.takesUnit("") })
		if _, err := m.Submit(t.Context(), aSubmit(5)); !errors.Is(err, ErrUnanswered) {
			t.Fatalf("without an answer: %v", err)
		}
		// In the midst of another command's answer.
		s.on("AT+CSQ", func(string) { s.write("+CMGS: 5\r\n\r\nOK\r\n\r\n+CSQ: 11,99\r\n\r\nOK") })
		if got := <-heard; got != (late{5, Sent{Reference: 5}, nil}) {
			t.Errorf("late comes %+v", got)
		}
		synctest.Wait()
		if h := m.Health(); h.Signal != -91 {
			t.Errorf("the other command read %d dBm", h.Signal)
		}

		s.says("AT+CSQ", "+CSQ: 20,99")
		if _, err := m.Submit(t.Context(), aSubmit(6)); !errors.Is(err, ErrUnanswered) {
			t.Fatalf("without an answer: %v", err)
		}
		s.on("AT+CSQ", func(string) { s.write("+CMS ERROR: 38\r\n\r\n+CSQ: 12,99\r\n\r\nOK") })
		if got := <-heard; got.reference != 6 || !is(got.err, CMS, 38) {
			t.Errorf("late comes %+v", got)
		}
	})
}

func TestWhoeverStopsWaitingIsToldLater(t *testing.T) {
	s := newScript()
	var heard chan byte
	with(t, s, func(c *Config) {
		heard = make(chan byte, 1) // of the bubble
		c.Late = func(submit tpdu.Submit, sent Sent, err error) {
			if err == nil {
				heard <- submit.Reference
			}
		}
	}, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CMGS", func(string) {
			s.raw("\r\n> ")
			s.on("unit", func(string) {
				time.Sleep(time.Minute)
				s.write("+CMGS: 4\r\n\r\nOK")
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := m.Submit(ctx, aSubmit(4)); !errors.Is(err, ErrUnanswered) || time.Since(began) > 11*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if got := <-heard; got != 4 {
			t.Errorf("late comes the answer to %d", got)
		}
	})
}

// Pitfall 4: without an escape the next command would become a message's text.
func TestAPromptThatComesTooLateIsLeft(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CMGS", func(string) {
			time.Sleep(40 * time.Second)
			s.raw("\r\n> ")
			s.on("unit", func(unit string) { t.Errorf("in the prompt came %q", unit) })
			s.ends("escape", "OK")
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := m.Submit(ctx, aSubmit(1)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnanswered) {
			t.Errorf("nothing was sent, but: %v", err)
		}
		time.Sleep(time.Minute)
		s.on("AT+CMGS", func(string) { s.takesUnit("+CMGS: 2\r\n\r\nOK") })
		if _, err := m.Submit(t.Context(), aSubmit(2)); err != nil {
			t.Errorf("the next message: %v", err)
		}
		if m.Health().Starts != 1 {
			t.Error("it was set up anew for that")
		}
	})
}

// Pitfall 4, too: a prompt has no line end, and may have no space.
func TestAPromptIsSeenInAnyForm(t *testing.T) {
	for _, prompt := range []string{"\r\n> ", ">", "\r\n>\r\n", "\n> ", "AT+CMGS=18\r\r\n> "} {
		s := newScript()
		with(t, s, nil, func(t *testing.T, m *Modem) {
			ready(t, m)
			s.on("AT+CMGS", func(string) {
				s.raw(prompt)
				s.on("unit", func(unit string) { s.write(strings.TrimRight(unit, ctrlZ) + "\r\n+CMGS: 3\r\n\r\nOK") }) // with an echo
			})
			if sent, err := m.Submit(t.Context(), aSubmit(3)); err != nil || sent.Reference != 3 {
				t.Errorf("after %q: %+v, %v", prompt, sent, err)
			}
		})
	}
}

// Pitfall 3: notes in the middle of an answer belong to nobody's answer.
func TestNotesAreNeverMixedWithAnswers(t *testing.T) {
	s := newScript()
	_, unit := aDeliver(t, "hello")
	var taken chan tpdu.Deliver
	with(t, s, func(c *Config) {
		taken = make(chan tpdu.Deliver, 4) // of the bubble
		c.Messages = func(_ context.Context, messages []tpdu.Deliver) error {
			taken <- messages[0]
			return nil
		}
	}, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CREG?", func(string) {
			s.write("+CREG: 2")
			s.write("^RSSI:19")
			s.write("RING")
			s.raw("+CMT: ,20\r\n00" + strings.ToUpper(hexOf(unit)) + "\r\n")
			s.write("+CREG: 0,5\r\n\r\n+CREG: 1\r\n\r\nOK")
		})
		s.on("AT+COPS?", func(string) {
			s.write("+CMTI: \"SM\",1\r\n+COPS: 0,0,\"Sim, tel\",2\r\n+CUSD: 0,\"an\r\noffer\",15\r\nOK")
		})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		h := m.Health()
		if h.State != Ready || h.Registration != Roaming || h.Operator != "Sim, tel" {
			t.Errorf("the answers read as %+v", h)
		}
		if got := <-taken; string(got.Data) != "hello" {
			t.Errorf("the message in their midst is %+v", got)
		}
	})
}

func TestAUnitFindsItsLineWhateverComesBetween(t *testing.T) {
	_, stored := aDeliver(t, "stored")
	_, direct := aDeliver(t, "passed on directly")
	s := newScript()
	k := &taker{}
	with(t, s, k.into, func(t *testing.T, m *Modem) {
		s.store("SM", 4, stored)
		s.on("AT+CMGL", func(string) {
			s.write("+CMGL: 4,0,,25")
			s.write("+CMT: ,38\r\n00" + hexOf(direct))
			s.write("00" + hexOf(stored))
			s.write("OK")
			s.on("AT+CMGL", func(string) { s.write("OK") })
		})
		ready(t, m)
		time.Sleep(time.Minute)
		k.has(t, "stored|passed on directly")
	})
}

// Pitfall 34: a line that fails is opened anew, whatever the error is called.
func TestALineThatGoesAwayIsOpenedAnew(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.on("AT+CMGS", func(string) {
			s.raw("\r\n> ")
			s.on("unit", func(string) { s.hangUp() })
		})
		if _, err := m.Submit(t.Context(), aSubmit(1)); !errors.Is(err, ErrUnanswered) || !errors.Is(err, ErrGone) {
			t.Errorf("a line that breaks behind the unit: %v", err)
		}
		if _, err := m.Submit(t.Context(), aSubmit(1)); errors.Is(err, ErrUnanswered) || !errors.Is(err, ErrGone) {
			t.Errorf("without a line: %v", err)
		}
		s.on("AT+CMGS", func(string) { s.hangUp() })
		ready(t, m)
		if _, err := m.Submit(t.Context(), aSubmit(1)); errors.Is(err, ErrUnanswered) || !errors.Is(err, ErrGone) {
			t.Errorf("a line that breaks before the unit: %v", err)
		}
		ready(t, m)
		if s.opens() != 3 {
			t.Errorf("the line was opened %d times", s.opens())
		}
	})
}

func TestALineThatCannotBeOpenedIsTriedEverMoreSeldom(t *testing.T) {
	s := newScript()
	s.refuse = errors.New("no such device")
	with(t, s, nil, func(t *testing.T, m *Modem) {
		time.Sleep(10 * time.Minute)
		if s.opens() < 10 || s.opens() > 20 {
			t.Errorf("opened %d times in ten minutes", s.opens())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Ready(ctx); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "no such device") {
			t.Errorf("not ready is %v", err)
		}
		s.mu.Lock()
		s.refuse = nil
		s.mu.Unlock()
		ready(t, m)
	})
}

func TestASilentModemIsResetAndThenOpenedAnew(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		s.ends("AT+CNMI=", "ERROR") // it is set up no more
		s.write("RDY")
		time.Sleep(2 * time.Minute)
		if s.times("AT+CFUN=1,1") == 0 || s.opens() < 2 {
			t.Errorf("reset %d times, opened %d times", s.times("AT+CFUN=1,1"), s.opens())
		}
		s.ends("AT+CNMI=", "OK")
		ready(t, m)

		opened := s.opens()
		for _, command := range []string{"AT", "AT+CSQ", "AT+CREG?", "AT+CMEE?", "unit"} {
			s.on(command, func(string) {})
		}
		time.Sleep(3 * time.Minute)
		if s.opens() <= opened {
			t.Error("a modem that answers nothing is not opened anew")
		}
		if h := m.Health(); h.State == Ready || h.LastError == "" {
			t.Errorf("its health is %+v", h)
		}
	})
}

func TestWithoutANetworkTheModemIsReset(t *testing.T) {
	s := newScript()
	s.says("AT+CREG?", "+CREG: 0,2")
	with(t, s, nil, func(t *testing.T, m *Modem) {
		time.Sleep(time.Minute)
		if h := m.Health(); h.State != Searching || h.Registration != SearchingNet {
			t.Errorf("it is %+v", h)
		}
		if _, err := m.Submit(t.Context(), aSubmit(1)); !errors.Is(err, ErrNoNetwork) {
			t.Errorf("a message meanwhile: %v", err)
		}
		time.Sleep(3 * time.Minute)
		if s.times("AT+CFUN=1,1") != 1 {
			t.Errorf("after four minutes it was reset %d times", s.times("AT+CFUN=1,1"))
		}
		s.says("AT+CREG?", "+CREG: 0,3")
		s.says("AT+CEREG?", "+CEREG: 0,1")
		ready(t, m) // LTE alone will do
	})
}

// Pitfall 19: a PIN is tried once, however often the modem is started.
func TestAWrongPINIsTriedOnce(t *testing.T) {
	s := newScript()
	s.says("AT+CPIN?", "+CPIN: SIM PIN")
	s.ends("AT+CPIN=", "+CME ERROR: 16")
	memory := &pinMemory{}
	var log bytes.Buffer
	change := func(c *Config) {
		c.PIN, c.PINs = "4711", memory
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}
	test := func(t *testing.T, m *Modem) {
		m.Trace().Switch(true)
		time.Sleep(5*time.Minute + 30*time.Second)
		if s.times("AT+CPIN=") != 1 || s.times("AT+CPIN?") < 3 {
			t.Errorf("the PIN was tried %d times, asked for %d times", s.times("AT+CPIN="), s.times("AT+CPIN?"))
		}
		if err := m.Ready(t.Context()); !errors.Is(err, ErrLocked) || m.Health().State != Blocked {
			t.Errorf("%v, %+v", err, m.Health())
		}
		for _, line := range m.Trace().Lines() {
			if strings.Contains(line.Text, "4711") {
				t.Errorf("the trace has the PIN: %q", line.Text)
			}
		}
	}
	with(t, s, change, test)
	with(t, s, change, test) // after a restart
	if strings.Contains(log.String(), "4711") {
		t.Error("the log has the PIN")
	}
	s.on("AT+CPIN=", func(string) {
		s.says("AT+CPIN?", "+CPIN: READY")
		s.write("OK")
	})
	with(t, s, func(c *Config) { c.PIN, c.PINs = "1234", memory }, func(t *testing.T, m *Modem) {
		ready(t, m) // another one may be tried
	})
	s.says("AT+CPIN?", "+CPIN: SIM PUK")
	with(t, s, change, func(t *testing.T, m *Modem) {
		if err := m.Ready(t.Context()); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "PUK") {
			t.Errorf("a PUK: %v", err)
		}
	})
}

func TestTheTraceIsSwitchedWhileItRuns(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		if len(m.Trace().Lines()) != 0 || m.Trace().On() {
			t.Error("it watches without being asked")
		}
		time.Sleep(time.Second)
		m.Trace().Switch(true)
		if _, err := m.Submit(t.Context(), aSubmit(1)); err != nil {
			t.Fatal(err)
		}
		m.Trace().Switch(false)
		lines := m.Trace().Lines()
		if len(lines) != 5 || lines[0].Text != "AT+CMGS=18" || !lines[0].Sent || lines[1].Text != ">" || !strings.HasSuffix(lines[2].Text, "␚") || lines[3].Text != "+CMGS: 7" {
			t.Errorf("it kept %+v", lines)
		}
		time.Sleep(time.Hour)
		if len(m.Trace().Lines()) != len(lines) {
			t.Error("it went on")
		}
		m.Trace().Switch(true)
		time.Sleep(24 * time.Hour)
		if n := len(m.Trace().Lines()); n != traceMax {
			t.Errorf("it kept %d lines", n)
		}
	})
}

func TestALineThatTakesNothingIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuckLine{closed: make(chan struct{})}
		m, err := New(Config{Open: func(context.Context) (io.ReadWriteCloser, error) { return s, nil }, BackoffFirst: time.Hour, BackoffLongest: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := m.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ran until %v", err)
		}
		if !strings.Contains(m.Health().LastError, "it takes no bytes") {
			t.Errorf("it says %s", m.Health().LastError)
		}
		synctest.Wait()
	})
}

// stuckLine is a device that takes nothing and says nothing until it is closed.
type stuckLine struct{ closed chan struct{} }

func (s *stuckLine) Read([]byte) (int, error)  { <-s.closed; return 0, io.EOF }
func (s *stuckLine) Write([]byte) (int, error) { <-s.closed; return 0, io.ErrClosedPipe }
func (s *stuckLine) Close() error              { close(s.closed); return nil }

func TestAConfigurationIsChecked(t *testing.T) {
	open := func(context.Context) (io.ReadWriteCloser, error) { return nil, io.EOF }
	for name, cfg := range map[string]Config{
		"no line":         {},
		"a PIN of words":  {Open: open, PIN: "secret"},
		"a centre's name": {Open: open, Centre: "operator"},
	} {
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	open = Serial("/dev/no such device", 0)
	if _, err := open(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("a device that is not there: %v", err)
	}
}
