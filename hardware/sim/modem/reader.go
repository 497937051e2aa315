package modem

// The longest command line and the longest text after a prompt. A PDU has at
// most 176 octets, a text of UCS-2 in hexadecimal at most 640 digits.
const (
	longestLine = 1024
	longestText = 2048
)

// reader takes bytes from the line one by one and finds commands (ITU-T V.250,
// section 5.2) and, after a prompt, texts (3GPP TS 27.005, section 3.5.1).
type reader struct {
	text bool   // a prompt was given: what comes is a text
	got  []byte // at most one more than the longest
	last string // the command line before, for A/
}

// found is what a byte completed.
type found uint8

const (
	nothing     found = iota
	commandLine       // with its AT, without its end
	messageText       // up to its Ctrl-Z
	cancelled         // by ESC
	tooLong           // a line or text beyond all measure; it was dropped
)

const (
	ctrlZ     = 0x1A
	escape    = 0x1B
	backspace = 0x08
)

// take reads a byte. The text is valid for what was found.
func (r *reader) take(b byte) (found, string) {
	if r.text {
		return r.takeText(b)
	}
	switch b {
	case '\r':
		return r.endOfLine()
	case '\n', ctrlZ, escape, 0: // left over from somewhere
		return nothing, ""
	case backspace:
		if n := len(r.got); n > 0 {
			r.got = r.got[:n-1]
		}
		return nothing, ""
	}
	r.keep(b, longestLine)
	if n := len(r.got); n >= 2 && upper(r.got[n-2]) == 'A' && b == '/' && r.last != "" && n == 2 {
		r.got = r.got[:0]
		return commandLine, r.last
	}
	return nothing, ""
}

func (r *reader) takeText(b byte) (found, string) {
	switch b {
	case ctrlZ:
		whole := len(r.got) <= longestText
		text := string(r.got)
		r.text, r.got = false, r.got[:0]
		if !whole {
			return tooLong, ""
		}
		return messageText, text
	case escape:
		r.text, r.got = false, r.got[:0]
		return cancelled, ""
	case backspace:
		if n := len(r.got); n > 0 {
			r.got = r.got[:n-1]
		}
		return nothing, ""
	}
	r.keep(b, longestText)
	return nothing, ""
}

func (r *reader) keep(b byte, longest int) {
	if len(r.got) <= longest {
		r.got = append(r.got, b)
	}
}

// endOfLine looks for the first AT: what stands before it is noise.
func (r *reader) endOfLine() (found, string) {
	line := r.got
	r.got = r.got[:0]
	if len(line) > longestLine {
		return tooLong, ""
	}
	for i := 0; i+1 < len(line); i++ {
		if upper(line[i]) == 'A' && upper(line[i+1]) == 'T' {
			r.last = string(line[i:])
			return commandLine, r.last
		}
	}
	return nothing, ""
}

// begun is true from the first character of a command to its end.
func (r *reader) begun() bool { return len(r.got) > 0 && upper(r.got[0]) == 'A' }

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}
