package pages

import (
	"slices"
	"strings"

	"github.com/rivo/uniseg"
	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

// span is text in one style.
type span struct {
	text            string
	bold, underline bool
	ends            bool // the line ends behind it
}

// run is a span's part on a line, x from where the line begins.
type run struct {
	x, width        float64
	text            string
	bold, underline bool
}

// line is what stands on one, and how wide it is.
type line struct {
	runs  []run
	width float64
}

// ruler measures text in a font, and notes what the font has not. It is for
// one goroutine.
type ruler struct {
	font    *Font
	buffer  sfnt.Buffer
	widths  map[rune]float64 // in ems; -1: there is no such glyph
	lacking map[rune]bool
}

// em is how wide a character is, in ems; false: the font does not have it.
// fpdf finds glyphs of the basic plane only.
func (r *ruler) em(c rune) (float64, bool) {
	if w, known := r.widths[c]; known {
		return w, w >= 0
	}
	w := -1.0
	if c <= 0xffff {
		if glyph, err := r.font.face.GlyphIndex(&r.buffer, c); err == nil && glyph != 0 {
			scale := fixed.I(r.font.units)
			if advance, err := r.font.face.GlyphAdvance(&r.buffer, glyph, scale, font.HintingNone); err == nil {
				w = float64(advance) / float64(scale)
			}
		}
	}
	r.widths[c] = w
	return w, w >= 0
}

// width is how wide a clean text is.
func (r *ruler) width(text string, size float64) float64 {
	var ems float64
	for _, c := range text {
		w, _ := r.em(c)
		ems += max(w, 0)
	}
	return ems * size
}

// substitutes stand for what a font may lack, the first that it has.
var substitutes = map[rune]string{
	'•': "●■·-", '‑': "-", '–': "-", '—': "-", '\u00a0': " ", '\u202f': " ", '\u2009': " ", '\u3000': " ",
	'‘': "'", '’': "'", '“': `"`, '”': `"`, '…': ".", '¥': "￥", '￥': "¥", '✓': "√", '→': ">", '□': "■?",
}

// clean leaves what can be printed; a box stands for what the font has not.
func (r *ruler) clean(text string) string {
	var b strings.Builder
	for _, c := range norm.NFC.String(strings.ToValidUTF8(text, "\ufffd")) {
		switch {
		case c == '\t' || c == '\n':
			b.WriteByte(' ')
		case c < ' ', c >= 0x7f && c < 0xa0, c == 0xad, c >= 0x200b && c <= 0x200f, c >= 0x2028 && c <= 0x202e,
			c >= 0x2060 && c <= 0x206f, c >= 0xfe00 && c <= 0xfe0f, c == 0xfeff, c >= 0xe0000:
			// It has no shape of its own.
		default:
			b.WriteRune(r.shape(c))
		}
	}
	return b.String()
}

// shape is what stands for a character.
func (r *ruler) shape(c rune) rune {
	if _, found := r.em(c); found {
		return c
	}
	for _, other := range substitutes[c] {
		if _, found := r.em(other); found {
			return other
		}
	}
	r.lacking[c] = true
	for _, box := range "□■?" {
		if _, found := r.em(box); found {
			return box
		}
	}
	return ' '
}

// lines breaks clean spans where the language lets it (UAX #14), or anywhere in
// what is wider than a line. There is one line at least.
func (r *ruler) lines(spans []span, size, width float64) []line {
	var all []line
	for begin := 0; begin < len(spans); {
		end := begin
		for end < len(spans)-1 && !spans[end].ends {
			end++
		}
		all = append(all, r.broken(spans[begin:end+1], size, width)...)
		begin = end + 1
	}
	if all == nil {
		all = []line{{}}
	}
	return all
}

// broken breaks what has no line's end in it.
func (r *ruler) broken(spans []span, size, width float64) []line {
	var text strings.Builder
	for _, s := range spans {
		text.WriteString(s.text)
	}
	c := composer{ruler: r, size: size, width: width, spans: slices.Clone(spans)}
	rest, state := text.String(), -1
	for rest != "" {
		var piece string
		piece, rest, _, state = uniseg.FirstLineSegmentInString(rest, state)
		if r.width(strings.TrimRight(piece, " "), size) <= width {
			c.put(piece)
			continue
		}
		for graphemes, state := piece, -1; graphemes != ""; {
			var one string
			one, graphemes, _, state = uniseg.FirstGraphemeClusterInString(graphemes, state)
			c.put(one)
		}
	}
	c.end()
	return c.done
}

// composer puts pieces of text one behind the other.
type composer struct {
	*ruler
	size, width float64
	spans       []span // what is left of them; its own
	now         line
	done        []line
}

// put adds a piece, on the next line where it has no room on this one.
func (c *composer) put(piece string) {
	if bare := strings.TrimRight(piece, " "); c.now.width > 0 && bare != "" && c.now.width+c.ruler.width(bare, c.size) > c.width {
		c.end()
	}
	for piece != "" {
		for c.spans[0].text == "" {
			c.spans = c.spans[1:]
		}
		s := c.spans[0]
		n := min(len(piece), len(s.text))
		c.add(run{text: piece[:n], bold: s.bold, underline: s.underline})
		c.spans[0].text = s.text[n:]
		piece = piece[n:]
	}
}

func (c *composer) add(one run) {
	one.x, one.width = c.now.width, c.ruler.width(one.text, c.size)
	c.now.width += one.width
	if last := len(c.now.runs) - 1; last >= 0 && c.now.runs[last].bold == one.bold && c.now.runs[last].underline == one.underline {
		c.now.runs[last].text += one.text
		c.now.runs[last].width += one.width
		return
	}
	c.now.runs = append(c.now.runs, one)
}

// end ends a line: blanks at its end take no room.
func (c *composer) end() {
	for last := len(c.now.runs) - 1; last >= 0; last-- {
		one := &c.now.runs[last]
		one.text = strings.TrimRight(one.text, " ")
		one.width = c.ruler.width(one.text, c.size)
		c.now.width = one.x + one.width
		if one.text != "" {
			break
		}
		c.now.runs = c.now.runs[:last]
	}
	c.done = append(c.done, c.now)
	c.now = line{}
}
