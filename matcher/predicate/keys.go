package predicate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"herald/problem"
)

// The limits of a subscription's keys and an event's probes.
const (
	MaxKeys   = 1000 // elements of a set, so keys of a subscription
	maxPrefix = 64   // characters of a prefix that a key distinguishes
	maxPart   = 200  // bytes of a text that stand in a key as they are
)

// Planner is the way in which conditions are turned into keys and probes. It
// is raised when one condition gets other keys or another Bound than before;
// keys that are stored have then to be made anew.
const Planner = 2

// Bound is how an anchor's range term compares: a subscription is a candidate
// where value Bound bound holds of Probe.Value and Key.Bound, or for Between
// where Probe.Value lies between Key.Bound and Key.Upper, both included. It is
// NoBound where the condition has no range term.
func (p *Predicate) Bound() Bound { return p.anchor.bound }

// WaitsOn reports whether the keys of a subscription hang on a field of the
// member: "account", "time_zone" or "birthday".
func (p *Predicate) WaitsOn(field string) bool {
	if p.anchor.prefix != nil && p.anchor.prefix.member == field {
		return true
	}
	return slices.ContainsFunc(p.anchor.equal, func(c comparison) bool { return c.member == field })
}

// Keys are what a subscription with these constants waits on; none when an
// absent value or an empty set means that no event can meet it. A set of more
// than MaxKeys elements, and a place or distance that there is not on earth,
// is a *problem.Error with the path "params.<name>".
func (p *Predicate) Keys(param map[string]any, m Member) ([]Key, error) {
	v := &Values{Param: param, Member: m}
	var base []byte
	for _, c := range p.anchor.equal {
		value := c.constant(v)
		if value == nil {
			return nil, nil
		}
		var err error
		if base, err = appendPart(base, value); err != nil {
			return nil, fmt.Errorf("%s: %w", c.constantName(), err)
		}
	}
	if c := p.anchor.prefix; c != nil {
		value := c.constant(v)
		if value == nil {
			return nil, nil
		}
		text, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("%s: a prefix is text, not %T", c.constantName(), value)
		}
		base = appendText(base, 'p', firstRunes(text, maxPrefix))
	}
	key := Key{Key: string(base)}
	if ok, err := p.anchor.limits(param, &key); err != nil || !ok {
		return nil, err
	}
	switch {
	case p.anchor.place != nil:
		return placeKeys(key, *p.anchor.place, param)
	case p.anchor.set != nil:
		return setKeys(key, p.anchor.set.param, param)
	}
	return []Key{key}, nil
}

// placeKeys are base extended by each cell that the place's surroundings lie in.
func placeKeys(base Key, n nearness, param map[string]any) ([]Key, error) {
	var figures [3]float64
	var fields problem.Fields
	for i, f := range []figure{n.ofLatitude, n.ofLongitude, n.distance} {
		value, ok, err := f.of(param)
		if err != nil || !ok {
			return nil, err
		}
		if may := reasonable[i+2]; !may.has(value) {
			fields.AddArgs("params."+f.param, "range", map[string]any{"min": may.min, "max": may.max}, "%s", may)
		}
		figures[i] = value
	}
	if err := fields.Err(unusable); err != nil {
		return nil, err
	}
	cells := covering(pointAt(figures[0], figures[1]), figures[2])
	keys := make([]Key, len(cells))
	for i, c := range cells {
		keys[i] = base
		keys[i].Key = string(c.appendTo([]byte(base.Key)))
	}
	return keys, nil
}

// setKeys are base extended by each element of a set, once.
func setKeys(base Key, name string, param map[string]any) ([]Key, error) {
	if param[name] == nil {
		return nil, nil
	}
	elements, ok := param[name].([]string)
	if !ok {
		return nil, fmt.Errorf("param.%s: a set is a list of texts, not %T", name, param[name])
	}
	if len(elements) > MaxKeys {
		var fields problem.Fields
		fields.AddArgs("params."+name, "max", map[string]any{"max": MaxKeys}, "at most %d entries", MaxKeys)
		return nil, fields.Err(unusable)
	}
	var keys []Key
	seen := make(map[string]bool, len(elements))
	for _, element := range elements {
		if seen[element] {
			continue
		}
		seen[element] = true
		one := base
		one.Key = string(appendText([]byte(base.Key), 's', element))
		keys = append(keys, one)
	}
	return keys, nil
}

const unusable = "the parameters cannot be used"

// Probes are what an event is looked up by; none when it can meet no
// subscription, because of an absent attribute or of a term that it decides
// alone.
func (p *Predicate) Probes(event map[string]any) ([]Probe, error) {
	if p.missesAlone(event) {
		return nil, nil
	}
	var room [128]byte // most keys need no more, and nothing is allocated
	base := room[:0]
	for i := range p.anchor.equal {
		c := &p.anchor.equal[i]
		value := event[c.attribute]
		if value == nil {
			return nil, nil
		}
		var err error
		if base, err = appendPart(base, value); err != nil {
			return nil, fmt.Errorf("event.%s: %w", c.attribute, err)
		}
	}
	var value float64
	if c := p.anchor.ranged; c != nil {
		reading := event[c.attribute]
		if reading == nil {
			return nil, nil
		}
		var err error
		if value, err = scale(reading); err != nil {
			return nil, fmt.Errorf("event.%s: %w", c.attribute, err)
		}
	}
	return p.anchor.extend(base, value, event)
}

