package dispatch

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"herald/subscriptions"
)

// jsonOnce writes what the notifications of a batch share once, and not for
// each: a campaign's data and reasons are the same maps in all of them.
type jsonOnce struct {
	maps  map[uintptr]string
	steps map[stepKey]string
}

// stepKey tells steps apart while their arguments are alive.
type stepKey struct {
	at   time.Time
	code string
	ok   bool
	args uintptr
}

func (j *jsonOnce) data(data map[string]any) (string, error) {
	key := reflect.ValueOf(data).Pointer()
	if text, known := j.maps[key]; known {
		return text, nil
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	if j.maps == nil {
		j.maps = map[uintptr]string{}
	}
	j.maps[key] = string(raw)
	return string(raw), nil
}

func (j *jsonOnce) decision(d Decision) (string, error) {
	var b strings.Builder
	b.WriteByte('[')
	for i, step := range d {
		if i > 0 {
			b.WriteByte(',')
		}
		text, err := j.step(step)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	b.WriteByte(']')
	return b.String(), nil
}

func (j *jsonOnce) step(s Step) (string, error) {
	key := stepKey{s.At, s.Code, s.OK, reflect.ValueOf(s.Args).Pointer()}
	if text, known := j.steps[key]; known {
		return text, nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	if j.steps == nil {
		j.steps = map[stepKey]string{}
	}
	j.steps[key] = string(raw)
	return string(raw), nil
}

// joined is a ladder in one text; no channel has a comma in its name.
func joined(ladder []subscriptions.Channel) string {
	names := make([]string, len(ladder))
	for i, ch := range ladder {
		names[i] = string(ch)
	}
	return strings.Join(names, ",")
}
