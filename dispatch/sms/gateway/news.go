package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/htmlindex"

	"herald/dispatch"
	"herald/subscriptions"
)

// readReport reads one report; tells is whether it says anything.
func (g *Gateway) readReport(d *callback, s *said) (r dispatch.Report, tells bool, err error) {
	state, code := d.state.find(s), d.code.find(s)
	event, tells := d.byCode[strings.ToLower(code)]
	if !tells {
		event, tells = d.byState[strings.ToLower(state)]
	}
	if !tells {
		return r, false, nil
	}
	r = dispatch.Report{
		Account: g.cfg.Name, Channel: subscriptions.SMS, Event: event, ProviderID: providerID(d.id.find(s)),
		Code: codeOf(code), Detail: wordsOf(d.detail.find(s)), At: d.time(s),
		AddressDead: event == dispatch.ReportBounced && isAmong(code, d.spec.Dead),
	}
	if r.Code == "" {
		r.Code = codeOf(state)
	}
	r.DeliveryID = deliveryID(d.delivery.find(s))
	if part := s.query.Get(partKey); part != "" { // it is not yet the delivery's
		if g.description.answer.id == nil {
			r.ProviderID = partID(r.DeliveryID.String(), ours(part))
		}
		r.DeliveryID = uuid.Nil
	}
	if !isNamed(r) {
		return r, false, fmt.Errorf("%w: no delivery is named", ErrUnreadable)
	}
	r.Key = "gateway:" + g.cfg.Name + ":" + providerID(strings.Join([]string{r.ProviderID, string(event), state, code}, ":"))
	return r, true, nil
}

// maxInbound is how long a message that comes in may be, in bytes: more than 255
// parts can hold.
const maxInbound = 64 << 10

func (g *Gateway) readInbound(d *callback, s *said) (dispatch.Inbound, error) {
	from, words := d.from.find(s), d.text.find(s)
	if from == "" {
		return dispatch.Inbound{}, fmt.Errorf("%w: it does not say from whom", ErrUnreadable)
	}
	words, err := d.decode(words, d.charset.find(s))
	if err != nil {
		return dispatch.Inbound{}, err
	}
	country, err := d.country.fill(call{account: g.identity()})
	if err != nil {
		return dispatch.Inbound{}, err
	}
	in := dispatch.Inbound{
		Account: g.cfg.Name, Channel: subscriptions.SMS, From: senderOf(from, country), To: ours(d.to.find(s)),
		Text: words, At: d.time(s),
	}
	if id := d.id.find(s); id != "" {
		in.Key = providerID(id)
	} else if at := d.at.find(s); at != "" {
		in.Key = hashOf(at, from, in.To, words)
	} else {
		return dispatch.Inbound{}, fmt.Errorf("%w: it has neither id nor time", ErrUnreadable)
	}
	return in, nil
}

// decode makes text of what came, which may be octets in hexadecimal and of a
// character set.
func (d *callback) decode(raw, charset string) (string, error) {
	if d.spec.Hex {
		octets, err := unhex(raw)
		if err != nil {
			return "", fmt.Errorf("%w: the text is not hexadecimal", ErrUnreadable)
		}
		raw = octets
	}
	if charset != "" && !strings.EqualFold(charset, "utf-8") {
		known, err := htmlindex.Get(charset)
		if err != nil {
			return "", fmt.Errorf("%w: its character set is not known", ErrUnreadable)
		}
		if raw, err = known.NewDecoder().String(raw); err != nil {
			return "", fmt.Errorf("%w: the text is not of its character set", ErrUnreadable)
		}
	}
	if len(raw) > maxInbound {
		return "", fmt.Errorf("%w: the text is too long", ErrUnreadable)
	}
	return strings.ReplaceAll(strings.ToValidUTF8(raw, "\uFFFD"), "\x00", ""), nil
}

// time is when it happened; zero when that is not said.
func (d *callback) time(s *said) time.Time {
	value := d.at.find(s)
	if value == "" {
		return time.Time{}
	}
	switch d.spec.Time {
	case "unix":
		return sinceEpoch(value, time.Second)
	case "unix_ms":
		return sinceEpoch(value, time.Millisecond)
	}
	at, err := time.ParseInLocation(d.spec.Time, value, d.zone)
	if err != nil || at.Year() < 2000 || at.Year() > 9000 {
		return time.Time{}
	}
	return at.UTC()
}
