package config

import (
	"fmt"
	"regexp"
	"time"

	"herald/problem"
)

func (a EmailAccount) checkSessions(f *problem.Fields, at func(field string) string) {
	within(f, at("max_sessions"), a.MaxSessions, 1, 1000)
	within(f, at("min_sessions"), a.MinSessions, 0, max(a.MaxSessions, 0))
	lasting(f, at("idle_timeout"), a.IdleTimeout, 0, 24*time.Hour)
	lasting(f, at("check_after"), a.CheckAfter, 0, 24*time.Hour)
}

var recipientPattern = regexp.MustCompile(`^[\pL\pN_-]+(\.[\pL\pN_-]+)*$`)

// checkUse finds mistakes in what the account is used for and how much.
func (a EmailAccount) checkUse(f *problem.Fields, at func(field string) string) {
	for i, p := range a.Purposes {
		oneOf(f, fmt.Sprintf("%s[%d]", at("purposes"), i), p, "transactional", "service", "marketing")
	}
	for i, r := range a.Recipients {
		if !recipientPattern.MatchString(r) {
			f.Add(fmt.Sprintf("%s[%d]", at("recipients"), i), "domain", "is %q and must be a domain, such as example.com", r)
		}
	}
	within(f, at("weight"), a.Weight, 1, 1000)
	if !(a.Cost >= 0 && a.Cost <= 1e9) {
		f.Add(at("cost"), "range", "is %v and must be from 0 to 1e9", a.Cost)
	}
	*f = append(*f, a.Limits.Check(at("limits"))...)
	if len(a.Limits.Prefixes) > 0 {
		f.Add(at("limits.prefixes"), "unknown", "is for numbers: e-mail has domains")
	}
}

func (d Dispatch) checkDoubt(f *problem.Fields) {
	seen := map[Doubt]bool{}
	for i, doubt := range d.Doubt {
		at := fmt.Sprintf("dispatch.doubt[%d].", i)
		oneOf(f, at+"channel", doubt.Channel, "email", "sms", "voice", "fax")
		if doubt.Purpose != "" {
			oneOf(f, at+"purpose", doubt.Purpose, "transactional", "service", "marketing")
		}
		oneOf(f, at+"policy", doubt.Policy, "resend", "wait", "hold", "assume_sent")
		class := Doubt{Channel: doubt.Channel, Purpose: doubt.Purpose}
		if seen[class] {
			f.Add(at+"purpose", "unique", "an entry above speaks of the same messages")
		}
		seen[class] = true
	}
}
