package smtp

import (
	"slices"
	"strings"

	"herald/hardware/sim"
	"herald/problem"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults, in the order of a conversation.
const (
	Close          FaultKind = "close"            // the connection is closed before a word
	Refuse         FaultKind = "refuse"           // RCPT is refused for good: Code 5xx
	Temporary      FaultKind = "temporary"        // RCPT is refused for now: Code 4xx
	DropBeforeData FaultKind = "drop_before_data" // the connection breaks at RCPT
	DropInData     FaultKind = "drop_in_data"     // it breaks after DATA, before the mail is through; the mail is not kept
	DropAfterData  FaultKind = "drop_after_data"  // it breaks after the mail, before the answer; the mail is not kept
	Doubt          FaultKind = "doubt"            // the mail is kept, and the connection breaks before the answer
	RefuseData     FaultKind = "refuse_data"      // the mail is read and refused: Code 4xx or 5xx
	Delay          FaultKind = "delay"            // the mail is kept, and the answer comes after Delay
)

// Fault makes the server fail for some recipients.
type Fault struct {
	// Recipient is whom it concerns: an address with * and ? as wildcards, in
	// lower case, such as "*@slow.example". Empty: everybody. Close concerns
	// connections and has none.
	Recipient string    `json:"recipient,omitempty"`
	Kind      FaultKind `json:"kind"`
	// Code is the SMTP reply, for the kinds that refuse. 0: 550, 450 or 554.
	Code int `json:"code,omitempty"`
	// Text is what the reply says, beginning with the enhanced code where
	// there should be one ("5.1.1 no such user"). Empty: one that fits.
	Text string `json:"text,omitempty"`
	// Times is how often it happens. 0: always.
	Times int `json:"times,omitempty"`
	// Delay is how long the answer takes, for the kind delay.
	Delay Duration `json:"delay,omitempty"`
}

// Duration is how long something takes; as text it is such as "1.5s".
type Duration = sim.Duration

// complete fills in what was left out and notes what is wrong.
func (f *Fault) complete(mistakes *problem.Fields, at string) {
	defaults, known := map[FaultKind]struct {
		code int
		text string
	}{
		Close: {}, DropBeforeData: {}, DropInData: {}, DropAfterData: {}, Doubt: {}, Delay: {},
		Refuse:     {550, "5.1.1 no such user here"},
		Temporary:  {450, "4.2.0 mailbox busy, try again later"},
		RefuseData: {554, "5.6.0 not accepted"},
	}[f.Kind]
	if !known {
		mistakes.Add(at+".kind", "one_of", "use close, refuse, temporary, drop_before_data, drop_in_data, drop_after_data, doubt, refuse_data or delay")
		return
	}
	if f.Code == 0 {
		f.Code = defaults.code
	}
	if f.Text == "" {
		f.Text = defaults.text
	}
	least, most := 0, 0
	switch f.Kind {
	case Refuse:
		least, most = 500, 599
	case Temporary:
		least, most = 400, 499
	case RefuseData:
		least, most = 400, 599
	}
	if f.Code < least || f.Code > most {
		mistakes.Add(at+".code", "range", "use a reply from %d to %d", least, most)
	}
	if strings.ContainsAny(f.Text, "\r\n") {
		mistakes.Add(at+".text", "format", "use one line")
	}
	if (f.Kind == Delay) != (f.Delay > 0) {
		mistakes.Add(at+".delay", "required", "a delay, and no other kind, has a time such as 500ms")
	}
	if !sim.IsPattern(f.Recipient) || f.Kind == Close && f.Recipient != "" {
		mistakes.Add(at+".recipient", "format", "use an address with * and ?; none for the kind close")
	}
}

// fault uses up one time of the first fault of these kinds that fits the recipient.
func (s *Server) fault(recipient string, kinds ...FaultKind) (Fault, bool) {
	return s.faults.Take(func(f *Fault) bool {
		return slices.Contains(kinds, f.Kind) && sim.Fits(f.Recipient, recipient)
	})
}
