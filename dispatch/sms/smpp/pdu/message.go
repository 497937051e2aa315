package pdu

// Address is a number or a name and what kind it is.
type Address struct {
	TON TON
	NPI NPI
	// Number is digits without a sign, or a name of up to 11 letters; at most
	// 20 octets, 64 in data_sm.
	Number string
}

// TON is the type of number (section 5.2.5).
type TON byte

// The types of number.
const (
	UnknownNumber   TON = 0
	International   TON = 1
	National        TON = 2
	NetworkSpecific TON = 3
	Subscriber      TON = 4
	Alphanumeric    TON = 5
	Abbreviated     TON = 6
)

// NPI is the numbering plan (section 5.2.6).
type NPI byte

// The numbering plans that phones have.
const (
	UnknownPlan NPI = 0
	ISDN        NPI = 1 // E.163 and E.164
)

// The bits of esm_class (section 5.2.12).
const (
	// ESMType masks what kind of message it is: none of its bits for a text.
	ESMType = 0x3C
	// ESMReceipt marks a delivery receipt.
	ESMReceipt = 0x04
	// ESMDeliveryAck and ESMUserAck mark a phone's acknowledgement.
	ESMDeliveryAck, ESMUserAck = 0x08, 0x10
	// ESMIntermediate marks a notification on the way.
	ESMIntermediate = 0x20
	// ESMHeader says that the text begins with a user data header.
	ESMHeader = 0x40
)

// Message is the body of submit_sm, deliver_sm and data_sm, which has only
// some of the fields.
type Message struct {
	ServiceType         string // at most 5 octets
	Source, Destination Address
	ESMClass            byte
	ProtocolID          byte
	Priority            byte
	Schedule            string // empty or 16 octets
	Validity            string // empty or 16 octets
	RegisteredDelivery  byte
	ReplaceIfPresent    byte
	DataCoding          byte
	DefaultMessageID    byte
	// ShortMessage is at most MaxShortMessage octets; data_sm has none.
	ShortMessage []byte
	Options      Options
}

// Text is the octets of the message: message_payload where there is one, else
// short_message (section 5.3.2.32: never both).
func (m *Message) Text() []byte {
	if payload, found := m.Options.Find(MessagePayload); found {
		return payload
	}
	return m.ShortMessage
}

// Lengths of the fields of a message, their zero included.
const (
	sizeServiceType = 6
	sizeNumber      = 21
	sizeDataNumber  = 65
	sizeTime        = 17
)

// AppendMessage appends a submit_sm or deliver_sm (sections 4.4.1 and 4.6.1).
func AppendMessage(dst []byte, c Command, sequence uint32, m *Message) ([]byte, error) {
	out, err := appendEnvelope(Begin(dst, c, OK, sequence), m, sizeNumber)
	if err != nil {
		return dst, err
	}
	out = append(out, m.ESMClass, m.ProtocolID, m.Priority)
	if out, err = appendText(out, m.Schedule, sizeTime); err != nil {
		return dst, err
	}
	if out, err = appendText(out, m.Validity, sizeTime); err != nil {
		return dst, err
	}
	if len(m.ShortMessage) > MaxShortMessage {
		return dst, ErrTooLong
	}
	out = append(out, m.RegisteredDelivery, m.ReplaceIfPresent, m.DataCoding, m.DefaultMessageID, byte(len(m.ShortMessage)))
	return appendOptions(dst, append(out, m.ShortMessage...), m.Options)
}

// appendOptions ends the unit that begins where dst ends.
func appendOptions(dst, out []byte, o Options) ([]byte, error) {
	start := len(dst)
	if len(out)-start+len(o) > MaxLength {
		return dst, ErrTooLong
	}
	out = append(out, o...)
	End(out, start)
	return out, nil
}

// AppendData appends a data_sm (section 4.7.1); its text is in m.Options.
func AppendData(dst []byte, sequence uint32, m *Message) ([]byte, error) {
	out, err := appendEnvelope(Begin(dst, DataSM, OK, sequence), m, sizeDataNumber)
	if err != nil {
		return dst, err
	}
	return appendOptions(dst, append(out, m.ESMClass, m.RegisteredDelivery, m.DataCoding), m.Options)
}

func appendEnvelope(out []byte, m *Message, sizeNumber int) ([]byte, error) {
	out, err := appendText(out, m.ServiceType, sizeServiceType)
	if err != nil {
		return out, err
	}
	if out, err = appendAddress(out, m.Source, sizeNumber); err != nil {
		return out, err
	}
	return appendAddress(out, m.Destination, sizeNumber)
}

