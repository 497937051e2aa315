package email

import (
	"errors"
	"strings"

	"github.com/google/uuid"
)

// tokenMark is what Account.ReturnPath has where a delivery's token stands.
const tokenMark = "{token}"

// returnPath is an envelope sender of its own for each delivery, as in VERP
// (variable envelope return path): a bounce names the delivery by the address
// it comes to, whatever else it says.
type returnPath struct {
	before, after, domain string
	marked                bool // there is one place for the token
}

func newReturnPath(pattern string) returnPath {
	local, domain, _ := strings.Cut(pattern, "@")
	before, after, marked := strings.Cut(local, tokenMark)
	return returnPath{before, after, domain, marked && !strings.Contains(after, tokenMark)}
}

// inToken is what a token is made of: what every mail server leaves alone.
var inToken = characters(lettersAndDigits + "-_=+")

// fits says that the address is one with this token: it is of legal length,
// and nothing in it ends the path.
func (p returnPath) fits(token string) bool {
	return p.marked && token != "" && isMadeOf(token, inToken) &&
		len(p.before)+len(token)+len(p.after) <= maxLocal && isDotAtom(p.before+token+p.after) && validDomain(p.domain)
}

var errToken = errors.New("the return path has no room for the delivery's token, or the token has characters that do not belong there")

// appendReturnPath writes the envelope's sender of a delivery.
func (m *Mailer) appendReturnPath(dst []byte, delivery uuid.UUID) ([]byte, error) {
	if m.cfg.ReturnPath == "" {
		return append(dst, m.cfg.From...), nil
	}
	p, token := m.returns, m.returnToken(delivery)
	if !p.fits(token) {
		return dst, errToken
	}
	dst = append(append(append(dst, p.before...), token...), p.after...)
	return append(append(dst, '@'), p.domain...), nil
}
