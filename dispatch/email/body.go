package email

import (
	"encoding/base64"
	"strings"
)

// The two encodings of a body that any server passes on; neither has a line
// longer than 76 characters or a byte that is not ASCII (RFC 2045, section 6).
const (
	quotedPrintable = "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	inBase64        = "Content-Transfer-Encoding: base64\r\n\r\n"
)

// appendBody writes a part's encoding and its text in the shorter one. The
// text's lines, ended by LF or CRLF, are ended by CRLF; a dot that begins a
// line is doubled, as it travels (RFC 5321, section 4.5.2).
func appendBody(dst []byte, text string) []byte {
	if mostlyASCII(text) {
		return appendQuotedPrintable(append(dst, quotedPrintable...), text)
	}
	return appendBase64(append(dst, inBase64...), text)
}

// literal is what stands for itself in quoted-printable (RFC 2045, section
// 6.7, rules 2 and 3).
var literal = func() (table [256]bool) {
	for c := ' '; c <= '~'; c++ {
		table[c] = c != '='
	}
	table['\t'] = true
	return table
}()

func appendQuotedPrintable(dst []byte, text string) []byte {
	for {
		line, rest, more := strings.Cut(text, "\n")
		if !more {
			return appendQuotedLine(dst, line)
		}
		dst = append(appendQuotedLine(dst, strings.TrimSuffix(line, "\r")), "\r\n"...)
		text = rest
	}
}

// appendQuotedLine breaks a line where it becomes too long, and leaves the
// last column to the = that says so.
func appendQuotedLine(dst []byte, line string) []byte {
	const most = lineLength - 1
	column := 0
	for i := 0; i < len(line); {
		if column == 0 && line[i] == '.' {
			dst = append(dst, '.')
		}
		run := i
		for limit := min(len(line), i+most-column); run < limit && literal[line[run]]; {
			run++
		}
		dst = append(dst, line[i:run]...)
		column += run - i
		if i = run; i == len(line) {
			break
		}
		if column+3 > most {
			dst, column = append(dst, "=\r\n"...), 0
			continue
		}
		dst = append(dst, '=', hexDigits[line[i]>>4], hexDigits[line[i]&15])
		column += 3
		i++
	}
	last := len(line) - 1
	if last < 0 || line[last] != ' ' && line[last] != '\t' {
		return dst
	}
	// White space at the end of a line is lost on the way (rule 3).
	if dst = dst[:len(dst)-1]; column+2 > most {
		dst = append(dst, "=\r\n"...)
	}
	return append(dst, '=', hexDigits[line[last]>>4], hexDigits[line[last]&15])
}

// appendBase64 writes lines of 57 bytes, 76 characters each.
func appendBase64(dst []byte, text string) []byte {
	var line [lineLength / 4 * 3]byte
	n := 0
	put := func(c byte) {
		line[n] = c
		if n++; n == len(line) {
			dst = append(base64.StdEncoding.AppendEncode(dst, line[:]), "\r\n"...)
			n = 0
		}
	}
	for i := range len(text) {
		if text[i] == '\n' && (i == 0 || text[i-1] != '\r') {
			put('\r') // text has canonical lines before it is encoded (RFC 2045, section 6.8)
		}
		put(text[i])
	}
	return base64.StdEncoding.AppendEncode(dst, line[:n])
}
