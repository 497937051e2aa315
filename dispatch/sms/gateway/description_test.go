package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"herald/problem"
)

func TestHeraldsOwnDescriptionsAreWhole(t *testing.T) {
	names := Names()
	if strings.Join(names, " ") != "aliyun generic kannel twilio" {
		t.Errorf("they are %v", names)
	}
	for _, name := range names {
		d, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if d.spec.About == "" || d.receipt == nil || d.inbound == nil {
			t.Errorf("%s is not whole", name)
		}
	}
}

func TestADescriptionIsReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte(byPost), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := Load(path); err != nil || d.spec.About != "a gateway of tests, by POST" {
		t.Errorf("%v, %v", d, err)
	}
	for name, want := range map[string]string{
		"pigeon":                   "name one of aliyun, generic, kannel, twilio, or a file",
		path + ".gone.yaml":        "cannot read the description",
		filepath.Dir(path) + ".d/": "name one of",
	} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", name, err, want)
		}
	}
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a large file gives %v", err)
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	const head = "about: a\nsettings: {url: {about: u}}\nsecrets: {key: {about: k}}\nrequest:\n  url: '{{.Settings.url}}'\n  auth: {bearer: '{{.Secrets.key}}'}\n"
	const answer = "answer:\n  rules:\n    - {status: 200, is: accepted}\n"
	const trust = "trust: {token: '{{.Secrets.key}}'}\n"
	for rule, c := range map[string]struct{ file, want string }{
		"an unknown field":              {head + "  colour: red\n" + answer, `test.yaml:7:3: unknown field "colour"`},
		"a word for a list":             {head + answer + "receipt: [a]\n", "test.yaml:10:"},
		"nothing about it":              {strings.Replace(head, "about: a\n", "", 1) + answer, "about say in a line"},
		"no address":                    {"about: a\nrequest: {method: GET}\n" + answer, "test.yaml:2: request.url say where"},
		"another method":                {head + "  method: PATCH\n" + answer, `test.yaml:7: request.method is "PATCH"`},
		"a body of GET":                 {head + "  method: GET\n  form: {a: b}\n" + answer, "test.yaml:7: request.method is GET, which has no body"},
		"two bodies":                    {head + "  body: x\n  form: {a: b}\n" + answer, "test.yaml:5: request can have one of form, json and body"},
		"a header of framing":           {head + "  headers: {content-length: 5}\n" + answer, `test.yaml:7: request.headers "content-length" is not a header that can be set`},
		"a header with a space":         {head + "  headers: {'a b': c}\n" + answer, `"a b" is not a header`},
		"a text that does not end":      {head + "  query: {to: '{{.To'}\n" + answer, "test.yaml:7: request.query.to cannot be read"},
		"an unknown name in a text":     {head + "  query: {to: '{{.Number}}'}\n" + answer, "test.yaml:7: request.query.to cannot be read: .Number is not known here"},
		"an unknown function":           {head + "  query: {to: '{{exec .To}}'}\n" + answer, `function "exec" not defined`},
		"a loop":                        {head + "  query: {to: '{{range .To}}x{{end}}'}\n" + answer, "only values, functions and if"},
		"a variable":                    {head + "  query: {to: '{{$a := .To}}{{$a}}'}\n" + answer, "variables cannot be used"},
		"a template of its own":         {head + "  query: {to: '{{define \"x\"}}x{{end}}'}\n" + answer, "no template can be defined"},
		"settings without a name":       {head + "  query: {to: '{{.Settings}}'}\n" + answer, "needs one name, as in .Settings.from"},
		"a text within JSON":            {head + "  json: {messages: [{to: '{{.Tu}}'}]}\n" + answer, "test.yaml:7: request.json.messages[0].to cannot be read"},
		"what JSON has not":             {head + "  json: {a: !!binary aGVsbG8=}\n" + answer, "request.json.a must be what JSON has"},
		"the message in the address":    {strings.Replace(head, "Settings.url}}", "Settings.url}}{{.Text}}", 1) + answer, "test.yaml:5: request.url cannot be read: .Text is not known here"},
		"a setting nobody gives":        {head + "  query: {from: '{{.Settings.from}}'}\n" + answer, "settings has no from, which a text asks for"},
		"a secret nobody asks for":      {strings.Replace(head, "{key:", "{spare: {about: s}, key:", 1) + answer, "test.yaml:3: secrets.spare is asked for by no text"},
		"a secret with a default":       {strings.Replace(head, "{about: k}", "{about: k, default: x}", 1) + answer, "secrets.key.default cannot be"},
		"two proofs":                    {head + "    basic: {username: a, password: b}\n" + answer, "test.yaml:"},
		"basic without a password":      {strings.Replace(head, "bearer: '{{.Secrets.key}}'", "basic: {username: '{{.Secrets.key}}'}", 1) + answer, "request.auth.basic needs username and password"},
		"an unknown hash":               {strings.Replace(head, "bearer: '{{.Secrets.key}}'", "hmac: {header: X, secret: '{{.Secrets.key}}', algorithm: md5}", 1) + answer, `algorithm is "md5"`},
		"half of Aliyun's":              {strings.Replace(head, "bearer: '{{.Secrets.key}}'", "aliyun: {key: a, secret: '{{.Secrets.key}}'}", 1) + answer, "request.auth.aliyun needs key, secret, action and version"},
		"nothing is accepted":           {head + "answer:\n  rules:\n    - {status: 200, is: transient}\n", "test.yaml:9: answer.rules need one that says what is accepted"},
		"a rule for everything":         {head + answer + "    - {is: permanent}\n", "test.yaml:10: answer.rules[1] needs a status, a code or a body"},
		"a status that is none":         {head + answer + "    - {status: [200, 9xx], is: permanent}\n", `answer.rules[1].status[1] is "9xx"`},
		"an unknown outcome":            {head + answer + "    - {status: 500, is: maybe}\n", `test.yaml:10: answer.rules[1].is is "maybe"`},
		"dead for now":                  {head + answer + "    - {status: 500, is: transient, address_dead: true}\n", "goes with permanent only"},
		"a wish of years":               {head + answer + "    - {status: 500, is: transient, after: 9999h}\n", "answer.rules[1].after is 9999h"},
		"a bad expression":              {head + answer + "    - {body: '(', is: transient}\n", "test.yaml:10: answer.rules[1].body missing closing )"},
		"a long expression":             {head + answer + "    - {body: '" + strings.Repeat("a", maxPattern+1) + "', is: transient}\n", "must have at most 500 characters"},
		"an expression without a group": {head + answer + "  id: {body: abc}\n", "test.yaml:10: answer.id.body needs a group"},
		"two places":                    {head + answer + "  id: {json: /id, header: X}\n", "test.yaml:10: answer.id must name exactly one"},
		"no pointer":                    {head + answer + "  id: {json: id}\n", "a JSON pointer begins with /"},
		"parts of another kind":         {head + answer + "text: {parts: some}\n", `test.yaml:10: text.parts is "some"`},
		"too many parts":                {head + answer + "text: {longest: 256}\n", "text.longest is 256"},
		"anybody reports":               {head + answer + "receipt: {state: {query: s}, states: {delivered: 1}}\n", "trust must have one of token, basic, twilio and hmac"},
		"no state":                      {head + answer + trust + "receipt: {id: {query: i}}\n", "receipt.state say where the state is"},
		"an unknown event":              {head + answer + trust + "receipt: {state: {query: s}, states: {arrived: 1}}\n", "test.yaml:11: receipt.states.arrived must be one of"},
		"a word with two meanings":      {head + answer + trust + "receipt: {state: {query: s}, states: {delivered: 1, bounced: [2, 1]}}\n", `has "1", which means bounced already`},
		"a list that is no JSON":        {head + answer + trust + "receipt: {each: {query: s}, state: {query: s}, states: {delivered: 1}}\n", "receipt.each must be a list within JSON"},
		"a callback by PUT":             {head + answer + trust + "receipt: {methods: PUT, state: {query: s}, states: {delivered: 1}}\n", `receipt.methods[0] is "PUT"`},
		"a receipt with a text":         {head + answer + trust + "receipt: {text: {query: t}, state: {query: s}, states: {delivered: 1}}\n", "they are of inbound"},
		"a layout without a date":       {head + answer + trust + "receipt: {time: soon, state: {query: s}, states: {delivered: 1}}\n", `receipt.time is "soon"`},
		"a zone of nowhere":             {head + answer + trust + "receipt: {zone: Mars/North, state: {query: s}, states: {delivered: 1}}\n", "receipt.zone is"},
		"a refusal as reply":            {head + answer + trust + "receipt: {reply: {status: 500}, state: {query: s}, states: {delivered: 1}}\n", "receipt.reply.status is 500"},
		"a message from nobody":         {head + answer + trust + "inbound: {id: {query: i}, text: {query: t}}\n", "inbound needs from and text"},
		"a message that cannot be told": {head + answer + trust + "inbound: {from: {query: f}, text: {query: t}}\n", "inbound needs id or at"},
		"a message with a state":        {head + answer + trust + "inbound: {id: {query: i}, from: {query: f}, text: {query: t}, state: {query: s}}\n", "they are of receipt"},
		"a time that is not signed":     {head + answer + "receipt: {state: {query: s}, states: {delivered: 1}}\ntrust:\n  hmac: {header: X, secret: '{{.Secrets.key}}', timestamp: {header: T}}\n", "test.yaml:12: trust.hmac.over must have {{.Timestamp}}"},
		"a window of weeks":             {head + answer + "receipt: {state: {query: s}, states: {delivered: 1}}\ntrust:\n  hmac: {header: X, secret: '{{.Secrets.key}}', window: 1000h}\n", "trust.hmac.window is 1000h"},
		"a message in what proves it":   {head + answer + "receipt: {state: {query: s}, states: {delivered: 1}}\ntrust: {token: '{{.To}}'}\n", "trust.token cannot be read: .To is not known here"},
		"not YAML":                      {"about: [", "test.yaml:1:"},
		"a timestamp of what we send":   {strings.Replace(head, "bearer: '{{.Secrets.key}}'", "hmac: {header: X, secret: '{{.Secrets.key}}', window: 5m}", 1) + answer, "in callbacks only"},
	} {
		t.Run(rule, func(t *testing.T) {
			_, err := Parse("test.yaml", []byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it gives %v\nwant %q", err, c.want)
			}
		})
	}
}

