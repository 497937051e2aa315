package subscriptions

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/language"
	"golang.org/x/text/width"

	"herald/problem"
)

// Lengths of a mail address in octets (RFC 5321, sections 4.5.3.1.1 and
// 4.5.3.1.3; a path has two angle brackets more).
const (
	maxEmail      = 254
	maxEmailLocal = 64
)

// maxWritten is the most bytes an address is written with, before its domain
// becomes ASCII.
const maxWritten = 4 * maxEmail

// maxPhone is the most characters a number may be written with; E.164 itself
// has at most 15 digits.
const maxPhone = 40

// Normalise is the one form in which an address is kept and compared: for mail
// the local part as written and the domain in lower case and ASCII (UTS #46),
// for a number E.164.
//
// A number without "+" is read as one of region (ISO 3166, such as "CN"); with
// no region it is refused. The error is an Invalid problem on "address".
func Normalise(ch Channel, address, region string) (string, error) {
	normal, mistake := normalise(ch, address, region)
	if mistake != nil {
		mistake.Path = "address"
		return "", problem.Fields{*mistake}.Err("this address cannot be used")
	}
	return normal, nil
}

// normalise is Normalise with the mistake as a field that has no path yet.
func normalise(ch Channel, address, region string) (string, *problem.Field) {
	// Before anything whose work grows faster than the text, as Punycode's does.
	if len(address) > maxWritten {
		return "", mistake("max_len", "an address is written with at most %d bytes", maxWritten)
	}
	// Full-width letters and digits are what a Chinese keyboard types.
	address = strings.TrimSpace(width.Fold.String(address))
	switch {
	case address == "":
		return "", mistake("required", "write an address")
	case !utf8.ValidString(address) || strings.ContainsFunc(address, unicode.IsControl):
		return "", mistake("charset", "it holds characters that cannot be printed")
	case ch == Email:
		return normaliseEmail(address)
	}
	return normalisePhone(address, region)
}

func mistake(rule, format string, args ...any) *problem.Field {
	return &problem.Field{Rule: rule, Message: fmt.Sprintf(format, args...)}
}

// mailDomains maps and checks the domain of a mail address by UTS #46, as
// resolvers do, and with the lengths of the DNS.
var mailDomains = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.CheckJoiners(true),
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
)

// normaliseEmail accepts a dot-atom before the @ and a domain name after it
// (RFC 5321, section 4.1.2). Quoted local parts, comments, display names and
// literal IP addresses are legal in mail and never what a customer means.
func normaliseEmail(address string) (string, *problem.Field) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 {
		return "", mistake("email", "write a mail address as name@example.com")
	}
	local, domain := address[:at], address[at+1:]
	if len(local) > maxEmailLocal {
		return "", mistake("max_len", "the part before the @ has at most %d characters", maxEmailLocal)
	}
	if !dotAtom(local) {
		return "", mistake("email", "before the @ there may be letters, digits and .!#$%%&'*+-/=?^_`{|}~, and no dot at either end or beside another")
	}
	ascii, err := mailDomains.ToASCII(domain)
	if err != nil || !mailDomain(ascii) {
		return "", mistake("email", "after the @ there must be the name of a mail domain, such as example.com")
	}
	if len(local)+1+len(ascii) > maxEmail {
		return "", mistake("max_len", "a mail address has at most %d characters", maxEmail)
	}
	return local + "@" + ascii, nil
}

// dotAtom is the rule dot-atom-text of RFC 5322, section 3.2.3.
func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, r := range atom {
			if !asciiLetterOrDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r) {
				return false
			}
		}
	}
	return true
}

func asciiLetterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// mailDomain reports whether a name that is already valid in the DNS can
// receive mail from outside: it has a dot, and is no IP address.
func mailDomain(ascii string) bool {
	dot := strings.LastIndexByte(ascii, '.')
	return dot > 0 && strings.ContainsFunc(ascii[dot+1:], unicode.IsLetter)
}

func normalisePhone(number, region string) (string, *problem.Field) {
	if len(number) > maxPhone {
		return "", mistake("max_len", "a number is written with at most %d characters", maxPhone)
	}
	for i, r := range number {
		plus := r == '+' && i == 0
		if !plus && !strings.ContainsRune("0123456789-.()/", r) && !unicode.IsSpace(r) {
			return "", mistake("phone", "write a telephone number with digits, spaces and -.()/ only, without an extension")
		}
	}
	if region == "" {
		if rest, ok := strings.CutPrefix(number, "00"); ok {
			number = "+" + rest
		} else if number[0] != '+' {
			return "", mistake("international", "write the number with + and the country code, such as +86 138 0013 8000")
		}
	}
	parsed, err := phonenumbers.Parse(number, region)
	if err != nil {
		return "", noSuchNumber()
	}
	switch phonenumbers.GetNumberType(parsed) {
	case phonenumbers.UNKNOWN:
		return "", noSuchNumber()
	case phonenumbers.PREMIUM_RATE:
		// Whoever registers such a number earns from every call made to it.
		return "", mistake("premium", "premium-rate numbers are not called")
	}
	return phonenumbers.Format(parsed, phonenumbers.E164), nil
}

func noSuchNumber() *problem.Field {
	return mistake("phone", "there is no such number: check its digits, or write it with + and the country code, such as +86 138 0013 8000")
}

// regionOf is the country that a locale names ("zh-CN": "CN"), or "" when it
// names none ("zh"): likely is not good enough to dial by.
func regionOf(locale string) string {
	tag, err := language.Parse(locale)
	if err != nil {
		return ""
	}
	region, confidence := tag.Region()
	if confidence != language.Exact || !region.IsCountry() {
		return ""
	}
	return region.String()
}

// suppressionKey is the form in which an address is suppressed. Nobody runs
// two mailboxes that differ in case alone, and reports about one come back in
// either.
func suppressionKey(ch Channel, address string) string {
	if ch == Email {
		return strings.ToLower(address)
	}
	return address
}

// sought is what somebody typed into a search as the address it would be kept
// as, or unchanged when it is none.
func sought(text string) string {
	ch := SMS
	if strings.Contains(text, "@") {
		ch = Email
	}
	if address, mistake := normalise(ch, text, ""); mistake == nil {
		return address
	}
	return text
}

// checkAddress normalises an address and notes what is wrong with it or its
// channel under prefix, such as "contacts[0].".
func checkAddress(prefix string, ch Channel, address, region string, fields *problem.Fields) string {
	if !ch.Known() {
		checkChannel(prefix+"channel", ch, fields)
		return ""
	}
	normal, mistake := normalise(ch, address, region)
	if mistake != nil {
		mistake.Path = prefix + "address"
		*fields = append(*fields, *mistake)
	}
	return normal
}
