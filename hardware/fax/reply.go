package fax

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// What a server may say at most: a line and a reply, in bytes.
const (
	mostLine  = 4 << 10
	mostReply = 64 << 10
)

// reply is what a server answers to a command.
type reply struct {
	code int    // from 100 to 599
	text string // of its last line, without the code
}

// class is the first digit (RFC 959, section 4.2).
func (r reply) class() int { return r.code / 100 }

const (
	preliminary  = 1
	completed    = 2
	intermediate = 3
)

// readReply reads a reply of one line, or of several as in RFC 959, section
// 4.2. Lines without a code are passed over, as HylaFAX's own clients do: a
// server puts texts into replies that may have line ends.
func readReply(r *bufio.Reader) (reply, error) {
	first := 0 // the code that a reply of several lines began with
	for read := 0; read < mostReply; {
		line, err := readLine(r)
		if err != nil {
			return reply{}, err
		}
		read += len(line) + 2
		code, more, ok := parseCode(line)
		switch {
		case !ok, first != 0 && code != first:
			continue
		case more:
			first = code
		default:
			return reply{code, string(line[min(len(line), 4):])}, nil
		}
	}
	return reply{}, fmt.Errorf("%w: a reply is longer than %d bytes", ErrProtocol, mostReply)
}

// readLine reads a line without its end; it is good until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line is longer than %d bytes", ErrProtocol, mostLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, fmt.Errorf("%w: in the middle of a line", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

// parseCode is the code that a line begins with, and whether more lines follow.
func parseCode(line []byte) (code int, more, ok bool) {
	if len(line) < 3 {
		return 0, false, false
	}
	for _, digit := range line[:3] {
		if digit < '0' || digit > '9' {
			return 0, false, false
		}
		code = 10*code + int(digit-'0')
	}
	if code < 100 || code > 599 {
		return 0, false, false
	}
	if len(line) == 3 {
		return code, false, true
	}
	return code, line[3] == '-', line[3] == '-' || line[3] == ' '
}