func TestMistakesInAnAccountAreNamed(t *testing.T) {
	good := func() Account {
		return Account{
			Name: "k", CallbackURL: "https://herald.example", Settings: map[string]string{"url": "http://127.0.0.1:1/x", "username": "u"},
			Secrets: map[string]string{"password": "p", "callback": "0123456789abcdef"},
		}
	}
	d, err := Load("kannel")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(d, good(), nil, time.Now); err != nil {
		t.Fatal(err)
	}
	for rule, c := range map[string]struct {
		change func(*Account)
		want   string
	}{
		"a name with a slash":      {func(a *Account) { a.Name = "a/b" }, "name"},
		"a setting is missing":     {func(a *Account) { delete(a.Settings, "username") }, "settings.username"},
		"a secret is missing":      {func(a *Account) { delete(a.Secrets, "password") }, "secrets.password"},
		"nobody knows the setting": {func(a *Account) { a.Settings["colour"] = "red" }, "settings.colour"},
		"no address":               {func(a *Account) { a.Settings["url"] = "kannel" }, "settings"},
		"an address with a query":  {func(a *Account) { a.Settings["url"] = "https://x.example/?a=b" }, "settings"},
		"a password in it":         {func(a *Account) { a.Settings["url"] = "https://u:p@x.example/" }, "settings"},
		"far away and plain":       {func(a *Account) { a.Settings["url"] = "http://kannel.example/" }, "plain_http"},
		"an endless wait":          {func(a *Account) { a.Timeout = 2 * time.Hour }, "timeout"},
		"a short token":            {func(a *Account) { a.Secrets["callback"] = "short" }, "secrets"},
		"a token with a percent":   {func(a *Account) { a.Secrets["callback"] = "0123456789abcdef%d" }, "secrets"},
		"a callback with a path":   {func(a *Account) { a.CallbackURL = "https://herald.example/x" }, "callback_url"},
		"no network":               {func(a *Account) { a.Networks = []string{"10.0.0.0/8", "all"} }, "networks[1]"},
	} {
		t.Run(rule, func(t *testing.T) {
			a := good()
			c.change(&a)
			_, err := New(d, a, nil, time.Now)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.Invalid || len(p.Fields) != 1 || p.Fields[0].Path != c.want {
				t.Errorf("it gives %v, want %s", err, c.want)
			}
		})
	}
	a := good()
	a.Settings["url"], a.PlainHTTP = "http://kannel.example/", true
	if _, err := New(d, a, nil, time.Now); err != nil {
		t.Errorf("what is allowed gives %v", err)
	}
	for rule, change := range map[string]func(*Account){
		"no authorities": func(a *Account) { a.RootCAs = "/nowhere.pem" },
		"empty ones":     func(a *Account) { a.RootCAs = os.DevNull },
	} {
		a := good()
		change(&a)
		if _, err := New(d, a, nil, time.Now); err == nil {
			t.Errorf("%s are taken", rule)
		}
	}
}

func TestPartsNeedAMemory(t *testing.T) {
	d, err := Parse("test.yaml", []byte(byPost+"text: {parts: each}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(d, Account{Name: "a", Settings: map[string]string{"url": "https://x.example"}}, nil, time.Now); err == nil {
		t.Error("it goes without")
	}
}
