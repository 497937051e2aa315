package subscriptions

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"herald/problem"
)

// The wordings of the starter set as members read them: what is said of a
// subscription, in both languages.
func TestStarterSummaries(t *testing.T) {
	fill := map[string]map[string]any{
		"price_drop":    {"product": "NFLX", "target": 1250000.5},
		"back_in_stock": {"product": "teapot-3"},
		"new_product":   {"categories": []string{"books", "home"}},
		"low_balance":   {"below": 20.0},
		"promotion":     {"categories": "toys"},
		"price_fall":    {"product": "teapot-3"},
		"level_crossed": {"index": "SPX", "level": 1250.5},
		"festival":      {"festivals": []string{"qixi", "mid_autumn"}},
		"reminder":      {"date": "2026-09-25", "text": "Book the table"},
	}
	want := map[string][2]string{
		"back_in_stock":    {"teapot-3 back in stock", "teapot-3 重新到货"},
		"birthday":         {"A greeting on your birthday", "生日当天的祝福"},
		"festival":         {"Greetings on Mid-Autumn Festival, Qixi Festival", "节日祝福：中秋节、七夕节"},
		"reminder":         {"Book the table, on 2026-09-25", "2026-09-25 提醒：Book the table"},
		"level_crossed":    {"SPX falls below 1250.5", "SPX 跌破 1250.5"},
		"low_balance":      {"Balance below 20", "余额低于 20"},
		"new_product":      {"New in Books and media, Home and kitchen", "新品：图书音像、家居厨具"},
		"order_status":     {"Every step of your orders", "我的订单每一步进展"},
		"order_unfinished": {"Orders you have not finished", "我尚未完成的订单"},
		"order_unpaid":     {"Orders you have not paid", "我尚未付款的订单"},
		"price_drop":       {"NFLX at 1250000.5 or less", "NFLX 降至 1250000.5 或更低"},
		"price_fall":       {"teapot-3 falls by 10 % or more", "teapot-3 一次下跌 10% 或更多"},
		"promotion":        {"Offers in Toys and children", "优惠活动：玩具母婴"},
	}
	set, err := starterSet()
	if err != nil {
		t.Fatal(err)
	}
	if len(set) != len(want) {
		t.Errorf("%d triggers, want %d", len(set), len(want))
	}
	for _, trigger := range set {
		params, bad := trigger.CheckParams(fill[trigger.Name])
		if len(bad) > 0 {
			t.Errorf("%s: %v", trigger.Name, bad)
		}
		got := [2]string{trigger.Summarise(params, "en-GB"), trigger.Summarise(params, "zh-CN")}
		if got != want[trigger.Name] {
			t.Errorf("%s is summarised as %q, want %q", trigger.Name, got, want[trigger.Name])
		}
		if trigger.Template != trigger.Name {
			t.Errorf("%s uses the template %s", trigger.Name, trigger.Template)
		}
	}
}

func TestStarterSpeaksBothLanguagesEverywhere(t *testing.T) {
	set, err := starterSet()
	if err != nil {
		t.Fatal(err)
	}
	for _, trigger := range set {
		eachText(reflect.ValueOf(trigger), trigger.Name, func(path string, text Text) {
			en, zh := text["en"], text["zh"]
			if en == "" || zh == "" || len(text) != 2 {
				t.Errorf("%s is %v, want both languages", path, text)
			}
			han := func(s string) bool {
				return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
			}
			if han(en) || !han(zh) {
				t.Errorf("%s has its languages mixed up: %v", path, text)
			}
		})
		for _, p := range trigger.Params {
			if len(p.Help) == 0 {
				t.Errorf("%s.%s has no help", trigger.Name, p.Name)
			}
		}
	}
}

// eachText visits every Text within v but a parameter's absent help.
func eachText(v reflect.Value, path string, visit func(string, Text)) {
	if text, ok := v.Interface().(Text); ok {
		if text != nil {
			visit(path, text)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			eachText(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachText(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

func TestLoadStarterOnlyWhenThereAreNoTriggers(t *testing.T) {
	d := newDesk(t)
	if err := d.triggers.LoadStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := d.triggers.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != "price_drop" {
		t.Errorf("the starter set came beside the shop's own trigger: %d triggers", len(list))
	}
}

func TestLoadStarterByNodesThatStartTogether(t *testing.T) {
	p := newPeople(t)
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() { errs[i] = NewTriggers(p.pool, p.now).LoadStarter(t.Context()) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	list, err := NewTriggers(p.pool, p.now).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, trigger := range list {
		names = append(names, trigger.Name)
		if trigger.Version != 1 || !trigger.Enabled {
			t.Errorf("%s is at version %d, enabled %v", trigger.Name, trigger.Version, trigger.Enabled)
		}
	}
	want := []string{
		"back_in_stock", "birthday", "festival", "level_crossed", "low_balance", "new_product", "order_status", "order_unfinished",
		"order_unpaid", "price_drop", "price_fall", "promotion", "reminder",
	}
	if !slices.Equal(names, want) {
		t.Errorf("loaded %v, want %v", names, want)
	}
}

func TestParseTriggerNamesTheLine(t *testing.T) {
	for _, c := range []struct{ name, text, path string }{
		{"an unknown field", "name: a\ntitle: {en: A}\ncolour: red\n", "line 3"},
		{"a wrong type", "name: a\npriority: high\n", "line 2"},
		{"a field given twice", "name: a\npriority: 1\nname: b\n", "line 3"},
		{"a quote left open", "name: a\ntitle: {en: \"A}\n", "line 2"},
		{"brackets without end", "name: a\ntitle: " + strings.Repeat("[", 60000), "line 2"},
		{"lists in lists without end", "name: a\n" + strings.Repeat("- ", 30000), "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseTrigger([]byte(c.text))
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("error %v, want one to mend", err)
			}
			wantField(t, err, c.path, "yaml")
		})
	}
}

// Whatever an operator pastes is read or refused, and what was read is checked
// or refused.
func FuzzParseTrigger(f *testing.F) {
	entries, err := starterFiles.ReadDir("starter")
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range entries {
		text, err := starterFiles.ReadFile("starter/" + entry.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		trigger, err := ParseTrigger(text)
		if err == nil {
			err = trigger.Check()
		}
		if err != nil && problem.CodeOf(err) != problem.Invalid {
			t.Errorf("%v is no problem to mend", err)
		}
	})
}
