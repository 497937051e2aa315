package api

import (
	"herald/dispatch/sms"
	"herald/subscriptions"
)

// SMS is what a text takes and costs as an SMS.
type SMS struct {
	Encoding  string     `json:"encoding" enum:"GSM-7,UCS-2" doc:"The alphabet that has all of its characters."`
	Parts     int        `json:"parts" minimum:"0" doc:"How many short messages it takes. What is filled in can make it more."`
	TooLong   bool       `json:"too_long,omitempty" doc:"It takes more than 255 parts and cannot be sent."`
	UnitsLeft int        `json:"units_left" minimum:"0" doc:"What the last part still has room for: septets of GSM-7, where € and some others take two, or 16-bit units of UCS-2."`
	ForcedBy  []ForcedBy `json:"forced_by" nullable:"false" maxItems:"50" doc:"The first characters that need UCS-2, each once."`
	Cost      float64    `json:"cost,omitempty" doc:"What the message costs; absent where prices are not known."`
	Currency  string     `json:"currency,omitempty" doc:"Of the cost, ISO 4217." example:"CNY"`
}

// ForcedBy is a character, as a reader sees one, that needs UCS-2.
type ForcedBy struct {
	Text    string `json:"text" example:"“"`
	Times   int    `json:"times"`
	Instead string `json:"instead,omitempty" doc:"What it could be written with." example:"\""`
}

// mostForced is how many characters are named.
const mostForced = 50

// sms measures the text of a message; nil: it is for another channel.
func (a *API) sms(channel, text string) *SMS {
	if channel != string(subscriptions.SMS) {
		return nil
	}
	p := sms.NewPreview(text, a.cfg.SMS, a.cfg.PricePerPart)
	s := &SMS{
		Encoding: p.Encoding.String(), Parts: p.Parts, TooLong: p.TooLong, UnitsLeft: p.Left,
		ForcedBy: []ForcedBy{}, Cost: p.Cost,
	}
	if p.Cost > 0 {
		s.Currency = a.cfg.Currency
	}
	for _, f := range p.Forcing[:min(len(p.Forcing), mostForced)] {
		s.ForcedBy = append(s.ForcedBy, ForcedBy(f))
	}
	return s
}
