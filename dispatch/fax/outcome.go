package fax

import (
	"fmt"
	"time"

	"herald/dispatch"
	"herald/hardware/fax"
	"herald/subscriptions"
)

// outcome is what came of a job: one of hardware/fax's failures, or one of
// these.
type outcome string

const (
	delivered  outcome = "delivered"  // all pages are confirmed
	unsent     outcome = "unsent"     // the server surely never had it
	forgotten  outcome = "forgotten"  // the server knows it no more
	incomplete outcome = "incomplete" // the server calls it done, and it is not
	expired            = outcome(fax.Expired)
)

// outcomeOf is what came of a job that has ended.
func (j job) outcomeOf(s fax.Status, now time.Time) outcome {
	failure := s.Failure()
	switch {
	case s.Delivered(j.own()):
		return delivered
	case s.State == fax.Done:
		return incomplete
	case failure == fax.Killed && !now.Before(j.ExpiresAt): // by us
		return expired
	case failure == fax.None:
		return outcome(fax.ServerFault)
	}
	return outcome(failure)
}

// inVain is how many dials of the job a person may have answered: those that no
// fax did, but the last where its failure says otherwise.
func (j job) inVain(s fax.Status) int {
	n := s.Dials - j.Dials - (s.Tries - j.Tries)
	if failure := s.Failure(); failure == fax.Busy || failure == fax.NoAnswer || failure == fax.NoTone {
		n--
	}
	return j.Vain + max(n, 0)
}

// mostFurther is how many jobs a delivery has besides the first, for pages that
// are left.
const mostFurther = 2

// goesOn reports whether a job that has ended is followed by another: the
// number was not dialled often enough, or some pages got through and others
// did not. What no fax answered is not dialled again, nor is what somebody ended.
func (j job) goesOn(maxDials int, due time.Time) bool {
	if !due.Before(j.ExpiresAt) || !j.Kept {
		return false
	}
	switch fax.Failure(j.Outcome) {
	case fax.Busy, fax.NoAnswer, fax.NoTone:
		return j.DialsBefore+j.Dials < maxDials || j.through() > 0 && j.Further < mostFurther
	case fax.Dropped, fax.Unconfirmed:
		return j.through() > 0 && j.Further < mostFurther
	case fax.None, fax.NoCarrier, fax.NoFax, fax.Refused, fax.Killed, fax.Expired, fax.Document, fax.ServerFault:
	}
	return false
}

// details are what the outcomes mean, for operators.
var details = map[outcome]string{
	outcome(fax.Busy):        "the number was busy",
	outcome(fax.NoAnswer):    "nobody answered",
	outcome(fax.NoCarrier):   "nobody answered, or somebody who is no fax",
	outcome(fax.NoFax):       "somebody answered who is no fax",
	outcome(fax.NoTone):      "the server's own line is dead",
	outcome(fax.Refused):     "the number cannot be dialled, or takes nothing from us",
	outcome(fax.Killed):      "somebody killed the job at the server",
	outcome(fax.Document):    "the server cannot make a fax of the document, or not for that machine",
	outcome(fax.Dropped):     "the line or the other machine failed",
	outcome(fax.Unconfirmed): "a page went over that was not confirmed: it may have arrived",
	outcome(fax.ServerFault): "the server has a fault",
	expired:                  "there was no more time",
	incomplete:               "the server calls it done, and did not send every page",
}

// report is what is reported of a job that has ended.
func (j job) report() dispatch.Report {
	r := dispatch.Report{
		DeliveryID: j.Delivery, ProviderID: j.ID, Channel: subscriptions.Fax, Event: dispatch.ReportBounced,
		Code: string(j.Outcome), Key: "fax " + j.Info,
	}
	switch j.Outcome {
	case delivered: // which its event says
		r.Event, r.Code = dispatch.ReportDelivered, ""
	case expired:
		r.Event = dispatch.ReportExpired
	}
	if j.EndedAt != nil {
		r.At = *j.EndedAt
	}
	r.Detail = fmt.Sprintf("%d of %d pages, dials: %d", j.through(), j.Pages, j.DialsBefore+j.Dials)
	if words := details[j.Outcome]; words != "" {
		r.Detail = words + "; " + r.Detail
	}
	return r
}
