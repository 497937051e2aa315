package pdu

import (
	"encoding/binary"
	"io"
)

// Reader takes units off a connection. Its buffer is used again and again: a
// body is good until the next call of Next. It belongs to one goroutine.
type Reader struct {
	in       io.Reader
	buf      []byte
	from, to int // what is in buf and not given out yet
}

// NewReader reads units from in.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: in, buf: make([]byte, 16<<10)}
}

// Next is the next unit. io.EOF means that the connection ended between two
// units, io.ErrUnexpectedEOF that it ended within one, and ErrLength that
// what follows cannot be understood; the header is given with ErrLength, so
// that it can be answered.
func (r *Reader) Next() (Header, []byte, error) {
	if err := r.fill(HeaderLength); err != nil {
		return Header{}, nil, err
	}
	head := r.buf[r.from:]
	length := binary.BigEndian.Uint32(head)
	h := Header{
		Command:  Command(binary.BigEndian.Uint32(head[4:])),
		Status:   Status(binary.BigEndian.Uint32(head[8:])),
		Sequence: binary.BigEndian.Uint32(head[12:]),
	}
	if length < HeaderLength || length > MaxLength {
		return h, nil, ErrLength
	}
	if err := r.fill(int(length)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return h, nil, err
	}
	body := r.buf[r.from+HeaderLength : r.from+int(length) : r.from+int(length)]
	r.from += int(length)
	return h, body, nil
}

// Buffered reports whether Next has a unit without waiting for the connection.
func (r *Reader) Buffered() bool {
	waiting := r.to - r.from
	return waiting >= HeaderLength && uint64(waiting) >= uint64(binary.BigEndian.Uint32(r.buf[r.from:]))
}

// fill reads until n octets are there.
func (r *Reader) fill(n int) error {
	for r.to-r.from < n {
		if r.from+n > len(r.buf) {
			r.makeRoom(n)
		}
		read, err := r.in.Read(r.buf[r.to:])
		r.to += read
		if err == nil || r.to-r.from >= n {
			continue // an error comes again at the next read
		}
		if err == io.EOF && r.to > r.from {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// makeRoom moves what is there to the front, of a larger buffer if n needs it.
func (r *Reader) makeRoom(n int) {
	to := r.buf
	if n > len(to) {
		to = make([]byte, MaxLength)
	}
	r.to = copy(to, r.buf[r.from:r.to])
	r.from, r.buf = 0, to
}
