package pages

import (
	"math"

	tables "github.com/yuin/goldmark/extension/ast"
)

const (
	cellPad = 4.0
	// mostColumns is how many columns of a table are written.
	mostColumns = 12
	// leastColumn is as narrow as a column gets, while there is room.
	leastColumn = 40.0
)

// row is one of a table.
type row struct {
	cells [][]span
	lines [][]line // of each cell
	head  bool
}

func (r row) height() int {
	most := 1
	for _, lines := range r.lines {
		most = max(most, len(lines))
	}
	return most
}

// table writes a table with its rules; its first row is repeated on top of
// each page.
func (r *reader) table(t *tables.Table) {
	var rows []row
	columns := min(len(t.Alignments), mostColumns)
	for n := t.FirstChild(); n != nil; n = n.NextSibling() {
		_, head := n.(*tables.TableHeader)
		one := row{head: head}
		for cell := n.FirstChild(); cell != nil && len(one.cells) < columns; cell = cell.NextSibling() {
			one.cells = append(one.cells, r.spans(cell, span{bold: head}))
		}
		rows = append(rows, one)
	}
	if columns == 0 || len(rows) == 0 {
		return
	}
	widths := r.columns(rows, columns)
	for i := range rows {
		for j, cell := range rows[i].cells {
			rows[i].lines = append(rows[i].lines, r.lines(cell, bodySize, widths[j]-2*cellPad))
		}
	}
	for i := range rows {
		r.row(rows, i, widths, t.Alignments)
	}
	r.y += bodySize * 0.8
}

// columns says how wide each column is: as its widest cell, or less where
// there is not the room.
func (r *reader) columns(rows []row, columns int) []float64 {
	widths, sum := make([]float64, columns), 0.0
	for j := range widths {
		for _, one := range rows {
			if j < len(one.cells) {
				for _, l := range r.lines(one.cells[j], bodySize, math.Inf(1)) {
					widths[j] = max(widths[j], l.width+2*cellPad+1)
				}
			}
		}
		widths[j] = max(widths[j], 2*bodySize)
		sum += widths[j]
	}
	room := r.room()
	if sum <= room {
		return widths
	}
	// What is narrow keeps its width; the others share the rest.
	least := min(leastColumn, room/float64(columns))
	kept, wide := 0.0, 0.0
	fair := room / float64(columns)
	for _, w := range widths {
		if w <= fair {
			kept += w
		} else {
			wide += w
		}
	}
	for j, w := range widths {
		if w > fair {
			widths[j] = max(w*(room-kept)/wide, least)
		}
	}
	if sum = total(widths); sum > room {
		for j := range widths {
			widths[j] *= room / sum
		}
	}
	return widths
}

func total(widths []float64) (sum float64) {
	for _, w := range widths {
		sum += w
	}
	return sum
}

// row writes a row, on the next page where it fits there only, and on several
// where it fits on none.
func (r *reader) row(rows []row, i int, widths []float64, align []tables.Alignment) {
	const height = bodySize * leading
	one := rows[i]
	for from, all := 0, one.height(); from < all && !r.full; {
		whole := float64(all-from)*height + 2*cellPad
		if r.y+min(whole, bottom-top) > bottom && r.y > top || r.y+height+2*cellPad > bottom {
			r.turn()
			if rows[0].head && i > 0 && !r.full && float64(rows[0].height())*height < (bottom-top)/2 {
				r.stretch(rows[0], 0, rows[0].height(), widths, align)
			}
		}
		if r.full {
			return
		}
		n := min(all-from, max(int((bottom-r.y-2*cellPad)/height), 1))
		r.stretch(one, from, n, widths, align)
		from += n
	}
}

// stretch writes n lines of a row, with the rules around them.
func (r *reader) stretch(one row, from, n int, widths []float64, align []tables.Alignment) {
	const height = bodySize * leading
	x, h := left+r.indent, float64(n)*height+2*cellPad
	r.bar(h)
	p := r.page()
	p.strokes = append(p.strokes, stroke{x, r.y, x, r.y + h, 0.8})
	for j, width := range widths {
		if j < len(one.lines) {
			for k, l := range one.lines[j][min(from, len(one.lines[j])):min(from+n, len(one.lines[j]))] {
				r.put(l, x+shift(align[j], width, l.width), r.y+cellPad+float64(k)*height, bodySize)
			}
		}
		x += width
		p.strokes = append(p.strokes, stroke{x, r.y, x, r.y + h, 0.8})
	}
	for _, y := range []float64{r.y, r.y + h} {
		p.strokes = append(p.strokes, stroke{left + r.indent, y, x, y, 0.8})
	}
	r.y += h
}

// shift is where in a cell a line begins.
func shift(align tables.Alignment, width, line float64) float64 {
	switch align {
	case tables.AlignRight:
		return max(width-line-cellPad, cellPad)
	case tables.AlignCenter:
		return max((width-line)/2, cellPad)
	case tables.AlignLeft, tables.AlignNone:
	}
	return cellPad
}
