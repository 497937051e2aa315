package gsm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herald/hardware/gsm/tpdu"
)

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
		s.on("AT+CMGS", func(string) { s.takesUnitFor(119*time.Second, "+CMGS: 1\r\n\r\nOK") })
		if sent, err := m.Submit(t.Context(), aSubmit(1)); err != nil || sent.Reference != 1 {
			t.Errorf("%+v, %v", sent, err)
		}
	})
}

// Pitfall 2: what comes after the time-out, while we get back in step, is the
// answer to nothing else, and still counts when it says what came of the
// message.
func TestALateAnswerAnswersNothingElse(t *testing.T) {
	for answer, took := range map[string]bool{"+CMGS: 9\r\n\r\nOK": true, "+CMS ERROR: 42": false} {
		s := newScript()
		with(t, s, nil, func(t *testing.T, m *Modem) {
			ready(t, m)
			s.on("AT+CMGS", func(string) { s.takesUnitFor(152*time.Second, answer) }) // the questions wait until then
			sent, err := m.Submit(t.Context(), aSubmit(9))
			if took && (err != nil || sent.Reference != 9) || !took && !is(err, CMS, 42) {
				t.Errorf("%q, late, is %+v, %v", answer, sent, err)
			}
			s.on("AT+CMGS", func(string) { s.takesUnit("+CMS ERROR: 38") })
			if _, err = m.Submit(t.Context(), aSubmit(10)); !is(err, CMS, 38) {
				t.Errorf("after %q the next message has the answer %v", answer, err)
			}
		})
	}
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
		s.on("AT+CMGS", func(string) { s.takesUnitFor(time.Minute, "+CMGS: 4\r\n\r\nOK") })
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
