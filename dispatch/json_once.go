package dispatch

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"herald/subscriptions"
)

// jsonOnce writes what the notifications of a batch share once, and not for
// each: a campaign's data and reasons are the same maps in all of them. It
// gives the place of a text among texts, from 1.
type jsonOnce struct {
	texts  []string
	places map[string]int32
	maps   map[uintptr]int32
	steps  map[stepKey]string
	buffer []byte
}

// stepKey tells steps apart while their arguments are alive.
type stepKey struct {
	at   time.Time
	code string
	ok   bool
	args uintptr
}

func (j *jsonOnce) place(text []byte) int32 {
	if place, known := j.places[string(text)]; known {
		return place
	}
	if j.places == nil {
		j.places = map[string]int32{}
	}
	j.texts = append(j.texts, string(text))
	place := int32(len(j.texts))
	j.places[j.texts[place-1]] = place
	return place
}

func (j *jsonOnce) data(data map[string]any) (int32, error) {
	key := reflect.ValueOf(data).Pointer()
	if place, known := j.maps[key]; known {
		return place, nil
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return 0, err
	}
	if j.maps == nil {
		j.maps = map[uintptr]int32{}
	}
	j.maps[key] = j.place(raw)
	return j.maps[key], nil
}

func (j *jsonOnce) decision(d Decision) (int32, error) {
	text := append(j.buffer[:0], '[')
	for i, step := range d {
		if i > 0 {
			text = append(text, ',')
		}
		written, err := j.step(step)
		if err != nil {
			return 0, err
		}
		text = append(text, written...)
	}
	j.buffer = append(text, ']')
	return j.place(j.buffer), nil
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
