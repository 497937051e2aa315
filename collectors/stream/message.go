package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"herald/collectors"
	"herald/matcher/eventform"
)

// message is what a message holds.
type message struct {
	headers nats.Header
	data    []byte
}

// header is a header's value, however its name is written.
func (m message) header(name string) string {
	for have, values := range m.headers {
		if strings.EqualFold(have, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// read makes an item of a message: in binary mode where it has ce- headers, else
// in structured mode, in XML where it says so and otherwise in JSON.
func read(m message, types eventform.Types) collectors.Item {
	item, err := m.event(types)
	made := collectors.Item{Event: item.Event, Original: m.text()}
	switch {
	case err != nil:
		made.Err = err
	case item.Err != nil:
		made.Err = item.Err
	}
	return made
}

func (m message) event(types eventform.Types) (eventform.Item, error) {
	limits := eventform.Defaults()
	if len(m.data) > limits.LineBytes {
		return eventform.Item{}, fmt.Errorf("the message has more than %d bytes", limits.LineBytes)
	}
	if m.header("ce-specversion") != "" {
		return eventform.Binary(m.header, m.data, types, limits)
	}
	form, _, _ := strings.Cut(m.header("content-type"), ";")
	if form = strings.TrimSpace(form); !strings.HasSuffix(form, "xml") {
		return eventform.Structured(m.data, limits)
	}
	items, _, err := eventform.XML(m.data, types, limits)
	if err != nil {
		return eventform.Item{}, err
	}
	if len(items) != 1 {
		return eventform.Item{}, errors.New("the message has several events: send each in its own")
	}
	return items[0], nil
}

// text is the message as it is kept among dead letters: its headers that matter
// as lines, an empty line, and the data.
func (m message) text() []byte {
	var lines []string
	for name, values := range m.headers {
		lower := strings.ToLower(name)
		if lower != "content-type" && !strings.HasPrefix(lower, "ce-") {
			continue
		}
		for _, value := range values {
			lines = append(lines, lower+": "+strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
		}
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		return bytes.Clone(m.data)
	}
	return append([]byte(strings.Join(lines, "\n")+"\n\n"), m.data...)
}

// parse reads what text wrote.
func parse(text []byte) (message, error) {
	if !bytes.HasPrefix(text, []byte("ce-")) && !bytes.HasPrefix(text, []byte("content-type:")) {
		return message{data: text}, nil
	}
	in := bufio.NewReader(bytes.NewReader(text))
	headers, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil {
		return message{}, fmt.Errorf("read the headers: %w", err)
	}
	data, err := io.ReadAll(in)
	return message{nats.Header(headers), data}, err
}
