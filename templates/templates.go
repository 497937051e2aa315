// Package templates keeps what messages say and fills it in.
//
// A template is Liquid, for one channel and locale; every save makes a new
// version and the highest is in force. Data comes in as a map (the event, the
// subscriber's parameters, the member, links), gets the company's name, and goes
// out as a Content ready for a sender. HTML is escaped unless the template says
// otherwise; a plain text part is made from the HTML where the template has none.
package templates

import (
	"time"

	"herald/templates/script"
)

// Template is one version of a message for one channel and locale.
type Template struct {
	Name    string    `json:"name"`    // "price_drop"
	Channel string    `json:"channel"` // email, sms, voice, fax
	Locale  string    `json:"locale"`  // BCP 47; "en" is the last fallback
	Version int       `json:"version"`
	Subject string    `json:"subject,omitempty"`
	HTML    string    `json:"html,omitempty"`
	Body    string    `json:"body,omitempty"` // plain text; empty: made from HTML
	SavedBy string    `json:"saved_by"`
	SavedAt time.Time `json:"saved_at"`
}

// Content is a message, filled in.
type Content struct {
	Subject string         // one line, no control characters
	HTML    string         // empty where the channel has none
	Text    string         // of a call: its transcript
	Script  *script.Script // what a call says and asks; nil on the other channels
	Locale  string         // the locale that was found
	Version int
}

// Gist is what the message says among others in a digest: its text, or of a
// call what it is about.
func (c Content) Gist() string {
	if c.Script != nil {
		return c.Script.Gist()
	}
	return c.Text
}
