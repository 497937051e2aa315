package bounces

import (
	"regexp"
	"strings"
	"unicode"

	"herald/dispatch"
)

// Diagnosis is what a mail server's words mean for an address.
type Diagnosis struct {
	Code        string // the one that says most, such as "5.1.1" or "550"; may be empty
	Detail      string // the words in one line, without addresses
	AddressDead bool   // there is no such address
	GivenUp     bool   // it was tried for too long, and not refused
}

// Diagnose reads what a mail server said of a mail that it did not take, such
// as "550 5.1.1 no such user", for providers that pass its words on.
func Diagnose(words string) Diagnosis {
	kind, said, _ := strings.Cut(words, ";") // "smtp; 550 5.1.1 …", RFC 3464, section 2.3.6
	if !strings.EqualFold(strings.TrimSpace(kind), "smtp") {
		said = words
	}
	c := codesIn(said)
	expired := c.failure() == dispatch.ReportExpired
	return Diagnosis{Code: c.String(), Detail: scrub(said, nil), AddressDead: !expired && c.isNobody(), GivenUp: expired}
}

// codes are what a server gives as its reason.
type codes struct {
	enhanced string // RFC 3463, such as "5.1.1", or ""
	basic    string // RFC 5321, such as "550", or ""
	words    string // lower case
}

var (
	// A subject is from 0 to 7 (RFC 3463, section 4), which most versions and
	// no addresses of hosts are.
	anEnhanced = regexp.MustCompile(`(?:^|[^0-9.])([245]\.[0-7]\.[0-9]{1,3})(?:$|[^0-9.]|\.(?:$|[^0-9]))`)
	aBasic     = regexp.MustCompile(`(?:^|[\s;:#(\[<'"])([45][0-5][0-9])(?:[\s\-:,#]|$)`)
	ofNobody   = regexp.MustCompile(`(no such|unknown|invalid|nonexistent|non-existent|unrecognized) (local )?(user|mailbox|recipient|account|address)|(user|mailbox|recipient|account|address) (is )?(unknown|not found|does ?n.t exist|does not exist|not exist)|no (mailbox|user|account) (here )?(by|with|under) that name|user doesn't have`)
	givenUp    = regexp.MustCompile(`(retry time|retry timeout|timeout) exceeded|(has been )?in the queue too long|could not be delivered (for|within) |message expired|delivery time expired`)
)

func enhancedIn(s string) string {
	if m := anEnhanced.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

func codesIn(s string) codes {
	c := codes{enhanced: enhancedIn(s), words: strings.ToLower(s)}
	if m := aBasic.FindStringSubmatch(s); m != nil {
		c.basic = m[1]
	}
	if c.enhanced != "" && c.basic != "" && c.enhanced[0] != c.basic[0] {
		c.basic = "" // "550" of something else, such as a size
	}
	return c
}

// isSpecific says whether an enhanced code says more than its class.
func isSpecific(enhanced string) bool { return !strings.HasSuffix(enhanced, ".0.0") }

// String is the one code that says most.
func (c codes) String() string {
	if c.enhanced != "" && (isSpecific(c.enhanced) || c.basic == "") {
		return c.enhanced
	}
	return c.basic
}

// class is '2', '4', '5' or, when nothing is known, 0.
func (c codes) class() byte {
	switch {
	case c.enhanced != "":
		return c.enhanced[0]
	case c.basic != "":
		return c.basic[0]
	}
	return 0
}

// failure is what a failure for good is: the provider gave up what it could not
// do for too long (X.4.7, any 4.X.X), or was refused.
func (c codes) failure() dispatch.ReportEvent {
	if c.class() == '4' || strings.HasSuffix(c.enhanced, ".4.7") || givenUp.MatchString(c.words) ||
		!isSpecific(c.enhanced) && strings.HasPrefix(c.basic, "4") {
		return dispatch.ReportExpired
	}
	return dispatch.ReportBounced
}

// isNobody says whether there is no such address. It is as strict as at
// hand-over: a mailbox that is full or disabled (5.2.x) can come back.
func (c codes) isNobody() bool {
	switch c.enhanced {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10":
		return true
	}
	if c.enhanced != "" && isSpecific(c.enhanced) {
		return false
	}
	return (c.basic == "550" || c.basic == "551" || c.basic == "553") && ofNobody.MatchString(c.words)
}

var anAddress = regexp.MustCompile(`[^\s<>"'(),;:\[\]]+@[^\s<>"'(),;:\[\]]+`)

// maxDetail is the longest detail, in characters.
const maxDetail = 300

// scrub makes one line of a server's words, without addresses and without the
// names in front of the @ of those known.
func scrub(words string, addresses []string) string {
	if len(words) > 4096 {
		words = words[:4096]
	}
	words = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(words, ""))
	words = anAddress.ReplaceAllString(strings.Join(strings.Fields(words), " "), "…")
	for _, address := range addresses {
		if local, _, found := strings.Cut(address, "@"); found && len(local) > 2 {
			if name, err := regexp.Compile(`(?i)(^|[^\pL\pN])` + regexp.QuoteMeta(local) + `($|[^\pL\pN])`); err == nil {
				words = name.ReplaceAllString(words, "${1}…${2}")
			}
		}
	}
	if runes := []rune(words); len(runes) > maxDetail {
		words = string(runes[:maxDetail]) + "…"
	}
	return words
}
