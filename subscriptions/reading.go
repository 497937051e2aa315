package subscriptions

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// plainNumber is a number as people type one into a form. Thousands separators
// are refused: "1,000" means one to half the world.
var plainNumber = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)$`)

// readNumber reads a number of JSON, of YAML or of a form, there also in the
// full-width digits of a Chinese keyboard.
func readNumber(raw any) (float64, bool) {
	switch v := raw.(type) {
	case float64:
		return finite(v)
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case json.Number:
		return readJSONNumber(v)
	case string:
		s := width.Narrow.String(v)
		if !plainNumber.MatchString(s) {
			return 0, false
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	}
	return 0, false
}

// readBoolean reads a boolean of JSON or what a form sends for one.
func readBoolean(raw any) (value, ok bool) {
	switch v := raw.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(v) {
		case "true", "on", "yes", "1":
			return true, true
		case "false", "off", "no", "0":
			return false, true
		}
	}
	return false, false
}

// readTime reads an RFC 3339 time, or a date with or without an hour as a form
// sends it, then in UTC.
func readTime(raw any) (time.Time, bool) {
	switch v := raw.(type) {
	case time.Time:
		return v.UTC(), true
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
			if at, err := time.Parse(layout, v); err == nil {
				return at.UTC(), true
			}
		}
	}
	return time.Time{}, false
}

// readStrings reads a list, sorted so that the same choice is the same list.
// An entry never holds a comma: a form has only that to tell entries apart.
func readStrings(raw any) ([]string, bool) {
	var given []string
	switch v := raw.(type) {
	case nil:
		return nil, true
	case string:
		given = []string{v}
	case []string:
		given = v
	case []any:
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			given = append(given, s)
		}
	default:
		return nil, false
	}
	var list []string
	for _, s := range given {
		for _, entry := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '，' || r == '、' }) {
			entry = strings.TrimSpace(entry)
			if !oneLine(entry) {
				return nil, false
			}
			if entry != "" {
				list = append(list, entry)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list), true
}

// oneLine reports whether s is text without control characters.
func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
