package console_test

import (
	"net/http"
	"testing"
)

func TestACampaignOfAFestivalIsWritten(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	v.get("/console/campaigns/new").is(http.StatusOK).has(`value="mid_autumn"`, "Mid-Autumn Festival", `value="calendar:fairs"`, "Our fairs", "on 1 March in other years", "leave it out")
	feast := []string{"how", "occasion", "when.occasion", "mid_autumn", "when.hour", "10:30", "when.missed", "skip"}
	v.post("/console/campaigns", tea(append(feast, "do", "preview")...)).is(http.StatusOK).has("10:30 <span", "Mid-Autumn Festival</span>")
	made := v.post("/console/campaigns", tea(feast...)).is(http.StatusOK).has("Mid-Autumn Festival at 10:30, by each member&#39;s clock", "Mid-Autumn Festival</span>")
	v.get(made.path+"/edit").has(`<option value="mid_autumn" selected`, `<option value="skip" selected`)
	v.post("/console/campaigns", tea("how", "occasion")).is(http.StatusUnprocessableEntity)
	v.post("/console/campaigns", tea("how", "occasion", "when.day", "chrismas")).is(http.StatusUnprocessableEntity).has("Please write an occasion")
	own := v.post("/console/campaigns", tea("how", "occasion", "when.day", "2nd sunday of may")).is(http.StatusOK).has("2nd sunday of may at 09:00")
	v.get(own.path + "/edit").has(`value="2nd sunday of may"`)
	v.post("/console/campaigns", tea("how", "occasion", "when.occasion", "calendar:fairs")).is(http.StatusOK).has("Summer fair")
	v.get("/console/campaigns/new?lang=zh-CN").has("中秋节", "平年在 3 月 1 日")
	v.get(made.path).has("中秋节当地时间 10:30")
}

func TestATriggerOnDatesTellsWhenItComesNext(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	v.get("/console/triggers/festival").is(http.StatusOK).has("Festival greetings", " 09:00 <span", "Day</span>")
	v.get("/console/triggers/birthday").is(http.StatusOK).lacks(" 09:00 <span")
}
