package subscriptions

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/secure/precis"

	"herald/problem"
)

// Bounds of a profile.
const (
	minAccount        = 3
	maxAccount        = 64
	minPassword       = 10 // characters
	maxPassword       = 128
	maxDisplayName    = 100       // characters
	maxLocale         = 35        // RFC 5646, section 4.4.1
	maxAttributeBytes = 16 * 1000 // bytes of JSON
	maxAttributeDepth = 8
	maxContacts       = 20 // of one member
	maxConsents       = 50 // said at once
	earliestBirthday  = "1900-01-01"
	usualDigestHour   = 9
)

// customerTypes are the values of Member.CustomerType.
var customerTypes = []string{"person", "company"}

// profile is the checked part of a member that may change. Its methods
// normalise it and note every mistake under the name of its field.
type profile struct {
	customerType string
	displayName  string
	locale       string
	timeZone     string
	birthday     string
	quietFrom    *Clock
	quietUntil   *Clock
	digestHour   int
	attributes   map[string]any
}

func profileOf(m Member) profile {
	return profile{
		customerType: m.CustomerType, displayName: m.DisplayName, locale: m.Locale,
		timeZone: m.TimeZone, birthday: m.Birthday,
		quietFrom: m.QuietFrom, quietUntil: m.QuietUntil, digestHour: m.DigestHour, attributes: m.Attributes,
	}
}

// check normalises the profile in place, fills in the defaults, and notes what
// is wrong. now decides which birthdays are still to come.
func (p *profile) check(zones *zones, now time.Time, fields *problem.Fields) {
	if p.customerType == "" {
		p.customerType = customerTypes[0]
	}
	if !slices.Contains(customerTypes, p.customerType) {
		fields.AddArgs("customer_type", "options", map[string]any{"options": customerTypes}, "must be person or company")
	}
	p.displayName = strings.TrimSpace(p.displayName)
	if utf8.RuneCountInString(p.displayName) > maxDisplayName {
		fields.AddArgs("display_name", "max_len", map[string]any{"max": maxDisplayName}, "must have at most %d characters", maxDisplayName)
	}
	if !printable(p.displayName) {
		fields.Add("display_name", "charset", "must be one line of text in UTF-8")
	}
	p.checkLocale(fields)
	zone := p.checkTimeZone(zones, fields)
	p.checkBirthday(now.In(zone), fields)
	p.checkWishes(fields)
	p.checkAttributes(fields)
}

// printable reports whether s is valid text without control characters and
// without the invisible marks that turn the direction of what follows.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
	})
}

func (p *profile) checkLocale(fields *problem.Fields) {
	if p.locale == "" {
		p.locale = "en"
	}
	tag, err := language.Parse(p.locale)
	if base, _, _ := tag.Raw(); err != nil || len(p.locale) > maxLocale || base.String() == "und" {
		fields.Add("locale", "known", "must be a language as in BCP 47, such as en or zh-CN")
		return
	}
	p.locale = tag.String()
}

// checkTimeZone returns the zone, or UTC when it is not one.
func (p *profile) checkTimeZone(zones *zones, fields *problem.Fields) *time.Location {
	if p.timeZone == "" {
		p.timeZone = "UTC"
	}
	zone, err := zones.load(p.timeZone)
	if err != nil {
		fields.Add("time_zone", "known", "must be a time zone of the IANA database, such as Asia/Shanghai")
		return time.UTC
	}
	return zone
}

// checkBirthday takes today as the member's calendar has it.
func (p *profile) checkBirthday(today time.Time, fields *problem.Fields) {
	if p.birthday == "" {
		return
	}
	if _, err := time.Parse(time.DateOnly, p.birthday); err != nil {
		fields.Add("birthday", "date", "must be a date of the calendar, written as 1990-12-31")
		return
	}
	// Dates written so compare as text.
	if latest := today.Format(time.DateOnly); p.birthday < earliestBirthday || p.birthday > latest {
		fields.AddArgs("birthday", "range", map[string]any{"min": earliestBirthday, "max": latest}, "must lie between %s and today", earliestBirthday)
	}
}

func (p *profile) checkWishes(fields *problem.Fields) {
	for _, edge := range []struct {
		path        string
		clock, with *Clock
	}{{"quiet_from", p.quietFrom, p.quietUntil}, {"quiet_until", p.quietUntil, p.quietFrom}} {
		switch {
		case edge.clock == nil && edge.with != nil:
			fields.Add(edge.path, "required", "must be given where the other end of the quiet hours is")
		case edge.clock != nil && !edge.clock.known():
			fields.Add(edge.path, "clock", "must be a time of day, such as 22:00")
		}
	}
	if p.digestHour < 0 || p.digestHour > 23 {
		fields.AddArgs("digest_hour", "range", map[string]any{"min": 0, "max": 23}, "must be an hour of the day, 0 to 23")
	}
}

