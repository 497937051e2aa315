package page

import (
	"strings"

	"herald/calendar"
)

// Occasion is an occasion as people read it: the name of a festival, what an
// imported calendar calls the date, or what was written.
func (l *Locale) Occasion(spec, title string) string {
	if title != "" {
		return title
	}
	names := strings.Split(spec, ", ")
	for i, name := range names {
		for _, f := range calendar.Festivals() {
			if f.Name == name {
				names[i] = f.In(l.Tag)
			}
		}
	}
	return strings.Join(names, l.T("list.separator"))
}
