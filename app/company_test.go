package app

import (
	"net/http"
	"strings"
	"testing"

	"herald/app/config"
	"herald/templates"
)

// TestTheCompanyIsOnPagesAndInMessages follows a name from the configuration
// to where people read and hear it.
func TestTheCompanyIsOnPagesAndInMessages(t *testing.T) {
	cfg := settings(t)
	cfg.Company = config.Company{Name: "Example Shop", Names: map[string]string{"zh": "示例商城"}}
	a, err := New(t.Context(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(t.Context()) }()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/?lang=en": " · Example Shop</title>", "/?lang=zh": " · 示例商城</title>",
		"/console/sign-in?lang=en": " · Herald · Example Shop</title>", "/console/sign-in?lang=zh": " · Herald · 示例商城</title>",
	} {
		if _, page := get(t, http.DefaultClient, a.URL()+path); !strings.Contains(page, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
	for locale, want := range map[string]string{
		"en-GB": "Hello, Wei. This is Example Shop, with a message for you.", "zh-CN": "您好，Wei。这里是示例商城，有一条消息要告诉您。",
		"de": "Hello, Wei. This is Example Shop, with a message for you.",
	} {
		call, err := a.Templates.Render(t.Context(), "price_drop", "voice", locale, templates.Sample())
		if err != nil || call.Script.Steps[0].Say != want {
			t.Errorf("a call in %s begins with %q, %v; want %q", locale, call.Text, err, want)
		}
	}
}

func TestTheDoctorAsksWhoCalls(t *testing.T) {
	cfg := config.Default()
	if found := examineCompany(cfg); len(found) > 0 {
		t.Errorf("without calls: %v", found)
	}
	cfg.Voice.Trunks = []config.TrunkAccount{{Name: "trunk"}}
	if found := examineCompany(cfg); len(found) != 1 || found[0].State != Warning || found[0].Advice == "" {
		t.Errorf("calls of nobody: %v", found)
	}
	cfg.Company.Name = "Example Shop"
	if found := examineCompany(cfg); len(found) != 1 || found[0].State != Fine {
		t.Errorf("calls of somebody: %v", found)
	}
}