// checkAttributes brings them into the form in which they come back from the
// database: objects, arrays, strings, float64, booleans and null.
func (p *profile) checkAttributes(fields *problem.Fields) {
	if len(p.attributes) == 0 {
		p.attributes = map[string]any{}
		return
	}
	if depth(p.attributes, maxAttributeDepth+1) > maxAttributeDepth {
		fields.AddArgs("attributes", "max_depth", map[string]any{"max": maxAttributeDepth}, "must be nested at most %d deep", maxAttributeDepth)
		return
	}
	encoded, err := json.Marshal(p.attributes)
	if err != nil {
		fields.Add("attributes", "json", "must be values that JSON can say")
		return
	}
	if len(encoded) > maxAttributeBytes {
		fields.AddArgs("attributes", "max_len", map[string]any{"max": maxAttributeBytes}, "must have at most %d bytes as JSON", maxAttributeBytes)
	}
	p.attributes = map[string]any{}
	if err := json.Unmarshal(encoded, &p.attributes); err != nil {
		fields.Add("attributes", "json", "must be an object whose numbers fit 64-bit floating point")
	}
	if holdsNUL(p.attributes) {
		fields.Add("attributes", "charset", "must not hold the character U+0000")
	}
}

// holdsNUL looks for the one character that PostgreSQL's jsonb cannot keep.
func holdsNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		return slices.ContainsFunc(v, holdsNUL)
	case map[string]any:
		for name, inner := range v {
			if holdsNUL(name) || holdsNUL(inner) {
				return true
			}
		}
	}
	return false
}

// depth is how many objects and arrays are nested in v, as far as limit.
func depth(v any, limit int) int {
	if limit == 0 {
		return 0
	}
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			deepest = max(deepest, depth(inner, limit-1))
		}
	case []any:
		for _, inner := range v {
			deepest = max(deepest, depth(inner, limit-1))
		}
	default:
		return 0
	}
	return deepest + 1
}

// normaliseAccount is the form in which accounts are kept and looked up.
func normaliseAccount(account string) string {
	return strings.ToLower(strings.TrimSpace(account))
}

// checkAccount expects a normalised account.
func checkAccount(account string, fields *problem.Fields) {
	if account == "" {
		fields.Add("account", "required", "choose an account name")
		return
	}
	if n := utf8.RuneCountInString(account); n < minAccount || n > maxAccount {
		fields.AddArgs("account", "length", map[string]any{"min": minAccount, "max": maxAccount}, "must have between %d and %d characters", minAccount, maxAccount)
	}
	if strings.ContainsFunc(account, func(r rune) bool { return !asciiLetterOrDigit(r) && !strings.ContainsRune("._-@", r) }) {
		fields.Add("account", "charset", "may hold letters a to z, digits and . _ - @ only")
	}
}

// checkPassword refuses what is guessed first: NIST SP 800-63B, section
// 5.1.1.2, asks for length and for a look at what is common, not for a mixture
// of character classes.
func checkPassword(path, password, account string, fields *problem.Fields) {
	switch n := utf8.RuneCountInString(password); {
	case n < minPassword:
		fields.AddArgs(path, "min_len", map[string]any{"min": minPassword}, "must have at least %d characters: a few words in a row are easy to remember", minPassword)
	case n > maxPassword:
		fields.AddArgs(path, "max_len", map[string]any{"max": maxPassword}, "must have at most %d characters", maxPassword)
	case !hashable(password):
		fields.Add(path, "charset", "must not hold tabs, line ends or other characters that cannot be seen")
	case distinctRunes(password) < 4:
		fields.Add(path, "common", "must have at least 4 different characters")
	case account != "" && strings.Contains(strings.ToLower(password), account):
		fields.Add(path, "account", "must not contain the account name")
	case commonPassword(password):
		fields.Add(path, "common", "is one of the first that anybody would guess: choose another")
	}
}

// hashable reports whether the rules by which passwords are compared (RFC 8265,
// section 4.2, see access.Passwords) allow this one.
func hashable(password string) bool {
	_, err := precis.OpaqueString.String(password)
	return err == nil
}

func distinctRunes(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// commonPassword knows the common ones that are long enough to get here: rows
// of keys, and a well-known word with a few digits after it.
func commonPassword(password string) bool {
	password = strings.ToLower(password)
	for _, row := range []string{"01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb"} {
		if strings.Contains(row, password) {
			return true
		}
	}
	word := strings.TrimRight(password, "0123456789!.")
	return slices.Contains([]string{"password", "passw0rd", "letmein", "welcome", "iloveyou", "woaini", "qwerty", "qwertyuiop", "administrator", "admin", "changeme", "abc"}, word)
}

// zones are the time zones loaded so far: reading one costs a file. The zero
// value is ready; many goroutines may use it.
type zones struct{ loaded sync.Map }

func (z *zones) load(name string) (*time.Location, error) {
	if zone, ok := z.loaded.Load(name); ok {
		return zone.(*time.Location), nil
	}
	// Local is whatever this machine happens to be set to.
	if name == "Local" {
		return nil, problem.New(problem.Invalid, "not a time zone of the IANA database")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	z.loaded.Store(name, zone)
	return zone, nil
}
