package voice

import (
	"testing"
	"time"

	"herald/dispatch"
	"herald/hardware/sip"
)

// TestWhatWasAnsweredIsNeverDialledAgain, however the call broke; where they
// could not hear us, it is a failure for good.
func TestWhatWasAnsweredIsNeverDialledAgain(t *testing.T) {
	s := &Sender{cfg: Account{Name: "trunk", Tries: 3, RetryBusy: time.Minute, RetryNoAnswer: time.Minute}}
	for _, class := range []sip.Class{
		sip.Busy, sip.NoAnswer, sip.Congestion, sip.Unreachable, sip.Unexpected, sip.Over, sip.BadNumber, sip.Rejected, sip.NoSound, sip.Credentials, sip.GivenUp,
	} {
		_, failure := s.settled(row{Outcome: outcome(class), Steps: []step{{Code: codeDialled}, {Code: codeAnswered}, {Code: codeFailed}}}, 0, 0, nil)
		if failure != nil && (class != sip.NoSound || failure.Class != dispatch.Permanent) {
			t.Errorf("%s is %v", class, failure)
		}
		if _, failure = s.settled(row{Outcome: outcome(class), Steps: []step{{Code: codeDialled}, {Code: codeFailed}}}, 0, 0, nil); failure == nil {
			t.Errorf("%s is a success, although nobody answered", class)
		}
	}
}
