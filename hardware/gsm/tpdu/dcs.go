package tpdu

// DCS is TP-DCS, the data coding scheme (3GPP TS 23.038, section 4). The zero
// DCS is the 7-bit default alphabet without a class.
type DCS byte

// The usual schemes.
const (
	GSM7  DCS = 0x00
	Data8 DCS = 0x04
	UCS2  DCS = 0x08
)

// Alphabet is GSM7, Data8 or UCS2. Reserved codings count as GSM7, as the
// standard wants.
func (d DCS) Alphabet() DCS {
	switch group := d >> 4; {
	case group < 0x08: // general, and with automatic deletion
		if a := d & 0x0c; a == UCS2 || a == Data8 {
			return a
		}
	case group == 0x0e: // message waiting, stored, in UCS-2
		return UCS2
	case group == 0x0f && d&0x04 != 0: // data coding and class
		return Data8
	}
	return GSM7
}

// Compressed says that the data are compressed (3GPP TS 23.042).
func (d DCS) Compressed() bool { return d < 0x80 && d&0x20 != 0 }

// Septets reports whether TP-UDL counts septets.
func (d DCS) Septets() bool { return d.Alphabet() == GSM7 && !d.Compressed() }

// Class is the message's class, 0 to 3, or -1 when it has none.
func (d DCS) Class() int {
	if d < 0x80 && d&0x10 != 0 || d >= 0xf0 {
		return int(d & 0x03)
	}
	return -1
}
