package pages

import (
	"fmt"
	"slices"
)

// The sizes of type, in points, and how far lines are apart, in sizes.
const (
	bodySize, headSize = 12.0, 11.0
	leading            = 1.45
)

// ascent is how far above its base line a line of Chinese begins, in sizes.
const ascent = 1.05

// writer puts lines on pages, from top to bottom. It is for one fax.
type writer struct {
	*ruler
	pages  []page
	y      float64   // where the next line begins
	indent float64   // from the left margin
	bars   []float64 // of the quotations that we are in: where their lines stand
	full   bool      // there is no page any more
}

func newWriter(f *Font) *writer {
	return &writer{ruler: &ruler{font: f, widths: map[rune]float64{}, lacking: map[rune]bool{}}}
}

// missing are the characters that the font has not.
func (w *writer) missing() string {
	all := make([]rune, 0, len(w.lacking))
	for c := range w.lacking {
		all = append(all, c)
	}
	slices.Sort(all)
	return string(all)
}

// write makes all pages of a fax.
func (w *writer) write(fax Fax) ([]page, error) {
	words := wordsOf(fax.Locale)
	subject := w.clean(short(fax.Subject))
	if fax.Cover {
		w.turn()
	}
	w.turn()
	if subject != "" && !fax.Cover {
		w.paragraph([]span{{text: subject, bold: true}}, headingSizes[0], 0)
		w.space(bodySize)
	}
	w.markdown(fax.Body)
	if w.full {
		return nil, fmt.Errorf("%w: it may have %d pages", ErrTooLong, mostPages)
	}
	if fax.Cover {
		w.cover(fax, words, subject)
	}
	for i := range w.pages {
		w.header(&w.pages[i], fax, words, i+1)
	}
	return w.pages, nil
}

// short is as much of a line as anybody reads.
func short(text string) string {
	const most = 300
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// turn begins a page.
func (w *writer) turn() {
	if len(w.pages) == mostPages {
		w.full = true
		return
	}
	w.pages = append(w.pages, page{})
	w.y = top
}

// ensure begins a page where there is less room than h on this one.
func (w *writer) ensure(h float64) {
	if w.y+h > bottom && w.y > top {
		w.turn()
	}
}

// space leaves room, but not on top of a page.
func (w *writer) space(h float64) {
	if w.y > top {
		w.y += h
	}
}

// page is the one that is written on.
func (w *writer) page() *page { return &w.pages[len(w.pages)-1] }

// room is how wide a line may be here.
func (w *writer) room() float64 { return right - left - w.indent }

// paragraph writes text, with further lines further in by hang.
func (w *writer) paragraph(spans []span, size, hang float64) {
	for i, l := range w.lines(spans, size, w.room()-hang) {
		if w.full {
			return
		}
		w.ensure(size * leading)
		x := left + w.indent
		if i > 0 {
			x += hang
		}
		w.put(l, x, w.y, size)
		w.bar(size * leading)
		w.y += size * leading
	}
}

// put writes a line that begins at x, y.
func (w *writer) put(l line, x, y, size float64) {
	p, base := w.page(), y+size*ascent
	for _, r := range l.runs {
		p.marks = append(p.marks, mark{x + r.x, base, size, r.bold, r.text})
		if r.underline {
			p.strokes = append(p.strokes, stroke{x + r.x, base + size*0.14, x + r.x + r.width, base + size*0.14, size / 16})
		}
	}
}

// bar draws the lines of the quotations beside what is h high.
func (w *writer) bar(h float64) {
	for _, x := range w.bars {
		w.page().strokes = append(w.page().strokes, stroke{x, w.y, x, w.y + h, 1.5})
	}
}

// rule draws a line from margin to margin.
func (w *writer) rule() {
	w.ensure(bodySize)
	y := w.y + bodySize/2
	w.page().strokes = append(w.page().strokes, stroke{left + w.indent, y, right, y, 1})
	w.y += bodySize
}

// within writes something further in, while there is room for it.
func (w *writer) within(indent float64, write func()) {
	const least = 180
	if w.room()-indent < least {
		indent = 0
	}
	w.indent += indent
	write()
	w.indent -= indent
}

// fit is as much of a clean text as has room, and says by … that it was cut.
func (w *writer) fit(text string, size, room float64) string {
	if w.width(text, size) <= room {
		return text
	}
	runes, dots := []rune(text), w.clean("…")
	for len(runes) > 0 && w.width(string(runes)+dots, size) > room {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + dots
}
