package subscriptions

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/osteele/liquid"
	"golang.org/x/text/language"

	"herald/matcher/predicate"
	"herald/problem"
)

// What a definition may hold.
const (
	maxEventAttributes = 50
	maxParams          = 20
	maxOptions         = 100
	maxTitle           = 100 // characters
	maxHelp            = 500 // characters; of a summary's source too
	maxEventType       = 200 // bytes
	maxTextLen         = 500 // the highest max_len: what an index entry surely holds
	maxCoolDown        = 366 * 24 * time.Hour
	maxExpiry          = 31 * 24 * time.Hour
	minPatience        = time.Second
)

var (
	identifier   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	eventTypes   = regexp.MustCompile(`^[!-~]+$`) // CloudEvents 1.0, section 3: a non-empty string; here without spaces
	paramReading = regexp.MustCompile(`\bparam\.([A-Za-z0-9_]+)`)

	attributeTypes = []string{"string", "number", "boolean", "time"}
	paramTypes     = []string{"string", "number", "boolean", "time", "strings"}
)

// definition collects a definition's mistakes.
type definition struct{ bad problem.Fields }

// Check holds a definition against all its rules at once: names, wordings,
// types and bounds, the condition against the names and types it uses, the
// summary by filling it in. The error is Invalid with paths such as
// "params[1].min" and "condition".
func (t Trigger) Check() error {
	var d definition
	t = t.completed()
	d.name("name", t.Name)
	d.wording("title", t.Title, maxTitle, true)
	d.wording("help", t.Help, maxHelp, false)
	d.eventType("event_type", t.EventType, t.Dates != nil)
	d.attributes(t.Attributes)
	d.overTime(t)
	d.params(t.Params)
	d.delivery(t)
	if t.Template != "" {
		d.name("template", t.Template)
	} else {
		d.bad.Add("template", "required", "must be given")
	}
	d.condition(t)
	d.summary(t)
	return d.bad.Err("the trigger has mistakes")
}

func (d *definition) name(path, name string) {
	if !identifier.MatchString(name) {
		d.bad.Add(path, "format", "must begin with a small letter and hold only small letters, digits and _, at most 63")
	}
}

// wording checks a text in all its languages: English must be among them.
func (d *definition) wording(path string, t Text, limit int, required bool) {
	if len(t) == 0 && !required {
		return
	}
	for _, tag := range slices.Sorted(maps.Keys(t)) {
		at := path + "." + tag
		if _, err := language.Parse(tag); err != nil {
			d.bad.Add(at, "locale", "must be a language tag, such as en or zh")
		}
		switch n := utf8.RuneCountInString(t[tag]); {
		case strings.TrimSpace(t[tag]) == "":
			d.bad.Add(at, "required", "must be given")
		case n > limit:
			d.bad.AddArgs(at, "max_len", map[string]any{"max_len": limit}, "must be at most %d characters", limit)
		case !utf8.ValidString(t[tag]) || strings.ContainsRune(t[tag], 0):
			d.bad.Add(at, "type", "must be text")
		}
	}
	if _, ok := t["en"]; !ok {
		d.bad.Add(path+".en", "required", "must be given: other languages fall back to it")
	}
}

func (d *definition) atMost(path string, n, limit int) {
	if n > limit {
		d.bad.AddArgs(path, "max", map[string]any{"max": limit}, "must be at most %d", limit)
	}
}

func (d *definition) attributes(attributes []Attribute) {
	d.atMost("attributes", len(attributes), maxEventAttributes)
	seen := map[string]bool{}
	for i, a := range attributes {
		path := fmt.Sprintf("attributes[%d]", i)
		d.name(path+".name", a.Name)
		d.once(path+".name", a.Name, seen)
		d.wording(path+".title", a.Title, maxTitle, true)
		d.oneOf(path+".type", a.Type, attributeTypes)
	}
}

func (d *definition) params(params []Param) {
	d.atMost("params", len(params), maxParams)
	seen := map[string]bool{}
	for i, p := range params {
		path := fmt.Sprintf("params[%d]", i)
		d.name(path+".name", p.Name)
		d.once(path+".name", p.Name, seen)
		d.wording(path+".title", p.Title, maxTitle, true)
		d.wording(path+".help", p.Help, maxHelp, false)
		d.oneOf(path+".type", p.Type, paramTypes)
		d.bounds(path, p)
		d.options(path, p)
		if p.Default != nil {
			d.preset(path+".default", p)
		}
	}
}

func (d *definition) bounds(path string, p Param) {
	text := p.Type == string(predicate.String)
	list := p.Type == string(predicate.Strings)
	counts := list || p.Type == string(predicate.Number)
	if p.Min != nil && !counts {
		d.bad.Add(path+".min", "applies", "is only for numbers and lists")
	}
	if p.Max != nil && !counts {
		d.bad.Add(path+".max", "applies", "is only for numbers and lists")
	}
	if limit, ok := p.limit(); ok && p.Min != nil && *p.Min > limit {
		d.bad.AddArgs(path+".min", "max", map[string]any{"max": limit}, "must be at most the upper bound, %s", decimal(limit))
	}
	if list && p.Max != nil && (*p.Max < 1 || *p.Max > predicate.MaxKeys) {
		d.bad.AddArgs(path+".max", "range", map[string]any{"min": 1, "max": predicate.MaxKeys}, "of a list must be 1 to %d", predicate.MaxKeys)
	}
	switch {
	case p.MaxLen != 0 && !text && !list:
		d.bad.Add(path+".max_len", "applies", "is only for texts")
	case p.MaxLen < 0 || p.MaxLen > maxTextLen:
		d.bad.AddArgs(path+".max_len", "max", map[string]any{"max": maxTextLen}, "must be 1 to %d; 0 stands for %d", maxTextLen, defaultMaxLen)
	}
}

