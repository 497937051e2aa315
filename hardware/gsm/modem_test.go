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
	s.store("SM", 4, stored)
	s.on("AT+CMGL", func(string) {
		s.write("+CMGL: 4,0,,25")
		s.write("+CMT: ,38\r\n00" + hexOf(direct))
		s.write("00" + hexOf(stored))
		s.write("OK")
		s.on("AT+CMGL", func(string) { s.write("OK") })
	})
	with(t, s, k.into, func(t *testing.T, m *Modem) {
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
