package cmpp

import (
	"errors"
	"fmt"
	"strconv"

	"herald/dispatch"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
)

// refusal is why a gateway lets us not in. Of a status of CONNECT_RESP (CMPP
// 3.0, section 8.4.1.2):
//
//	1 the message's structure is wrong    configuration
//	2 no such company's code              configuration
//	3 the authentication is wrong         configuration
//	4 the version is too high             configuration, where 2.0 was not tried yet: 2.0 is
//	5 and more: others, such as too many  transient: a gateway that still holds
//	  connections                         our last connection lets us in soon
func refusal(status uint32) *dispatch.SendError {
	failure := &dispatch.SendError{Class: dispatch.Transient, Code: code(status), Err: errors.New("the gateway lets us not in")}
	if why, known := map[uint32]string{
		1:       "the gateway does not understand our CONNECT",
		2:       "the gateway does not know the company's code",
		3:       "the gateway does not know the company's code and secret, or our clock differs from its",
		tooHigh: "the gateway has not this version of CMPP",
	}[status]; known {
		failure.Class, failure.Err = dispatch.Configuration, errors.New(why)
	}
	return failure
}

// tooHigh is the status of a CONNECT with a version that the gateway has not.
const tooHigh = 4

func code(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// outcome is what a result of SUBMIT_RESP means.
type outcome struct {
	class dispatch.Class
	why   string
}

// The results that the outcome of a message does not follow from alone.
const (
	taken     = 0
	duplicate = 3
	tooFast   = 8
)

// results are those of SUBMIT_RESP (CMPP 3.0, section 8.4.3.2). In 2.0 all from
// 9 on are "others".
var results = map[uint32]outcome{
	1:  {dispatch.Permanent, "the gateway does not understand the SUBMIT"},
	2:  {dispatch.Permanent, "the gateway does not know the command"},
	4:  {dispatch.Permanent, "the length of the SUBMIT is wrong"},
	5:  {dispatch.Configuration, "the fee code is wrong"},
	6:  {dispatch.Permanent, "the message is too long"},
	7:  {dispatch.Configuration, "the service id is wrong"},
	8:  {dispatch.Throttled, "we send too fast"},
	9:  {dispatch.Configuration, "the gateway does not serve the number that pays"},
	10: {dispatch.Configuration, "the source number is wrong"},
	11: {dispatch.Configuration, "the company's code is wrong"},
	12: {dispatch.Configuration, "the number that pays is wrong"},
	// The number may well exist, at another operator.
	13: {dispatch.Permanent, "the gateway does not serve the recipient's number"},
}

// judge says what an answer to a SUBMIT means for its part.
//
// A sequence that the gateway had before (3) is our own repetition when we sent
// it twice: it heard the message the first time, and what it made of it we do
// not know, for the answer with the Msg_Id was lost. That is doubt. When we sent
// it once, the gateway took it for another one of an earlier connection, and
// refused it: it goes again, with another sequence.
//
// An answer that cannot be read leaves open what it said: doubt, too.
func judge(r *link.Request, reply wire.PDU, version byte) link.Verdict {
	s, err := parseSubmitted(reply.Body, version)
	if err != nil || reply.Command != submit|answer {
		return link.Verdict{Class: dispatch.Doubt, Err: errors.Join(errNonsense, err)}
	}
	v := link.Verdict{Code: code(s.result)}
	result, known := results[s.result]
	switch {
	case s.result == taken:
		v.ProviderID, v.Detail = idText(s.id), idWords(s.id)
	case s.result == duplicate && r.Repeated():
		v.Class, v.Err = dispatch.Doubt, errors.New("the gateway heard the message before, and its answer was lost")
	case s.result == duplicate:
		v.Class, v.Err = dispatch.Transient, errors.New("the gateway takes the sequence for an earlier one")
	case !known || version < v30 && s.result > tooFast:
		v.Class, v.Err = dispatch.Transient, fmt.Errorf("the gateway refuses the message: result %d", s.result)
	default:
		v.Class, v.Err = result.class, errors.New(result.why)
	}
	return v
}

var errNonsense = errors.New("the gateway's answer cannot be read")

// eventOf is what a Stat says (CMPP 3.0, section 8.4.5.1, table 1):
//
//	DELIVRD  it arrived                                     delivered
//	ACCEPTD  in between; gateways should keep it to         delayed
//	         themselves, and some do not
//	EXPIRED  its time is over                               expired
//	UNKNOWN  the centre lost track of it                    expired
//	DELETED UNDELIV REJECTD                                 bounced
//	MA CA DA SA IA  the centre, the account system, the     expired
//	         service platform, we, the next gateway did not
//	         answer the gateway, which gives up
//	MB CB DB SB IB  they answered with an error             bounced
//	MC IC    neither the centre nor the next gateway told   delayed: it may have
//	         what came of it                                arrived; no more is said
//	anything else is an error of that operator's own,       bounced
//	         such as MK:0001
//
// The figures behind MA: and the others are the operator's, so no Stat says for
// sure that nobody has the number.
func eventOf(stat string) dispatch.ReportEvent {
	switch stat {
	case "DELIVRD":
		return dispatch.ReportDelivered
	case "ACCEPTD":
		return dispatch.ReportDelayed
	case "EXPIRED", "UNKNOWN":
		return dispatch.ReportExpired
	}
	if len(stat) < 3 || stat[2] != ':' {
		return dispatch.ReportBounced
	}
	switch stat[:2] {
	case "MA", "CA", "DA", "SA", "IA":
		return dispatch.ReportExpired
	case "MC", "IC":
		return dispatch.ReportDelayed
	}
	return dispatch.ReportBounced
}
