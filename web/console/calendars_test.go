package console_test

import (
	"bytes"
	"fmt"
	"html"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"herald/calendar"
	"herald/calendars"
	"herald/problem"
	"herald/web/console"
)

// ics is a file of events, each given as its lines.
func ics(events ...string) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n")
	for i, event := range events {
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nUID:%d\r\n%s\r\nEND:VEVENT\r\n", i, strings.ReplaceAll(event, "\n", "\r\n"))
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.String()
}

// upload posts the form of an import.
func (v *visitor) upload(name, title, file string) answer {
	v.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	must(v.t, form.WriteField("name", name))
	must(v.t, form.WriteField("title", title))
	if file != "" {
		part, err := form.CreateFormFile("body", "dates.ics")
		must(v.t, err)
		_, err = part.Write([]byte(file))
		must(v.t, err)
	}
	must(v.t, form.Close())
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.url+"/console/calendars/_import", &b)
	must(v.t, err)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Origin", v.url)
	return v.do(r)
}

// previewed is the form that keeps what a preview shows.
func (a answer) previewed() url.Values {
	a.t.Helper()
	form := url.Values{}
	for _, found := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(a.body, -1) {
		form.Set(found[1], html.UnescapeString(found[2]))
	}
	if len(form) != 4 {
		a.t.Fatalf("the form has %d fields: %s", len(form), a.main())
	}
	return form
}

func TestACalendarIsPreviewedAndImported(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	v.get("/console/calendars/_import").is(http.StatusOK).has(`enctype="multipart/form-data"`, `type="file"`)
	file := ics("SUMMARY:Tea <day>\nDTSTART;TZID=Asia/Shanghai:20950105T090000\nRRULE:FREQ=DAILY;COUNT=12", "SUMMARY:Off\nDTSTART;VALUE=DATE:20950601\nSTATUS:CANCELLED", "SUMMARY:Sale\nDTSTART;VALUE=DATE:20990801\nDTEND;VALUE=DATE:20990803")
	preview := v.upload("tea", " Tea and cakes ", file).is(http.StatusOK).has("not imported yet", "Tea &lt;day&gt;", "09:00 Asia/Shanghai",
		"Line 10:", "<strong>Off</strong>", "is cancelled", "Line 16:", "lasts for days", "Sat 1 Aug 2099", "Import it").lacks("Replace", "What changes")
	if _, err := s.Calendars.Get(t.Context(), "tea"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("a preview kept it: %v", err)
	}
	v.post("/console/calendars", preview.previewed()).is(http.StatusOK).at("/console/calendars/tea").has("Imported: 13 dates.", "Tea and cakes", "calendar:tea", "operator mia")
	body, err := s.Calendars.Body(t.Context(), "tea")
	must(t, err)
	if string(body) != file {
		t.Errorf("kept %q", body)
	}
	got := v.get("/console/calendars/tea/calendar.ics").is(http.StatusOK)
	if got.body != file || got.header.Get("Content-Type") != "text/calendar; charset=utf-8" || !strings.Contains(got.header.Get("Content-Disposition"), `"tea.ics"`) {
		t.Errorf("given back: %v, %q", got.header, got.body)
	}
	v.get("/console/campaigns/new").has(`value="calendar:tea"`)
	v.get("/console/calendars").has("Tea and cakes", "calendar:tea", "13", "operator mia")
}

func TestReplacingACalendarSaysWhatChanges(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	v.post("/console/campaigns", tea("how", "occasion", "when.occasion", "calendar:fairs")).is(http.StatusOK)
	v.get("/console/calendars/_import?name=fairs").is(http.StatusOK).has(`value="fairs"`, `value="Our fairs"`)
	file := ics("SUMMARY:Winter fair\nDTSTART;VALUE=DATE:20201201\nRRULE:FREQ=YEARLY")
	preview := v.upload("fairs", "Fairs", file).is(http.StatusOK).has("This replaces Our fairs, version 1, which operator ann imported", "No longer", "Summer fair", "Winter fair", "A week of tea", "goes by the dates of this file", "Replace the calendar")
	v.upload("fairs", "Fairs", ics("SUMMARY:Summer fair\nDTSTART;VALUE=DATE:20260618\nRRULE:FREQ=YEARLY")).is(http.StatusOK).has("The dates stay as they are.")

	// Somebody else is quicker.
	_, err := s.Calendars.Save(t.Context(), calendars.File{Name: "fairs", Title: "Theirs", Body: []byte(file)}, "operator:ann")
	must(t, err)
	again := v.post("/console/calendars", preview.previewed()).is(http.StatusConflict).has("changed by somebody else", "This replaces Theirs, version 2", "The dates stay as they are.")
	v.post("/console/calendars", again.previewed()).is(http.StatusOK).at("/console/calendars/fairs").has("Replaced. The calendar has 81 dates now.", "version 3")
}

