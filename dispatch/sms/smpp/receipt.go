package smpp

import (
	"strings"

	"herald/dispatch"
	"herald/dispatch/sms/smpp/pdu"
)

// receipt is what the centre says of a message that it took: in words
// (appendix B: the form is each maker's own), in options, or both, of which
// the options count.
type receipt struct {
	id    string
	state pdu.State
	code  string // the err of the words, or the network's error; empty: none
	done  string // when, as the words have it
	dead  bool   // the network knows no such number
}

// isReceipt tells receipts from what people write. Some centres leave the mark
// out of esm_class, but not the options.
func isReceipt(m *pdu.Message) bool {
	if m.ESMClass&pdu.ESMReceipt != 0 || m.ESMClass&pdu.ESMType == pdu.ESMIntermediate {
		return true
	}
	_, hasState := m.Options.Find(pdu.MessageStateTag)
	return hasState && m.Options.Text(pdu.ReceiptedMessageID) != ""
}

// networkGSM is the network of a network_error_code (section 5.3.2.31), and
// unknownSubscriber its error: 3GPP TS 29.002, section 17.6.6.
const (
	networkGSM        = 3
	unknownSubscriber = 1
)

// parseReceipt reads a receipt; false: it does not say of which message, or
// not what.
func parseReceipt(m *pdu.Message) (r receipt, ok bool) {
	words := receiptWords(string(m.Text()))
	r.id, r.code, r.done = words["id"], words["err"], words["done date"]
	r.state, ok = pdu.ParseState(strings.ToUpper(words["stat"]))
	if id := m.Options.Text(pdu.ReceiptedMessageID); id != "" {
		r.id = id
	}
	if state, _ := m.Options.Find(pdu.MessageStateTag); len(state) == 1 {
		r.state, ok = pdu.State(state[0]), true
	}
	if e, _ := m.Options.Find(pdu.NetworkErrorCode); len(e) == 3 {
		r.dead = e[0] == networkGSM && e[1] == 0 && e[2] == unknownSubscriber
	}
	return r, ok && r.id != ""
}

// mostWords is the longest receipt that is read.
const mostWords = 1000

// receiptWords reads "id:… sub:… dlvrd:… submit date:… done date:… stat:… err:…
// text:…", in any case and order, of which any may be missing.
func receiptWords(text string) map[string]string {
	text = text[:min(len(text), mostWords)]
	lower := asciiLower(text)
	words := map[string]string{}
	end := len(text)
	if i := strings.Index(lower, "text:"); i >= 0 && (i == 0 || lower[i-1] == ' ') {
		end = i // what follows is what was sent, which may look like anything
	}
	for _, key := range []string{"id", "done date", "stat", "err"} {
		for at := 0; ; {
			i := strings.Index(lower[at:end], key+":")
			if i < 0 {
				break
			}
			i += at
			at = i + len(key) + 1
			if i > 0 && lower[i-1] != ' ' {
				continue // the end of another word
			}
			value, _, _ := strings.Cut(text[at:end], " ")
			words[key] = strings.TrimSpace(value)
			break
		}
	}
	return words
}

// asciiLower keeps the octets where they are.
func asciiLower(s string) string {
	lower := []byte(s)
	for i, b := range lower {
		if b >= 'A' && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return string(lower)
}

// eventOf says what a state means for the message.
func eventOf(s pdu.State) dispatch.ReportEvent {
	switch s {
	case pdu.Delivered:
		return dispatch.ReportDelivered
	case pdu.Expired:
		return dispatch.ReportExpired
	case pdu.Deleted, pdu.Undeliverable, pdu.Rejected:
		return dispatch.ReportBounced
	}
	// On its way, or the centre does not know: the message may still arrive.
	return dispatch.ReportDelayed
}

// report is what a receipt means, of the time at which it came: its dates are
// in a time zone that only the operator knows; false: it cannot be read.
func (c *Client) report(m *pdu.Message) (dispatch.Report, bool) {
	r, ok := parseReceipt(m)
	if !ok {
		return dispatch.Report{}, false
	}
	if m.ESMClass&pdu.ESMType == pdu.ESMIntermediate && r.state == pdu.Delivered {
		r.state = pdu.Enroute // it has not arrived before the final receipt
	}
	address := "+" + strings.TrimPrefix(m.Source.Number, "+")
	number, _ := m.Options.Number(pdu.UserMessageReference)
	event := eventOf(r.state)
	id := c.ids.reported(r.id, address)
	report := dispatch.Report{
		DeliveryID: c.doubts.delivery(id, reference{number, address}),
		Account:    c.cfg.Name, Channel: c.Channel(), ProviderID: id,
		Event: event, Code: r.state.String(), Key: r.id + " " + r.state.String() + " " + r.done,
	}
	if r.code != "" && strings.Trim(r.code, "0") != "" {
		report.Detail = "err:" + r.code
	}
	report.AddressDead = event == dispatch.ReportBounced && (r.dead || r.code != "" && c.isUnknownNumber(r.code))
	return report, true
}
