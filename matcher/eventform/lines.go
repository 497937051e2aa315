package eventform

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"herald/jsontext"
	"herald/problem"
)

// Lines reads events one a line (application/x-ndjson), holding one line at a
// time. A line that cannot be read is refused alone: the next begins anew.
type Lines struct {
	in     *bufio.Reader
	limits Limits
	line   int
	text   []byte // of the last line
}

// NewLines reads from r.
func NewLines(r io.Reader, l Limits) *Lines {
	return &Lines{in: bufio.NewReaderSize(r, min(max(l.LineBytes+2, 16), 64<<10)), limits: l}
}

// Text is the line of the last event as it was written; empty when it was too
// long. It may be changed by Next.
func (l *Lines) Text() []byte { return l.text }

// Next is the next event; io.EOF at the end, r's own error when reading fails.
// Empty lines are passed over.
func (l *Lines) Next() (Item, error) {
	for {
		text, tooLong, err := l.read()
		if err != nil {
			return Item{}, err
		}
		text = bytes.TrimSpace(text)
		l.text = text
		if tooLong {
			return l.refuse(problem.New(problem.TooLarge, "the line has more than %d bytes", l.limits.LineBytes)), nil
		}
		if len(text) == 0 {
			continue
		}
		if err := jsontext.Check(text, l.limits.Depth); err != nil {
			var p *problem.Error
			if !errors.As(err, &p) {
				return Item{}, fmt.Errorf("read a line: %w", err)
			}
			return l.refuse(p), nil
		}
		item := readEnvelope(text, l.limits)
		item.Line = l.line
		return item, nil
	}
}

func (l *Lines) refuse(err *problem.Error) Item { return Item{Line: l.line, Err: err} }

// read is the next line without its end, or the fact that it is too long, in
// which case it has been passed over.
func (l *Lines) read() (text []byte, tooLong bool, err error) {
	l.line++
	for {
		part, err := l.in.ReadSlice('\n')
		ended := err == nil
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !errors.Is(err, io.EOF) || len(part)+len(text) == 0 && !tooLong {
				return nil, false, err
			}
			ended = true // the last line may have no end
		}
		if len(text)+len(bytes.TrimRight(part, "\r\n")) > l.limits.LineBytes {
			text, tooLong = nil, true
		}
		if !tooLong {
			text = append(text, part...)
		}
		if ended {
			return text, tooLong, nil
		}
	}
}
