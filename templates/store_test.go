package templates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herald/postgres/pgtest"
	"herald/problem"
)

// clock is a time that a test moves.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func sms(name, locale, body string) Template {
	return Template{Name: name, Channel: "sms", Locale: locale, Body: body, SavedBy: "operator:ann"}
}

func mustSave(t *testing.T, s *Store, template Template) Template {
	t.Helper()
	saved, err := s.Save(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func mustRender(t *testing.T, s *Store, name, locale string, data map[string]any) Content {
	t.Helper()
	content, err := s.Render(t.Context(), name, "sms", locale, data)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestEverySaveIsAVersion(t *testing.T) {
	s := NewStore(pgtest.New(t), nil, newClock().now)
	mustSave(t, s, sms("hello", "en", "one"))
	second := mustSave(t, s, sms("hello", "en", "two"))
	if second.Version != 2 || !second.SavedAt.Equal(s.now()) {
		t.Errorf("the second save is %+v", second)
	}
	inForce, err := s.Get(t.Context(), "hello", "sms", "en")
	if err != nil || inForce.Body != "two" || inForce.Version != 2 || inForce.SavedBy != "operator:ann" {
		t.Errorf("in force is %+v and %v", inForce, err)
	}
	history, err := s.History(t.Context(), "hello", "sms", "en")
	if err != nil || len(history) != 2 || history[0].Body != "two" || history[1].Body != "one" {
		t.Errorf("the history is %+v and %v", history, err)
	}
	mustSave(t, s, sms("hello", "zh-cn", "三"))
	all, err := s.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Body != "two" || all[1].Locale != "zh-CN" {
		t.Errorf("the list is %+v and %v", all, err)
	}
	if content := mustRender(t, s, "hello", "en", nil); content.Text != "two" || content.Version != 2 || content.Locale != "en" {
		t.Errorf("renders %+v", content)
	}
}

func TestSavesAtOnceGetTheirOwnVersions(t *testing.T) {
	s := NewStore(pgtest.New(t), nil, time.Now)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := s.Save(t.Context(), sms("hello", "en", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	history, err := s.History(t.Context(), "hello", "sms", "en")
	if err != nil || len(history) != 8 || history[0].Version != 8 {
		t.Fatalf("%d versions and %v", len(history), err)
	}
	if content := mustRender(t, s, "hello", "en", nil); content.Text != history[0].Body {
		t.Errorf("renders %q, in force is %q", content.Text, history[0].Body)
	}
}

func TestLocalesFallBack(t *testing.T) {
	s := NewStore(pgtest.New(t), nil, newClock().now)
	for _, locale := range []string{"en", "de", "zh", "zh-CN", "pt-BR"} {
		mustSave(t, s, sms("hello", locale, "in "+locale))
	}
	mustSave(t, s, sms("chinese", "zh-CN", "only zh-CN"))
	for _, c := range []struct{ name, asked, expected string }{
		{"hello", "zh-CN", "in zh-CN"},
		{"hello", "zh-Hans-CN", "in zh-CN"},
		{"hello", "zh-TW", "in zh"},
		{"hello", "de-AT", "in de"},
		{"hello", "pt-BR", "in pt-BR"},
		{"hello", "pt", "in en"},
		{"hello", "ja-JP", "in en"},
		{"hello", "", "in en"},
		{"hello", "not a locale", "in en"},
		{"chinese", "zh", "only zh-CN"},
	} {
		if got := mustRender(t, s, c.name, c.asked, nil).Text; got != c.expected {
			t.Errorf("%s for %q is %q, want %q", c.name, c.asked, got, c.expected)
		}
	}
	if _, err := s.Render(t.Context(), "chinese", "sms", "en", nil); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("a template without the locale gives %v", err)
	}
	if _, err := s.Render(t.Context(), "hello", "email", "en", nil); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("a template without the channel gives %v", err)
	}
	if _, err := s.Get(t.Context(), "hello", "sms", "zh-TW"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("Get without the locale gives %v", err)
	}
}

func TestAnotherNodesSaveIsSeenInThreeSeconds(t *testing.T) {
	pool, clock := pgtest.New(t), newClock()
	here, there := NewStore(pool, nil, clock.now), NewStore(pool, nil, clock.now)
	mustSave(t, here, sms("hello", "en", "one"))
	if got := mustRender(t, there, "hello", "zh-CN", nil).Text; got != "one" {
		t.Fatalf("renders %q", got)
	}
	mustSave(t, here, sms("hello", "en", "two"))
	mustSave(t, here, sms("hello", "zh-CN", "二"))
	if got := mustRender(t, here, "hello", "zh-CN", nil).Text; got != "二" {
		t.Errorf("the saving node renders %q at once", got)
	}
	clock.advance(freshFor - 1)
	if got := mustRender(t, there, "hello", "zh-CN", nil).Text; got != "one" {
		t.Errorf("the other renders %q although it asked just now", got)
	}
	clock.advance(1)
	if got := mustRender(t, there, "hello", "zh-CN", nil).Text; got != "二" {
		t.Errorf("the other renders %q after three seconds", got)
	}
	if got := mustRender(t, there, "hello", "en", nil).Text; got != "two" {
		t.Errorf("the other renders %q after three seconds", got)
	}
}

func TestSaveRefusesWhatCannotBeSent(t *testing.T) {
	s := NewStore(pgtest.New(t), nil, time.Now)
	good := Template{Name: "hello", Channel: "email", Locale: "en", Subject: "s", HTML: "<p>h</p>", SavedBy: "ann"}
	for name, c := range map[string]struct {
		change     func(*Template)
		path, rule string
	}{
		"no name":                   {func(t *Template) { t.Name = "" }, "name", "format"},
		"a name with a space":       {func(t *Template) { t.Name = "a b" }, "name", "format"},
		"a channel that is none":    {func(t *Template) { t.Channel = "pigeon" }, "channel", "one_of"},
		"a locale that is none":     {func(t *Template) { t.Locale = "english!" }, "locale", "format"},
		"no locale":                 {func(t *Template) { t.Locale = "" }, "locale", "format"},
		"an e-mail without subject": {func(t *Template) { t.Subject = " " }, "subject", "required"},
		"an e-mail without text":    {func(t *Template) { t.HTML = "" }, "html", "required"},
		"an SMS without text":       {func(t *Template) { t.Channel = "sms" }, "body", "required"},
		"nobody":                    {func(t *Template) { t.SavedBy = "" }, "saved_by", "required"},
		"a mistake in the source":   {func(t *Template) { t.HTML = "{% if %}" }, "html", "syntax"},
		"a filter that fails":       {func(t *Template) { t.Subject = "{{ event.name | money }}" }, "subject", "render"},
		"a loop without an end":     {func(t *Template) { t.Body = "{% for i in (1..99999999) %}{% endfor %}" }, "body", "render"},
	} {
		t.Run(name, func(t *testing.T) {
			template := good
			c.change(&template)
			_, err := s.Save(t.Context(), template)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.Invalid {
				t.Fatalf("gives %v", err)
			}
			if f := p.Fields[0]; f.Path != c.path || f.Rule != c.rule || f.Message == "" {
				t.Errorf("gives %+v, want %s %s", f, c.path, c.rule)
			}
		})
	}
	if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%d templates were saved, and %v", len(all), err)
	}
}

func TestRenderFailures(t *testing.T) {
	pool := pgtest.New(t)
	s := NewStore(pool, nil, time.Now)
	mustSave(t, s, sms("divide", "en", "{{ 10 | divided_by: param.below }}"))
	_, err := s.Render(t.Context(), "divide", "sms", "en", map[string]any{"param": map[string]any{"below": 0}})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid || p.Fields[0].Path != "body" || p.Fields[0].Args["line"] != 1 {
		t.Errorf("a template that fails gives %#v", err)
	}
	mustSave(t, s, sms("loop", "en", "{% for i in (1..3) %}{{ i }}{% endfor %}"))
	left, leave := context.WithCancel(t.Context())
	leave()
	_, err = s.Render(left, "loop", "sms", "en", nil)
	if !errors.Is(err, context.Canceled) || problem.CodeOf(err) != "" {
		t.Errorf("a caller that left gets %v", err)
	}
	pool.Close()
	if _, err := s.Render(t.Context(), "unknown", "sms", "en", nil); err == nil || problem.CodeOf(err) != "" {
		t.Errorf("without a database gives %v", err)
	}
	if got := mustRender(t, s, "loop", "en", nil).Text; got != "123" {
		t.Errorf("what is fresh renders %q without a database", got)
	}
}

func TestStarterTemplatesAreLoadedOnce(t *testing.T) {
	pool := pgtest.New(t)
	s := NewStore(pool, nil, time.Now)
	var nodes sync.WaitGroup
	for range 3 {
		nodes.Go(func() {
			if err := NewStore(pool, nil, time.Now).LoadStarter(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	all, err := s.List(t.Context())
	if err != nil || len(all) != 16*4*2+3*2 {
		t.Fatalf("%d templates and %v", len(all), err)
	}
	edited := mustSave(t, s, sms("price_drop", "en", "cheaper"))
	if err := s.LoadStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if inForce, err := s.Get(t.Context(), "price_drop", "sms", "en"); err != nil || inForce.Version != edited.Version {
		t.Errorf("loading again put %+v in force, and %v", inForce, err)
	}
	content, err := s.Render(t.Context(), "price_drop", "email", "zh-CN", Sample())
	if err != nil || !strings.Contains(content.Subject, "降到") || !strings.Contains(content.HTML, "<table") {
		t.Errorf("renders %+v and %v", content, err)
	}
}

// TestANewerHeraldBringsItsNewChannels begins with what a Herald brought that
// knew e-mail and SMS, and what the house made of it.
func TestANewerHeraldBringsItsNewChannels(t *testing.T) {
	pool := pgtest.New(t)
	s := NewStore(pool, nil, time.Now)
	if err := s.LoadStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `
		DELETE FROM templates
		WHERE  channel IN ('voice', 'fax') OR name = 'promotion' OR name = 'festival' AND locale = 'zh-CN'`); err != nil {
		t.Fatal(err)
	}
	email := mustSave(t, s, Template{Name: "price_drop", Channel: "email", Locale: "en", Subject: "Cheaper", Body: "cheaper", SavedBy: "operator:ann"})
	call := mustSave(t, s, Template{Name: "price_fall", Channel: "voice", Locale: "en", Body: "steps: [{say: Cheaper.}]", SavedBy: "operator:ann"})
	mustSave(t, s, sms("promotion", "en", "the house's own"))
	for range 2 { // and once more, when there is nothing to bring
		if err := s.LoadStarter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]int{}
	for _, one := range all {
		versions[one.Name+"."+one.Channel+"."+one.Locale] = one.Version
	}
	for name, want := range map[string]int{
		"price_drop.voice.en":     1,
		"price_drop.fax.zh-CN":    1,
		"price_drop.email.en":     email.Version, // as the house worded it
		"price_fall.voice.en":     call.Version,
		"price_fall.fax.en":       1,
		"festival.voice.en":       1,
		"festival.voice.zh-CN":    0, // a language that the house has nothing in
		"promotion.sms.en":        1, // a name of the house's own
		"promotion.voice.en":      0,
		"confirm_address.fax.en":  1,
		"digest.voice.zh-CN":      1,
		"reply_stop.voice.en":     0, // an answer to an SMS
		"low_balance.voice.zh-CN": 1,
	} {
		if versions[name] != want {
			t.Errorf("version %d of %s is in force, want %d", versions[name], name, want)
		}
	}
}

func TestOfAStoreInUseOnlyHeraldsOwnMessagesAreCompleted(t *testing.T) {
	s := NewStore(pgtest.New(t), nil, time.Now)
	mustSave(t, s, sms("promotion", "en", "tea"))
	mustSave(t, s, sms("reply_stop", "de", "Sie hören nichts mehr von uns."))
	if err := s.LoadStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name+"."+one.Channel+"."+one.Locale)
	}
	slices.Sort(names)
	want := "confirm_address.email.en confirm_address.email.zh-CN confirm_address.fax.en confirm_address.fax.zh-CN " +
		"confirm_address.sms.en confirm_address.sms.zh-CN confirm_address.voice.en confirm_address.voice.zh-CN promotion.sms.en " +
		"renewal.email.en renewal.email.zh-CN renewal.fax.en renewal.fax.zh-CN " +
		"renewal.sms.en renewal.sms.zh-CN renewal.voice.en renewal.voice.zh-CN reply_help.sms.en reply_help.sms.zh-CN reply_start.sms.en reply_start.sms.zh-CN reply_stop.sms.de"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("there are %s\nwant %s", got, want)
	}
}
