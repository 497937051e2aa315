package gsm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herald/hardware/gsm/tpdu"
)

// script is a modem that answers as it is told, on a pipe. It is a modem as
// most are until answers are replaced by on.
type script struct {
	mu      sync.Mutex
	answers map[string]func(string)   // guarded by mu: by the beginning of the command
	heard   []string                  // guarded by mu: every command and unit
	opened  int                       // guarded by mu
	line    net.Conn                  // guarded by mu: our end of the newest line
	refuse  error                     // guarded by mu: why the line cannot be opened
	memory  string                    // guarded by mu: the one that is read
	stored  map[string]map[int]string // guarded by mu: "<stat>,,<length>\r\n<unit>" by memory and index
}

func newScript() *script {
	s := &script{answers: map[string]func(string){}, stored: map[string]map[int]string{"SM": {}, "SR": {}}}
	for command, lines := range map[string]string{
		"AT+CMEE?": "+CMEE: 1", "AT+CGMI": "HERALD", "AT+CGMM": "SCRIPT", "AT+CGMR": "1.0", "AT+CGSN": "356938035643809",
		"AT+CPIN?": "+CPIN: READY", "AT+CIMI": "460001234567890", "AT+CCID": "+CCID: 89860012345678901234",
		"AT+CSCA?": `+CSCA: "+8613800100500",145`, "AT+CPMS=?": `+CPMS: ("SM","ME","SR"),("SM","ME"),("SM","ME")`,
		"AT+CSMS=1": "+CSMS: 1,1,1", "AT+CREG?": "+CREG: 0,1", "AT+CSQ": "+CSQ: 20,99", "AT+COPS?": `+COPS: 0,0,"Simtel",2`,
		"AT+CNMI?": "+CNMI: 2,1,0,1,0",
	} {
		s.says(command, lines)
	}
	s.on("AT+CPMS=\"", func(command string) {
		s.mu.Lock()
		s.memory = command[len(`AT+CPMS="`):][:2]
		s.mu.Unlock()
		s.write(fmt.Sprintf("+CPMS: %d,20,%d,20,0,20\r\nOK", len(s.kept()), len(s.kept())))
	})
	s.on("AT+CMGL", func(string) {
		for _, index := range s.kept() {
			s.mu.Lock()
			unit := s.stored[s.memory][index]
			s.mu.Unlock()
			s.write(fmt.Sprintf("+CMGL: %d,%s", index, unit))
		}
		s.write("OK")
	})
	s.on("AT+CMGD", func(command string) {
		var index int
		_, _ = fmt.Sscanf(command, "AT+CMGD=%d", &index)
		s.mu.Lock()
		delete(s.stored[s.memory], index)
		s.mu.Unlock()
		s.write("OK")
	})
	s.on("AT+CMGS", func(string) { s.takesUnit("+CMGS: 7\r\n\r\nOK") })
	return s
}

// kept are the places taken in the memory that is read.
func (s *script) kept() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []int
	for index := range s.stored[s.memory] {
		list = append(list, index)
	}
	slices.Sort(list)
	return list
}

// store puts a unit into a memory.
func (s *script) store(memory string, index int, unit []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored[memory][index] = fmt.Sprintf("0,,%d\r\n00%X", len(unit), unit)
}

