package matcher

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"herald/problem"
)

// The limits of an event. Source and id together fit an index entry of
// PostgreSQL (2,704 bytes).
const (
	maxID     = 256       // bytes of an id and of a type
	maxSource = 1024      // bytes of a source and of a subject
	maxData   = 256 << 10 // bytes of the data as JSON
	maxDepth  = 32        // levels of nesting in the data
	// maxAhead is how far in the future an event may lie: clocks differ, and
	// so do the time zones that senders forget.
	maxAhead = 24 * time.Hour
)

// check holds an event against what any event must be, whatever its type, and
// returns its data as JSON. Mistakes have the CloudEvents attribute as path,
// or "data.<name>".
func (e Event) check(now time.Time) (data []byte, bad problem.Fields) {
	checkText(&bad, "id", e.ID, maxID, true)
	checkText(&bad, "source", e.Source, maxSource, true)
	if strings.HasPrefix(e.Source, OwnSource) && e.Trigger == "" {
		bad.Add("source", "reserved", "must not begin with %q: such events are Herald's own", OwnSource)
	}
	checkText(&bad, "type", e.Type, maxID, true)
	checkText(&bad, "subject", e.Subject, maxSource, false)
	switch {
	case e.Time.IsZero():
	case e.Time.After(now.Add(maxAhead)):
		bad.AddArgs("time", "max", map[string]any{"max": now.Add(maxAhead)}, "must be at most a day ahead")
	case e.Time.Year() < 1:
		bad.Add("time", "min", "must be in our era")
	}
	for _, name := range slices.Sorted(maps.Keys(e.Data)) {
		rule, message := checkValue(e.Data[name], 1)
		if strings.ContainsRune(name, 0) || !utf8.ValidString(name) {
			rule, message = "text", "must have a name of valid UTF-8 without the character NUL"
		}
		if rule != "" {
			bad.Add("data."+name, rule, "%s", message)
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return encodeData(e.Data, &bad), bad
}

func encodeData(values map[string]any, bad *problem.Fields) []byte {
	if values == nil {
		return []byte("{}")
	}
	data, err := json.Marshal(values)
	if err != nil {
		bad.Add("data", "type", "must be what JSON can hold")
		return nil
	}
	if len(data) > maxData {
		bad.AddArgs("data", "max", map[string]any{"max": maxData}, "must be at most %d bytes of JSON", maxData)
	}
	return data
}

func checkText(bad *problem.Fields, path, s string, limit int, required bool) {
	switch {
	case s == "" && required:
		bad.Add(path, "required", "must be given")
	case len(s) > limit:
		bad.AddArgs(path, "max_len", map[string]any{"max": limit}, "must be at most %d bytes", limit)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		bad.Add(path, "text", "must be valid UTF-8 without control characters")
	}
}

// checkValue finds what JSON in PostgreSQL cannot hold; rule is empty when the
// value is fine.
func checkValue(v any, depth int) (rule, message string) {
	if depth > maxDepth {
		return "depth", fmt.Sprintf("must be nested at most %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
			return "text", "must be valid UTF-8 without the character NUL"
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "type", "must be a finite number"
		}
	case []any:
		for _, element := range v {
			if rule, message := checkValue(element, depth+1); rule != "" {
				return rule, message
			}
		}
	case map[string]any:
		for name, element := range v {
			if rule, message := checkValue(name, depth+1); rule != "" {
				return rule, message
			}
			if rule, message := checkValue(element, depth+1); rule != "" {
				return rule, message
			}
		}
	}
	return "", ""
}
