// Package jsontext looks at JSON before anything is made of it: whether it can
// be read, how deep it is nested, whether PostgreSQL could keep it. Bytes come
// in, a problem that names the place goes out.
package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"herald/problem"
)

// Check makes sure that a text is one JSON value in UTF-8 that is not nested
// deeper than maxDepth, and returns a problem, Malformed with the place, where
// it is not. It needs no memory that grows with the depth.
func Check(body []byte, maxDepth int) error {
	if Depth(body) > maxDepth {
		return Malformed(1, 0, fmt.Sprintf("values are nested deeper than %d levels", maxDepth))
	}
	if !utf8.Valid(body) {
		return Malformed(1, 0, "the text is not UTF-8")
	}
	if json.Valid(body) {
		return nil
	}
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := body[:min(int(syntax.Offset), len(body))]
		return Malformed(1+bytes.Count(before, []byte("\n")), int(syntax.Offset), syntax.Error())
	}
	return Malformed(1, 0, fmt.Sprint(err))
}

// Malformed is the problem of a body that cannot be read; the offset is in bytes from the start.
func Malformed(line, offset int, message string) *problem.Error {
	at := fmt.Sprintf("line %d, byte %d", line, offset)
	return &problem.Error{
		Code:    problem.Malformed,
		Message: "the body cannot be read: " + at + ": " + message,
		Fields: []problem.Field{{
			Rule: "malformed", Message: at + ": " + message, Args: map[string]any{"line": line, "offset": offset},
		}},
	}
}

// Depth is how deep the arrays and objects of a JSON text are nested. It reads
// the text once and keeps nothing; text that is no JSON gives some number.
func Depth(text []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// HoldsNUL reports whether a string in a JSON text has the escape \u0000,
// which PostgreSQL's text and jsonb cannot hold.
func HoldsNUL(text []byte) bool {
	for rest := text; ; {
		at := bytes.Index(rest, []byte(`\u0000`))
		if at < 0 {
			return false
		}
		escapes := 0 // an even number before it: the backslash is its own
		for at-escapes > 0 && rest[at-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return true
		}
		rest = rest[at+1:]
	}
}
