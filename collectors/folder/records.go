package folder

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"herald/collectors"
	"herald/matcher"
	"herald/matcher/eventform"
	"herald/problem"
)

// record is one record of a file.
type record struct {
	event matcher.Event
	err   error // why it is no event
	given bool  // its id is given by where it stands, when it has none
	text  []byte
	line  int
}

// records are those of a file.
type records interface {
	// next is the next record; io.EOF at the end, unreadable where the file
	// cannot be read on.
	next() (record, error)
}

// limits of an event in a file.
func limits() eventform.Limits { return eventform.Defaults() }

func (f *Folder) records(in io.Reader, name string, types eventform.Types) (records, error) {
	switch f.format(name) {
	case CSV:
		return f.csv(in, types)
	case NDJSON:
		return lines{eventform.NewLines(in, limits())}, nil
	case XML:
		return documents{eventform.NewDocument(in, types, limits())}, nil
	}
	return nil, unreadable{errors.New("the file's ending is none of .csv, .ndjson, .jsonl and .xml")}
}

// lines are the events of NDJSON.
type lines struct{ in *eventform.Lines }

func (l lines) next() (record, error) {
	item, err := l.in.Next()
	return fromItem(item, l.in.Text()), err
}

// documents are the events of XML.
type documents struct{ in *eventform.Document }

func (d documents) next() (record, error) {
	item, err := d.in.Next()
	if code := problem.CodeOf(err); code == problem.Malformed || code == problem.TooLarge {
		err = unreadable{err}
	}
	return fromItem(item, d.in.Text()), err
}

func fromItem(item eventform.Item, text []byte) record {
	r := record{event: item.Event, text: bytes.Clone(text), line: item.Line}
	if item.Err != nil {
		r.err = item.Err
	}
	return r
}

// recordBytes is how long a record of CSV may be: a quote that is never closed
// would make one of the rest of the file.
const recordBytes = 256 << 10

// rows are the records of CSV.
type rows struct {
	*Folder
	types  eventform.Types
	in     *csv.Reader
	tee    *tee
	header []string
	head   []byte // the header as it was written
}

// csv reads the header.
func (f *Folder) csv(in io.Reader, types eventform.Types) (*rows, error) {
	r := &rows{Folder: f, types: types, tee: &tee{in: in}}
	r.in = csv.NewReader(r.tee)
	r.in.Comma = f.cfg.Comma
	r.in.ReuseRecord = true
	header, text, err := r.read()
	if errors.Is(err, io.EOF) {
		return nil, unreadable{errors.New("the file is empty: its first line names the columns")}
	}
	if err != nil {
		return nil, unreadable{fmt.Errorf("the header: %w", err)}
	}
	for _, name := range header {
		r.header = append(r.header, strings.TrimSpace(name))
	}
	r.head = bytes.Clone(text)
	for i, name := range r.header {
		if slices.Contains(r.header[:i], name) {
			return nil, unreadable{fmt.Errorf("two columns are called %q", name)}
		}
	}
	for _, want := range f.cfg.Mapping.Columns() {
		if !slices.Contains(r.header, want) {
			return nil, unreadable{fmt.Errorf("there is no column %q: the first line names %.60q, with %q between them", want, first(r.header), r.in.Comma)}
		}
	}
	return r, nil
}

// first are so many names as somebody reads to see what is wrong.
func first(names []string) []string { return names[:min(len(names), 20)] }

// read is the next record and its text. csv.ParseError is that of one record.
func (r *rows) read() (cells []string, text []byte, err error) {
	before := r.in.InputOffset()
	r.tee.from(before)
	r.tee.left = recordBytes
	cells, err = r.in.Read()
	return cells, r.tee.text(before, r.in.InputOffset()), err
}

func (r *rows) next() (record, error) {
	cells, text, err := r.read()
	line := 0
	if len(cells) > 0 {
		line, _ = r.in.FieldPos(0)
	}
	var broken *csv.ParseError
	switch {
	case errors.As(err, &broken):
		line = broken.StartLine
		err = broken.Err
	case errors.Is(err, errLong):
		return record{}, unreadable{err}
	case err != nil:
		return record{}, err
	}
	one := record{line: line, given: true, text: slices.Concat(bytes.TrimRight(r.head, "\r\n"), []byte("\n"), bytes.TrimRight(text, "\r\n"), []byte("\n"))}
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		one.err = fmt.Errorf("there are %d values for %d columns: put a value that holds %q into double quotes, and leave none out", len(cells), len(r.header), r.in.Comma)
	case err != nil:
		one.err = err
	case !utf8.Valid(text):
		one.err = errors.New("the line is not UTF-8")
	default:
		one.event, one.err = r.event(cells)
	}
	return one, nil
}

// event makes an event of a record, which has as many values as there are
// columns. Its id may be missing.
func (r *rows) event(cells []string) (matcher.Event, error) {
	row := make(map[string]any, len(cells))
	for i, name := range r.header {
		row[name] = cells[i]
	}
	m := r.cfg.Mapping
	m.Types = r.types
	event, mistakes := m.Event(row, "")
	return event, mistakes.Err("the line is no event")
}

// tee keeps what was read since an offset, up to what a record may have.
type tee struct {
	in   io.Reader
	kept []byte
	at   int64 // the offset of kept
	left int   // what may still be read for this record
}

var errLong = fmt.Errorf("a record has more than %d bytes: a quote may not have been closed", recordBytes)

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, errLong
	}
	n, err := t.in.Read(p)
	t.left -= n
	t.kept = append(t.kept, p[:n]...)
	return n, err
}

// from forgets what was before an offset.
func (t *tee) from(offset int64) {
	t.kept = append(t.kept[:0], t.kept[offset-t.at:]...)
	t.at = offset
}

// text is what was read between two offsets.
func (t *tee) text(from, to int64) []byte { return t.kept[from-t.at : to-t.at] }

// Reread implements collectors.Source.
func (f *Folder) Reread(ctx context.Context, key string, original []byte) (collectors.Item, error) {
	types, err := f.cfg.Types(ctx)
	if err != nil {
		return collectors.Item{}, err
	}
	r, err := f.reread(original, types)
	return r.named(key), err
}

// reread reads the text of one record, whose format shows.
func (f *Folder) reread(text []byte, types eventform.Types) (record, error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case len(trimmed) == 0:
		return record{}, errors.New("nothing was kept of it: give the file once more")
	case trimmed[0] == '{':
		return lines{eventform.NewLines(bytes.NewReader(trimmed), limits())}.next()
	case trimmed[0] == '<':
		r, err := documents{eventform.NewDocument(bytes.NewReader(trimmed), types, limits())}.next()
		if err != nil {
			return documents{eventform.NewFragment(trimmed, types, limits())}.next()
		}
		return r, nil
	}
	in, err := f.csv(bytes.NewReader(text), types)
	if err != nil {
		return record{}, err
	}
	return in.next()
}
