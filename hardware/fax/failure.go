package fax

import "strings"

// Failure is why a fax did not go out, or its last try.
type Failure string

// The failures.
const (
	None      Failure = ""
	Busy      Failure = "busy"
	NoAnswer  Failure = "no_answer"  // it rang, and nobody answered
	NoCarrier Failure = "no_carrier" // nobody answered, or somebody who is no fax: a person, perhaps
	NoFax     Failure = "no_fax"     // somebody answered who is no fax: a person, or a machine for data
	NoTone    Failure = "no_tone"    // our own line is dead
	Refused   Failure = "refused"    // the number cannot or must not be dialled, or does not take ours
	Killed    Failure = "killed"     // by somebody
	Expired   Failure = "expired"    // LastTime passed
	Document  Failure = "document"   // the document cannot be made a fax, or not one for that machine
	Dropped   Failure = "dropped"    // the line or the other machine failed; the page under way did not arrive
	// Unconfirmed: a page went over, and the other machine did not say what
	// became of it. It may have been printed: nobody knows.
	Unconfirmed Failure = "unconfirmed"
	ServerFault Failure = "server" // the server has a fault, or says what we do not know
)

// Failure is why the last try failed; None when it did not. The codes are
// HylaFAX's (faxd/STATUS.txt of its sources).
func (s Status) Failure() Failure {
	if s.State == Done || s.Code == 0 && s.Text == "" {
		return None
	}
	// A job that was dialled too often says so by its code (333, 334), and in
	// words why the last call failed.
	text := strings.ToLower(s.Text)
	for _, p := range phrases {
		if strings.Contains(text, p.words) {
			return p.failure
		}
	}
	if strings.Contains(text, "too many attempts") {
		return Dropped // by one of the many errors of a call that was answered
	}
	for _, r := range ranges {
		if r.first <= s.Code && s.Code <= r.last {
			return r.failure
		}
	}
	return ServerFault
}

var phrases = []struct {
	words   string
	failure Failure
}{
	{"busy signal", Busy},
	{"no answer", NoAnswer},
	{"no carrier", NoCarrier},
	{"no receiver protocol", NoFax},
	{"wanted fax", NoFax},
	{"phase a failure", NoFax},
	{"without successful handshake", NoFax},
	{"no local dialtone", NoTone},
	{"no loop current", NoTone},
	{"blacklisted", Refused},
	{"invalid dialing command", Refused},
	{"permission denied", Refused},
	{"aborted by request", Killed},
	{"aborted by user", Killed},
	{"interrupted by user", Killed},
	{"kill time expired", Expired},
	{"no response to mps", Unconfirmed},
	{"no response to eop", Unconfirmed},
	{"no response to eom", Unconfirmed},
	{"no response to ppm", Unconfirmed},
	{"no response to pps", Unconfirmed},
	{"no response to rr", Unconfirmed}, // also RNR
	{"no response to eor", Unconfirmed},
	{"rsprec", Unconfirmed},
	{"response received to", Unconfirmed},
	{"invalid response to", Unconfirmed},
	{"disconnected prematurely", Unconfirmed},
	{"converted document", Document},
	{"document is not supported", Document},
}

var ranges = []struct {
	first, last int
	failure     Failure
}{
	{1, 1, Busy},
	{2, 2, NoCarrier},
	{3, 3, NoAnswer},
	{4, 4, NoTone},
	{5, 5, Refused},
	{6, 6, ServerFault},
	{7, 8, NoFax},
	{9, 9, Busy}, // a call came in as we went out
	{10, 10, Refused},
	{11, 11, NoAnswer},
	{12, 12, NoFax},
	{103, 104, Unconfirmed},
	{106, 106, Unconfirmed},
	{109, 109, Unconfirmed},
	{122, 122, NoFax},
	{126, 126, NoFax},
	{128, 128, Unconfirmed},
	{139, 140, Unconfirmed},
	{144, 147, Unconfirmed},
	{150, 153, Unconfirmed},
	{50, 199, Dropped},
	{214, 214, NoTone},
	{215, 216, NoAnswer},
	{217, 218, NoFax},
	{223, 223, Unconfirmed},
	{236, 243, Unconfirmed},
	{254, 255, Unconfirmed},
	{259, 261, Document},
	{200, 299, Dropped},
	{314, 321, Document},
	{323, 323, Document},
	{325, 325, Expired},
	{327, 327, Refused},
	{344, 345, Killed},
	{347, 347, Document},
	{348, 348, Refused},
	{350, 351, Refused},
	{400, 419, Document},
}
