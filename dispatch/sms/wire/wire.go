// Package wire is the octets that CMPP and SGIP have in common: PDUs that begin
// with their length, a command and a sequence, fields of fixed widths, and the
// formats of a text; and what else they have in common: numbers of China's
// mainland, and times of Beijing.
//
// It is pure. A Protocol reads and writes PDUs, Fields what stands in one;
// Writing makes a Letter of a text, and Read a text of what came.
package wire

import (
	"errors"
	"fmt"
	"io"
)

// Sequence tells the requests of a connection apart. SGIP's has three words;
// of CMPP's one, the first two are zero.
type Sequence [3]uint32

// PDU is one unit of a protocol, without its length.
type PDU struct {
	Command  uint32
	Sequence Sequence
	Body     []byte
}

// answering is set in the command of every answer (CMPP 3.0, section 8.3;
// SGIP 1.2, table of commands).
const answering = 0x80000000

// IsAnswer tells an answer from a request.
func (p PDU) IsAnswer() bool { return p.Command&answering != 0 }

// Protocol is how a protocol's PDUs look.
type Protocol struct {
	// Words is how many words of a sequence are on the wire: 1 or 3.
	Words int
	// Longest is the most octets a PDU may have, its length field included.
	Longest int
	// Probe is the request that asks whether the other side is there. 0: the
	// protocol has none.
	Probe uint32
	// Leave is the request that takes leave.
	Leave uint32
}

func (p Protocol) header() int { return 8 + 4*p.Words }

// Append writes a whole PDU behind dst.
func (p Protocol) Append(dst []byte, u PDU) []byte {
	dst = Uint32(dst, uint32(p.header()+len(u.Body)))
	dst = Uint32(dst, u.Command)
	for _, word := range u.Sequence[3-p.Words:] {
		dst = Uint32(dst, word)
	}
	return append(dst, u.Body...)
}

// ErrMalformed is in errors about a PDU that cannot be one.
var ErrMalformed = errors.New("malformed PDU")

// Read reads the next PDU. A length that cannot be is an error before anything
// is read or made room for.
func (p Protocol) Read(r io.Reader) (PDU, error) {
	var head [20]byte
	h := head[:p.header()]
	if _, err := io.ReadFull(r, h); err != nil {
		return PDU{}, fmt.Errorf("read a PDU: %w", err)
	}
	f := Fields{Rest: h}
	length := f.Uint32()
	if length < uint32(len(h)) || length > uint32(p.Longest) {
		return PDU{}, fmt.Errorf("%w: its length is %d", ErrMalformed, length)
	}
	u := PDU{Command: f.Uint32()}
	for i := 3 - p.Words; i < 3; i++ {
		u.Sequence[i] = f.Uint32()
	}
	u.Body = make([]byte, int(length)-len(h))
	if _, err := io.ReadFull(r, u.Body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return PDU{}, fmt.Errorf("read a PDU: %w", err)
	}
	return u, nil
}
