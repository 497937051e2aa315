package webhooks

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"herald/problem"
)

// DisabledFor is why an endpoint is not posted to.
type DisabledFor string

// The reasons.
const (
	ByOperator DisabledFor = "operator" // somebody switched it off
	Gone       DisabledFor = "gone"     // it answered 410 Gone
	Failing    DisabledFor = "failing"  // nothing got through for days
)

// Endpoint is where one of the company's systems takes messages.
type Endpoint struct {
	ID          int64    `json:"id"`
	URL         string   `json:"url"`
	Description string   `json:"description,omitempty"`
	Types       []string `json:"types" nullable:"false" doc:"What it listens to: types, all of a family (delivery.*), or everything (*)."`
	Enabled     bool     `json:"enabled"`
	// DisabledFor is empty while Enabled.
	DisabledFor DisabledFor `json:"disabled_for,omitempty" enum:"operator,gone,failing" doc:"Why it is off: an operator, 410 Gone, or days without an answer."`
	// FailingSince is the first failure since its last success.
	FailingSince *time.Time `json:"failing_since,omitempty" doc:"Since when no message got through; absent while they do."`
	HoldUntil    *time.Time `json:"hold_until,omitempty" doc:"Nothing is posted before: it asked for patience, or could not be reached."`
	// OldSecretUntil is when the secret before the last rotation stops signing.
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty" doc:"Until when messages are signed with the secret before, too."`
	Version        int        `json:"version"`
	CreatedBy      string     `json:"created_by"`
	ChangedBy      string     `json:"changed_by"`
	CreatedAt      time.Time  `json:"created_at"`
	ChangedAt      time.Time  `json:"changed_at"`

	failures  int
	secret    []byte // sealed
	oldSecret []byte // sealed; nil when there is none
}

// NewEndpoint is an endpoint to be made. It begins enabled.
type NewEndpoint struct {
	URL         string
	Description string
	Types       []string
	By          string // "operator:ann", "key:shop"
}

// Change is what is to become of an endpoint; nil leaves a field as it is.
type Change struct {
	URL         *string
	Description *string
	Types       *[]string
	Enabled     *bool
	Version     int // the one that was read; 0: whichever there is
	By          string
}

// apply makes the change. Another address, or being switched on, is a new
// beginning: what failed before is forgotten.
func (c Change) apply(e *Endpoint) {
	if c.URL != nil && strings.TrimSpace(*c.URL) != e.URL {
		e.URL = strings.TrimSpace(*c.URL)
		e.begin()
	}
	if c.Description != nil {
		e.Description = *c.Description
	}
	if c.Types != nil {
		e.Types = *c.Types
	}
	if c.Enabled != nil && *c.Enabled != e.Enabled {
		e.Enabled, e.DisabledFor = *c.Enabled, ""
		if e.Enabled {
			e.begin()
		} else {
			e.DisabledFor = ByOperator
		}
	}
	e.ChangedBy = c.By
}

// begin forgets what failed.
func (e *Endpoint) begin() { e.failures, e.FailingSince, e.HoldUntil = 0, nil, nil }

const (
	maxDescription = 200 // characters
	// maxEndpoints bounds what one event may cost.
	maxEndpoints = 50
)

// tidy brings an endpoint's texts into the form they are kept in, and finds
// what is wrong with it.
func (g guard) tidy(e *Endpoint) error {
	e.URL, e.Description = strings.TrimSpace(e.URL), strings.TrimSpace(e.Description)
	e.Types = slices.Clone(e.Types)
	slices.Sort(e.Types)
	e.Types = slices.Compact(e.Types)

	var f problem.Fields
	g.checkURL(e.URL, &f)
	if utf8.RuneCountInString(e.Description) > maxDescription {
		f.AddArgs("description", "max_len", map[string]any{"max": maxDescription}, "must have at most %d characters", maxDescription)
	} else if !utf8.ValidString(e.Description) || strings.ContainsRune(e.Description, 0) {
		f.Add("description", "charset", "must be text")
	}
	if len(e.Types) == 0 {
		f.Add("types", "required", "say what to listen to, such as delivery.*")
	}
	for _, pattern := range e.Types {
		if !covers(pattern) {
			f.Add("types", "options", "%.100q is no type of event, no family such as delivery.*, and not *", pattern)
		}
	}
	return f.Err("the endpoint cannot be taken as it is")
}
