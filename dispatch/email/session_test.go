package email

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"herald/dispatch"
	"herald/dispatch/conformance"
)

func openAt(t *testing.T, f *farEnd) *session {
	t.Helper()
	startFarEnd(t, f)
	m, err := NewMailer(accountAt(t, "far", f.listener.Addr().String()), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func numbered(n int) []dispatch.Message {
	ms := make([]dispatch.Message, n)
	for i := range ms {
		ms[i] = to(fmt.Sprintf("m%d@example.com", i))
	}
	return ms
}

// outcomes hands ms over and tells how each ended, in a word.
func outcomes(t *testing.T, s *session, ms []dispatch.Message) []string {
	t.Helper()
	words := make([]string, len(ms))
	s.SendBatch(t.Context(), ms, func(i int, _ dispatch.Receipt, err error) {
		words[i] += "ok"
		if err != nil {
			words[i] = string(failureOf(t, err).Class)
		}
	})
	return words
}

func TestARefusalLeavesTheOthersAlone(t *testing.T) {
	for name, f := range map[string]*farEnd{
		"DATA refused, too":  {pipelining: true, fault: conformance.Refusal, victim: "m1@example.com"},
		"DATA taken, though": {pipelining: true, fault: conformance.Refusal, victim: "m1@example.com", eager: true},
		"the last one":       {pipelining: true, fault: conformance.Busy, victim: "m3@example.com"},
		"the first one":      {pipelining: true, fault: conformance.Busy, victim: "m0@example.com", eager: true},
		"all but a few":      {pipelining: true, fault: conformance.AddressUnknown, victim: "m2@example.com", late: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, f)
			ms := numbered(4)
			words := outcomes(t, s, ms)
			for i, m := range ms {
				if refused := m.Address == f.victim; (words[i] == "ok") == refused {
					t.Errorf("message %d gives %s", i, words[i])
				}
			}
			if s.Broken() || outcomes(t, s, ms[:1])[0] == "ok" == (f.victim == ms[0].Address) {
				t.Error("the session did not go on")
			}
		})
	}
}

func TestMessagesThatCannotBeSentAreNotSpokenOf(t *testing.T) {
	f := &farEnd{pipelining: true}
	s := openAt(t, f)
	ms := numbered(5)
	for _, i := range []int{0, 2, 4} {
		ms[i].Content.Text, ms[i].Content.HTML = "", ""
	}
	if words := outcomes(t, s, ms); !slices.Equal(words, []string{"permanent", "ok", "permanent", "ok", "permanent"}) {
		t.Errorf("they give %v", words)
	}
	if words := outcomes(t, s, ms[:1]); words[0] != "permanent" || s.Broken() {
		t.Errorf("alone it gives %v", words)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if said := strings.Join(f.commands, "\n"); strings.Count(said, "MAIL") != 2 || strings.Contains(said, "m2@") {
		t.Errorf("the server heard\n%s", said)
	}
}

func TestAddressesThatTheServerDoesNotTake(t *testing.T) {
	s := openAt(t, &farEnd{pipelining: true})
	ms := []dispatch.Message{to("用户@例子.example"), to("wei@example.com")}
	if words := outcomes(t, s, ms); words[0] != "ok" || words[1] != "ok" {
		t.Errorf("with SMTPUTF8 they give %v", words)
	}
	s.international = false
	if words := outcomes(t, s, ms); words[0] != "permanent" || words[1] != "ok" {
		t.Errorf("without they give %v", words)
	}
}

func TestALargeMessageDoesNotStayInMemory(t *testing.T) {
	s := openAt(t, &farEnd{pipelining: true})
	m := message()
	m.Content.Text = strings.Repeat("A line of a long message.\n", 1<<16)
	if words := outcomes(t, s, []dispatch.Message{m}); words[0] != "ok" || cap(s.said) > mostKept {
		t.Errorf("it gives %v, and %d bytes are kept", words, cap(s.said))
	}
}

func TestComposingAllocatesNothing(t *testing.T) {
	m, c := twoKilobytes(), mailerAt(t, "127.0.0.1:25").composer
	buffer := make([]byte, 0, 16<<10)
	if n := testing.AllocsPerRun(100, func() {
		if c.check(&m) != nil {
			t.Error("the message is refused")
		}
		buffer = c.append(buffer[:0], &m)
	}); n != 0 {
		t.Errorf("there are %v allocations", n)
	}
}

func TestTheFloorIsMeasured(t *testing.T) {
	f := startFarEnd(t, &farEnd{pipelining: true})
	m := mailerAt(t, f.listener.Addr().String())
	for _, pipelining := range []bool{true, false} {
		perSecond, err := m.Floor(t.Context(), FloorRun{Connections: 3, Messages: 50, Message: message(), Pipelining: pipelining})
		if err != nil || perSecond <= 0 {
			t.Errorf("pipelining %v gives %v, %v", pipelining, perSecond, err)
		}
	}
	f.mu.Lock()
	taken := f.taken[message().Address]
	f.fault, f.victim = conformance.Refusal, message().Address
	f.mu.Unlock()
	if taken != 100 {
		t.Errorf("%d were taken", taken)
	}
	if _, err := m.Floor(t.Context(), FloorRun{Connections: 3, Messages: 50, Message: message(), Pipelining: true}); err == nil {
		t.Error("refusals are not noticed")
	}
}

func TestABrokenSessionIsNotAlive(t *testing.T) {
	s := openAt(t, &farEnd{pipelining: true})
	if err := s.Alive(t.Context()); err != nil || s.Broken() {
		t.Errorf("a new session gives %v", err)
	}
	s.broken = true
	if err := s.Alive(t.Context()); err == nil || failureOf(t, err).Class != dispatch.SessionFatal {
		t.Errorf("a broken one gives %v", err)
	}
	if words := outcomes(t, s, numbered(2)); words[0] != "session_fatal" || words[1] != "session_fatal" {
		t.Errorf("and its messages %v", words)
	}
}

func TestASessionThatIsNotOpenedInTimeIsNone(t *testing.T) {
	f := startFarEnd(t, &farEnd{})
	m := mailerAt(t, f.listener.Addr().String())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Open(ended); failureOf(t, err).Class != dispatch.Transient {
		t.Errorf("opening gives %v", err)
	}
}
