package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/dispatch"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func load(t testing.TB, name string) *Description {
	t.Helper()
	d, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWhatProvidersAnswer(t *testing.T) {
	type want struct {
		class dispatch.Class // empty: accepted
		code  string
		dead  bool
		id    string
		after time.Duration
	}
	for _, c := range []struct {
		provider string
		status   int
		body     string
		want     want
	}{
		{"kannel", 202, "0: Accepted for delivery", want{code: "0"}},
		{"kannel", 202, "3: Queued for later delivery", want{code: "3"}},
		{"kannel", 202, "whatever", want{class: dispatch.Doubt, code: "202"}},
		{"kannel", 503, "Temporal failure, try again later.", want{class: dispatch.Transient, code: "503"}},
		{"kannel", 403, "Authorization failed for sendsms", want{class: dispatch.Configuration, code: "403"}},
		{"kannel", 400, "Empty receiver number not allowed, rejected", want{class: dispatch.Permanent, code: "400"}},
		{"kannel", 400, "Number(s) has/have been denied by white- and/or black-lists.", want{class: dispatch.Permanent, code: "400"}},
		{"kannel", 400, "Sender missing and no global set, rejected", want{class: dispatch.Configuration, code: "400"}},
		{"kannel", 404, "Unknown request.", want{class: dispatch.Configuration, code: "404"}},

		{"twilio", 201, `{"sid":"SM1","status":"queued","price":null,"price_unit":"USD"}`, want{code: "201", id: "SM1"}},
		{"twilio", 400, `{"code":21211,"message":"The 'To' number +86138 is not valid.","status":400}`, want{class: dispatch.Permanent, code: "21211", dead: true}},
		{"twilio", 400, `{"code":21610,"message":"Attempt to send to unsubscribed recipient"}`, want{class: dispatch.Permanent, code: "21610"}},
		{"twilio", 401, `{"code":20003,"message":"Authenticate"}`, want{class: dispatch.Configuration, code: "20003"}},
		{"twilio", 429, `{"code":20429,"message":"Too Many Requests"}`, want{class: dispatch.Throttled, code: "20429"}},
		{"twilio", 400, `{"code":21606,"message":"The From phone number is not a valid"}`, want{class: dispatch.Configuration, code: "21606"}},
		{"twilio", 500, `oops`, want{class: dispatch.Doubt, code: "500"}},
		{"twilio", 503, ``, want{class: dispatch.Transient, code: "503"}},

		{"aliyun", 200, `{"Code":"OK","Message":"OK","RequestId":"r","BizId":"900619746936498440^0"}`, want{code: "OK", id: "900619746936498440^0"}},
		{"aliyun", 200, `{"Code":"isv.MOBILE_NUMBER_ILLEGAL","Message":"13800138000非法手机号"}`, want{class: dispatch.Permanent, code: "isv.MOBILE_NUMBER_ILLEGAL", dead: true}},
		{"aliyun", 200, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发小时级流控Permits:5"}`, want{class: dispatch.Transient, code: "isv.BUSINESS_LIMIT_CONTROL", after: 10 * time.Minute}},
		{"aliyun", 200, `{"Code":"isv.DAY_LIMIT_CONTROL"}`, want{class: dispatch.Throttled, code: "isv.DAY_LIMIT_CONTROL", after: time.Hour}},
		{"aliyun", 400, `{"Code":"Throttling.User"}`, want{class: dispatch.Throttled, code: "Throttling.User", after: time.Minute}},
		{"aliyun", 200, `{"Code":"isv.SMS_TEMPLATE_ILLEGAL"}`, want{class: dispatch.Configuration, code: "isv.SMS_TEMPLATE_ILLEGAL"}},
		{"aliyun", 400, `{"Code":"SignatureDoesNotMatch"}`, want{class: dispatch.Configuration, code: "SignatureDoesNotMatch"}},
		{"aliyun", 404, `{"Code":"InvalidAccessKeyId.NotFound"}`, want{class: dispatch.Configuration, code: "InvalidAccessKeyId.NotFound"}},
		{"aliyun", 200, `{"Code":"isp.SYSTEM_ERROR"}`, want{class: dispatch.Doubt, code: "isp.SYSTEM_ERROR"}},
		{"aliyun", 200, `{"BizId":"1"}`, want{class: dispatch.Doubt, code: "200"}},

		{"generic", 200, `{"id":12345678901234567890}`, want{code: "200", id: "12345678901234567890"}},
		{"generic", 422, `{"error":"unknown_number"}`, want{class: dispatch.Permanent, code: "unknown_number", dead: true}},
		{"generic", 400, `{"error":"too_long"}`, want{class: dispatch.Permanent, code: "too_long"}},
		{"generic", 408, ``, want{class: dispatch.Transient, code: "408"}},
		{"generic", 421, ``, want{class: dispatch.SessionFatal, code: "421"}},
		{"generic", 402, ``, want{class: dispatch.Configuration, code: "402"}},
		{"generic", 301, ``, want{class: dispatch.Configuration, code: "301"}},
		{"generic", 502, ``, want{class: dispatch.Doubt, code: "502"}},
		{"generic", 101, ``, want{class: dispatch.Doubt, code: "101"}},
	} {
		t.Run(fmt.Sprintf("%s %d %s", c.provider, c.status, c.body), func(t *testing.T) {
			r, failure := load(t, c.provider).read(&said{status: c.status, header: http.Header{}, body: []byte(c.body)}, testNow)
			got := want{code: r.Code, id: r.ProviderID}
			if failure != nil {
				got = want{class: failure.Class, code: failure.Code, dead: failure.AddressDead, after: failure.After}
				if number.MatchString(failure.Error()) {
					t.Errorf("the error has a number: %v", failure)
				}
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestThePriceIsKept(t *testing.T) {
	r, failure := load(t, "twilio").read(&said{status: 201, body: []byte(`{"sid":"SM1","price":"-0.0075","price_unit":"USD"}`)}, testNow)
	if failure != nil || r.Detail != "price -0.0075 USD" {
		t.Errorf("got %+v, %v", r, failure)
	}
}

func TestAProvidersWishForTheNextTry(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"soon":                          0,
		"999999999999999":               maxAfter,
		"99999999999999999999999":       0, // no number that fits
		"Sun, 22 Nov 2026 12:05:00 GMT": 5 * time.Minute,
		"Sun, 22 Nov 2026 11:00:00 GMT": 0,
		"Sun, 22 Nov 2099 12:00:00 GMT": maxAfter,
	} {
		_, failure := load(t, "generic").read(&said{status: 429, header: http.Header{"Retry-After": {value}}}, testNow)
		if failure == nil || failure.Class != dispatch.Throttled || failure.After != want {
			t.Errorf("%q gives %+v, want %v", value, failure, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	at := func(path string) *placeSpec { return &placeSpec{JSON: &path} }
	matching := at("/data/0/id")
	matching.Match = `^sms-(\w+)$`
	const body = `{"data":[{"id":"sms-7","n":1e3,"a/b":{"~":true}}],"list":[1,2],"null":null}`
	for rule, c := range map[string]struct {
		place *placeSpec
		want  string
	}{
		"a string in a list":       {at("/data/0/id"), "sms-7"},
		"a number as it is":        {at("/data/0/n"), "1e3"},
		"escaped steps":            {at("/data/0/a~1b/~0"), "true"},
		"nothing there":            {at("/data/1/id"), ""},
		"an index with a zero":     {at("/data/00/id"), ""},
		"an object":                {at("/data"), ""},
		"null":                     {at("/null"), ""},
		"into a word":              {at("/data/0/id/x"), ""},
		"a part of it":             {matching, "7"},
		"a parameter":              {&placeSpec{Query: "id"}, "q"},
		"a header":                 {&placeSpec{Header: "x-id"}, "h"},
		"a part of the body":       {&placeSpec{Body: `"list":\[(\d)`}, "1"},
		"a part that is not there": {&placeSpec{Body: `nothing(\d)`}, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			d := &said{header: http.Header{"X-Id": {"h"}}, query: map[string][]string{"id": {"q"}}, body: []byte(body)}
			if got := newPlace(c.place, "", nil).find(d); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	form := &said{body: []byte("a=b&id=f%2B&x=%zz")}
	if got := newPlace(&placeSpec{Form: "id"}, "", nil).find(form); got != "f+" {
		t.Errorf("the form gives %q", got)
	}
}

// What a provider says is shown without what could be somebody's number.
func TestWordsHaveNoNumbers(t *testing.T) {
	for words, want := range map[string]string{
		"the number +86 138 0013 8000 is off":   "the number … is off",
		"号码13800138000非法":                       "号码…非法",
		"error 21211, see page 30005":           "error 21211, see page 30005",
		"two\nlines\x00 and\ttabs":              "two lines and tabs",
		strings.Repeat("长", 100):                strings.Repeat("长", 66),
		"(415) 555-2671 called at 12:00":        "(… called at 12:00",
		"broken \xff octets":                    "broken  octets",
		strings.Repeat("x", 199) + "1234567890": strings.Repeat("x", 199),
	} {
		got := wordsOf(words)
		if strings.HasPrefix(words, "x") {
			got = strings.TrimSuffix(got, "…") // it does not fit whole
		}
		if want := strings.Join(strings.Fields(want), " "); strings.TrimSpace(got) != want {
			t.Errorf("%q becomes %q, want %q", words, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`\+?[0-9]{7,15}`).Draw(t, "number")
		words := rapid.String().Draw(t, "before") + " " + digits + " " + rapid.String().Draw(t, "after")
		got := wordsOf(words)
		if strings.Contains(got, digits) || len(got) > maxDetail+len("…") {
			t.Fatalf("%q becomes %q", words, got)
		}
		if id := providerID(words); len(id) > maxID {
			t.Fatalf("the id has %d octets", len(id))
		}
	})
}

// FuzzAnswer gives every description answers that are nonsense.
func FuzzAnswer(f *testing.F) {
	var all []*Description
	for _, name := range Names() {
		all = append(all, load(f, name))
	}
	f.Add(0, 202, "0: Accepted for delivery", "")
	f.Add(1, 429, `{"code":21211,"message":"no +8613800138000"}`, "Sun, 22 Nov 2026 12:05:00 GMT")
	f.Add(2, 200, `{"Code":"OK","BizId":"1"}`, "7")
	f.Add(3, 200, strings.Repeat("[", 20000), "-1")
	f.Fuzz(func(t *testing.T, which, status int, body, after string) {
		d := all[uint(which)%uint(len(all))]
		r, failure := d.read(&said{status: status, header: http.Header{"Retry-After": {after}}, body: []byte(body)}, testNow)
		if failure == nil {
			if len(r.ProviderID) > maxID || len(r.Code) > maxCode {
				t.Errorf("the receipt is %+v", r)
			}
			return
		}
		if failure.Class == "" || failure.After < 0 || failure.After > maxAfter || failure.AddressDead && failure.Class != dispatch.Permanent {
			t.Errorf("the failure is %+v", failure)
		}
		if len(failure.Error()) > 1000 || number.MatchString(failure.Err.Error()) {
			t.Errorf("the failure says %q", failure)
		}
	})
}
