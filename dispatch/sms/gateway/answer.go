package gateway

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"herald/dispatch"
	"herald/problem"
)

// facts are where an answer has what is kept of it.
type facts struct{ id, code, detail, price, unit *place }

// rule is one of a description, ready to be tried.
type rule struct {
	statuses [][2]int // from, to
	codes    []string
	body     *regexp.Regexp

	class dispatch.Class // empty: accepted
	dead  bool
	after time.Duration
}

// accepted stands in a rule for no failure.
const accepted = "accepted"

// classes are the failures a rule can name.
var classes = map[string]dispatch.Class{
	accepted:        "",
	"permanent":     dispatch.Permanent,
	"transient":     dispatch.Transient,
	"throttled":     dispatch.Throttled,
	"in_doubt":      dispatch.Doubt,
	"session_fatal": dispatch.SessionFatal,
	"configuration": dispatch.Configuration,
}

func (d *Description) compileAnswer(f *problem.Fields) {
	a := d.spec.Answer
	d.answer = facts{
		newPlace(a.ID, "answer.id", f), newPlace(a.Code, "answer.code", f), newPlace(a.Detail, "answer.detail", f),
		newPlace(a.Price, "answer.price", f), newPlace(a.Unit, "answer.unit", f),
	}
	takes := false
	for i, r := range a.Rules {
		one := newRule(r, fmt.Sprintf("answer.rules[%d]", i), f)
		takes = takes || one.class == ""
		d.rules = append(d.rules, one)
	}
	if !takes {
		f.Add("answer.rules", "required", "need one that says what is accepted")
	}
}

func newRule(s ruleSpec, at string, f *problem.Fields) rule {
	r := rule{codes: s.Code, dead: s.AddressDead, after: s.After}
	if len(s.Status) == 0 && len(s.Code) == 0 && s.Body == "" {
		f.Add(at, "required", "needs a status, a code or a body that it is for")
	}
	for i, status := range s.Status {
		span, known := statuses(status)
		if !known {
			f.Add(fmt.Sprintf("%s.status[%d]", at, i), "format", "is %q and must be a status such as 200, 2xx or 500-599", status)
		}
		r.statuses = append(r.statuses, span)
	}
	r.body = newPattern(s.Body, 0, at+".body", f)
	var known bool
	if r.class, known = classes[s.Is]; !known {
		f.Add(at+".is", "option", "is %q and must be one of: accepted, permanent, transient, throttled, in_doubt, session_fatal, configuration", s.Is)
	}
	if s.AddressDead && s.Is != "permanent" {
		f.Add(at+".address_dead", "conflict", "goes with permanent only")
	}
	if s.After < 0 || s.After > maxAfter {
		f.Add(at+".after", "range", "is %v and must be from 0 to %v", s.After, maxAfter)
	}
	return r
}

// statuses reads 200, 2xx or 500-599.
func statuses(word string) (span [2]int, known bool) {
	from, to, isSpan := strings.Cut(word, "-")
	if class, is := strings.CutSuffix(word, "xx"); is {
		from, to, isSpan = class+"00", class+"99", true
	}
	if !isSpan {
		to = from
	}
	low, err := strconv.Atoi(from)
	high, err2 := strconv.Atoi(to)
	return [2]int{low, high}, err == nil && err2 == nil && low >= 100 && low <= high && high <= 599
}

func (r rule) fits(status int, code string, body []byte) bool {
	return (len(r.statuses) == 0 || slices.ContainsFunc(r.statuses, func(s [2]int) bool { return s[0] <= status && status <= s[1] })) &&
		(len(r.codes) == 0 || isAmong(code, r.codes)) &&
		(r.body == nil || r.body.Match(body))
}

// isAmong reports whether a word is in a list, whose words may end in *.
func isAmong(word string, list []string) bool {
	return slices.ContainsFunc(list, func(one string) bool {
		if begin, open := strings.CutSuffix(one, "*"); open {
			return strings.HasPrefix(word, begin)
		}
		return word == one
	})
}

// maxAfter is the longest that a provider's wish for the next try is heeded.
const maxAfter = 24 * time.Hour

// read says what an answer means for the message.
func (d *Description) read(s *said, now time.Time) (dispatch.Receipt, *dispatch.SendError) {
	code := d.answer.code.find(s)
	verdict := usual(s.status)
	for _, r := range d.rules {
		if r.fits(s.status, code, s.body) {
			verdict = r
			break
		}
	}
	shown := codeOf(code)
	if shown == "" {
		shown = strconv.Itoa(s.status)
	}
	if verdict.class == "" {
		return dispatch.Receipt{ProviderID: providerID(d.answer.id.find(s)), Code: shown, Detail: d.price(s)}, nil
	}
	after := verdict.after
	if asked := retryAfter(s.header.Get("Retry-After"), now); asked > 0 {
		after = min(asked, maxAfter)
	}
	return dispatch.Receipt{}, &dispatch.SendError{
		Class: verdict.class, Code: shown, After: after, AddressDead: verdict.dead,
		Err: answerError{s.status, wordsOf(d.answer.detail.find(s))},
	}
}

func (d *Description) price(s *said) string {
	price := codeOf(d.answer.price.find(s))
	if price == "" {
		return ""
	}
	return strings.TrimSpace("price " + price + " " + codeOf(d.answer.unit.find(s)))
}

// answerError is what a provider answered instead of taking the message.
type answerError struct {
	status int
	detail string // without numbers
}

func (e answerError) Error() string {
	if e.detail == "" {
		return fmt.Sprintf("the gateway answers %d", e.status)
	}
	return fmt.Sprintf("the gateway answers %d: %s", e.status, e.detail)
}

// usual is what a status means that no rule speaks of (RFC 9110, section 15).
// Only what says that the request was not carried out lets it be tried again
// elsewhere; a success nobody described may be anything.
//
//	408, 425, 503                  not carried out: transient
//	421                            not carried out on this connection: session fatal
//	429                            throttled
//	401, 402, 403, 404, 405, 407,  who or what we call is wrong: configuration
//	  410, 411, 415, 3xx
//	any other 4xx                  the message is wrong: permanent
//	2xx, any other 5xx             in doubt
func usual(status int) rule {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusServiceUnavailable:
		return rule{class: dispatch.Transient}
	case http.StatusMisdirectedRequest:
		return rule{class: dispatch.SessionFatal}
	case http.StatusTooManyRequests:
		return rule{class: dispatch.Throttled}
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusGone, http.StatusLengthRequired, http.StatusUnsupportedMediaType:
		return rule{class: dispatch.Configuration}
	}
	switch status / 100 {
	case 3:
		return rule{class: dispatch.Configuration}
	case 4:
		return rule{class: dispatch.Permanent}
	}
	return rule{class: dispatch.Doubt}
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0: neither.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int(maxAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
