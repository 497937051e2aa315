package bounces

import (
	"strings"
	"time"

	"herald/dispatch"
)

// field is one line of a header, unfolded; its name is in lower case.
type field struct{ name, value string }

// maxField is the longest value of a folded field, in bytes.
const maxField = 8 << 10

// fields reads header lines (RFC 5322, section 2.2), leaving out what is none.
// With onlyFirst it ends at the first empty line. An empty line is given as a
// field without a name.
func fields(text []byte, onlyFirst bool) []field {
	var list []field
	for line := range strings.Lines(strings.ToValidUTF8(string(text), "")) {
		line = strings.TrimRight(line, "\r\n")
		name, value, found := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "":
			if onlyFirst && len(list) > 0 {
				return list
			}
			list = append(list, field{})
		case line[0] == ' ' || line[0] == '\t':
			if last := len(list) - 1; last >= 0 && list[last].name != "" && len(list[last].value) < maxField {
				list[last].value += " " + strings.TrimSpace(line)
			}
		case found:
			list = append(list, field{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
		}
	}
	return list
}

// recipient is what a notification says of one (RFC 3464, section 2.3).
type recipient struct {
	action, status, diagnostic string
	addresses                  []string
	at                         time.Time
}

// recipients reads the body of a message/delivery-status: fields of the
// message, and then a group for each recipient. Some servers write their
// groups without an empty line between, or with one inside, so a group begins
// with a field that the one before has already, or after an empty line when
// that one is complete.
func recipients(body []byte) []recipient {
	var list []recipient
	seen := map[string]bool{}
	for _, f := range fields(body, false) {
		if complete := seen["final-recipient"] && seen["action"]; f.name == "" && complete {
			seen["original-recipient"], seen["diagnostic-code"], seen["last-attempt-date"], seen["status"] = true, true, true, true
		}
		switch f.name {
		case "original-recipient", "final-recipient", "action", "status", "diagnostic-code", "last-attempt-date":
		default:
			continue
		}
		if len(list) == 0 || seen[f.name] {
			if len(list) == maxParts {
				return list
			}
			list = append(list, recipient{})
			clear(seen)
		}
		seen[f.name] = true
		list[len(list)-1].set(f)
	}
	return list
}

func (r *recipient) set(f field) {
	switch f.name {
	case "original-recipient", "final-recipient":
		_, address, _ := strings.Cut(f.value, ";")
		r.addresses = append(r.addresses, strings.Trim(address, " <>"))
	case "action":
		r.action, _, _ = strings.Cut(strings.ToLower(f.value), " ")
	case "status":
		r.status = enhancedIn(f.value)
	case "diagnostic-code":
		r.diagnostic = f.value
	case "last-attempt-date":
		r.at = parseDate(f.value)
	}
}

// readStatus is what a notification says of a delivery, which has one
// recipient of ours; several groups mean that his server passed it on to
// several. It counts what is best for him:
//
//	delivered            it arrived with somebody
//	delayed              it may yet
//	failed               it will not; the address is dead if all say so
//	relayed, expanded    it was passed on, and no more will be known
func readStatus(list []recipient, words string) finding {
	f := finding{kind: dsn}
	dead := true
	for _, r := range list {
		found := r.finding()
		if dead = dead && found.addressDead; rank(found.event) > rank(f.event) {
			f = found
		}
	}
	f.addressDead = f.event == dispatch.ReportBounced && dead
	if f.detail == "" && f.event != "" {
		f.detail = scrub(words, addressesOf(list))
	}
	return f
}

func addressesOf(list []recipient) (all []string) {
	for _, r := range list {
		all = append(all, r.addresses...)
	}
	return all
}

func rank(e dispatch.ReportEvent) int {
	switch e {
	case dispatch.ReportDelivered:
		return 4
	case dispatch.ReportDelayed:
		return 3
	case dispatch.ReportBounced, dispatch.ReportExpired:
		return 2
	}
	return 0
}

func (r recipient) finding() finding {
	f := finding{kind: dsn, at: r.at}
	_, said, typed := strings.Cut(r.diagnostic, ";") // "smtp; 550 5.1.1 …"
	if !typed {
		said = r.diagnostic
	}
	f.detail = scrub(said, r.addresses)
	c := codesIn(said)
	if r.status != "" && (c.enhanced == "" || isSpecific(r.status)) {
		c.enhanced = r.status // the field is meant for it, unless it says no more than "5.0.0"
	}
	f.code = c.String()
	switch r.action {
	case "delivered":
		f.event = dispatch.ReportDelivered
	case "delayed":
		f.event = dispatch.ReportDelayed
	case "relayed", "expanded":
	case "failed":
		f.event = c.failure()
	default: // the field is required, and yet missing at times
		switch c.class() {
		case '2':
			f.event = dispatch.ReportDelivered
		case '4':
			f.event = dispatch.ReportDelayed
		case '5':
			f.event = c.failure()
		}
	}
	f.addressDead = f.event == dispatch.ReportBounced && c.isNobody()
	return f
}
