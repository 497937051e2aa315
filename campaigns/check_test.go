package campaigns

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"herald/problem"
	"herald/subscriptions"
)

func TestMistakesInAPlanAreToldByField(t *testing.T) {
	d := newDesk(t)
	now := monday
	for name, test := range map[string]struct {
		change func(*Plan)
		want   string // paths
	}{
		"no name":                 {func(p *Plan) { p.Name = " " }, "name"},
		"a long name":             {func(p *Plan) { p.Name = strings.Repeat("x", 201) }, "name"},
		"a name of two lines":     {func(p *Plan) { p.Name = "a\nb" }, "name"},
		"an unknown purpose":      {func(p *Plan) { p.Purpose = "fun" }, "purpose"},
		"an alert's priority":     {func(p *Plan) { p.Priority = 1 }, "priority"},
		"no expiry that could be": {func(p *Plan) { p.Expiry = "a day" }, "expiry"},
		"patience in words":       {func(p *Plan) { p.Patience = "a while" }, "patience"},
		"no patience at all":      {func(p *Plan) { p.Patience = "0s" }, "patience"},
		"endless patience":        {func(p *Plan) { p.Patience = "721h" }, "patience"},
		"a negative rate":         {func(p *Plan) { p.Rate = -1 }, "rate"},
		"nobody":                  {func(p *Plan) { p.Segment = Segment{} }, "segment"},
		"everybody and some":      {func(p *Plan) { p.Segment.Condition = "true" }, "segment.all"},
		"a bad condition":         {func(p *Plan) { p.Segment = Segment{Condition: "member.x == 1 && size('a') > 1"} }, "segment.condition segment.condition"},
		"a condition that fills up": {func(p *Plan) {
			p.Segment = Segment{Condition: "true" + strings.Repeat(" ", 5000) + "|| true" + strings.Repeat(" && true", 500)}
		}, "segment.condition"},
		"an unknown trigger":      {func(p *Plan) { p.Segment = Segment{Trigger: "none"} }, "segment.trigger"},
		"one in the condition":    {func(p *Plan) { p.Segment = Segment{Condition: "subscribed('none')"} }, "segment.condition"},
		"no channel":              {func(p *Plan) { p.Channels = nil }, "channels messages[0].channel"},
		"an unknown channel":      {func(p *Plan) { p.Channels = append(p.Channels, "pigeon") }, "channels[1]"},
		"a channel twice":         {func(p *Plan) { p.Channels = append(p.Channels, "email") }, "channels[1]"},
		"a channel without words": {func(p *Plan) { p.Channels = append(p.Channels, "sms") }, "messages"},
		"no subject":              {func(p *Plan) { p.Messages[0].Subject = "" }, "messages[0].subject"},
		"a broken template":       {func(p *Plan) { p.Messages[0].Body = "{{ member.name | nothing }}{% if %}" }, "messages[0].body"},
		"no language":             {func(p *Plan) { p.Messages[0].Locale = "?" }, "messages[0].locale"},
		"a language twice":        {func(p *Plan) { p.Messages = append(p.Messages, p.Messages[0]) }, "messages[1].locale"},
		"two ways to fire":        {func(p *Plan) { p.When = When{At: &now, Cron: "0 9 * * *"} }, "when"},
		"a bad schedule":          {func(p *Plan) { p.When.Cron = "often" }, "when.cron"},
		"a schedule with a zone":  {func(p *Plan) { p.When.Cron = "TZ=UTC 0 9 * * *" }, "when.cron"},
		"no last date":            {func(p *Plan) { p.When = When{Cron: "0 9 * * *", Until: "soon"} }, "when.until"},
		"an end of one moment":    {func(p *Plan) { p.When.Until = "2026-12-31" }, "when.until"},
		"a distance":              {func(p *Plan) { p.When.Cron = "@every 5m" }, "when.cron"},
		"an unknown zone":         {func(p *Plan) { p.When.TimeZone = "Mars/Olympus" }, "when.time_zone"},
		"the machine's zone":      {func(p *Plan) { p.When.TimeZone = "Local" }, "when.time_zone"},
		"an unknown occasion":     {func(p *Plan) { p.When.Occasion = "chrismas" }, "when.occasion"},
		"a schedule as occasion":  {func(p *Plan) { p.When.Occasion = "cron:0 9 * * *" }, "when.occasion"},
		"every day as occasion":   {func(p *Plan) { p.When.Occasion = "daily" }, "when.occasion"},
		"an unknown leap day":     {func(p *Plan) { p.When = When{Occasion: Birthday, LeapDay: "feb30"} }, "when.leap_day"},
		"an unknown rule":         {func(p *Plan) { p.When = When{Cron: "0 9 * * *", Missed: "twice"} }, "when.missed"},
		"a calendar that is none": {func(p *Plan) { p.When.Occasion = "calendar:none" }, "when.occasion"},
		"a bad hour":              {func(p *Plan) { p.When = When{Occasion: Birthday, Hour: "9am"} }, "when.hour"},
		"everything at once":      {func(p *Plan) { p.Name, p.Rate, p.Messages[0].Subject = "", -1, "" }, "name rate messages[0].subject"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.store.Create(t.Context(), plan(test.change), "operator:ann")
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.Invalid {
				t.Fatalf("got %v, want a problem", err)
			}
			var paths []string
			for _, f := range p.Fields {
				paths = append(paths, f.Path)
			}
			if got := strings.Join(paths, " "); got != test.want {
				t.Errorf("mistakes at %q, want %q (%v)", got, test.want, err)
			}
		})
	}
	if n := d.number(`SELECT (SELECT count(*) FROM campaigns) + (SELECT count(*) FROM templates)`); n != 0 {
		t.Errorf("%d rows are left of what was refused", n)
	}
}

