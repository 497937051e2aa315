package pages

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-pdf/fpdf"
)

// The page is A4, in points of 1/72 inch. Machines lose up to 4 mm at each
// edge (ITU-T T.4, section 2); the margins are wider.
const (
	pageWidth, pageHeight = 595.28, 841.89
	left, right           = 57.0, pageWidth - 57
	top, bottom           = 84.0, 800.0 // of what is the message's own
)

// mark is a run of text on a page: x is where it begins, y its base line.
type mark struct {
	x, y, size float64
	bold       bool
	text       string
}

// stroke is a straight line on a page.
type stroke struct{ x1, y1, x2, y2, width float64 }

// page is what stands on one.
type page struct {
	marks   []mark
	strokes []stroke
}

// draw makes the PDF. A font that it cannot read is an error.
func (f *Font) draw(all []page, at time.Time) (document []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // fpdf believes what a font says
			err = fmt.Errorf("%w: %v", errNotTrueType, p)
		}
	}()
	if at.IsZero() {
		at = epoch
	}
	const family = "fax"
	pdf := fpdf.New("P", "pt", "A4", "")
	pdf.SetCreationDate(at.UTC())
	pdf.SetModificationDate(at.UTC())
	pdf.SetCatalogSort(true)
	pdf.SetMargins(0, 0, 0)
	pdf.SetAutoPageBreak(false, 0)
	pdf.AddUTF8FontFromBytes(family, "", f.data)
	for _, p := range all {
		pdf.AddPage()
		for _, s := range p.strokes {
			pdf.SetLineWidth(s.width)
			pdf.Line(s.x1, s.y1, s.x2, s.y2)
		}
		for _, m := range p.marks {
			pdf.SetFont(family, "", m.size)
			mode := 0
			if m.bold { // the outline is drawn, too
				mode = 2
				pdf.SetLineWidth(m.size / 45)
			}
			pdf.SetTextRenderingMode(mode)
			pdf.Text(m.x, m.y, m.text)
		}
		pdf.SetTextRenderingMode(0)
	}
	var out bytes.Buffer
	if err := pdf.Output(&out); err != nil {
		return nil, fmt.Errorf("write the PDF: %w", err)
	}
	return out.Bytes(), nil
}
