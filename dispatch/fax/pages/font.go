package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/image/font/sfnt"
)

// usualFonts are where Debian puts the TrueType fonts that have Chinese and
// Latin. (Droid Sans Fallback has no digits.)
var usualFonts = []string{
	"/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",   // fonts-wqy-zenhei
	"/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", // fonts-wqy-microhei
}

// errNoFont: there is no font to write with. Somebody must install one.
var errNoFont = errors.New("no font for faxes: install the Debian package fonts-wqy-zenhei, or name a TrueType font that has the characters of your members")

// Font is what faxes are written in. It is safe for many goroutines.
type Font struct {
	data  []byte // one TrueType font
	face  *sfnt.Font
	units int // of its em
}

// OpenFont reads a TrueType font (.ttf), or the first of a collection (.ttc).
// An empty path stands for the first of the usual ones that is installed;
// errNoFont when none is. Fonts with PostScript outlines (most .otf, and Noto
// CJK) cannot be used.
func OpenFont(path string) (*Font, error) {
	if path == "" {
		for _, usual := range usualFonts {
			if _, err := os.Stat(usual); err == nil {
				return OpenFont(usual)
			}
		}
		return nil, errNoFont
	}
	file, err := os.ReadFile(path) //nolint:gosec // an operator names it
	if err != nil {
		return nil, fmt.Errorf("read the font for faxes: %w", err)
	}
	f, err := newFont(file)
	if err != nil {
		return nil, fmt.Errorf("the font %s: %w", path, err)
	}
	return f, nil
}

// newFont checks that a font can be written with, by doing it.
func newFont(file []byte) (*Font, error) {
	data, err := single(file)
	if err != nil {
		return nil, err
	}
	f := &Font{data: data}
	if f.face, err = sfnt.Parse(data); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotTrueType, err)
	}
	f.units = int(f.face.UnitsPerEm())
	if f.units < 16 || f.units > 16384 { // the OpenType specification, head
		return nil, errNotTrueType
	}
	tried, err := f.Render(Fax{Body: "+0123456789", FromNumber: "+"}, 1)
	if err == nil && tried.Missing != "" { // nobody could read who sends it
		err = errNoDigits
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

var (
	errNotTrueType = errors.New("it is no TrueType font")
	errNoDigits    = errors.New("it has no digits, or no Latin letters")
)

// neededTables are those that a PDF's font is made of, and keptTables may be
// there besides.
var (
	neededTables = []string{"OS/2", "cmap", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "name", "post"}
	keptTables   = append([]string{"cvt ", "fpgm", "gasp", "prep"}, neededTables...)
)

// single takes the first font out of a file, with the tables that are needed
// (the OpenType specification, "Organization of an OpenType Font").
func single(file []byte) ([]byte, error) {
	const header, record = 12, 16
	at := uint64(0)
	if len(file) >= header+4 && string(file[:4]) == "ttcf" {
		at = uint64(binary.BigEndian.Uint32(file[12:]))
	}
	if at+header > uint64(len(file)) {
		return nil, errNotTrueType
	}
	switch binary.BigEndian.Uint32(file[at:]) {
	case 0x00010000, 0x74727565: // "true"
	case 0x4f54544f: // "OTTO"
		return nil, fmt.Errorf("%w: its outlines are PostScript's", errNotTrueType)
	default:
		return nil, errNotTrueType
	}
	number := uint64(binary.BigEndian.Uint16(file[at+4:]))
	if at+header+number*record > uint64(len(file)) {
		return nil, errNotTrueType
	}
	var names []string
	var tables [][]byte
	for i := range number {
		r := file[at+header+i*record:]
		offset, length := uint64(binary.BigEndian.Uint32(r[8:])), uint64(binary.BigEndian.Uint32(r[12:]))
		if name := string(r[:4]); slices.Contains(keptTables, name) {
			if offset+length > uint64(len(file)) || slices.Contains(names, name) {
				return nil, errNotTrueType
			}
			names, tables = append(names, name), append(tables, file[offset:offset+length])
		}
	}
	for _, name := range neededTables {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%w: it has no table %q", errNotTrueType, name)
		}
	}
	return assemble(names, tables), nil
}

// assemble makes a font of tables.
func assemble(names []string, tables [][]byte) []byte {
	const header, record = 12, 16
	out := make([]byte, header+record*len(tables))
	binary.BigEndian.PutUint32(out, 0x00010000)
	binary.BigEndian.PutUint16(out[4:], uint16(len(tables))) //nolint:gosec // a few
	for i, table := range tables {
		r := out[header+record*i:]
		copy(r, names[i])
		binary.BigEndian.PutUint32(r[8:], uint32(len(out)))    //nolint:gosec // no font is so large
		binary.BigEndian.PutUint32(r[12:], uint32(len(table))) //nolint:gosec // no font is so large
		out = append(out, table...)
		out = append(out, make([]byte, -len(out)&3)...)
	}
	return out
}

// epoch is when a document says that it was made that says no time.
var epoch = time.Unix(0, 0).UTC()
