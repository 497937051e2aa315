package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Fields reads the fields of a PDU one after the other. After the first that
// is not there it reads zeros, and Err says so.
type Fields struct {
	Rest  []byte
	short bool
}

// Bytes takes n octets; they are a part of what is read.
func (f *Fields) Bytes(n int) []byte {
	if f.short || n < 0 || n > len(f.Rest) {
		f.short = true
		return nil
	}
	b := f.Rest[:n:n]
	f.Rest = f.Rest[n:]
	return b
}

// Text takes a field of n octets that is filled up with zeros.
func (f *Fields) Text(n int) string {
	b := f.Bytes(n)
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}

// Uint8 takes an octet.
func (f *Fields) Uint8() uint8 {
	if b := f.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint32 takes a word.
func (f *Fields) Uint32() uint32 {
	if b := f.Bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 takes two words.
func (f *Fields) Uint64() uint64 {
	if b := f.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Err says that something was read that was not there.
func (f *Fields) Err(of string) error {
	if f.short {
		return fmt.Errorf("%w: %s ends early", ErrMalformed, of)
	}
	return nil
}

// Text writes a field of n octets behind dst, filled up with zeros; what is
// longer is cut.
func Text[T string | []byte](dst []byte, s T, n int) []byte {
	if len(s) > n {
		s = s[:n]
	}
	dst = append(dst, s...)
	return append(dst, make([]byte, n-len(s))...)
}

// Uint32 writes a word behind dst.
func Uint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// Uint64 writes two words behind dst.
func Uint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// Bit writes a flag as an octet.
func Bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// IsDigits reports whether s fits a field of most octets and has digits alone.
func IsDigits(s string, most int) bool {
	return len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// IsPlain reports whether s fits a field of most octets and is ASCII without
// spaces and controls.
func IsPlain(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return len(s) <= most
}
