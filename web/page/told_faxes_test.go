package page

import (
	"testing"

	"herald/dispatch"
)

// faxes are all that may happen to faxes, as it comes out of the database.
func faxes(t *testing.T, who Audience) Course {
	t.Helper()
	entries := []dispatch.Entry{
		{Code: "fax_submitted", OK: true, Args: map[string]any{"pages": 3, "first": 1}, Detail: map[string]any{"account": "fax", "job": "17"}},
		{Code: "fax_sent", OK: true, Args: map[string]any{"sent": 1, "of": 3}},
		{Code: "fax_submitted", OK: true, Args: map[string]any{"pages": 3, "first": 2}},
	}
	for _, outcome := range []string{
		"delivered", "busy", "no_answer", "no_carrier", "no_fax", "no_tone", "refused", "killed", "expired", "document", "dropped",
		"unconfirmed", "server", "incomplete", "forgotten", "unexpected",
	} {
		entries = append(entries, dispatch.Entry{Code: "fax_ended", OK: outcome == "delivered", Args: map[string]any{"outcome": outcome, "dials": 2}})
	}
	c := Course{Audience: who}
	c.Timeline.Entries = entries
	return c
}

func TestFaxesAreToldToEachInTheirWords(t *testing.T) { areWorded(t, faxes, "faxes.txt", "fax_") }
