// Package pages makes the pages of a fax.
//
// A message in Markdown (CommonMark with the tables of GFM) goes in, with who
// sends it to whom; a PDF of A4 pages comes out that is fit for a fax machine:
// black on white, in type of 11 points or more, with a line on top of each page
// that says when it was sent, by whom and from which number, as 47 CFR
// 68.318(d) wants it, and a cover page where one is asked for. Chinese lines
// break where they may (UAX #14). The same input gives the same bytes.
//
// Nothing here knows of telephones, accounts or deliveries.
package pages

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The limits of a fax.
const (
	mostPages  = 30
	mostSource = 128 << 10 // bytes of Markdown
	mostLine   = 16 << 10  // bytes of a line of it
	// mostMarks is how many characters may open emphasis or links: goldmark
	// compares them with each other.
	mostMarks = 10_000
)

// ErrTooLong: the message has more than 128 KiB of Markdown or makes more than 30
// pages, has a line of more than 16 KiB, or is markup for the most part.
var ErrTooLong = errors.New("the fax is too long")

// Fax is what is to be written.
type Fax struct {
	// Locale is the language of what is not the message's own: the words on
	// the cover and on top of the pages. Chinese (zh…) or English.
	Locale string `json:"locale"`
	// At is when it is sent, in the time zone that is to be shown.
	At time.Time `json:"at"`
	// From and FromNumber are who sends it, and the number of the sending
	// machine. To may be empty.
	From       string `json:"from"`
	FromNumber string `json:"from_number"`
	To         string `json:"to"`
	ToNumber   string `json:"to_number"`
	Subject    string `json:"subject"`
	Body       string `json:"body"` // Markdown
	// Cover puts a page in front.
	Cover bool `json:"cover"`
}

// Document is a fax as PDF.
type Document struct {
	PDF []byte
	// Pages is how many the fax has; the PDF has those from the first that was
	// asked for.
	Pages int
	// Missing are the characters that the font does not have, each once, in
	// their order; a box stands for each.
	Missing string
}

// Render writes the pages of a fax from the first, which is from 1, to the
// last. The pages are the same whichever is the first. It fails with
// ErrTooLong.
func (f *Font) Render(fax Fax, first int) (Document, error) {
	if err := bounded(fax.Body); err != nil {
		return Document{}, err
	}
	w := newWriter(f)
	all, err := w.write(fax)
	if err != nil {
		return Document{}, err
	}
	if first < 1 || first > len(all) {
		return Document{}, fmt.Errorf("the fax has %d pages, and no page %d", len(all), first)
	}
	document, err := f.draw(all[first-1:], fax.At)
	if err != nil {
		return Document{}, err
	}
	return Document{PDF: document, Pages: len(all), Missing: w.missing()}, nil
}

// bounded keeps what takes minutes to read from being read.
func bounded(body string) error {
	if len(body) > mostSource {
		return fmt.Errorf("%w: it has %d bytes of text, and may have %d", ErrTooLong, len(body), mostSource)
	}
	for line := range strings.Lines(body) {
		if len(line) > mostLine {
			return fmt.Errorf("%w: a line has %d bytes, and may have %d", ErrTooLong, len(line), mostLine)
		}
	}
	if n := strings.Count(body, "*") + strings.Count(body, "_") + strings.Count(body, "["); n > mostMarks {
		return fmt.Errorf("%w: it has %d characters of markup, and may have %d", ErrTooLong, n, mostMarks)
	}
	return nil
}
