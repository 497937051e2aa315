package sms

import (
	"unicode/utf16"

	"github.com/rivo/uniseg"
)

// split cuts what the composition's text was written as into parts, which
// share its memory. It takes as few as can be, and cuts between what readers
// see as characters where that takes no more.
func (c *Composer) split(m Composition, data []byte) [][]byte {
	c.parts = c.parts[:0]
	if len(data) <= m.room(false) {
		c.parts = append(c.parts, data)
		return c.parts
	}
	room := m.room(true)
	fewest := 0
	for rest := data; len(rest) > 0; fewest++ {
		rest = rest[longest(rest, room, m.Encoding):]
	}
	c.cuts = c.clusters(c.cuts[:0], m)
	cuts := c.cuts
	start := 0
	for start < len(data) && len(c.parts) < fewest {
		end := start
		for len(cuts) > 0 && cuts[0] <= start+room {
			end, cuts = cuts[0], cuts[1:]
		}
		if end == start { // one character is longer than a part
			end += longest(data[start:], room, m.Encoding)
		}
		c.parts = append(c.parts, data[start:end])
		start = end
	}
	if start == len(data) {
		return c.parts
	}
	c.parts = c.parts[:0]
	for rest := data; len(rest) > 0; {
		end := longest(rest, room, m.Encoding)
		c.parts = append(c.parts, rest[:end])
		rest = rest[end:]
	}
	return c.parts
}

// longest is how much of the data fits in room without ending inside an escape
// sequence or a surrogate pair.
func longest(data []byte, room int, e Encoding) int {
	switch {
	case len(data) <= room:
		return len(data)
	case e == UCS2 && data[room]&0xFC == 0xDC:
		return room - 2
	case e == GSM7 && data[room-1] == escape:
		return room - 1
	}
	return room
}

// clusters appends where the written text can be cut: after each extended
// grapheme cluster (Unicode Standard Annex 29).
func (c *Composer) clusters(cuts []int, m Composition) []int {
	at, state := 0, -1
	for rest := m.Text; rest != ""; {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		at += m.written(cluster)
		cuts = append(cuts, at)
	}
	return cuts
}

// written is how many septets or octets some text takes, that can be written.
func (c Composition) written(text string) int {
	n := 0
	if c.Encoding == UCS2 {
		for _, r := range text {
			n += 2 * utf16.RuneLen(r)
		}
		return n
	}
	locked, _ := national().of(c.Locking, c.Shift)
	for _, r := range text {
		n++
		if _, ok := locked.septets[r]; !ok {
			n++
		}
	}
	return n
}
