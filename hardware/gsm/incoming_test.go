package gsm

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herald/hardware/gsm/tpdu"
)

func hexOf(unit []byte) string { return strings.ToUpper(hex.EncodeToString(unit)) }

// taker keeps what it is given and takes it while it is willing.
type taker struct {
	mu      sync.Mutex
	failure error               // guarded by mu
	got     []string            // guarded by mu
	reports []tpdu.StatusReport // guarded by mu
}

func (k *taker) into(c *Config) {
	c.Messages = func(_ context.Context, messages []tpdu.Deliver) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, d := range messages {
			if k.failure == nil {
				k.got = append(k.got, string(d.Data))
			}
		}
		return k.failure
	}
	c.Reports = func(_ context.Context, reports []tpdu.StatusReport) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failure != nil {
			return k.failure
		}
		k.reports = append(k.reports, reports...)
		return nil
	}
}

func (k *taker) has(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if got := strings.Join(k.got, "|"); got != want {
		t.Errorf("taken is %q, want %q", got, want)
	}
}

func (k *taker) fails(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failure = err
}

func TestWhatIsStoredIsTakenThenDeleted(t *testing.T) {
	s, k := newScript(), &taker{failure: errors.New("the database is away")}
	_, one := aDeliver(t, "one")
	_, two := aDeliver(t, "two")
	s.store("SM", 1, one)
	with(t, s, k.into, func(t *testing.T, m *Modem) {
		ready(t, m)
		time.Sleep(time.Second)
		k.has(t, "")
		if s.times("AT+CMGD") != 0 || m.Health().LastError == "" {
			t.Error("it was deleted before it was taken")
		}
		k.fails(nil)
		m.Collect()
		time.Sleep(time.Second)
		k.has(t, "one")
		s.store("SM", 2, two)
		s.write(`+CMTI: "SM",2`)
		time.Sleep(time.Second)
		k.has(t, "one|two")
		if n := len(s.kept()); n != 0 || m.Health().Used != 0 {
			t.Errorf("%d are left, %d it says", n, m.Health().Used)
		}
	})
}

// Pitfall 18: a storage that is full takes nothing more, so what nobody can
// read is deleted then.
func TestAFullStorageIsEmptied(t *testing.T) {
	s, k := newScript(), &taker{}
	s.mu.Lock()
	for i := range 17 {
		s.stored["SM"][i] = fmt.Sprintf("0,,%d\r\n00%s", 9, strings.Repeat("FF", 9)) // of no type, too short
	}
	s.mu.Unlock()
	_, one := aDeliver(t, "one")
	s.store("SM", 20, one)
	with(t, s, k.into, func(t *testing.T, m *Modem) {
		ready(t, m)
		time.Sleep(time.Second)
		k.has(t, "one")
		if n := len(s.kept()); n != 0 {
			t.Errorf("%d are left", n)
		}
		s.mu.Lock()
		s.stored["SM"][1] = fmt.Sprintf("0,,%d\r\n00%s", 9, strings.Repeat("FF", 9))
		s.stored["SM"][2] = fmt.Sprintf("2,,%d\r\n00%s", 9, strings.Repeat("FF", 9))
		s.mu.Unlock()
		s.write("^SMMEMFULL: \"SM\"")
		time.Sleep(time.Minute)
		if n := len(s.kept()); n != 2 {
			t.Errorf("with room for more %d are left of what cannot be read, and what somebody wrote", n)
		}
	})
}

func TestAStorageIsReadPlaceByPlaceWhereItCannotBeListed(t *testing.T) {
	s, k := newScript(), &taker{}
	_, one := aDeliver(t, "one")
	s.store("SM", 3, one)
	s.ends("AT+CMGL", "+CMS ERROR: 303")
	s.on("AT+CMGR", func(command string) {
		if command == "AT+CMGR=3" {
			s.write(fmt.Sprintf("+CMGR: 0,,%d\r\n00%s\r\n\r\nOK", len(one), hexOf(one)))
			return
		}
		s.write("+CMS ERROR: 321")
	})
	with(t, s, k.into, func(t *testing.T, m *Modem) {
		ready(t, m)
		time.Sleep(time.Second)
		k.has(t, "one")
	})
}

func TestWhatIsPassedOnIsAcknowledgedWhenTaken(t *testing.T) {
	for _, phase2plus := range []bool{true, false} {
		s, k := newScript(), &taker{failure: errors.New("the database is away")}
		if !phase2plus {
			s.ends("AT+CSMS=1", "ERROR")
		}
		_, one := aDeliver(t, "one")
		with(t, s, k.into, func(t *testing.T, m *Modem) {
			ready(t, m)
			s.write(fmt.Sprintf("+CMT: ,%d\r\n00%s", len(one), hexOf(one)))
			time.Sleep(time.Second)
			if phase2plus && s.times("AT+CNMA=2") != 1 || s.times("AT+CNMA\r") != 0 {
				t.Error("what was not taken is acknowledged")
			}
			k.fails(nil)
			if phase2plus { // the network has it still
				s.write(fmt.Sprintf("+CMT: ,%d\r\n00%s", len(one), hexOf(one)))
			} else {
				m.Collect()
			}
			time.Sleep(time.Second)
			k.has(t, "one")
			if got := s.times("AT+CNMA") - s.times("AT+CNMA="); phase2plus && got != 1 || !phase2plus && got != 0 {
				t.Errorf("acknowledged %d times", got)
			}
		})
	}
}

