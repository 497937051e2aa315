package subscriptions

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"herald/problem"
)

// maxRecord is the most bytes of one row. A quotation mark left open would
// otherwise draw the rest of the file into memory.
const maxRecord = 1 << 20

// importColumns are the columns that a file may have, besides "attr.<name>".
var importColumns = []string{
	"account", "password", "customer_type", "display_name", "locale", "time_zone", "birthday",
	"quiet_from", "quiet_until", "digest_hour",
	"email", "mobile", "phone", "fax", "consents", "attributes",
}

// importChannels are the columns that hold addresses, and their channels.
var importChannels = map[string]Channel{"email": Email, "mobile": SMS, "phone": Voice, "fax": Fax}

// importRow is one row as it was read; an empty cell says nothing.
type importRow struct {
	line     int // where it begins, from 1
	account  string
	password string
	change   MemberChange
	contacts []importContact
	consents []NewConsent
	mistakes problem.Fields // by column
	// unreadable rows have no cells that could be checked further.
	unreadable bool
}

// refuse notes that the row as a whole cannot be read.
func (row *importRow) refuse(rule, format string, args ...any) {
	row.unreadable = true
	row.mistakes.Add("", rule, format, args...)
}

// importContact is an address with the column that it stands in.
type importContact struct {
	NewContact
	column string
}

// importReader reads a file of members row by row.
type importReader struct {
	input *boundedReader
	csv   *csv.Reader
	file  string
	fill  []func(row *importRow, cell string) // one for each column
	line  int                                 // of the last row
}

// newImportReader reads the header. Its error is Invalid by column where the
// file can be mended.
func newImportReader(r io.Reader, file string) (*importReader, error) {
	input := &boundedReader{r: r, left: maxRecord}
	buffered := bufio.NewReader(input)
	mark, err := buffered.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	switch {
	case string(mark) == "\uFEFF":
		if _, err := buffered.Discard(len(mark)); err != nil {
			return nil, fmt.Errorf("read the file: %w", err)
		}
	case strings.HasPrefix(string(mark), "\xFE\xFF"), strings.HasPrefix(string(mark), "\xFF\xFE"):
		return nil, problem.New(problem.Invalid, "the file is in UTF-16: save it as CSV in UTF-8")
	}
	ir := &importReader{input: input, csv: csv.NewReader(buffered), file: file}
	ir.csv.ReuseRecord = true
	names, err := ir.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, problem.New(problem.Invalid, "the file is empty: its first line must name the columns")
	}
	if err != nil {
		return nil, &problem.Error{Code: problem.Invalid, Message: "the first line cannot be read: it must name the columns, separated by commas", Err: err}
	}
	return ir, ir.header(names)
}

// header works out what each column means.
func (ir *importReader) header(names []string) error {
	var fields problem.Fields
	seen := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if !strings.HasPrefix(name, "attr.") {
			name = strings.ToLower(name)
		}
		fill := ir.filler(name)
		switch {
		case fill == nil:
			fields.AddArgs(storable(name, 64), "known", map[string]any{"options": importColumns},
				"is no column of members; these are: %s, attr.<name>, and attr.<name>:string, :number or :boolean", strings.Join(importColumns, ", "))
		case seen[name]:
			fields.Add(name, "duplicate", "is there twice")
		}
		seen[name] = true
		ir.fill = append(ir.fill, fill)
	}
	if !seen["account"] {
		fields.Add("account", "required", "must be one of the columns")
	}
	return fields.Err("the first line must name the columns, separated by commas")
}

// filler is what puts a cell of a column into its row; nil for no such column.
func (ir *importReader) filler(name string) func(*importRow, string) {
	if ch, ok := importChannels[name]; ok {
		return func(row *importRow, cell string) {
			row.contacts = append(row.contacts, importContact{NewContact{Channel: ch, Address: cell}, name})
		}
	}
	if attribute, ok := strings.CutPrefix(name, "attr."); ok {
		return attributeFiller(name, attribute)
	}
	switch name {
	case "account":
		return func(row *importRow, cell string) { row.account = normaliseAccount(cell) }
	case "password":
		return func(row *importRow, cell string) { row.password = cell }
	case "customer_type":
		return func(row *importRow, cell string) { row.change.CustomerType = &cell }
	case "display_name":
		return func(row *importRow, cell string) { row.change.DisplayName = &cell }
	case "locale":
		return func(row *importRow, cell string) { row.change.Locale = &cell }
	case "time_zone":
		return func(row *importRow, cell string) { row.change.TimeZone = &cell }
	case "birthday":
		return func(row *importRow, cell string) { row.change.Birthday = &cell }
	case "quiet_from":
		return func(row *importRow, cell string) { row.change.QuietFrom = row.clock(name, cell) }
	case "quiet_until":
		return func(row *importRow, cell string) { row.change.QuietUntil = row.clock(name, cell) }
	case "digest_hour":
		return fillDigestHour
	case "consents":
		return ir.fillConsents
	case "attributes":
		return fillAttributes
	}
	return nil
}

// clock reads a time of day, or that the company's shall hold.
func (row *importRow) clock(column, cell string) **Clock {
	var wish *Clock
	if strings.EqualFold(cell, "usual") {
		return &wish
	}
	wish = new(Clock)
	if err := wish.UnmarshalText([]byte(cell)); err != nil {
		row.mistakes.Add(column, "clock", "must be a time of day, such as 22:00, or usual for the company's quiet hours")
		return nil
	}
	return &wish
}

