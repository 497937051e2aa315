package sgip

import (
	"errors"
	"fmt"
	"strconv"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
)

// The results that more than their meaning depends on.
const (
	resultOK       = 0
	resultLogin    = 1
	resultKind     = 4
	resultFormat   = 5
	resultSequence = 9
	resultBusy     = 11
	unknownUser    = 29
)

// refusal is why a gateway lets us not in: the results of BIND_RESP.
//
//	1 name or password wrong, 4 login type wrong    configuration
//	2 signed in already, 3 too many connections,    transient: a gateway that still
//	  11 busy, and all others                       holds our last connection lets us in soon
func refusal(result byte) *dispatch.SendError {
	failure := &dispatch.SendError{Class: dispatch.Transient, Code: code(result), Err: errors.New("the gateway lets us not in")}
	switch result {
	case resultLogin:
		failure.Class, failure.Err = dispatch.Configuration, errors.New("the gateway does not know the name and password")
	case resultKind:
		failure.Class, failure.Err = dispatch.Configuration, errors.New("the gateway takes no clients")
	}
	return failure
}

func code(n byte) string { return strconv.Itoa(int(n)) }

// outcome is what a result or error code means: of a SUBMIT that was refused
// with it, and of a message of which it is reported.
type outcome struct {
	class    dispatch.Class
	reported dispatch.ReportEvent
	dead     bool // the address
	why      string
}

// outcomes are the error codes (SGIP 1.2, table of error codes: 1 to 20 in answers, from
// 21 on in reports mostly).
var outcomes = map[byte]outcome{
	1:  {dispatch.Configuration, dispatch.ReportBounced, false, "we are not signed in"},
	2:  {dispatch.Transient, dispatch.ReportBounced, false, "we signed in twice"},
	3:  {dispatch.Transient, dispatch.ReportBounced, false, "there are too many connections"},
	4:  {dispatch.Configuration, dispatch.ReportBounced, false, "the login type is wrong"},
	5:  {dispatch.Permanent, dispatch.ReportBounced, false, "a field cannot be"},
	6:  {dispatch.Permanent, dispatch.ReportBounced, false, "the gateway does not serve the recipient's number"},
	7:  {dispatch.Permanent, dispatch.ReportBounced, false, "the gateway does not know the command"},
	8:  {dispatch.Permanent, dispatch.ReportBounced, false, "the length is wrong"},
	10: {dispatch.Permanent, dispatch.ReportBounced, false, "it is not ours to ask"},
	11: {dispatch.Throttled, dispatch.ReportExpired, false, "the gateway is busy"},
	21: {dispatch.Transient, dispatch.ReportExpired, false, "the recipient's node serves nobody now"},
	22: {dispatch.Transient, dispatch.ReportBounced, false, "the route is wrong"},
	23: {dispatch.Permanent, dispatch.ReportBounced, false, "there is no route to the number"},
	24: {dispatch.Configuration, dispatch.ReportBounced, false, "the number that pays may not"},
	25: {dispatch.Transient, dispatch.ReportExpired, false, "the phone is off, or out of reach"},
	26: {dispatch.Transient, dispatch.ReportExpired, false, "the phone's memory is full"},
	27: {dispatch.Permanent, dispatch.ReportBounced, false, "the phone takes no messages"},
	28: {dispatch.Transient, dispatch.ReportBounced, false, "the phone took it with an error"},
	29: {dispatch.Permanent, dispatch.ReportBounced, true, "nobody has the number"},
	30: {dispatch.Permanent, dispatch.ReportBounced, false, "the recipient has not this service"},
	31: {dispatch.Permanent, dispatch.ReportBounced, false, "the phone is barred"},
	32: {dispatch.Transient, dispatch.ReportExpired, false, "the system failed"},
	33: {dispatch.Throttled, dispatch.ReportExpired, false, "the centre's queue is full"},
}

// judge says what an answer to a SUBMIT means for its part.
//
// SGIP has the receiver discard what has a sequence and content that it had
// before, so a message whose answer was lost is sent again with its
// sequence, and the answer to that is the message's. A gateway that calls the
// repetition a mistake (9) says that it heard the message before, but not what
// it made of it: that stays doubt. Of a sequence sent once, it says that it is
// not to its taste: the message goes again, with another.
func judge(r *link.Request, reply wire.PDU) link.Verdict {
	result, err := parseResult(reply.Body)
	if err != nil || reply.Command != submit|answer {
		return link.Verdict{Class: dispatch.Doubt, Err: errors.Join(errNonsense, err)}
	}
	v := link.Verdict{Code: code(result)}
	known, found := outcomes[result]
	switch {
	case result == resultOK:
		v.ProviderID = sequenceText(r.Sequence)
	case result == resultSequence && r.Repeated():
		v.Class, v.Err = dispatch.Doubt, errors.New("the gateway heard the message before, and its answer was lost")
	case result == resultSequence:
		v.Class, v.Err = dispatch.Transient, errors.New("the gateway does not take the sequence")
	case !found:
		v.Class, v.Err = dispatch.Transient, fmt.Errorf("the gateway refuses the message: result %d", result)
	default:
		v.Class, v.Err, v.AddressDead = known.class, errors.New(known.why), known.dead
	}
	return v
}

var errNonsense = errors.New("the gateway's answer cannot be read")

// The states of a REPORT.
const (
	stateArrived = 0
	stateWaiting = 1
)

// report is what a REPORT means: it arrived, it still waits, or it failed for
// the reason of its code.
func (n news) report() dispatch.Report {
	r := dispatch.Report{ProviderID: sequenceText(n.about), Code: code(n.code)}
	switch n.state {
	case stateArrived:
		r.Event = dispatch.ReportDelivered
	case stateWaiting:
		r.Event = dispatch.ReportDelayed
	default:
		known, found := outcomes[n.code]
		if !found {
			known = outcome{reported: dispatch.ReportBounced, why: "the gateway says no more"}
		}
		r.Event, r.Detail, r.AddressDead = known.reported, known.why, known.dead
	}
	r.Key = fmt.Sprintf("%s %d %d", r.ProviderID, n.state, n.code)
	return r
}
