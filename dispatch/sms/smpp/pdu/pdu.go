// Package pdu reads and writes the protocol data units of SMPP 3.4 (Short
// Message Peer to Peer Protocol Specification, version 3.4, issue 1.2).
//
// A Reader takes them off a connection one by one, each as a header and the
// octets of its body, which the Parse functions take apart. Begin, an Append
// function and End write one behind others into a buffer, so that many are one
// write. Nothing here opens a connection or keeps a state: both ends use it,
// our driver and the simulated SMSC.
//
// What comes in is never believed: a length is checked before anything is
// read or kept by it, and no unit is longer than MaxLength.
package pdu

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Command says what a unit is (section 5.1.2.1). The answer to a command has
// its value with the highest bit set.
type Command uint32

// The commands of SMPP 3.4 that are spoken here.
const (
	GenericNack     Command = 0x80000000
	BindReceiver    Command = 0x00000001
	BindTransmitter Command = 0x00000002
	QuerySM         Command = 0x00000003
	SubmitSM        Command = 0x00000004
	DeliverSM       Command = 0x00000005
	Unbind          Command = 0x00000006
	BindTransceiver Command = 0x00000009
	EnquireLink     Command = 0x00000015
	DataSM          Command = 0x00000103
)

const response Command = 0x80000000

// Response is the command that answers c.
func (c Command) Response() Command { return c | response }

// IsResponse reports whether c answers something.
func (c Command) IsResponse() bool { return c&response != 0 }

func (c Command) String() string {
	name, known := map[Command]string{
		BindReceiver: "bind_receiver", BindTransmitter: "bind_transmitter", BindTransceiver: "bind_transceiver",
		QuerySM: "query_sm", SubmitSM: "submit_sm", DeliverSM: "deliver_sm", DataSM: "data_sm",
		Unbind: "unbind", EnquireLink: "enquire_link",
	}[c&^response]
	switch {
	case c == GenericNack:
		return "generic_nack"
	case !known:
		return fmt.Sprintf("command 0x%08X", uint32(c))
	case c.IsResponse():
		return name + "_resp"
	}
	return name
}

// Lengths in octets.
const (
	// HeaderLength is what every unit begins with (section 3.2).
	HeaderLength = 16
	// MaxLength is the longest unit that is taken: a message_payload of 64 KiB
	// and all other fields at their longest.
	MaxLength = 68 << 10
	// MaxShortMessage is the longest short_message; a longer text goes into
	// message_payload (section 5.2.22).
	MaxShortMessage = 254
)

// MaxSequence is the highest sequence number (section 5.1.4); the lowest is 1.
const MaxSequence = 0x7FFFFFFF

// Header is what every unit begins with, without its length.
type Header struct {
	Command  Command
	Status   Status // of answers; else 0
	Sequence uint32
}

// Begin appends a header; the length is set by End.
func Begin(dst []byte, c Command, status Status, sequence uint32) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(c))
	dst = binary.BigEndian.AppendUint32(dst, uint32(status))
	return binary.BigEndian.AppendUint32(dst, sequence)
}

// End sets the length of the unit that begins at start and ends where unit does.
func End(unit []byte, start int) {
	binary.BigEndian.PutUint32(unit[start:], uint32(len(unit)-start))
}

// SetSequence changes the sequence number of the unit that begins at start.
func SetSequence(unit []byte, start int, sequence uint32) {
	binary.BigEndian.PutUint32(unit[start+12:], sequence)
}

// AppendBare appends a unit without a body, such as enquire_link, unbind,
// their answers, and any answer that refuses (section 4.4.2: a refusal has no
// body).
func AppendBare(dst []byte, c Command, status Status, sequence uint32) []byte {
	start := len(dst)
	dst = Begin(dst, c, status, sequence)
	End(dst, start)
	return dst
}

// What is wrong with a unit.
var (
	ErrLength    = errors.New("smpp: a unit's length is none that is allowed")
	ErrTruncated = errors.New("smpp: a unit ends before its fields do")
	ErrTooLong   = errors.New("smpp: a field is longer than it may be")
	ErrZeroOctet = errors.New("smpp: a text has a zero octet")
)

// appendText appends a C-octet string of at most size octets, its zero included.
func appendText(dst []byte, text string, size int) ([]byte, error) {
	if len(text) >= size {
		return dst, ErrTooLong
	}
	for i := range len(text) {
		if text[i] == 0 {
			return dst, ErrZeroOctet
		}
	}
	return append(append(dst, text...), 0), nil
}

// cursor reads fields one after the other. After the first mistake all that
// follows is zero, and err says what it was.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) octet() byte {
	if c.err != nil || len(c.rest) == 0 {
		c.fail(ErrTruncated)
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *cursor) octets(n int) []byte {
	if c.err != nil || len(c.rest) < n {
		c.fail(ErrTruncated)
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// text reads a C-octet string of at most size octets, its zero included.
func (c *cursor) text(size int) string {
	if c.err != nil {
		return ""
	}
	for i := range min(size, len(c.rest)) {
		if c.rest[i] == 0 {
			s := string(c.rest[:i])
			c.rest = c.rest[i+1:]
			return s
		}
	}
	if len(c.rest) >= size {
		c.fail(ErrTooLong)
	} else {
		c.fail(ErrTruncated)
	}
	return ""
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.rest = nil
}
