package wire

import (
	"strings"
	"time"
)

// Beijing is the time that gateways speak.
var Beijing = time.FixedZone("UTC+8", 8*60*60)

// patience is how long gateways try at most (CMPP 3.0, section 8.4.5.1, note 3).
const patience = 48 * time.Hour

// Until is when a message is worth nothing any more; zero: when the gateway
// would give up by itself.
func Until(expires, now time.Time) time.Time {
	if expires.Sub(now) > patience {
		return time.Time{}
	}
	return expires
}

// Validity is an absolute time as SMPP 3.3 writes it, YYMMDDhhmmsstnnp, where
// tnnp always is 032+, 32 quarters of an hour ahead: Beijing. It is empty for
// the zero time.
func Validity(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(Beijing).Format("060102150405") + "032+"
}

// National is an address of China's mainland, "+86138…", without its country's
// code; false: it is none, and these protocols reach no other.
func National(address string) (number string, ok bool) {
	number, chinese := strings.CutPrefix(address, "+86")
	return number, chinese && number != "" && IsDigits(number, 18)
}

// Address is a phone's number, as gateways write it, as contact points have it.
func Address(number string) string {
	number = strings.TrimPrefix(strings.TrimPrefix(number, "+"), "00")
	if len(number) == 11 && number[0] == '1' { // a mobile phone of the mainland, without +86
		return "+86" + number
	}
	return "+" + number
}
