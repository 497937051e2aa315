package campaigns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"herald/calendar"
	"herald/campaigns/segment"
	"herald/problem"
	"herald/subscriptions"
)

// The bounds of a plan.
const (
	maxName     = 200 // characters
	maxMessages = 50
	minExpiry   = time.Minute
	maxExpiry   = 30 * 24 * time.Hour
	minPatience = time.Second
	maxRate     = 100_000 // a second
)

const refusal = "the campaign cannot be saved"

// normalise fills the defaults in.
func (p *Plan) normalise() {
	p.Name = strings.TrimSpace(p.Name)
	p.Segment.Condition = strings.TrimSpace(p.Segment.Condition)
	p.Segment.Trigger = strings.TrimSpace(p.Segment.Trigger)
	p.When.Cron, p.When.Until = strings.TrimSpace(p.When.Cron), strings.TrimSpace(p.When.Until)
	p.Patience = strings.TrimSpace(p.Patience)
	if p.Purpose == "" {
		p.Purpose = subscriptions.Marketing
	}
	if p.Priority == 0 {
		p.Priority = 4
	}
	if p.Expiry == "" {
		p.Expiry = "24h"
	}
	if p.When.TimeZone == "" {
		p.When.TimeZone = "UTC"
	}
	if o, err := calendar.Parse(p.When.Occasion); err == nil {
		p.When.Occasion = o.String()
	}
	if p.When.Occasion != "" && p.When.Hour == "" {
		p.When.Hour = defaultHour
	}
}

// check notes every mistake under the name of its field; what the messages say
// is checked when they are saved.
func (p Plan) check() problem.Fields {
	var f problem.Fields
	switch {
	case p.Name == "":
		f.Add("name", "required", "give the campaign a name")
	case utf8.RuneCountInString(p.Name) > maxName:
		f.AddArgs("name", "max_len", map[string]any{"max": maxName}, "must have at most %d characters", maxName)
	case !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, func(r rune) bool { return r < ' ' }):
		f.Add("name", "charset", "must be one line of text in UTF-8")
	}
	if !p.Purpose.Known() {
		f.AddArgs("purpose", "options", map[string]any{"options": subscriptions.Purposes}, "must be transactional, service or marketing")
	}
	if p.Priority != 3 && p.Priority != 4 {
		f.AddArgs("priority", "options", map[string]any{"options": []int{3, 4}}, "must be 3 or 4: alerts go first")
	}
	if d, err := time.ParseDuration(p.Expiry); err != nil || d < minExpiry || d > maxExpiry {
		f.Add("expiry", "duration", `must be between "1m" and "720h"`)
	}
	if d, err := p.patience(); err != nil || p.Patience != "" && (d < minPatience || d > maxExpiry || d%time.Microsecond != 0) {
		f.Add("patience", "duration", `must be empty or between "1s" and "720h"`)
	}
	if p.Rate < 0 || p.Rate > maxRate {
		f.AddArgs("rate", "range", map[string]any{"min": 0, "max": maxRate}, "must be 0 (no limit) to %d", maxRate)
	}
	p.checkMessages(&f)
	p.When.check(&f)
	p.Segment.check(&f)
	return f
}

// patience is Patience as time; 0: for ever.
func (p Plan) patience() (time.Duration, error) {
	if p.Patience == "" {
		return 0, nil
	}
	return time.ParseDuration(p.Patience)
}

