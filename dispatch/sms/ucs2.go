package sms

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUCS2 appends a text in UTF-16BE, which is what phones take for UCS-2.
func AppendUCS2(dst []byte, text string) []byte {
	for _, r := range text {
		if r < 0x10000 {
			dst = binary.BigEndian.AppendUint16(dst, uint16(r))
			continue
		}
		high, low := utf16.EncodeRune(r)
		dst = binary.BigEndian.AppendUint16(dst, uint16(high))
		dst = binary.BigEndian.AppendUint16(dst, uint16(low))
	}
	return dst
}

// DecodeUCS2 reads UTF-16BE; half of a pair is U+FFFD, and so is a last octet
// that is alone.
func DecodeUCS2(octets []byte) string {
	text := make([]byte, 0, len(octets))
	for len(octets) >= 2 {
		r := rune(binary.BigEndian.Uint16(octets))
		octets = octets[2:]
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if len(octets) >= 2 {
				pair = utf16.DecodeRune(r, rune(binary.BigEndian.Uint16(octets)))
			}
			if pair != utf8.RuneError {
				octets = octets[2:]
			}
			r = pair
		}
		text = utf8.AppendRune(text, r)
	}
	if len(octets) > 0 {
		text = utf8.AppendRune(text, utf8.RuneError)
	}
	return string(text)
}
