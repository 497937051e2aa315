package pages

import (
	"strconv"
	"strings"
	"time"
)

// words are those of a fax that are not the message's own.
type words struct {
	title, to, from, number, date, subject, pages string
	pageOf                                        func(page, of int) string
	day                                           string // a layout of package time
}

func wordsOf(locale string) words {
	if language, _, _ := strings.Cut(strings.ToLower(locale), "-"); language == "zh" {
		return words{
			title: "传真", to: "收件人", from: "发件人", number: "传真号码", date: "日期", subject: "主题", pages: "页数",
			pageOf: func(page, of int) string {
				return "第 " + strconv.Itoa(page) + " 页，共 " + strconv.Itoa(of) + " 页"
			},
			day: "2006年1月2日 15:04",
		}
	}
	return words{
		title: "Fax", to: "To", from: "From", number: "Fax number", date: "Date", subject: "Subject", pages: "Pages",
		pageOf: func(page, of int) string { return "Page " + strconv.Itoa(page) + " of " + strconv.Itoa(of) },
		day:    "2 January 2006, 15:04",
	}
}

// header writes what is on top of every page: when it is sent, who sends it,
// and the number of the sending machine (47 CFR 68.318(d)); to which number,
// and which page it is.
func (w *writer) header(p *page, fax Fax, words words, number int) {
	const first, second, under = 40.0, 56.0, 64.0
	at := fax.At
	if at.IsZero() {
		at = epoch
	}
	width := right - left
	place := w.clean(words.pageOf(number, len(w.pages)))
	ends := w.width(place, headSize)
	when := w.clean(at.Format("2006-01-02 15:04 -07:00"))
	to := w.fit(w.clean(words.to+": "+short(fax.ToNumber)), headSize, width-w.width(when, headSize)-2*headSize)
	own := w.clean(short(fax.FromNumber))
	name := w.fit(w.clean(words.from+": "+short(fax.From)), headSize, max(width-w.width(own, headSize)-ends-3*headSize, 0))
	p.marks = append(p.marks,
		mark{left, first, headSize, false, when},
		mark{right - w.width(to, headSize), first, headSize, false, to},
		mark{left, second, headSize, false, name},
		mark{left + w.width(name, headSize) + headSize, second, headSize, false, own},
		mark{right - ends, second, headSize, false, place})
	p.strokes = append(p.strokes, stroke{left, under, right, under, 0.8})
}

// cover writes the first page.
func (w *writer) cover(fax Fax, words words, subject string) {
	const titleSize, size, labels = 40.0, 16.0, 120.0
	at := fax.At
	if at.IsZero() {
		at = epoch
	}
	front := &writer{ruler: w.ruler, pages: []page{{}}, y: top + 60}
	front.paragraph([]span{{text: w.clean(words.title), bold: true}}, titleSize, 0)
	front.y += titleSize / 2
	front.rule()
	rows := [][2]string{
		{words.to, fax.To},
		{words.number, fax.ToNumber},
		{words.from, fax.From},
		{words.number, fax.FromNumber},
		{words.date, at.Format(words.day) + offset(at)},
		{words.subject, subject},
		{words.pages, strconv.Itoa(len(w.pages))},
	}
	for _, row := range rows {
		value := w.clean(short(row[1]))
		if value == "" {
			continue
		}
		front.y += size / 2
		front.put(line{runs: []run{{text: w.clean(row[0]), bold: true}}}, left, front.y, size)
		front.within(labels, func() { front.paragraph([]span{{text: value}}, size, 0) })
	}
	front.y += size
	front.rule()
	w.pages[0] = front.pages[0]
}

// offset tells a time from those of other zones.
func offset(at time.Time) string { return at.Format(" (UTC-07:00)") }