// missesAlone reports whether the event misses a term that reads nothing else.
// Terms that need CEL are left to Eval.
func (p *Predicate) missesAlone(event map[string]any) bool {
	v := &Values{Event: event}
	for i := range p.terms {
		if t := &p.terms[i]; t.ofEvent {
			if result := t.natively(v); result == no || result == absent {
				return true
			}
		}
	}
	return false
}

// extend adds the prefix and set parts of an event to the key of its equality
// parts: a key for each level of the grid, or for each length of prefix that a
// subscription may wait on.
func (a *anchor) extend(base []byte, value float64, event map[string]any) ([]Probe, error) {
	if a.place != nil {
		return a.place.extend(base, value, event)
	}
	var member []byte
	if a.set != nil {
		text, ok, err := text(event, a.set.attribute)
		if err != nil || !ok {
			return nil, err
		}
		if a.prefix == nil {
			return []Probe{{string(appendText(base, 's', text)), value}}, nil
		}
		member = appendText(nil, 's', text)
	}
	if a.prefix == nil {
		return []Probe{{string(base), value}}, nil
	}
	whole, ok, err := text(event, a.prefix.attribute)
	if err != nil || !ok {
		return nil, err
	}
	var probes []Probe
	for length := 0; length <= len(whole) && len(probes) <= maxPrefix; {
		key := appendText(base, 'p', whole[:length])
		probes = append(probes, Probe{string(append(key, member...)), value})
		_, size := utf8.DecodeRuneInString(whole[length:])
		length += max(size, 1)
	}
	return probes, nil
}

// extend adds the cell of each level that the event lies in; none when it lies
// nowhere.
func (n nearness) extend(base []byte, value float64, event map[string]any) ([]Probe, error) {
	latitude, aOK, aErr := numberIn(event, "event.", n.latitude)
	longitude, oOK, oErr := numberIn(event, "event.", n.longitude)
	if err := errors.Join(aErr, oErr); err != nil || !aOK || !oOK || !isPlace(latitude, longitude) {
		return nil, err
	}
	at := pointAt(latitude, longitude)
	first, last := 0, maxLevel
	if n.distance.param == "" {
		first = levelOf(chord(n.distance.literal))
		last = first
	}
	probes := make([]Probe, 0, last-first+1)
	var ends [maxLevel + 1]int // of the keys in all, which are one string to allocate
	all := make([]byte, 0, (last-first+1)*(len(base)+len("g16.12345.12345.12345:")))
	for level := first; level <= last; level++ {
		all = cellOf(at, level).appendTo(append(all, base...))
		ends[level] = len(all)
	}
	begin, keys := 0, string(all)
	for _, end := range ends[first : last+1] {
		probes = append(probes, Probe{keys[begin:end], value})
		begin = end
	}
	return probes, nil
}

// limits sets the bounds of the range terms; ok is false when one's parameter
// is absent.
func (a *anchor) limits(param map[string]any, key *Key) (ok bool, err error) {
	for _, side := range []struct {
		term *comparison
		to   *float64
	}{{a.ranged, &key.Bound}, {a.upper, &key.Upper}} {
		if side.term == nil {
			continue
		}
		value := param[side.term.param]
		if value == nil {
			return false, nil
		}
		if *side.to, err = scale(value); err != nil {
			return false, fmt.Errorf("param.%s: %w", side.term.param, err)
		}
	}
	return true, nil
}

// scale puts numbers and times (seconds since 1970) on the line of float64. It
// keeps order, and may join times less than a microsecond apart.
func scale(value any) (float64, error) {
	switch v := value.(type) {
	case float64:
		return v, nil
	case time.Time:
		return float64(v.Unix()) + float64(v.Nanosecond())/1e9, nil
	}
	return 0, fmt.Errorf("not a number or time: %T", value)
}

func text(event map[string]any, attribute string) (s string, ok bool, err error) {
	value := event[attribute]
	if value == nil {
		return "", false, nil
	}
	s, ok = value.(string)
	if !ok {
		return "", false, fmt.Errorf("event.%s: not a text: %T", attribute, value)
	}
	return s, true, nil
}

// appendPart appends a value that is compared for equality. Parts begin with
// their type, and texts with their length, so that no two lists of values
// have the same key.
func appendPart(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendText(b, 's', v), nil
	case float64:
		// v + 0 makes one number of 0 and -0, which are equal.
		var bits [8]byte
		binary.BigEndian.PutUint64(bits[:], math.Float64bits(v+0))
		return hex.AppendEncode(append(b, 'n'), bits[:]), nil
	case bool:
		return append(b, 'b', strconv.FormatBool(v)[0]), nil
	case time.Time:
		b = strconv.AppendInt(append(b, 't'), v.Unix(), 10)
		return fmt.Appendf(b, ".%09d", v.Nanosecond()), nil
	}
	return b, fmt.Errorf("cannot be compared for equality: %T", value)
}

// appendText appends a text as kind, length, colon, text. A text that is long,
// or that PostgreSQL cannot hold, stands as its SHA-256 under the kind's
// capital: an index entry is bounded, and Eval compares the text itself.
func appendText(b []byte, kind byte, s string) []byte {
	if len(s) > maxPart || strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		sum := sha256.Sum256([]byte(s))
		s, kind = hex.EncodeToString(sum[:]), kind-'a'+'A'
	}
	b = strconv.AppendInt(append(b, kind), int64(len(s)), 10)
	return append(append(b, ':'), s...)
}

// firstRunes is the beginning of s, at most n characters; an invalid byte
// counts as one.
func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