func (p Plan) checkMessages(f *problem.Fields) {
	if len(p.Channels) == 0 {
		f.Add("channels", "required", "choose at least one channel")
	}
	for i, ch := range p.Channels {
		path := fmt.Sprintf("channels[%d]", i)
		switch {
		case !ch.Known():
			f.AddArgs(path, "options", map[string]any{"options": subscriptions.Channels}, "must be email, sms, voice or fax")
		case slices.Contains(p.Channels[:i], ch):
			f.Add(path, "unique", "is named twice")
		case !slices.ContainsFunc(p.Messages, func(m Wording) bool { return m.Channel == ch }):
			f.Add("messages", "required", "write what is said by %s", ch)
		}
	}
	if len(p.Messages) > maxMessages {
		f.AddArgs("messages", "max_items", map[string]any{"max": maxMessages}, "must be at most %d", maxMessages)
	}
	for i, m := range p.Messages {
		path := fmt.Sprintf("messages[%d]", i)
		if !slices.Contains(p.Channels, m.Channel) {
			f.Add(path+".channel", "options", "is not one of the campaign's channels")
		}
		if slices.ContainsFunc(p.Messages[:i], func(o Wording) bool { return o.Channel == m.Channel && o.Locale == m.Locale }) {
			f.Add(path+".locale", "unique", "there is another message by %s in this language", m.Channel)
		}
	}
}

func (s Segment) check(f *problem.Fields) {
	switch {
	case s.All && (s.Trigger != "" || s.Condition != ""):
		f.Add("segment.all", "alone", "all members are meant, or only some: not both")
	case !s.All && s.Trigger == "" && s.Condition == "":
		f.Add("segment", "required", "say which members are meant")
	case s.Condition != "":
		if _, err := segment.Compile(s.Condition); under(f, "segment.", err) {
			return
		}
		// The question that is asked has more around it.
		if _, err := s.withBirthday().compile(); err != nil {
			f.Add("segment.condition", "condition_max", "1:1: is too long or nests too deep")
		}
	}
}

// under adds the mistakes of a problem under a path; it reports whether err is one.
func under(f *problem.Fields, path string, err error) bool {
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid {
		return false
	}
	for _, field := range p.Fields {
		field.Path = path + field.Path
		*f = append(*f, field)
	}
	return true
}

// checkTriggers makes sure that the triggers a segment names exist.
func (s *Store) checkTriggers(ctx context.Context, seg Segment, f *problem.Fields) error {
	known := func(name string) (bool, error) {
		_, err := s.cfg.Triggers.Get(ctx, name)
		if problem.CodeOf(err) == problem.NotFound {
			return false, nil
		}
		return err == nil, err
	}
	if seg.Trigger != "" {
		if ok, err := known(seg.Trigger); err != nil {
			return err
		} else if !ok {
			f.Add("segment.trigger", "unknown", "there is no trigger %q", seg.Trigger)
		}
	}
	if seg.Condition == "" {
		return nil
	}
	compiled, err := segment.Compile(seg.Condition)
	if err != nil {
		return nil //nolint:nilerr // check has told it
	}
	for _, m := range compiled.Mentions() {
		if ok, err := known(m.Trigger); err != nil {
			return err
		} else if !ok {
			f.Add("segment.condition", "condition_name", "%s: there is no trigger %q", m.Position, m.Trigger)
		}
	}
	return nil
}

// checkCalendar makes sure that the calendar an occasion needs exists.
func (s *Store) checkCalendar(ctx context.Context, w When, f *problem.Fields) error {
	o, err := calendar.Parse(w.Occasion)
	if err != nil || o.Calendar() == "" {
		return nil //nolint:nilerr // check has told it
	}
	_, err = s.cfg.Calendars.Using(ctx, o)
	if problem.CodeOf(err) == problem.NotFound {
		f.Add("when.occasion", "unknown", "there is no calendar %q", o.Calendar())
		return nil
	}
	return err
}

// compile makes the question of a checked segment.
func (s Segment) compile() (*segment.Segment, error) {
	var parts []string
	if s.Trigger != "" {
		parts = append(parts, fmt.Sprintf("subscribed(%q)", s.Trigger))
	}
	if s.Condition != "" {
		parts = append(parts, "("+s.Condition+"\n)")
	}
	if len(parts) == 0 {
		parts = []string{"true"}
	}
	compiled, err := segment.Compile(strings.Join(parts, " && "))
	if err != nil {
		return nil, fmt.Errorf("compile the segment: %w", err)
	}
	return compiled, nil
}
