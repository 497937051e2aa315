package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// calendarFile is an iCalendar file of one event on disk.
func calendarFile(t *testing.T, event string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fairs.ics")
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:shop\r\nBEGIN:VEVENT\r\nUID:1\r\n" + event + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// importsACalendar finds the page in the menu, imports a file after one with a
// mistake, replaces it, and takes it out again.
func (o *operator) importsACalendar() {
	o.t.Helper()
	upload := func(event string) {
		o.t.Helper()
		o.do("choose the file", chromedp.SetUploadFiles(input("body"), []string{calendarFile(o.t, event)}))
	}
	o.unfold("More")
	o.press("Calendars")
	if height := look[int](o.visitor, `document.querySelector(".console-bar").offsetHeight`); height > 70 {
		o.t.Errorf("the bar takes more than a row: %d px", height)
	}
	o.sees("No calendar of your own yet", "Mid-Autumn Festival", "month 8, day 15")
	o.press("Import a calendar")
	upload("DTSTART;VALUE=DATE:20200618\r\nRRULE:FREQ=HOURLY\r\nSUMMARY:Summer fair")
	o.fill("title", "Our fairs")
	o.fill("name", "fairs")
	o.pressFor("See what is in it", http.StatusUnprocessableEntity)
	o.sees("Line 7", "Summer fair", "within a day")
	upload("DTSTART;VALUE=DATE:20200618\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Summer fair")
	o.press("See what is in it")
	o.sees("not imported yet", "Summer fair", "18 Jun")
	o.press("Import it")
	o.sees("Imported: 81 dates.", "operator anna")
	o.press("Replace with another file")
	upload("DTSTART;VALUE=DATE:20200620\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Summer fair")
	o.press("See what is in it")
	o.sees("This replaces Our fairs, version 1", "No longer", "18 Jun", "20 Jun")
	o.press("Replace the calendar")
	o.sees("Replaced.", "version 2")
	o.open("/console/calendars")
	o.clickOn("tbody tr td:last-child")
	o.unfold("Delete…")
	o.press("Delete the calendar")
	o.sees("The calendar fairs was deleted.")
}