// What gammu#408 is about: reports come at once, or are stored with the
// messages, or in a memory of their own.
func TestStatusReportsComeEitherWay(t *testing.T) {
	for way, tell := range map[string]func(*script, []byte){
		"+CDS": func(s *script, unit []byte) { s.write(fmt.Sprintf("+CDS: %d\r\n00%s", len(unit), hexOf(unit))) },
		"+CDSI": func(s *script, unit []byte) {
			s.store("SR", 6, unit)
			s.write(`+CDSI: "SR",6`)
		},
		"stored": func(s *script, unit []byte) { s.store("SM", 7, unit) },
	} {
		t.Run(way, func(t *testing.T) {
			s, k := newScript(), &taker{}
			with(t, s, k.into, func(t *testing.T, m *Modem) {
				ready(t, m)
				tell(s, aReport(t, 42))
				time.Sleep(time.Minute)
				synctest.Wait()
				k.mu.Lock()
				defer k.mu.Unlock()
				if len(k.reports) != 1 || k.reports[0].Reference != 42 || k.reports[0].Status.Fate() != tpdu.Delivered {
					t.Errorf("reported is %+v", k.reports)
				}
				if n := len(s.kept()); n != 0 {
					t.Errorf("%d are left in the modem", n)
				}
				if way == "+CDSI" && s.times(`AT+CPMS="SR"`) == 0 {
					t.Error("its memory was not chosen")
				}
			})
		})
	}
}

func TestNotificationFallsBack(t *testing.T) {
	s, k := newScript(), &taker{}
	for _, settings := range []string{"2,1,0,1,0", "1,1,0,1,0", "2,1,0,2,0"} {
		s.ends("AT+CNMI="+settings, "+CMS ERROR: 303")
	}
	s.says("AT+CNMI?", "+CNMI: 1,1,0,2,0")
	with(t, s, k.into, func(t *testing.T, m *Modem) {
		ready(t, m)
		if h := m.Health(); h.Notify != "1,1,0,2,0" {
			t.Errorf("it notifies by %s", h.Notify)
		}
		// A modem that forgets it is set up again.
		s.says("AT+CNMI?", "+CNMI: 0,0,0,0,0")
		time.Sleep(time.Minute)
		s.says("AT+CNMI?", "+CNMI: 1,1,0,2,0")
		ready(t, m)
		if h := m.Health(); h.Starts < 2 || s.opens() != 1 {
			t.Errorf("it was set up %d times, on %d lines", h.Starts, s.opens())
		}
	})
}

// Pitfall 20: the operator's answer comes before the OK, or long after.
func TestTheOperatorAnswersBeforeOrAfterTheOK(t *testing.T) {
	for name, answer := range map[string]func(*script){
		"before": func(s *script) { s.write("+CUSD: 0,\"Balance: 12.50, thanks\",15\r\n\r\nOK") },
		"long after": func(s *script) {
			s.write("OK")
			time.Sleep(40 * time.Second)
			s.write(`+CUSD: 0,"Balance: 12.50, thanks",15`)
		},
		"in two lines":           func(s *script) { s.write("OK\r\n\r\n+CUSD: 0,\"Balance:\r\n12.50\",15") },
		"without the last quote": func(s *script) { s.write("+CUSD: 0,\"Balance: 12.50\r\nOK") },
		"and asks for more":      func(s *script) { s.write("OK\r\n+CUSD: 1,\"Balance: 12.50\r\n1 more\",15") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			with(t, s, nil, func(t *testing.T, m *Modem) {
				ready(t, m)
				s.on("AT+CUSD=1", func(string) { answer(s) })
				u, err := m.USSD(t.Context(), "*100#")
				if err != nil || !strings.Contains(u.Text, "Balance:") || !strings.Contains(u.Text, "12.50") {
					t.Errorf("answered %+v, %v", u, err)
				}
				if got := s.times("AT+CUSD=2"); (u.Status == 1) != (got == 1) {
					t.Errorf("status %d, and ended %d times", u.Status, got)
				}
				if _, err := m.Submit(t.Context(), aSubmit(1)); err != nil {
					t.Errorf("then a message: %v", err)
				}
			})
		})
	}
}

func TestAnOperatorWhoDoesNotAnswerIsLeft(t *testing.T) {
	s := newScript()
	with(t, s, nil, func(t *testing.T, m *Modem) {
		ready(t, m)
		if _, err := m.USSD(t.Context(), "*100#"); !errors.Is(err, ErrNoAnswer) || s.times("AT+CUSD=2") != 1 {
			t.Errorf("silence: %v", err)
		}
		s.write(`+CUSD: 0,"too late",15`)
		synctest.Wait()
		s.on("AT+CUSD=1", func(string) { s.write("OK\r\n+CUSD: 2") })
		if u, err := m.USSD(t.Context(), "*100#"); !errors.Is(err, ErrNoAnswer) || u.Status != 2 {
			t.Errorf("ended by the network: %+v, %v", u, err)
		}
		s.ends("AT+CUSD=1", "+CME ERROR: 258")
		if _, err := m.USSD(t.Context(), "*100#"); !is(err, CME, 258) {
			t.Errorf("refused: %v", err)
		}
		if _, err := m.USSD(t.Context(), "*100#\r\nAT+CPWROFF"); !errors.Is(err, ErrConfig) {
			t.Errorf("a code that is a command: %v", err)
		}
	})
}