func TestAFileThatCannotBeImportedHasItsLine(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	bad := ics("SUMMARY:Sale <x>\nDTSTART:20260501T000000\nRRULE:FREQ=HOURLY")
	v.upload("tea", "Tea", bad).is(http.StatusUnprocessableEntity).has("Line 8, “Sale &lt;x&gt;”: RRULE: the event recurs within a day.", `value="Tea"`, `value="tea"`)
	v.upload("tea", "Tea", ics("SUMMARY:x")+"nothing").is(http.StatusUnprocessableEntity).has("iCalendar")
	v.upload("Our Tea", "", ics("DTSTART;VALUE=DATE:20270105")).is(http.StatusUnprocessableEntity).has("2 things need another look")
	v.upload("tea", "Tea", "").is(http.StatusUnprocessableEntity).has("Please choose a file.", `value="Tea"`)
	v.upload("tea", "Tea", strings.Repeat("x", calendar.MaxFile+1)).is(http.StatusUnprocessableEntity).has("1,048,576 bytes")
	v.upload("tea", "Tea", strings.Repeat("x", 9*calendar.MaxFile)).is(http.StatusRequestEntityTooLarge).has("at most 1 MiB")
	v.upload("tea", "Tea\x00", "x").is(http.StatusBadRequest)
	v.post("/console/calendars/_import", url.Values{"name": {"tea"}}).is(http.StatusUnprocessableEntity) // no multipart
	v.get("/console/calendars/_import?name=nothing").is(http.StatusNotFound)
	for name, form := range map[string]url.Values{
		"no base64":  {"name": {"tea"}, "title": {"Tea"}, "version": {"0"}, "body": {"%"}},
		"no version": {"name": {"tea"}, "title": {"Tea"}, "version": {"x"}, "body": {""}},
	} {
		if got := v.post("/console/calendars", form); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	v.post("/console/calendars", url.Values{"name": {"tea"}, "title": {"Tea"}, "version": {"0"}, "body": {""}}).is(http.StatusUnprocessableEntity).has("Import a calendar")
	v.get("/console?lang=zh-CN")
	v.upload("tea", "Tea", bad).is(http.StatusUnprocessableEntity).has("第 8 行“Sale &lt;x&gt;”：RRULE：活动在一天之内重复")
}

func TestWhatIsWrongWithAFileIsWordedInChinese(t *testing.T) {
	t.Parallel()
	v := newStand(t).marketer()
	v.get("/console?lang=zh-CN")
	const day = "DTSTART;VALUE=DATE:20260501\n"
	never := make([]string, 600)
	for i := range never {
		never[i] = "DTSTART;VALUE=DATE:19500101\nRRULE:FREQ=YEARLY;BYMONTHDAY=-1;BYYEARDAY=1"
	}
	daily := make([]string, 2)
	for i := range daily {
		daily[i] = day + "RRULE:FREQ=DAILY"
	}
	for want, file := range map[string]string{
		"文件超过 1,048,576 字节":     strings.Repeat("x", calendar.MaxFile+1),
		"文件不是 UTF-8 编码":         "\xff",
		"文件内容过多，最多读取 5,000 个活动": strings.Repeat("BEGIN:", 20_001),
		"这不是 iCalendar 文件":      "x",
		"此处不符合 iCalendar":       ics("x"),
		"文件中有 5,001 个活动":        ics(make([]string, 5_001)...),
		"文件中没有会举行的活动":           ics(),
		"没有注明开始时间":              ics("SUMMARY:x"),
		"活动开始于 1850 年":          ics("DTSTART;VALUE=DATE:18500501"),
		"日期超过 50,000 个":         ics(daily...),
		"重复规则延续得太久":             ics(never...),
		"活动有多条 RRULE":           ics(day + "RRULE:FREQ=DAILY\nRRULE:FREQ=DAILY"),
		"不是有效的重复规则":             ics(day + "RRULE:often"),
		"活动在一天之内重复":             ics(day + "RRULE:FREQ=HOURLY"),
		"不支持按周数":                ics(day + "RRULE:FREQ=YEARLY;BYWEEKNO=1"),
		"才能写“第几个星期几”":           ics(day + "RRULE:FREQ=WEEKLY;BYDAY=1FR"),
		"INTERVAL 须在 1 至 1,000": ics(day + "RRULE:FREQ=DAILY;INTERVAL=1001"),
		"EXDATE：“never”不是日期":    ics(day + "EXDATE:never"),
		"时区“Mars”没有 IANA 名称":    ics("DTSTART;TZID=Mars:20260501T000000"),
	} {
		v.upload("tea", "Tea", file).is(http.StatusUnprocessableEntity).has(want)
	}
}

func TestACalendarIsReadAndTakenOut(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	file := ics("SUMMARY:=1+1\nDTSTART;VALUE=DATE:20990801", "SUMMARY:Show\nDTSTART;TZID=Asia/Shanghai:20990802T200000", "DTSTART;VALUE=DATE:20200101")
	_, err := s.Calendars.Save(t.Context(), calendars.File{Name: "late", Title: "Late", Body: []byte(file)}, "operator:ann")
	must(t, err)
	v.get("/console/calendars/late").is(http.StatusOK).has("None within a year. The next is", "Sat 1 Aug 2099")
	want := "date,hour,time_zone,title\n2099-08-01,,,'=1+1\n2099-08-02,20:00,Asia/Shanghai,Show\n"
	if got := v.get("/console/calendars/late/dates.csv").is(http.StatusOK); got.body != want {
		t.Errorf("CSV: %q", got.body)
	}
	_, err = s.Calendars.Save(t.Context(), calendars.File{Name: "busy", Title: "Busy", Body: []byte(ics("SUMMARY:Standup\nDTSTART:20250101T090000\nRRULE:FREQ=DAILY", "SUMMARY:Stand down\nDTSTART:20250101T180000\nRRULE:FREQ=DAILY;COUNT=9999"))}, "operator:ann")
	must(t, err)
	v.get("/console/calendars/busy").is(http.StatusOK).has("more dates come within the year. The file has them.", "by each member&#39;s clock")

	_, err = s.Calendars.Save(t.Context(), calendars.File{Name: "past", Title: "Past", Body: []byte(ics("DTSTART;VALUE=DATE:20200101"))}, "operator:ann")
	must(t, err)
	v.get("/console/calendars/past").is(http.StatusOK).has("None of its dates is still to come")
	v.upload("gone", "Gone", ics("DTSTART;VALUE=DATE:20200101")).is(http.StatusOK).has("None of its dates is still to come")
	v.post("/console/calendars/past/delete", nil).is(http.StatusOK).at("/console/calendars").has("The calendar past was deleted.").lacks("Past<")
	for _, path := range []string{"past", "past/calendar.ics", "past/dates.csv", "X"} {
		v.get("/console/calendars/" + path).is(http.StatusNotFound)
	}
	v.post("/console/calendars/past/delete", nil).is(http.StatusNotFound)
}

func TestACalendarThatIsUsedStays(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	at := v.post("/console/campaigns", tea("how", "occasion", "when.occasion", "calendar:fairs")).is(http.StatusOK).path
	v.get("/console/calendars/fairs").has("Summer fair", `href="`+at+`"`, "It cannot be deleted while something uses it").lacks("Delete the calendar")
	v.post("/console/calendars/fairs/delete", nil).is(http.StatusOK).at("/console/calendars/fairs").has(`role="alert"`, "It cannot be deleted while something uses it")
	v.get("/console/calendars").has("Our fairs", `href="`+at+`"`, "Festival greetings", "Mid-Autumn Festival", "lunar calendar: month 8, day 15", "last day of month 12")
	v.post(at+"/delete", nil).is(http.StatusOK)
	v.post("/console/calendars/fairs/delete", nil).is(http.StatusOK).at("/console/calendars").has("No calendar of your own yet", "/console/calendars/_import")
}

func TestOperatorsReadCalendarsAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/calendars").is(http.StatusOK).has("Our fairs", "Spring Festival").lacks("_import")
	v.get("/console/calendars/fairs").is(http.StatusOK).has("calendar.ics", "dates.csv").lacks("_import", "Delete")
	v.get("/console/calendars/fairs/calendar.ics").is(http.StatusOK)
	v.get("/console/calendars/fairs/dates.csv").is(http.StatusOK)
	v.get("/console/calendars/_import").is(http.StatusForbidden)
	v.upload("tea", "Tea", ics("DTSTART;VALUE=DATE:20270105")).is(http.StatusForbidden)
	v.post("/console/calendars", nil).is(http.StatusForbidden)
	v.post("/console/calendars/fairs/delete", nil).is(http.StatusForbidden)
	v.postFrom("https://evil.example", "/console/calendars/fairs/delete", nil).is(http.StatusForbidden)
	if _, err := s.Calendars.Get(t.Context(), "fairs"); err != nil {
		t.Error(err)
	}
}

func TestWithoutCalendarsThereIsNoPage(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(c *console.Config) { c.Calendars = nil })
	s.signedIn("bob").get("/console/calendars").is(http.StatusNotFound)
}
