package segment_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"herald/campaigns/segment"
	"herald/problem"
)

func TestMistakesAreToldWithTheirPlace(t *testing.T) {
	for condition, want := range map[string]string{
		"":                                          "required: say which",
		"member.locale ==":                          "syntax: 1:17",
		"member.locale == 5":                        "type: 1:15: a text cannot be compared with a number",
		"true &&\n  memer.locale == 'en'":           "name: 2:3: memer is not known",
		"member.grade == 'gold'":                    "name: 1:7: member.grade is not known",
		"member == 'wei'":                           "name: 1:1: say what of the member",
		"member.locale":                             "type: 1:7: must be true or false, this is a text",
		"now":                                       "type: 1:1: must be true or false, this is a moment",
		"member.locale.matches('z.*')":              "function: 1:22: matches cannot be used",
		"size(member.locale) > 2":                   "function: 1:5: size cannot be used",
		"member.age + 1 > 18":                       "only a duration can be added",
		"member.age * 2 > 18":                       "function: 1:12: * cannot be used",
		"-member.age > 18":                          "function: 1:1: - cannot be used",
		"member.age > 18 ? true : false":            "function: 1:17: ? : cannot be used",
		"attributes.a == attributes.b":              "type: 1:14: compare an attribute with",
		"attributes.a == now":                       "type: 1:14: an attribute cannot be compared with a moment",
		"attributes.a == null":                      "type: 1:17: this constant cannot be used",
		"attributes.a < true":                       "type: 1:14: neither of true and false",
		"attributes[1] == 'a'":                      "type: 1:12: name the attribute as a text",
		"attributes.a in []":                        "type: 1:17: an empty list",
		"member.locale in ['en', 1]":                "type: 1:25: a text cannot be compared with a number",
		"member.locale in [member.account]":         "type: 1:25: a list holds",
		"member.locale in member.account":           "write x in",
		"now in attributes.a":                       "write x in",
		"member.age.startsWith('1')":                "looks for a constant text",
		"member.locale.startsWith(member.account)":  "looks for a constant text",
		"startsWith('a', 'b')":                      "function: 1:11: write attributes.city.startsWith",
		"member.created_at > timestamp('tomorrow')": "type: 1:31: a moment is written as",
		"member.created_at > timestamp('2026-01-01T00:00:00.1234567Z')": "to the microsecond at most",
		"member.created_at > now - duration('a month')":                 "a duration is written as",
		"member.created_at - duration('1h') > now":                      "only a duration can be added to now",
		"duration('1h') > duration('2h')":                               "a duration cannot be compared",
		"subscribed()":                                                  "function: 1:11: write subscribed",
		"subscribed(member.account)":                                    "type: 1:18: name the trigger",
		"subscribed('price_drop', 5)":                                   "type: 1:26: name parameters as",
		"subscribed('price_drop', {'a': [1]})":                          "a parameter is a text",
		"attributes.a == 'zero\\u0000byte'":                             "no zero bytes",
		"attributes.a == 1e999":                                         "",
		"has(member.nothing)":                                           "member.nothing is not known",
		"has(now.year)":                                                 "has() asks for",
		"member.locale.tag == 'en'":                                     "a text has no fields",
		"(attributes.a == 1) == true":                                   "a comparison cannot be compared",
		"[1, 2].exists(i, i == 1)":                                      "function: 1:14: exists cannot be used",
		"attributes.a == 'x' || unknown(1)":                             "function: 1:31: unknown cannot be used",
		strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60):      "syntax",
		strings.Repeat("true && ", 600) + "true":                        "max: at most 4096 bytes",
		"'\xff' == member.locale":                                       "syntax: 1:1: not valid UTF-8",
	} {
		_, err := segment.Compile(condition)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.Invalid {
			t.Errorf("%q gave %v, want a problem", condition, err)
			continue
		}
		var told []string
		for _, f := range p.Fields {
			if f.Path != "condition" {
				t.Errorf("%q: the mistake is at %q", condition, f.Path)
			}
			told = append(told, f.Rule+": "+f.Message)
		}
		if all := strings.Join(told, "\n"); !strings.Contains(all, want) {
			t.Errorf("%q:\n%s\nwant it to say %q", condition, all, want)
		}
	}
}

func TestEveryMistakeIsToldAtOnce(t *testing.T) {
	_, err := segment.Compile("member.colour == 'red' && size(now) > 1 && member.age == 'old'")
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields) != 3 {
		t.Errorf("got %v, want three mistakes", err)
	}
}

func TestMentionsNameTheirPlaces(t *testing.T) {
	s, err := segment.Compile("subscribed('a') ||\n  !subscribed('b', {'x': 1})")
	if err != nil {
		t.Fatal(err)
	}
	got := s.Mentions()
	if len(got) != 2 || got[0] != (segment.Mention{Trigger: "a", Position: "1:12"}) || got[1] != (segment.Mention{Trigger: "b", Position: "2:15"}) {
		t.Errorf("got %v", got)
	}
}

func TestConstantsNeverEnterTheText(t *testing.T) {
	const evil = `'; DROP TABLE members; --`
	s, err := segment.Compile(`attributes["` + evil + `"] == "` + evil + `" || member.account in ["` + evil + `"] || subscribed("` + evil + `", {"` + evil + `": "` + evil + `"})`)
	if err != nil {
		t.Fatal(err)
	}
	where, _ := s.SQL(time.Now(), time.UTC)
	if strings.Contains(where, "DROP") {
		t.Errorf("the SQL holds a constant: %s", where)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`member.locale == "zh-CN" && attributes.grade in ["gold"] || !subscribed("x", {"p": 1.5})`)
	f.Add(`has(attributes.a.b) && now - duration("1h") < member.created_at`)
	f.Fuzz(func(t *testing.T, condition string) {
		s, err := segment.Compile(condition)
		if err != nil {
			if problem.CodeOf(err) != problem.Invalid {
				t.Errorf("%q: %v", condition, err)
			}
			return
		}
		s.SQL(time.Now(), time.UTC)
	})
}