func appendAddress(out []byte, a Address, size int) ([]byte, error) {
	return appendText(append(out, byte(a.TON), byte(a.NPI)), a.Number, size)
}

// ParseMessage reads the body of a submit_sm or deliver_sm. ShortMessage and
// Options are parts of body.
func ParseMessage(body []byte) (Message, error) {
	c := cursor{rest: body}
	m := c.envelope(sizeNumber)
	m.ESMClass, m.ProtocolID, m.Priority = c.octet(), c.octet(), c.octet()
	m.Schedule, m.Validity = c.text(sizeTime), c.text(sizeTime)
	m.RegisteredDelivery, m.ReplaceIfPresent, m.DataCoding, m.DefaultMessageID = c.octet(), c.octet(), c.octet(), c.octet()
	m.ShortMessage = c.octets(int(c.octet()))
	m.Options = c.options()
	return m, c.err
}

// ParseData reads the body of a data_sm. Options is a part of body.
func ParseData(body []byte) (Message, error) {
	c := cursor{rest: body}
	m := c.envelope(sizeDataNumber)
	m.ESMClass, m.RegisteredDelivery, m.DataCoding = c.octet(), c.octet(), c.octet()
	m.Options = c.options()
	return m, c.err
}

func (c *cursor) envelope(sizeNumber int) (m Message) {
	m.ServiceType = c.text(sizeServiceType)
	m.Source = c.address(sizeNumber)
	m.Destination = c.address(sizeNumber)
	return m
}

func (c *cursor) address(size int) Address {
	return Address{TON(c.octet()), NPI(c.octet()), c.text(size)}
}

const sizeMessageID = 65

// AppendMessageResp appends the answer that takes a submit_sm, deliver_sm or
// data_sm under an id, which is empty for deliver_sm (section 4.6.2).
func AppendMessageResp(dst []byte, c Command, sequence uint32, id string) ([]byte, error) {
	start := len(dst)
	out, err := appendText(Begin(dst, c.Response(), OK, sequence), id, sizeMessageID)
	if err != nil {
		return dst, err
	}
	End(out, start)
	return out, nil
}

// ParseMessageResp reads the id in the answer to submit_sm or data_sm. A
// refusal has no body, and some servers leave the id's zero out.
func ParseMessageResp(body []byte) (id string, err error) {
	if len(body) == 0 {
		return "", nil
	}
	c := cursor{rest: body}
	if id = c.text(sizeMessageID); c.err == ErrTruncated {
		return string(body), nil
	}
	return id, c.err
}

// Query asks what became of a message (section 4.8.1).
type Query struct {
	MessageID string // at most 64 octets
	Source    Address
}

// AppendQuery appends a query_sm.
func AppendQuery(dst []byte, sequence uint32, q Query) ([]byte, error) {
	start := len(dst)
	out, err := appendText(Begin(dst, QuerySM, OK, sequence), q.MessageID, sizeMessageID)
	if err == nil {
		out, err = appendAddress(out, q.Source, sizeNumber)
	}
	if err != nil {
		return dst, err
	}
	End(out, start)
	return out, nil
}

// ParseQuery reads the body of a query_sm.
func ParseQuery(body []byte) (Query, error) {
	c := cursor{rest: body}
	q := Query{MessageID: c.text(sizeMessageID), Source: c.address(sizeNumber)}
	return q, c.err
}

// QueryResp is what became of a message (section 4.8.2).
type QueryResp struct {
	MessageID string
	FinalDate string // empty or 16 octets
	State     State
	ErrorCode byte
}

// AppendQueryResp appends the answer to a query_sm.
func AppendQueryResp(dst []byte, sequence uint32, r QueryResp) ([]byte, error) {
	start := len(dst)
	out, err := appendText(Begin(dst, QuerySM.Response(), OK, sequence), r.MessageID, sizeMessageID)
	if err == nil {
		out, err = appendText(out, r.FinalDate, sizeTime)
	}
	if err != nil {
		return dst, err
	}
	out = append(out, byte(r.State), r.ErrorCode)
	End(out, start)
	return out, nil
}

// ParseQueryResp reads the answer to a query_sm that was not refused.
func ParseQueryResp(body []byte) (QueryResp, error) {
	c := cursor{rest: body}
	r := QueryResp{MessageID: c.text(sizeMessageID), FinalDate: c.text(sizeTime)}
	r.State, r.ErrorCode = State(c.octet()), c.octet()
	return r, c.err
}
