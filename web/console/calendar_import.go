package console

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"herald/access"
	"herald/calendar"
	"herald/calendars"
	"herald/problem"
	"herald/web/page"
)

// importData is the form of an import: name, title, and the file as body.
type importData struct {
	Form *page.Form
	Over string // the calendar whose place it is to take; empty: a new one
}

// importCalendar is the empty form, or that of another file for a calendar.
func (c console) importCalendar(v *page.Visit, _ access.Operator) error {
	name := v.R.URL.Query().Get("name")
	if name == "" {
		return v.Show("calendar-import", importData{Form: v.NewForm(nil)})
	}
	kept, err := c.Calendars.Get(v.Context(), name)
	if err != nil {
		return err
	}
	return v.Show("calendar-import", importData{v.NewForm(url.Values{"name": {kept.Name}, "title": {kept.Title}}), kept.Name})
}

// previewCalendar shows what a file would bring; nothing is kept yet.
func (c console) previewCalendar(v *page.Visit, _ access.Operator) error {
	form, body, err := v.FormWithFile("body")
	if problem.CodeOf(err) == problem.TooLarge {
		form = v.NewForm(nil)
		form.Refuse("body", "file_size")
		return v.ShowStatus(http.StatusRequestEntityTooLarge, "calendar-import", importData{Form: form})
	}
	if err != nil {
		return err
	}
	if len(body) == 0 {
		form.Refuse("body", "file")
		return v.ShowStatus(http.StatusUnprocessableEntity, "calendar-import", importData{Form: form})
	}
	return c.showPreview(v, http.StatusOK, form, calendars.File{Name: form.Get("name"), Title: form.Get("title"), Body: body})
}

// previewData is what a file would bring.
type previewData struct {
	Name, Title string
	Body        string // the file, in the URL's base64, for the form that keeps it
	Version     int    // of the calendar whose place it takes; 0: there is none
	Dates       int
	First       []calendarDate
	Last        string // the day of the last date
	Notes       []calendar.Note
	MoreNotes   int
	Old         *calendars.Calendar // whose place it takes
	Gone, Come  []calendarDate      // that change within a year
	MoreGone    int
	MoreCome    int
	Uses        []calendarUse // that go by the new dates then
	Meanwhile   bool          // it was changed by somebody else since the last preview
}

// shownChanges is how many dates, changes and notes a preview lists of each.
const shownChanges = 10

// showPreview shows what a file would bring, or the form with what is wrong.
func (c console) showPreview(v *page.Visit, status int, form *page.Form, f calendars.File) error {
	imported, err := f.Check()
	if err != nil {
		return v.Again(err, form, "calendar-import", importData{Form: form})
	}
	data := previewData{
		Name: f.Name, Title: f.Title, Body: base64.RawURLEncoding.EncodeToString(f.Body), Dates: imported.Len(),
		First: firstInWords(v, imported.Coming(today(v)), shownChanges), Meanwhile: status == http.StatusConflict,
	}
	var last calendar.Entry
	for last = range imported.Coming(today(v)) {
	}
	if len(data.First) > 0 {
		data.Last = dayInWords(v, last.Date)
	}
	data.Notes = imported.Notes()
	data.MoreNotes = max(0, len(data.Notes)-shownChanges)
	data.Notes = data.Notes[:len(data.Notes)-data.MoreNotes]
	if err := c.compareCalendar(v, &data, imported); err != nil {
		return err
	}
	return v.ShowStatus(status, "calendar-preview", data)
}

// compareCalendar adds what changes where a calendar of the name is there.
func (c console) compareCalendar(v *page.Visit, data *previewData, imported *calendar.Imported) error {
	kept, err := c.Calendars.Get(v.Context(), data.Name)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	old, err := c.Calendars.Imported(v.Context(), kept.Name)
	if err != nil {
		return err
	}
	uses, err := c.usesOf(v)
	if err != nil {
		return err
	}
	data.Old, data.Version, data.Uses = &kept, kept.Version, uses[occasionOf(kept.Name)]
	before, after := ofAYear(v, old), ofAYear(v, imported)
	data.Gone, data.MoreGone = without(v, before, after)
	data.Come, data.MoreCome = without(v, after, before)
	return nil
}

// without is the first dates of a list that another has not, and how many more
// there are.
func without(v *page.Visit, list, other []calendar.Entry) (shown []calendarDate, more int) {
	has := map[calendar.Entry]bool{}
	for _, e := range other {
		has[e] = true
	}
	left := slices.DeleteFunc(slices.Clone(list), func(e calendar.Entry) bool { return has[e] })
	for _, e := range left[:min(len(left), shownChanges)] {
		shown = append(shown, entryInWords(v, e))
	}
	return shown, len(left) - len(shown)
}

// saveCalendar keeps what was previewed, in the place of the version that was
// there then. Where that has changed, it is previewed again.
func (c console) saveCalendar(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	body, err := base64.RawURLEncoding.DecodeString(form.Get("body"))
	if err != nil {
		return problem.New(problem.Malformed, "body must be the file that was previewed")
	}
	seen, err := strconv.Atoi(form.Get("version"))
	if err != nil || seen < 0 {
		return problem.New(problem.Malformed, "version must be the one that was previewed")
	}
	f := calendars.File{Name: form.Get("name"), Title: form.Get("title"), Body: body}
	saved, err := c.Calendars.Replace(v.Context(), f, seen, actor(o))
	if problem.CodeOf(err) == problem.Conflict {
		return c.showPreview(v, http.StatusConflict, form, f)
	}
	if err != nil {
		return v.Again(err, form, "calendar-import", importData{Form: form})
	}
	if saved.Version == 1 {
		v.Say("calendars.imported", "count", saved.Dates)
	} else {
		v.Say("calendars.replaced", "count", saved.Dates)
	}
	return v.Go(Base + "/calendars/" + saved.Name)
}
