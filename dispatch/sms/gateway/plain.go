package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"herald/dispatch"
	"herald/subscriptions"
)

// The longest that is kept of what a provider says, in bytes.
const (
	maxID     = 200
	maxCode   = 60
	maxDetail = 200
)

// providerID is an id fit to be kept: one that is long or unprintable is
// replaced by its hash, alike wherever it is read.
func providerID(id string) string {
	if len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		sum := sha256.Sum256([]byte(id))
		return hex.EncodeToString(sum[:])
	}
	return id
}

// number is what may be somebody's telephone number.
var number = regexp.MustCompile(`\+?\d(?:[ ().-]{0,2}\d){6,}`)

// codeOf is a provider's code fit to be shown.
func codeOf(code string) string { return clip(code, maxCode) }

// wordsOf are a provider's words without numbers and control characters.
func wordsOf(words string) string { return clip(words, maxDetail) }

func clip(s string, length int) string {
	if len(s) > 4*length { // no more than this is read
		s = s[:4*length]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	s = number.ReplaceAllString(s, "…")
	for len(s) > length {
		s = strings.ToValidUTF8(s[:length], "")
	}
	return s
}

func hashOf(parts ...string) string {
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func unhex(s string) (string, error) {
	raw, err := hex.DecodeString(s)
	return string(raw), err
}

// deliveryID reads the one form in which we write an id; else it is zero.
func deliveryID(text string) uuid.UUID {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil
	}
	return id
}

// isNamed reports whether a report says which delivery it is about.
func isNamed(r dispatch.Report) bool { return r.DeliveryID != uuid.Nil || r.ProviderID != "" }

// senderOf is a number in E.164, where it is one; else, such as a name or a
// short number, what the provider wrote.
func senderOf(from, country string) string {
	for _, try := range []struct{ number, country string }{{from, country}, {"+" + from, ""}} {
		if normal, err := subscriptions.Normalise(subscriptions.SMS, try.number, try.country); err == nil {
			return normal
		}
	}
	return ours(from)
}

// maxNumber is how long a number of ours, or a sender's name, may be, in bytes.
const maxNumber = 60

// ours is a number, as the provider writes it.
func ours(s string) string {
	if len(s) > maxNumber {
		s = s[:maxNumber]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// sinceEpoch reads a Unix time in a unit, which may have a fraction; zero when
// it is none.
func sinceEpoch(value string, unit time.Duration) time.Time {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n > 0 && n*float64(unit) < 1e11*float64(time.Second)) {
		return time.Time{}
	}
	seconds := n * float64(unit) / float64(time.Second)
	return time.UnixMilli(int64(seconds * 1000)).UTC()
}
