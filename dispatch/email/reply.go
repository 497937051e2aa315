package email

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
)

// maxReply is the most that a server's answer may be, all lines together.
const maxReply = 64 << 10

// reply is one answer of the server (RFC 5321, section 4.2.1). The lines of a
// longer one are joined by "\n". The text is valid until the next is read.
type reply struct {
	code int // 200 to 599
	text []byte
}

// asError is the reply as an error that outlives the next one.
func (r reply) asError() error { return &textproto.Error{Code: r.code, Msg: string(r.text)} }

// replyReader reads answers one by one, however they arrive.
type replyReader struct {
	in    *bufio.Reader
	lines []byte // of a reply of several lines
}

func (r *replyReader) next() (reply, error) {
	line, err := r.line()
	if err != nil {
		return reply{}, err
	}
	first, last, err := parseReplyLine(line)
	if err != nil || last {
		return first, err
	}
	r.lines = append(r.lines[:0], first.text...)
	for !last {
		if line, err = r.line(); err != nil {
			return reply{}, err
		}
		var more reply
		if more, last, err = parseReplyLine(line); err != nil {
			return reply{}, err
		}
		if more.code != first.code {
			return reply{}, textproto.ProtocolError("the lines of a reply have different codes")
		}
		r.lines = append(append(r.lines, '\n'), more.text...)
		if len(r.lines) > maxReply {
			return reply{}, textproto.ProtocolError("a reply does not end")
		}
	}
	return reply{first.code, r.lines}, nil
}

// line is the next line without its end. Servers that end lines by LF alone
// are understood.
func (r *replyReader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return nil, textproto.ProtocolError("a line of a reply does not end")
	case err == io.EOF && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'}), nil
}

// parseReplyLine takes "250-text", "250 text" or "250" apart; last says that
// no more lines follow.
func parseReplyLine(line []byte) (r reply, last bool, err error) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return reply{}, false, textproto.ProtocolError("a reply without a code")
	}
	r.code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return r, true, nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return reply{}, false, textproto.ProtocolError("a reply without a code")
	}
	r.text = line[4:]
	return r, line[3] == ' ', nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