func fillDigestHour(row *importRow, cell string) {
	hour, err := strconv.Atoi(cell)
	if err != nil {
		row.mistakes.Add("digest_hour", "whole", "must be an hour of the day, 0 to 23")
		return
	}
	row.change.DigestHour = &hour
}

// fillConsents reads "email:service, sms:marketing".
func (ir *importReader) fillConsents(row *importRow, cell string) {
	for _, word := range strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(" ,;\t\n", r) }) {
		channel, purpose, _ := strings.Cut(strings.ToLower(word), ":")
		c := NewConsent{
			Channel: Channel(channel), Purpose: Purpose(purpose), Granted: true,
			Source: "import", Evidence: fmt.Sprintf("%s, line %d", ir.file, row.line),
		}
		if !c.Channel.Known() || !c.Purpose.Known() {
			row.mistakes.Add("consents", "known", "must be like email:service: a channel (email, sms, voice, fax) and a purpose (transactional, service, marketing)")
			return
		}
		if !slices.Contains(row.consents, c) {
			row.consents = append(row.consents, c)
		}
	}
}

func fillAttributes(row *importRow, cell string) {
	var attributes map[string]any
	if err := json.Unmarshal([]byte(cell), &attributes); err != nil || attributes == nil {
		row.mistakes.Add("attributes", "json", `must be a JSON object, such as {"grade": "gold"}`)
		return
	}
	for name, value := range attributes {
		row.setAttribute(name, value)
	}
}

func (row *importRow) setAttribute(name string, value any) {
	if row.change.Attributes == nil {
		row.change.Attributes = map[string]any{}
	}
	row.change.Attributes[name] = value
}

// attributeFiller serves "attr.points" and, with a type, "attr.points:number";
// nil when there is no such type.
func attributeFiller(column, attribute string) func(*importRow, string) {
	name, kind, _ := strings.Cut(attribute, ":")
	if name == "" || utf8.RuneCountInString(name) > 64 || !printable(name) {
		return nil
	}
	switch kind {
	case "":
		return func(row *importRow, cell string) { row.setAttribute(name, inferred(cell)) }
	case "string":
		return func(row *importRow, cell string) { row.setAttribute(name, cell) }
	case "number":
		return func(row *importRow, cell string) {
			number, err := strconv.ParseFloat(cell, 64)
			if err != nil || !json.Valid([]byte(cell)) {
				row.mistakes.Add(column, "number", "must be a number, such as 12.5")
				return
			}
			row.setAttribute(name, number)
		}
	case "boolean":
		return func(row *importRow, cell string) {
			switch strings.ToLower(cell) {
			case "true":
				row.setAttribute(name, true)
			case "false":
				row.setAttribute(name, false)
			default:
				row.mistakes.Add(column, "boolean", "must be true or false")
			}
		}
	}
	return nil
}

// inferred is a cell as the value it looks like: true and false, a number that
// floating point holds exactly, or text. What has leading zeros or more than 15
// digits is an identifier and stays text.
func inferred(cell string) any {
	switch cell {
	case "true":
		return true
	case "false":
		return false
	}
	if len(cell) <= 15 && strings.ContainsAny(cell[:1], "-0123456789") && json.Valid([]byte(cell)) {
		if number, err := strconv.ParseFloat(cell, 64); err == nil {
			return number
		}
	}
	return cell
}

// next reads one row; io.EOF after the last. Mistakes in a row travel with it.
func (ir *importReader) next() (importRow, error) {
	for {
		ir.input.left = maxRecord
		record, err := ir.csv.Read()
		row := importRow{line: ir.line + 1}
		var syntax *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return row, io.EOF
		case errors.Is(err, errTooLong):
			return row, problem.New(problem.Invalid, "the row after line %d has more than %d bytes: is a quotation mark left open?", ir.line, maxRecord)
		case errors.Is(err, csv.ErrFieldCount):
			row.line, _ = ir.csv.FieldPos(0)
			row.refuse("columns", "has %d cells, but the first line names %d columns", len(record), len(ir.fill))
		case errors.As(err, &syntax):
			row.line = syntax.StartLine
			row.refuse("csv", "cannot be read as far as line %d: %v", syntax.Line, syntax.Err)
		case err != nil:
			return row, fmt.Errorf("read the file after line %d: %w", ir.line, err)
		default:
			row.line, _ = ir.csv.FieldPos(0)
			if !ir.fillRow(&row, record) {
				continue // what a spreadsheet leaves below its last row
			}
		}
		ir.line = row.line
		return row, nil
	}
}

// fillRow reports whether any cell had something in it.
func (ir *importReader) fillRow(row *importRow, record []string) bool {
	something := false
	for i, cell := range record {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		something = true
		if !utf8.ValidString(cell) || strings.ContainsRune(cell, 0) {
			row.refuse("charset", "is not text in UTF-8: save the file as CSV in UTF-8")
			return true
		}
		ir.fill[i](row, cell)
	}
	return something
}

var errTooLong = errors.New("row too long")

// boundedReader ends with errTooLong when more than left bytes were read.
type boundedReader struct {
	r     io.Reader
	left  int
	total int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	b.total += int64(n)
	return n, err
}
