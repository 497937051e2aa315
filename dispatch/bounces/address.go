package bounces

import (
	"errors"
	"strings"

	"github.com/google/uuid"
)

// tokenMark stands for the token in a return path.
const tokenMark = "{token}"

// returnPath is a form of return addresses, in lower case.
type returnPath struct{ before, after, domain string }

func newReturnPath(pattern string) (returnPath, error) {
	local, domain, _ := strings.Cut(strings.ToLower(pattern), "@")
	before, after, marked := strings.Cut(local, tokenMark)
	if !marked || domain == "" || strings.ContainsAny(pattern, " \t\r\n<>") || strings.ContainsAny(after+domain, "{@") {
		return returnPath{}, errors.New("use an address such as bounce+{token}@bounces.shop.example")
	}
	return returnPath{before, after, domain}, nil
}

// token is what stands in the address for the token; ok says whether it is an
// address of this form.
func (p returnPath) token(address string) (token string, ok bool) {
	local, domain, _ := strings.Cut(address, "@")
	if domain != p.domain {
		return "", false
	}
	if token, ok = strings.CutPrefix(local, p.before); !ok {
		return "", false
	}
	return strings.CutSuffix(token, p.after)
}

// deliveryOf is the delivery that a return address was made for.
func (l *Listener) deliveryOf(address string) (uuid.UUID, bool) {
	address = strings.Trim(strings.ToLower(address), "<> \t")
	for _, path := range l.paths {
		if token, ours := path.token(address); ours {
			if delivery, made := l.tokens.Verify(token); made {
				return delivery, true
			}
		}
	}
	return uuid.Nil, false
}
