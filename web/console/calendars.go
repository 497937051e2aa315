package console

import (
	"encoding/csv"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"herald/access"
	"herald/calendar"
	"herald/calendars"
	"herald/problem"
	"herald/web/page"
)

// calendarRoutes are the pages of festivals and imported calendars. Operators
// read them, marketers change them. The import stands under a name that no
// calendar may have (calendar.ValidName).
func (c console) calendarRoutes(operator, marketer func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	if c.Calendars == nil {
		return nil
	}
	preview := marketer("POST /console/calendars/_import", c.previewCalendar)
	preview.MaxForm = 8 * calendar.MaxFile // what is too large to be imported is told in the form
	save := marketer("POST /console/calendars", c.saveCalendar)
	save.MaxForm = 2 * calendar.MaxFile // the file comes in base64
	return []page.Route{
		operator("GET /console/calendars", c.calendars),
		marketer("GET /console/calendars/_import", c.importCalendar),
		preview,
		save,
		operator("GET /console/calendars/{name}", c.calendar),
		operator("GET /console/calendars/{name}/calendar.ics", c.calendarFile),
		operator("GET /console/calendars/{name}/dates.csv", c.calendarCSV),
		marketer("POST /console/calendars/{name}/delete", c.deleteCalendar),
	}
}

// shownEntries is how many dates of a year are listed.
const shownEntries = 400

// calendarDate is a date of a calendar in words.
type calendarDate struct {
	Day   string
	Hour  string // empty: all day
	Zone  string // whose clock shows the hour; empty: that of each member
	Title string
}

// dayInWords is a date, with its day of the week.
func dayInWords(v *page.Visit, d calendar.Date) string {
	return v.FullDate(time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, v.Zone))
}

func entryInWords(v *page.Visit, e calendar.Entry) calendarDate {
	return calendarDate{Day: dayInWords(v, e.Date), Hour: e.Hour, Zone: e.Zone, Title: e.Title}
}

// firstInWords is the first n dates, fewer where there are no more.
func firstInWords(v *page.Visit, entries iter.Seq[calendar.Entry], n int) []calendarDate {
	var list []calendarDate
	for e := range entries {
		if len(list) == n {
			break
		}
		list = append(list, entryInWords(v, e))
	}
	return list
}

// today is the date where the reader is.
func today(v *page.Visit) calendar.Date { return calendar.DateOf(v.Now.In(v.Zone)) }

// calendarUse is a trigger or a campaign that goes by an occasion.
type calendarUse struct{ Kind, Path, Name string }

// usesOf are what goes by each occasion, by its spec: "mid_autumn",
// "calendar:fairs".
func (c console) usesOf(v *page.Visit) (map[string][]calendarUse, error) {
	uses, err := c.Calendars.Uses(v.Context())
	if err != nil {
		return nil, err
	}
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return nil, err
	}
	titles := map[string]string{}
	for _, t := range triggers {
		titles[t.Name] = t.Title.In(v.Tag)
	}
	by := map[string][]calendarUse{}
	for _, u := range uses {
		shown := calendarUse{Kind: "campaign", Path: Base + "/campaigns/" + strconv.FormatInt(u.Campaign, 10), Name: u.Name}
		if u.Trigger != "" {
			shown = calendarUse{Kind: "trigger", Path: Base + "/triggers/" + u.Trigger, Name: titles[u.Trigger]}
		}
		for _, spec := range u.Occasions {
			by[spec] = append(by[spec], shown)
		}
	}
	return by, nil
}

// calendarLine is an imported calendar in the list.
type calendarLine struct {
	calendars.Calendar
	Next []calendarDate
	Uses []calendarUse
}

// festivalLine is a festival in the list. LunarMonth and LunarDay are those of
// the Chinese calendar; 0: it goes by another.
type festivalLine struct {
	Name, Title          string
	LunarMonth, LunarDay int
	Next                 []string
	Uses                 []calendarUse
}

type calendarsData struct {
	Imported  []calendarLine
	Festivals []festivalLine
	CanEdit   bool
}

func (c console) calendars(v *page.Visit, o access.Operator) error {
	uses, err := c.usesOf(v)
	if err != nil {
		return err
	}
	list, err := c.Calendars.List(v.Context())
	if err != nil {
		return err
	}
	data := calendarsData{CanEdit: o.Role.Includes(access.MarketerRole)}
	for _, kept := range list {
		imported, err := c.Calendars.Imported(v.Context(), kept.Name)
		if gone(err) {
			continue // since the list was read
		}
		if err != nil {
			return err
		}
		data.Imported = append(data.Imported, calendarLine{
			Calendar: kept, Next: firstInWords(v, imported.Coming(today(v)), shownDates), Uses: uses[occasionOf(kept.Name)],
		})
	}
	for _, f := range calendar.Festivals() {
		line, err := festivalInWords(v, f)
		if err != nil {
			return err
		}
		line.Uses = uses[f.Name]
		data.Festivals = append(data.Festivals, line)
	}
	return v.Show("calendars", data)
}