func (d *definition) options(path string, p Param) {
	if len(p.Options) == 0 {
		return
	}
	if p.Type != string(predicate.String) && p.Type != string(predicate.Strings) {
		d.bad.Add(path+".options", "applies", "are only for texts")
	}
	d.atMost(path+".options", len(p.Options), maxOptions)
	seen := map[string]bool{}
	for i, o := range p.Options {
		at := fmt.Sprintf("%s.options[%d]", path, i)
		if list, ok := readStrings(o.Value); !ok || len(list) != 1 || list[0] != o.Value || len(o.Value) > defaultMaxLen {
			d.bad.Add(at+".value", "format", "must be a short text without commas or spaces around it")
		}
		d.once(at+".value", o.Value, seen)
		d.wording(at+".title", o.Title, maxTitle, true)
	}
}

// preset holds a parameter's default against the parameter's own rules.
func (d *definition) preset(path string, p Param) {
	preset := p.Default
	p.Default = nil
	var bad problem.Fields
	if p.check(path, preset, &bad) == nil && len(bad) == 0 {
		bad.Add(path, "required", "must not be empty")
	}
	d.bad = append(d.bad, bad...)
}

func (d *definition) delivery(t Trigger) {
	if len(t.Channels) == 0 {
		d.bad.Add("channels", "required", "must name at least one channel")
	}
	checkLadder(t.Channels, &d.bad)
	if !t.Purpose.Known() {
		d.bad.AddArgs("purpose", "option", map[string]any{"options": Purposes}, "must be transactional, service or marketing")
	}
	if t.Priority < 1 || t.Priority > 4 {
		d.bad.AddArgs("priority", "range", map[string]any{"min": 1, "max": 4}, "must be 1 (first) to 4 (last)")
	}
	if t.CoolDown != "" {
		if v, err := time.ParseDuration(t.CoolDown); err != nil || v < 0 || v > maxCoolDown || v%time.Microsecond != 0 {
			d.bad.AddArgs("cool_down", "duration", map[string]any{"max": maxCoolDown.String()}, "must be a duration such as 24h, at most %s", maxCoolDown)
		}
	}
	if v, err := time.ParseDuration(t.Expiry); err != nil || v <= 0 || v > maxExpiry {
		d.bad.AddArgs("expiry", "duration", map[string]any{"max": maxExpiry.String()}, "must be a duration such as 24h, at most %s", maxExpiry)
	}
	if t.Patience != "" {
		if v, err := time.ParseDuration(t.Patience); err != nil || v < minPatience || v > maxExpiry || v%time.Microsecond != 0 {
			d.bad.AddArgs("patience", "duration", map[string]any{"max": maxExpiry.String()}, "must be a duration such as 10m, from %s to %s", minPatience, maxExpiry)
		}
	}
}

// checkLadder holds channels in order against the rules of a ladder.
func checkLadder(ladder []Channel, bad *problem.Fields) {
	seen := map[Channel]bool{}
	for i, ch := range ladder {
		path := fmt.Sprintf("channels[%d]", i)
		checkChannel(path, ch, bad)
		if seen[ch] {
			bad.Add(path, "unique", "%s is there already", ch)
		}
		seen[ch] = true
	}
}

func (d *definition) condition(t Trigger) {
	_, err := t.Compile()
	if err == nil {
		return
	}
	var p *problem.Error
	if errors.As(err, &p) && len(p.Fields) > 0 {
		d.bad = append(d.bad, p.Fields...)
		return
	}
	d.bad.Add("condition", "syntax", "%s", err.Error())
}

// summary parses every language and fills it in with what the parameters
// might be.
func (d *definition) summary(t Trigger) {
	d.wording("summary", t.Summary, maxHelp, true)
	engine := liquid.NewEngine()
	for _, tag := range slices.Sorted(maps.Keys(t.Summary)) {
		path := "summary." + tag
		tpl, err := parseSummary(engine, t.Summary[tag])
		if err != nil {
			d.bad.Add(path, "syntax", "%s", err.Error())
			continue
		}
		for _, found := range paramReading.FindAllStringSubmatch(t.Summary[tag], -1) {
			if !slices.ContainsFunc(t.Params, func(p Param) bool { return p.Name == found[1] }) {
				d.bad.Add(path, "unknown", "there is no parameter %s", found[1])
			}
		}
		s := &Summaries{text: t.Summary, params: t.Params, templates: map[string]*liquid.Template{tag: tpl}}
		if _, err := s.Line(samples(t.Params), tag); err != nil {
			d.bad.Add(path, "syntax", "%s", err.Error())
		}
	}
}

// samples are values of the right types.
func samples(params []Param) map[string]any {
	values := make(map[string]any, len(params))
	for _, p := range params {
		switch predicate.Type(p.Type) {
		case predicate.Number:
			values[p.Name] = 1.0
		case predicate.Boolean:
			values[p.Name] = true
		case predicate.Time:
			values[p.Name] = time.Unix(0, 0)
		case predicate.Strings:
			values[p.Name] = []string{"a", "b"}
		default:
			values[p.Name] = "a"
		}
	}
	return values
}

func (d *definition) once(path, name string, seen map[string]bool) {
	if seen[name] {
		d.bad.Add(path, "unique", "%s is there already", name)
	}
	seen[name] = true
}

func (d *definition) oneOf(path, value string, options []string) {
	if !slices.Contains(options, value) {
		d.bad.AddArgs(path, "option", map[string]any{"options": options}, "must be one of %s", strings.Join(options, ", "))
	}
}
