package config

import (
	"strings"
	"testing"
)

func TestACompanyIsCalledByTheNearestLanguage(t *testing.T) {
	c := Company{Name: "Example Shop", Names: map[string]string{"zh": "示例商城", "zh-Hant": "示例商城（繁）", "pt-BR": "Loja"}}
	for locale, want := range map[string]string{
		"zh": "示例商城", "zh-CN": "示例商城", "zh-Hans-CN": "示例商城", "zh-TW": "示例商城（繁）", "pt-BR": "Loja",
		"pt": "Example Shop", "en": "Example Shop", "de-AT": "Example Shop", "": "Example Shop", "no language": "Example Shop",
	} {
		if got := c.In(locale); got != want {
			t.Errorf("in %q it is %q, want %q", locale, got, want)
		}
	}
	if got := (Company{}).In("zh-CN"); got != "" {
		t.Errorf("nobody is called %q", got)
	}
}

func TestACompanyIsReadFromFileAndVariables(t *testing.T) {
	file := write(t, "company:\n  name: Example Shop\n  names: {zh: 示例商城, de: Beispielladen}\n"+
		"email:\n  accounts:\n    - {name: a, host: h, from: a@b.c}\n    - {name: b, host: h, from: a@b.c, from_name: News}\n    - {name: c, host: h, from: a@b.c, from_name: \"\"}\n"+
		"fax:\n  servers:\n    - {name: f, host: h, sender_number: \"1\"}\n    - {name: g, host: h, sender_name: Legal Ltd, sender_number: \"1\"}\n")
	got, err := Load(file, []string{"HERALD_COMPANY_NAME=Smith & Sons \"Outfitters\" <{{ name }}>", "HERALD_COMPANY_NAMES={zh: 史密斯}"})
	if err != nil {
		t.Fatal(err)
	}
	const name = `Smith & Sons "Outfitters" <{{ name }}>`
	if got.Company.Name != name || got.Company.In("zh-CN") != "史密斯" {
		t.Errorf("the company is %+v", got.Company)
	}
	for i, want := range []string{name, "News", ""} {
		if from := got.Email.Accounts[i].FromName; from != want {
			t.Errorf("account %d writes as %q, want %q", i, from, want)
		}
	}
	for i, want := range []string{name, "Legal Ltd"} {
		if from := got.Fax.Servers[i].SenderName; from != want {
			t.Errorf("server %d faxes as %q, want %q", i, from, want)
		}
	}
	var printed strings.Builder
	if err := got.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if again, err := Load(write(t, printed.String()), nil); err != nil || again.Company.Name != name || again.Company.In("zh") != "史密斯" {
		t.Errorf("what was printed is read as %+v, %v", again.Company, err)
	}
}

func TestLoadSaysWhereACompanysNameIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		file, variable, want string
	}{
		"too long":                  {"company:\n  name: " + strings.Repeat("商", 61) + "\n", "", ":2: company.name has 61 characters and must have at most 60"},
		"as long as it may be":      {"company:\n  name: " + strings.Repeat("商", 60) + "\n", "", ""},
		"a line break":              {"company:\n  name: \"Shop\\r\\nBcc: all@example.com\"\n", "", ":2: company.name must be one line"},
		"a line separator":          {"company:\n  name: \"Shop\\u2028Bcc\"\n", "", ":2: company.name must be one line"},
		"a control character":       {"company:\n  name: \"Shop\\u0007\"\n", "", ":2: company.name must be one line"},
		"blanks around it":          {"company:\n  name: \" Shop\"\n", "", ":2: company.name must not begin or end with blanks"},
		"no UTF-8":                  {"", "HERALD_COMPANY_NAME=Shop\xff", "HERALD_COMPANY_NAME: company.name must be one line"},
		"names without a name":      {"company:\n  names: {zh: 商城}\n", "", ":2: company.name is needed beside company.names"},
		"a language that is none":   {"company:\n  name: Shop\n  names:\n    zh: 商城\n    chinese!: 商城\n", "", `company.names.chinese! is for "chinese!", which must be a language`},
		"a language written low":    {"company:\n  name: Shop\n  names:\n    zh-cn: 商城\n", "", ":4: company.names.zh-cn is for a language that must be written zh-CN"},
		"an empty name":             {"company:\n  name: Shop\n  names:\n    en: Shop\n    zh: \"\"\n", "", ":5: company.names.zh must be a name"},
		"a line break in a name":    {"", `HERALD_COMPANY_NAMES={zh: "商城\n"}`, "HERALD_COMPANY_NAMES: company.names.zh must be one line"},
		"a name where names belong": {"", "HERALD_COMPANY_NAMES=Shop", `HERALD_COMPANY_NAMES: "Shop" is not a group of settings`},
		"a list of names":           {"company:\n  name: [Shop]\n", "", ":2:"},
	} {
		t.Run(name, func(t *testing.T) {
			var environ []string
			if tt.variable != "" {
				environ = append(environ, tt.variable)
			}
			_, err := Load(write(t, tt.file), environ)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}
