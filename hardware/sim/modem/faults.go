package modem

import (
	"slices"
	"strings"
	"time"

	"herald/hardware/sim"
	"herald/problem"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults of a command, and those that last while they are in force.
const (
	Late    FaultKind = "late"    // the answer comes after Delay
	Lost    FaultKind = "lost"    // the command is carried out, and nothing is answered
	Ignored FaultKind = "ignored" // it is not even carried out
	Error   FaultKind = "error"   // it fails with Code or Text
	Within  FaultKind = "within"  // an indication, Text, gets into the middle of the answer
	Garbage FaultKind = "garbage" // Text, or bytes that are none, come before the answer
	Hang    FaultKind = "hang"    // nothing is answered any more until AT+CFUN=1,1, or until a program opens the line anew
	Unplug  FaultKind = "unplug"  // the line is closed, and is there again after Delay, with another pty
	Reboot  FaultKind = "reboot"  // the modem restarts without an answer, and is there again after Delay, saying Text

	Report   FaultKind = "report"    // status reports say Code (TP-ST) instead of 0
	NoReport FaultKind = "no_report" // no status report comes

	NoNetwork FaultKind = "no_network" // while in force: not registered, and nothing can be sent
	Signal    FaultKind = "signal"     // while in force: AT+CSQ says Code
)

// Fault makes the modem fail.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Command is which commands it concerns: a name such as "+CMGS", with *
	// and ? as wildcards. "AT" is one alone, ">" the prompt of a command that
	// asks for a text, which then goes by its own name. Empty: every command
	// and prompt.
	Command string `json:"command,omitempty"`
	// Recipient is which messages it concerns: a number, with wildcards.
	// Empty: all, and commands without one.
	Recipient string `json:"recipient,omitempty"`
	// Code is for error: a failure of messages (+CMS ERROR) for their
	// commands, of the modem (+CME ERROR) for others; 0: a bare ERROR. For
	// report: TP-ST, 0 to 255. For signal: 0 to 31, or 99.
	Code int `json:"code,omitempty"`
	// Text is one line that takes the place of the usual one.
	Text string `json:"text,omitempty"`
	// Done has the command carried out first: for error, hang, unplug and reboot.
	Done bool `json:"done,omitempty"`
	// Times is how often it happens. 0: always.
	Times int `json:"times,omitempty"`
	// Delay is how long late, unplug and reboot take.
	Delay Duration `json:"delay,omitempty"`
}

// Duration is how long something takes; as text it is such as "1.5s".
type Duration = sim.Duration

// ofCommands are the kinds that happen to a command.
var ofCommands = []FaultKind{Late, Lost, Ignored, Error, Within, Garbage, Hang, Unplug, Reboot}

// complete fills in what was left out and notes what is wrong.
func (f *Fault) complete(mistakes *problem.Fields, at string) {
	lasting := f.Kind == NoNetwork || f.Kind == Signal
	reporting := f.Kind == Report || f.Kind == NoReport
	if !lasting && !reporting && !slices.Contains(ofCommands, f.Kind) {
		mistakes.Add(at+".kind", "one_of", "use late, lost, ignored, error, within, garbage, hang, unplug, reboot, report, no_report, no_network or signal")
		return
	}
	if f.Kind == Within && f.Text == "" {
		f.Text = "^RSSI: 21" // what modems say when the signal changes
	}
	if f.Kind == Garbage && f.Text == "" {
		f.Text = "\x00\xff\xfe\x81\x7f{~"
	} else if strings.ContainsAny(f.Text, "\r\n") {
		mistakes.Add(at+".text", "format", "use one line")
	}
	most := map[FaultKind]int{Error: 999, Report: 255, Signal: 31}[f.Kind]
	if f.Code < 0 || f.Code > most && (f.Kind != Signal || f.Code != 99) {
		mistakes.Add(at+".code", "range", "use 0 to %d; 99 also for a signal; none for kinds without a code", most)
	}
	if f.Times > 0 && lasting {
		mistakes.Add(at+".times", "min", "no_network and signal last")
	}
	if f.Delay < 0 || f.Kind == Late && f.Delay == 0 || f.Delay > 0 && f.Kind != Late && f.Kind != Unplug && f.Kind != Reboot {
		mistakes.Add(at+".delay", "required", "late has a time such as 500ms; unplug and reboot may have one")
	}
	for field, pattern := range map[string]string{"command": f.Command, "recipient": f.Recipient} {
		if !sim.IsPattern(pattern) || pattern != "" && (lasting || reporting && field == "command") {
			mistakes.Add(at+"."+field, "format", "use a name with * and ?, where the kind has one")
		}
	}
}

// inForce is the first fault of a kind that lasts.
func (m *Modem) inForce(kind FaultKind) (Fault, bool) {
	return m.faults.Take(func(f *Fault) bool { return f.Kind == kind })
}

// fault uses up one time of the first fault of these kinds that fits.
func (m *Modem) fault(command, recipient string, kinds ...FaultKind) (Fault, bool) {
	return m.faults.Take(func(f *Fault) bool {
		return slices.Contains(kinds, f.Kind) && sim.Fits(f.Command, command) && sim.Fits(f.Recipient, recipient)
	})
}

// SetFaults replaces the faults; it fails with problem.Invalid and changes
// nothing when one of them is not complete. The network comes and goes at once.
func (m *Modem) SetFaults(list ...Fault) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.registered()
	if err := m.faults.Set(list...); err != nil {
		return err
	}
	if m.registered() != before {
		m.registrationChanged()
		m.bring()
	}
	return nil
}

// Faults are those in force, with what is left of their Times.
func (m *Modem) Faults() []Fault { return m.faults.All() }

// meddled carries out a command, unless and as far as a fault lets it.
func (m *Modem) meddled(command, recipient string, do func() answer) answer {
	fault, found := m.fault(command, recipient, ofCommands...)
	if !found {
		return do()
	}
	a := answer{silent: true}
	if fault.Done || slices.Contains([]FaultKind{Late, Lost, Within, Garbage}, fault.Kind) {
		a = do()
	}
	switch fault.Kind {
	case Late:
		a.silent = !m.wait(time.Duration(fault.Delay)) || a.silent
	case Lost:
		a.silent = true
	case Error:
		return answer{fail: m.failure(fault, command)}
	case Within:
		a.within = fault.Text
	case Garbage:
		a.before = fault.Text
	case Hang:
		m.hang()
		return answer{silent: true}
	case Unplug:
		m.away = time.Duration(fault.Delay)
		if err := m.unplug(); err != nil {
			m.cfg.Logger.Warn("simulated modem: unplugging", "error", err)
		}
		return answer{silent: true}
	case Reboot:
		m.restart(time.Duration(fault.Delay), fault.Text)
		return answer{silent: true}
	}
	return a
}

func (m *Modem) failure(fault Fault, command string) *failure {
	switch {
	case fault.Text != "":
		return &failure{text: fault.Text}
	case fault.Code == 0:
		return &failure{text: "ERROR"}
	}
	return &failure{cms: command == ">" || m.commands[command].messages, code: fault.Code}
}

// hang stops all answers; openings of the line before count no more.
func (m *Modem) hang() {
	m.hung = true
	if m.port != nil {
		m.port.notice.any()
	}
}