// on replaces the answer to commands that begin so.
func (s *script) on(command string, answer func(command string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[command] = answer
}

// says answers with lines and OK.
func (s *script) says(command, lines string) {
	s.on(command, func(string) { s.write(lines + "\r\n\r\nOK") })
}

// ends answers with a final result alone.
func (s *script) ends(command, result string) {
	s.on(command, func(string) { s.write(result) })
}

// write writes lines as a modem does. It is called by answers, and by tests
// for what a modem says by itself.
func (s *script) write(text string) { s.raw("\r\n" + text + "\r\n") }

func (s *script) raw(text string) {
	s.mu.Lock()
	line := s.line
	s.mu.Unlock()
	_, _ = io.WriteString(line, text) // a line that is closed hears nothing
}

// takesUnit asks for the unit and then answers; nothing when empty.
func (s *script) takesUnit(answer string) { s.takesUnitFor(0, answer) }

// takesUnitFor is takesUnit with time between the two.
func (s *script) takesUnitFor(d time.Duration, answer string) {
	s.raw("\r\n> ")
	s.on("unit", func(string) {
		time.Sleep(d) // of the bubble
		if answer != "" {
			s.write(answer)
		}
	})
}

// open is a Config.Open.
func (s *script) open(context.Context) (io.ReadWriteCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	if s.refuse != nil {
		return nil, s.refuse
	}
	ours, theirs := net.Pipe()
	s.line = ours
	go s.serve(ours)
	return theirs, nil
}

// serve reads commands, which end with CR, and units, which end with ^Z or
// ESC. What comes while one is being answered waits, as in a serial line.
func (s *script) serve(line net.Conn) {
	buffer := make(chan byte, 1<<16)
	go func() {
		defer close(buffer)
		in := bufio.NewReader(line)
		for {
			b, err := in.ReadByte()
			if err != nil {
				return
			}
			buffer <- b
		}
	}()
	var text []byte
	for b := range buffer {
		if text = append(text, b); b != '\r' && b != ctrlZ[0] && b != escape[0] {
			continue
		}
		said := strings.TrimRight(string(text), "\r")
		text = nil
		if said == "" {
			continue
		}
		s.mu.Lock()
		s.heard = append(s.heard, said)
		s.mu.Unlock()
		s.answer(said)
	}
}

func (s *script) answer(said string) {
	s.mu.Lock()
	key, longest := "", -1
	switch {
	case strings.HasSuffix(said, ctrlZ):
		key = "unit"
	case strings.HasSuffix(said, escape):
		key = "escape"
	default:
		for command := range s.answers {
			if strings.HasPrefix(said, command) && len(command) > longest {
				key, longest = command, len(command)
			}
		}
	}
	do := s.answers[key]
	s.mu.Unlock()
	switch {
	case do != nil:
		do(said)
	case strings.HasPrefix(said, "AT"):
		s.write("OK")
	}
}

// times is how often a command was heard that begins so.
func (s *script) times(command string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heard {
		if strings.HasPrefix(h, command) {
			n++
		}
	}
	return n
}

// opens is how often the line was opened.
func (s *script) opens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *script) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.line.Close()
}

// with runs a test in a bubble with a modem at work on the script.
func with(t *testing.T, s *script, change func(*Config), test func(t *testing.T, m *Modem)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Open: s.open}
		if change != nil {
			change(&cfg)
		}
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = m.Run(ctx) })
		test(t, m)
		cancel()
		running.Wait()
		s.mu.Lock()
		if s.line != nil {
			_ = s.line.Close()
		}
		s.mu.Unlock()
		synctest.Wait()
	})
}

func ready(t *testing.T, m *Modem) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := m.Ready(ctx); err != nil {
		t.Fatalf("%v; %+v", err, m.Health())
	}
}

func aSubmit(reference byte) tpdu.Submit {
	return tpdu.Submit{
		Reference: reference, Report: true, To: tpdu.Address{Type: tpdu.International, Digits: "8613800138000"},
		UserData: tpdu.UserData{DCS: tpdu.UCS2, Length: 4, Data: []byte{0x4f, 0x60, 0x59, 0x7d}},
	}
}

func aDeliver(t *testing.T, text string) (tpdu.Deliver, []byte) {
	t.Helper()
	d := tpdu.Deliver{
		From: tpdu.Address{Type: tpdu.International, Digits: "8613900139000"}, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		UserData: tpdu.UserData{DCS: tpdu.Data8, Length: len(text), Data: []byte(text)},
	}
	unit, err := d.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return d, unit
}

func aReport(t *testing.T, reference byte) []byte {
	t.Helper()
	r := tpdu.StatusReport{Reference: reference, To: tpdu.Address{Type: tpdu.International, Digits: "8613800138000"}, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Done: time.Date(2026, 3, 1, 12, 0, 9, 0, time.UTC)}
	unit, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return unit
}
