package pdu

import "encoding/binary"

// Tag names an optional parameter (section 5.3.2).
type Tag uint16

// The optional parameters that are spoken here.
const (
	ReceiptedMessageID   Tag = 0x001E // a C-octet string
	UserMessageReference Tag = 0x0204 // two octets
	SARReference         Tag = 0x020C // two octets
	SARTotal             Tag = 0x020E // an octet
	SARSegment           Tag = 0x020F // an octet, from 1
	SCInterfaceVersion   Tag = 0x0210 // an octet
	NetworkErrorCode     Tag = 0x0423 // an octet for the network, two for the error
	MessagePayload       Tag = 0x0424
	MessageStateTag      Tag = 0x0427 // an octet
)

// Options are optional parameters as they are written: tag, length, value.
type Options []byte

// Find is the value of the first option of a tag.
func (o Options) Find(t Tag) (value []byte, found bool) {
	for len(o) >= 4 {
		tag, length := Tag(binary.BigEndian.Uint16(o)), int(binary.BigEndian.Uint16(o[2:]))
		if len(o) < 4+length {
			break
		}
		if tag == t {
			return o[4 : 4+length : 4+length], true
		}
		o = o[4+length:]
	}
	return nil, false
}

// Text is the value of an option that is a C-octet string, with or without
// its zero; empty: there is none.
func (o Options) Text(t Tag) string {
	value, _ := o.Find(t)
	for i, b := range value {
		if b == 0 {
			value = value[:i]
			break
		}
	}
	return string(value)
}

// Number is the value of an option of one or two octets.
func (o Options) Number(t Tag) (n uint16, found bool) {
	switch value, _ := o.Find(t); len(value) {
	case 1:
		return uint16(value[0]), true
	case 2:
		return binary.BigEndian.Uint16(value), true
	}
	return 0, false
}

// AppendOption appends an option; a value of more than 65,535 octets is cut,
// which nothing that MaxLength allows has.
func AppendOption(dst []byte, t Tag, value []byte) []byte {
	value = value[:min(len(value), 0xFFFF)]
	dst = binary.BigEndian.AppendUint16(dst, uint16(t))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

// AppendOption16 appends an option of two octets.
func AppendOption16(dst []byte, t Tag, value uint16) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(t))
	dst = append(dst, 0, 2)
	return binary.BigEndian.AppendUint16(dst, value)
}

// options is all that is left; the cursor fails when it is cut off within one.
func (c *cursor) options() Options {
	all := Options(c.rest)
	for len(c.rest) > 0 {
		head := c.octets(4)
		if head == nil {
			return nil
		}
		if c.octets(int(binary.BigEndian.Uint16(head[2:]))); c.err != nil {
			return nil
		}
	}
	return all
}

// State is what became of a message (section 5.2.28).
type State byte

// The states of a message.
const (
	Enroute       State = 1
	Delivered     State = 2
	Expired       State = 3
	Deleted       State = 4
	Undeliverable State = 5
	Accepted      State = 6
	UnknownState  State = 7
	Rejected      State = 8
)

var stateWords = map[State]string{
	Enroute: "ENROUTE", Delivered: "DELIVRD", Expired: "EXPIRED", Deleted: "DELETED",
	Undeliverable: "UNDELIV", Accepted: "ACCEPTD", UnknownState: "UNKNOWN", Rejected: "REJECTD",
}

// String is the word that receipts have for it (appendix B).
func (s State) String() string {
	if word, known := stateWords[s]; known {
		return word
	}
	return "UNKNOWN"
}

// ParseState reads a word of a receipt.
func ParseState(word string) (s State, known bool) {
	for state, w := range stateWords {
		if w == word {
			return state, true
		}
	}
	return UnknownState, false
}
