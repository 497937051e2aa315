package limits

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"herald/problem"
)

var (
	domainPattern = regexp.MustCompile(`^(\*|(\*\.)?[\pL\pN_-]+(\.[\pL\pN_-]+)*)$`)
	prefixPattern = regexp.MustCompile(`^\+[0-9]{1,15}$`)
)

// Check finds every mistake in rules with their defaults. The paths begin with
// at, such as "email.accounts[0].limits", or with nothing.
func (r Rules) Check(at string) problem.Fields {
	var f problem.Fields
	if at != "" {
		at += "."
	}
	r.Rate.check(&f, at+"rate")
	if r.Counts != "messages" && r.Counts != "parts" {
		f.Add(at+"counts", "one_of", "must be messages or parts")
	}
	for _, domain := range slices.Sorted(maps.Keys(r.Domains)) {
		path := at + "domains[" + domain + "]"
		if !domainPattern.MatchString(domain) || domain != strings.ToLower(domain) {
			f.Add(path, "domain", "must be a domain in lower case, *.domain or *")
		}
		r.Domains[domain].check(&f, path)
	}
	for _, prefix := range slices.Sorted(maps.Keys(r.Prefixes)) {
		path := at + "prefixes[" + prefix + "]"
		if !prefixPattern.MatchString(prefix) {
			f.Add(path, "prefix", "must be + and the first digits of a number")
		}
		r.Prefixes[prefix].check(&f, path)
	}
	r.WarmUp.check(&f, at+"warm_up")
	if _, err := time.LoadLocation(r.TimeZone); err != nil || r.TimeZone == "Local" {
		f.Add(at+"time_zone", "time_zone", "must be a time zone such as Asia/Shanghai")
	}
	return f
}

// check leaves a rate without Max alone: it is none.
func (r Rate) check(f *problem.Fields, path string) {
	if r.Max == 0 {
		return
	}
	period, ok := periods[r.Per]
	if !ok {
		f.Add(path+".per", "one_of", "must be second, minute, hour or day")
		return
	}
	most := 1e6 * period.Seconds()
	least := period.Seconds() / slowest.Seconds()
	if !(r.Max >= least && r.Max <= most) {
		f.AddArgs(path+".max", "range", map[string]any{"min": least, "max": most}, "must be from %.2g to %.2g", least, most)
	}
	// A burst of all would leave nothing for the rest of the time.
	if most := max(1, int(math.Floor(min(r.Max, 2*maxBurst)/2))); r.Burst < 1 || r.Burst > most {
		f.AddArgs(path+".burst", "range", map[string]any{"min": 1, "max": most}, "must be from 1 to %d, half of max", most)
	}
}

func (w WarmUp) check(f *problem.Fields, path string) {
	if w.Start == "" {
		return
	}
	if _, err := time.Parse(time.DateOnly, w.Start); err != nil {
		f.Add(path+".start", "date", "must be a date such as 2026-03-01")
	}
	if w.Spread < 1 || w.Spread > 24 {
		f.AddArgs(path+".spread", "range", map[string]any{"min": 1, "max": 24}, "must be from 1 to 24 hours")
	}
	if len(w.Days) > 0 {
		for _, day := range w.Days {
			if day < 0 {
				f.Add(path+".days", "min", "must not be negative")
				return
			}
		}
		return
	}
	if w.First < 1 {
		f.Add(path+".first", "min", "must be at least 1, or days be given")
	}
	if !(w.Growth > 1 && w.Growth <= 100) {
		f.AddArgs(path+".growth", "range", map[string]any{"min": 1, "max": 100}, "must be above 1 and at most 100")
	}
	if w.Full < w.First {
		f.Add(path+".full", "min", "must be at least first; it is taken from the account's rate when that is given")
	}
}
