package eventform

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"io"

	"herald/jsontext"
	"herald/problem"
	"herald/xmlform"
)

// Document reads the events of an XML document, an <event> or a <batch> of any
// number, holding one event at a time.
type Document struct {
	in     *recorder
	xml    *xmlform.Decoder
	types  Types
	limits Limits
	begun  bool
	ended  bool
}

// NewDocument reads from r, which has no byte order mark. An event may have as
// many bytes as a line.
func NewDocument(r io.Reader, types Types, l Limits) *Document {
	in := &recorder{in: bufio.NewReader(r), most: l.LineBytes}
	return &Document{in: in, xml: xmlform.NewReader(in, l.Depth), types: types, limits: l}
}

// NewFragment reads the text of one event of a document whose namespaces were
// declared elsewhere.
func NewFragment(text []byte, types Types, l Limits) *Document {
	d := NewDocument(bytes.NewReader(text), types, l)
	d.in.most = max(l.LineBytes, len(text))
	d.begun = true
	return d
}

// Text is the last event as it was written. It may be changed by Next.
func (d *Document) Text() []byte { return bytes.TrimSpace(d.in.kept) }

// Next is the next event; io.EOF at the end. A problem, Malformed or TooLarge,
// means that nothing after it can be read; other errors are r's own.
func (d *Document) Next() (Item, error) {
	item, err := d.next()
	if d.in.err != nil { // the decoder calls it malformed
		err = d.in.err
	}
	return item, err
}

func (d *Document) next() (Item, error) {
	if d.ended {
		return Item{}, io.EOF
	}
	d.in.kept = d.in.kept[:0]
	if !d.begun {
		d.begun = true
		root, err := d.xml.Root()
		if err != nil {
			return Item{}, err
		}
		if err := checkNamespace(d.xml, root); err != nil {
			return Item{}, err
		}
		switch root.Name.Local {
		case "event":
			return d.only(root)
		case "batch":
			d.in.kept = d.in.kept[:0]
		default:
			return Item{}, jsontext.Malformed(d.xml.Line(), 0, "the document is neither an <event> nor a <batch>")
		}
	}
	start, err := d.xml.Child()
	if err != nil {
		return Item{}, err
	}
	if start == nil {
		d.ended = true
		if err := d.xml.End(); err != nil {
			return Item{}, err
		}
		return Item{}, io.EOF
	}
	if err := checkEvent(d.xml, *start); err != nil {
		return Item{}, err
	}
	return readXMLEvent(d.xml, *start, d.types, d.limits)
}

// only reads a document that is one event.
func (d *Document) only(root xml.StartElement) (Item, error) {
	d.ended = true
	item, err := readXMLEvent(d.xml, root, d.types, d.limits)
	if err != nil {
		return item, err
	}
	return item, d.xml.End()
}

// recorder keeps what is read, up to a limit.
type recorder struct {
	in   *bufio.Reader
	kept []byte
	most int
	err  error // that ended it, but for io.EOF
}

// Read is here for encoding/xml, which reads byte by byte where it can.
func (r *recorder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// ReadByte implements io.ByteReader.
func (r *recorder) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil && len(r.kept) >= r.most {
		err = problem.New(problem.TooLarge, "an event has more than %d bytes", r.most)
	}
	if err != nil {
		if err != io.EOF { //nolint:errorlint // a reader gives it as it is
			r.err = err
		}
		return 0, err
	}
	r.kept = append(r.kept, b)
	return b, nil
}
