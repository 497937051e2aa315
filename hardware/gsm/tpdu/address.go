package tpdu

import (
	"fmt"
	"strings"
)

// The octet of an address that says what it is (section 9.1.2.5): type of
// number and numbering plan.
const (
	Unknown       byte = 0x81 // a number as it is dialled, telephone numbering plan
	International byte = 0x91 // country code first
	Alphanumeric  byte = 0xd0 // a name in the 7-bit alphabet
)

// Address is TP-OA, TP-DA, TP-RA or the address of a service centre.
type Address struct {
	// Type is the type-of-address octet. The zero Address, of type 0, is none.
	Type byte
	// Digits are a number's: 0 to 9, *, #, a, b, c. Empty for a name.
	Digits string
	// Name is an alphanumeric address: a septet of the 7-bit default alphabet
	// in each byte, which for letters and digits is their ASCII.
	Name string
}

const (
	maxDigits = 20 // ten octets of semi-octets
	maxName   = 11 // as many septets fit there
)

// Number is the address of a number: in international form with a leading +,
// or as it is dialled. Spaces and hyphens are left out.
func Number(number string) (Address, error) {
	digits, international := strings.CutPrefix(strings.NewReplacer(" ", "", "-", "").Replace(number), "+")
	a := Address{Type: Unknown, Digits: digits}
	if international {
		a.Type = International
	}
	if digits == "" || len(digits) > maxDigits {
		return Address{}, fmt.Errorf("a number of %d digits: %w", len(digits), ErrInvalid)
	}
	for i := range len(digits) {
		if semiOctet(digits[i]) < 0 {
			return Address{}, fmt.Errorf("a number with other than digits: %w", ErrInvalid)
		}
	}
	return a, nil
}

// Number is the number with a + before an international one, or empty for a name.
func (a Address) Number() string {
	if a.Digits != "" && a.international() {
		return "+" + a.Digits
	}
	return a.Digits
}

func (a Address) alphanumeric() bool  { return a.Type&0x70 == 0x50 }
func (a Address) international() bool { return a.Type&0x70 == 0x10 }

// semiOctets are the digits by their value; 15 is fill.
const semiOctets = "0123456789*#abc"

func semiOctet(digit byte) int { return strings.IndexByte(semiOctets, digit) }

// append writes an address field: its length in semi-octets, type and value.
func (a Address) append(b []byte) ([]byte, error) {
	if a.alphanumeric() {
		if len(a.Name) > maxName || a.Digits != "" {
			return nil, fmt.Errorf("a name of %d septets: %w", len(a.Name), ErrInvalid)
		}
		b = append(b, byte((len(a.Name)*7+3)/4), a.Type)
		return packSeptets(b, a.Name), nil
	}
	if len(a.Digits) > maxDigits || a.Name != "" || a.Type&0x80 == 0 {
		return nil, fmt.Errorf("an address of %d digits and type %#x: %w", len(a.Digits), a.Type, ErrInvalid)
	}
	return appendDigits(append(b, byte(len(a.Digits)), a.Type), a.Digits)
}

func appendDigits(b []byte, digits string) ([]byte, error) {
	for i := 0; i < len(digits); i += 2 {
		low, high := semiOctet(digits[i]), 0x0f
		if i+1 < len(digits) {
			high = semiOctet(digits[i+1])
		}
		if low < 0 || high < 0 {
			return nil, fmt.Errorf("an address with other than digits: %w", ErrInvalid)
		}
		b = append(b, byte(low|high<<4))
	}
	return b, nil
}

// address reads an address field.
func (r *reader) address() Address {
	semi := int(r.octet())
	a := Address{Type: r.octet()}
	if semi > maxDigits {
		r.fail(fmt.Errorf("an address of %d semi-octets: %w", semi, ErrInvalid))
	}
	value := r.take((semi + 1) / 2)
	if r.err != nil {
		return Address{}
	}
	if a.alphanumeric() {
		a.Name = unpackSeptets(value, semi*4/7)
	} else {
		a.Digits = digitsOf(value, semi)
	}
	return a
}

// digitsOf reads at most n semi-octets, up to a fill.
func digitsOf(value []byte, n int) string {
	var digits strings.Builder
	for i := range n {
		semi := value[i/2] >> (i % 2 * 4) & 0x0f
		if semi == 0x0f {
			break
		}
		digits.WriteByte(semiOctets[semi])
	}
	return digits.String()
}

// packSeptets packs as section 6.1.2.1 of 3GPP TS 23.038.
func packSeptets(b []byte, septets string) []byte {
	var bits, n uint
	for i := range len(septets) {
		bits |= uint(septets[i]&0x7f) << n
		for n += 7; n >= 8; n -= 8 {
			b = append(b, byte(bits))
			bits >>= 8
		}
	}
	if n > 0 {
		b = append(b, byte(bits))
	}
	return b
}

// unpackSeptets is the reverse, of n septets that packed must hold.
func unpackSeptets(packed []byte, n int) string {
	septets := make([]byte, n)
	for i := range septets {
		bit := i * 7
		pair := uint(packed[bit/8])
		if bit/8+1 < len(packed) {
			pair |= uint(packed[bit/8+1]) << 8
		}
		septets[i] = byte(pair>>(bit%8)) & 0x7f
	}
	return string(septets)
}

// SplitCentre takes the service centre's address off what a modem gives in PDU
// mode (3GPP TS 27.005, section 3.1; the field of 3GPP TS 24.011, section
// 8.2.5.1: its length counts octets, the type included). The zero Address:
// there is none.
func SplitCentre(pdu []byte) (centre Address, unit []byte, err error) {
	r := &reader{b: pdu}
	n := int(r.octet())
	if n > 1+maxDigits/2 {
		r.fail(fmt.Errorf("a service centre of %d octets: %w", n, ErrInvalid))
	}
	field := r.take(n)
	if r.err != nil {
		return Address{}, nil, r.err
	}
	if n > 0 {
		centre = Address{Type: field[0], Digits: digitsOf(field[1:], 2*(n-1))}
	}
	return centre, r.b, nil
}

// AppendCentre writes that field; for the zero Address the octet that lets the
// modem take the centre it is set to.
func AppendCentre(b []byte, centre Address) ([]byte, error) {
	if centre == (Address{}) {
		return append(b, 0), nil
	}
	if centre.Digits == "" || len(centre.Digits) > maxDigits || centre.Name != "" {
		return nil, fmt.Errorf("a service centre of %d digits: %w", len(centre.Digits), ErrInvalid)
	}
	return appendDigits(append(b, byte(1+(len(centre.Digits)+1)/2), centre.Type), centre.Digits)
}