// occasionOf is how an occasion names an imported calendar.
func occasionOf(name string) string { return "calendar:" + name }

func festivalInWords(v *page.Visit, f calendar.Festival) (festivalLine, error) {
	line := festivalLine{Name: f.Name, Title: f.In(v.Tag)}
	if f.Lunar != "" {
		if _, err := fmt.Sscanf(f.Lunar, "%d-%d", &line.LunarMonth, &line.LunarDay); err != nil {
			return line, fmt.Errorf("lunar date of %s: %w", f.Name, err)
		}
	}
	occasion, err := calendar.Parse(f.Name)
	if err != nil {
		return line, err
	}
	d := today(v)
	begun := time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, v.Zone).Add(-time.Nanosecond)
	for _, m := range (calendar.Schedule{Occasion: occasion, Minute: 12 * 60}).Next(begun, v.Zone, shownDates) {
		line.Next = append(line.Next, dayInWords(v, m.Date))
	}
	return line, nil
}

// calendarData is one calendar and its dates of a year.
type calendarData struct {
	calendars.Calendar
	Occasion string // how triggers name it
	Dates    []calendarDate
	Unshown  int          // how many others come within the year
	Later    calendarDate // the first after the year, where none comes in it; may be none
	Uses     []calendarUse
	CanEdit  bool
}

func (c console) calendar(v *page.Visit, o access.Operator) error {
	kept, imported, err := c.readCalendar(v)
	if err != nil {
		return err
	}
	uses, err := c.usesOf(v)
	if err != nil {
		return err
	}
	data := calendarData{
		Calendar: kept, Occasion: occasionOf(kept.Name), Uses: uses[occasionOf(kept.Name)],
		CanEdit: o.Role.Includes(access.MarketerRole),
	}
	year := ofAYear(v, imported)
	for _, e := range year[:min(len(year), shownEntries)] {
		data.Dates = append(data.Dates, entryInWords(v, e))
	}
	data.Unshown = len(year) - len(data.Dates)
	if later := firstInWords(v, imported.Coming(today(v)), 1); len(year) == 0 && len(later) > 0 {
		data.Later = later[0]
	}
	return v.Show("calendar", data)
}

// readCalendar is the calendar that the path names.
func (c console) readCalendar(v *page.Visit) (calendars.Calendar, *calendar.Imported, error) {
	kept, err := c.Calendars.Get(v.Context(), v.R.PathValue("name"))
	if err != nil {
		return calendars.Calendar{}, nil, err
	}
	imported, err := c.Calendars.Imported(v.Context(), kept.Name)
	return kept, imported, err
}

// ofAYear are the dates of a year from today on.
func ofAYear(v *page.Visit, imported *calendar.Imported) []calendar.Entry {
	from := today(v)
	end := calendar.DateOf(time.Date(from.Year+1, from.Month, from.Day, 0, 0, 0, 0, time.UTC))
	return slices.Collect(func(yield func(calendar.Entry) bool) {
		for e := range imported.Coming(from) {
			if e.Date.Compare(end) >= 0 || !yield(e) {
				return
			}
		}
	})
}

// calendarFile gives a calendar back as it was imported.
func (c console) calendarFile(v *page.Visit, _ access.Operator) error {
	name := v.R.PathValue("name")
	body, err := c.Calendars.Body(v.Context(), name)
	if err != nil {
		return err
	}
	attach(v, "text/calendar; charset=utf-8", name+".ics")
	_, _ = v.W.Write(body) // the reader has gone: nobody is left to tell
	return nil
}

// calendarCSV is every date of a calendar that is still to come.
func (c console) calendarCSV(v *page.Visit, _ access.Operator) error {
	kept, imported, err := c.readCalendar(v)
	if err != nil {
		return err
	}
	attach(v, "text/csv; charset=utf-8", kept.Name+".csv")
	out := csv.NewWriter(v.W)
	_ = out.Write([]string{"date", "hour", "time_zone", "title"}) // Error tells of every write
	for e := range imported.Coming(today(v)) {
		_ = out.Write([]string{e.Date.String(), e.Hour, e.Zone, cell(e.Title)})
	}
	out.Flush() // its error: the reader has gone
	return nil
}

// attach says that the answer is a file to be kept.
func attach(v *page.Visit, contentType, name string) {
	h := v.W.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename=%q`, name))
}

func (c console) deleteCalendar(v *page.Visit, o access.Operator) error {
	name := v.R.PathValue("name")
	err := c.Calendars.Delete(v.Context(), name)
	if problem.CodeOf(err) == problem.Conflict { // the page names what uses it
		v.Tell(page.Flash{Text: v.T("calendars.delete.used"), Bad: true})
		return v.Go(Base + "/calendars/" + name)
	}
	if err != nil {
		return err
	}
	c.Logger.InfoContext(v.Context(), "a calendar was deleted", "calendar", name, "operator", o.ID)
	v.Say("calendars.deleted", "name", name)
	return v.Go(Base + "/calendars")
}