func TestAPlanIsKeptAsItIs(t *testing.T) {
	d := newDesk(t)
	c := d.create(func(p *Plan) { p.When = When{Occasion: Birthday}; p.Rate = 20 })
	if c.State != Draft || c.Purpose != subscriptions.Marketing || c.Priority != 4 || c.Expiry != "24h" || c.When.Hour != "09:00" || c.When.TimeZone != "UTC" || c.Rate != 20 {
		t.Errorf("got %+v", c)
	}
	list, err := d.store.List(t.Context(), ListFilter{State: Draft})
	if err != nil || len(list) != 1 || list[0].Messages != nil || list[0].Name != c.Name {
		t.Errorf("listed %+v, %v", list, err)
	}
	if list, err := d.store.List(t.Context(), ListFilter{Before: c.ID}); err != nil || len(list) != 0 {
		t.Errorf("before the first there are %v, %v", list, err)
	}
	if runs, err := d.store.Runs(t.Context(), c.ID); err != nil || len(runs) != 0 {
		t.Errorf("runs %v, %v", runs, err)
	}
}

func TestMessagesAreTheTemplatesOfTheirVersion(t *testing.T) {
	d := newDesk(t)
	both := func(p *Plan) {
		p.Messages = []Wording{{Channel: "email", Locale: "zh-CN", Subject: "茶", Body: "茶"}, {Channel: "email", Locale: "de", Subject: "Tee", Body: "Tee"}}
	}
	c := d.create(both)
	locales := func(name string) string {
		rows := ""
		if err := d.pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(locale || ' ' || subject, ', ' ORDER BY locale), '') FROM templates WHERE name = $1`, name).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if got := locales(c.Template); got != "de Tee, en 茶, zh-CN 茶" { // the first is for all others
		t.Errorf("saved %q", got)
	}
	same := d.must(d.store.Change(t.Context(), c.ID, 1, func() Plan { p := plan(both); p.Name = "Other"; return p }(), "operator:ben"))
	if same.Template != c.Template || same.Version != 2 || same.Name != "Other" {
		t.Errorf("another name alone: %+v", same)
	}
	changed := d.must(d.store.Change(t.Context(), c.ID, 2, plan(), "operator:ben"))
	if got := locales(changed.Template) + locales(c.Template); got != "en Tea for {{ member.name }}" {
		t.Errorf("after a change: %q", got)
	}
	if _, err := d.store.Change(t.Context(), c.ID, 1, plan(), "operator:ben"); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("an old version: %v", err)
	}
	if err := d.store.Delete(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if got := locales(changed.Template); got != "" {
		t.Errorf("after the delete: %q", got)
	}
}

func TestEachChannelSpeaksForAll(t *testing.T) {
	p := Plan{Messages: []Wording{{Channel: "email", Locale: "zh"}, {Channel: "email", Locale: "en"}, {Channel: "sms", Locale: "de"}, {Channel: "sms", Locale: "fr"}}}
	var all []bool
	for i := range p.Messages {
		all = append(all, p.speaksForAll(i))
	}
	if want := []bool{false, false, true, false}; !slices.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
}

func TestReadersAreThoseOfTheNearestLanguage(t *testing.T) {
	p := Plan{Messages: []Wording{{Channel: "sms", Locale: "de"}, {Channel: "email", Locale: "en"}, {Channel: "sms", Locale: "zh-CN"}, {Channel: "voice", Locale: "fr"}}}
	reached := []Reached{{"sms", "zh-Hans-CN", 1}, {"sms", "zh-TW", 2}, {"sms", "fr", 4}, {"sms", "de-AT", 8}, {"email", "zh-CN", 16}, {"fax", "en", 32}}
	if got, want := p.Readers(reached), []int64{12, 16, 3, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
