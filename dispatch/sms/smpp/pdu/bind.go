package pdu

// Version34 is SMPP 3.4 as interface_version (section 5.2.4).
const Version34 = 0x34

// Bind asks for a session (section 4.1). The three binds differ in their
// command alone.
type Bind struct {
	SystemID         string // at most 15 octets
	Password         string // at most 8 octets
	SystemType       string // at most 12 octets
	InterfaceVersion byte
	TON, NPI         byte   // of AddressRange
	AddressRange     string // at most 40 octets
}

// Lengths of the fields of a bind, their zero included.
const (
	sizeSystemID   = 16
	sizePassword   = 9
	sizeSystemType = 13
	sizeRange      = 41
)

// AppendBind appends a unit that asks for a session of the kind c.
func AppendBind(dst []byte, c Command, sequence uint32, b Bind) ([]byte, error) {
	start := len(dst)
	out := Begin(dst, c, OK, sequence)
	var err error
	for _, field := range []struct {
		text string
		size int
	}{{b.SystemID, sizeSystemID}, {b.Password, sizePassword}, {b.SystemType, sizeSystemType}} {
		if out, err = appendText(out, field.text, field.size); err != nil {
			return dst, err
		}
	}
	out = append(out, b.InterfaceVersion, b.TON, b.NPI)
	if out, err = appendText(out, b.AddressRange, sizeRange); err != nil {
		return dst, err
	}
	End(out, start)
	return out, nil
}

// ParseBind reads the body of a bind.
func ParseBind(body []byte) (Bind, error) {
	c := cursor{rest: body}
	b := Bind{SystemID: c.text(sizeSystemID), Password: c.text(sizePassword), SystemType: c.text(sizeSystemType)}
	b.InterfaceVersion, b.TON, b.NPI = c.octet(), c.octet(), c.octet()
	b.AddressRange = c.text(sizeRange)
	return b, c.err
}

// AppendBindResp appends the answer that grants a session of the kind c.
func AppendBindResp(dst []byte, c Command, sequence uint32, systemID string) ([]byte, error) {
	start := len(dst)
	out, err := appendText(Begin(dst, c.Response(), OK, sequence), systemID, sizeSystemID)
	if err != nil {
		return dst, err
	}
	out = AppendOption(out, SCInterfaceVersion, []byte{Version34})
	End(out, start)
	return out, nil
}

// ParseBindResp reads the answer to a bind: who the SMSC says it is, and its
// version of SMPP, 0 when it does not say. A refusal has no body.
func ParseBindResp(body []byte) (systemID string, version byte, err error) {
	if len(body) == 0 {
		return "", 0, nil
	}
	c := cursor{rest: body}
	systemID = c.text(sizeSystemID)
	options := c.options()
	if v, found := options.Find(SCInterfaceVersion); found && len(v) == 1 {
		version = v[0]
	}
	return systemID, version, c.err
}
