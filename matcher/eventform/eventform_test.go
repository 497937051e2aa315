package eventform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/matcher"
	"herald/matcher/eventform"
	"herald/problem"
	"herald/xmlform"
)

// want is the event that every form below says.
func want() matcher.Event {
	return matcher.Event{
		ID: "e-1", Source: "/shop", Type: "price.changed", Subject: "kettle",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Data: map[string]any{"product": "kettle", "price": 49.5, "sale": true},
	}
}

const structured = `{"specversion":"1.0","id":"e-1","source":"/shop","type":"price.changed","subject":"kettle",
	"time":"2026-01-02T03:04:05Z","datacontenttype":"application/json","traceparent":"00-1","data":{"product":"kettle","price":49.5,"sale":true}}`

func types(eventType string) xmlform.Members {
	if eventType == "price.changed" {
		return xmlform.Members{"product": xmlform.String, "price": xmlform.Number, "sale": xmlform.Boolean}
	}
	return nil
}

func headers(pairs ...string) func(string) string {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h.Get
}

func inXML(head, data string) string {
	return `<event xmlns="http://cloudevents.io/xmlformat/V1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" specversion="1.0">` + head + data + `</event>`
}

const xmlHead = `<id>e-1</id><source>/shop</source><type>price.changed</type><subject>kettle</subject><time>2026-01-02T03:04:05Z</time>`

func TestEveryFormSaysTheSameEvent(t *testing.T) {
	t.Parallel()
	l := eventform.Defaults()
	data := `{"product":"kettle","price":49.5,"sale":true}`
	xml := func(head, data string) (eventform.Item, error) {
		items, _, err := eventform.XML([]byte(inXML(head, data)), types, l)
		if err != nil {
			return eventform.Item{}, err
		}
		return items[0], nil
	}
	plainXML := `<data><product>kettle</product><price>49.5</price><sale>true</sale></data>`
	ce := []string{"Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "e-1", "ce-source", "/shop", "ce-type", "price.changed", "ce-subject", "%6bettle", "ce-time", "2026-01-02T03:04:05Z"}
	forms := map[string]func() (eventform.Item, error){
		"structured": func() (eventform.Item, error) { return eventform.Structured([]byte(structured), l) },
		"base64": func() (eventform.Item, error) {
			return eventform.Structured([]byte(strings.Replace(structured, `"data":`+data, `"data_base64":"eyJwcm9kdWN0Ijoia2V0dGxlIiwicHJpY2UiOjQ5LjUsInNhbGUiOnRydWV9"`, 1)), l)
		},
		"binary": func() (eventform.Item, error) { return eventform.Binary(headers(ce...), []byte(data), types, l) },
		"binary XML": func() (eventform.Item, error) {
			return eventform.Binary(headers(append(ce, "Content-Type", "application/xml")...), []byte(plainXML), types, l)
		},
		"a line": func() (eventform.Item, error) {
			return eventform.NewLines(strings.NewReader(strings.ReplaceAll(structured, "\n", "")), l).Next()
		},
		"XML":             func() (eventform.Item, error) { return xml(xmlHead, plainXML) },
		"XML, data first": func() (eventform.Item, error) { return xml(plainXML, xmlHead) },
		"XML with types": func() (eventform.Item, error) {
			return xml(xmlHead, `<data><product xsi:type="xs:string">kettle</product><price xsi:type="xs:decimal">49.5</price><sale type="boolean">1</sale></data>`)
		},
		"XML with an element": func() (eventform.Item, error) {
			return xml(xmlHead, `<data xsi:type="xs:any"><change xmlns="urn:shop">`+plainXML[6:len(plainXML)-7]+`</change></data>`)
		},
		"XML with JSON": func() (eventform.Item, error) {
			return xml(xmlHead+`<datacontenttype>application/json</datacontenttype>`, `<data xsi:type="xs:string">`+data+`</data>`)
		},
		"XML with base64": func() (eventform.Item, error) {
			return xml(xmlHead, `<data xsi:type="xs:base64Binary">eyJwcm9kdWN0Ijoia2V0dGxlIiwicHJpY2UiOjQ5LjUsInNhbGUiOnRydWV9</data>`)
		},
	}
	for name, read := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			item, err := read()
			if err != nil || item.Err != nil {
				t.Fatalf("err %v, refused %v", err, item.Err)
			}
			if diff := cmp.Diff(want(), item.Event); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOneBadEventIsRefusedAlone(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, change, to, path, rule string }{
		{"no version", `"specversion":"1.0",`, ``, "specversion", "required"},
		{"another version", `"1.0"`, `"0.3"`, "specversion", "one_of"},
		{"no id", `"id":"e-1",`, ``, "id", "required"},
		{"a long id", `e-1`, strings.Repeat("x", 257), "id", "max_len"},
		{"a control character", `e-1`, `a\u0007`, "id", "text"},
		{"no source", `"source":"/shop",`, ``, "source", "required"},
		{"a source that is no URI", `/shop`, `:shop`, "source", "uri"},
		{"no type", `"type":"price.changed",`, ``, "type", "required"},
		{"a number as id", `"e-1"`, `7`, "id", "type"},
		{"a date as time", `2026-01-02T03:04:05Z`, `2026-01-02`, "time", "time"},
		{"text as data", `{"product":"kettle","price":49.5,"sale":true}`, `"x"`, "data", "object"},
		{"a list as data", `{"product":"kettle","price":49.5,"sale":true}`, `[1]`, "data", "object"},
		{"another content type", `application/json`, `text/plain`, "datacontenttype", "media_type"},
		{"a number without bounds", `49.5`, `1e999`, "data", "object"},
		{"a NUL", `"kettle","price"`, `"a\\\u0000","price"`, "data", "text"},
		{"data twice", `"data":`, `"data_base64":"e30=","data":`, "data_base64", "once"},
		{"not base64", `"data":{"product":"kettle","price":49.5,"sale":true}`, `"data_base64":"?"`, "data_base64", "base64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(structured, tt.change, tt.to, 1)
			items, err := eventform.Batch([]byte("["+structured+","+bad+"]"), eventform.Defaults())
			if err != nil {
				t.Fatal(err)
			}
			if items[0].Err != nil {
				t.Errorf("the good one: %v", items[0].Err)
			}
			if items[1].Err == nil || items[1].Err.Fields[0].Path != tt.path || items[1].Err.Fields[0].Rule != tt.rule {
				t.Errorf("got %+v, want %s %s", items[1].Err, tt.path, tt.rule)
			}
		})
	}
}

func TestOneBadXMLEventIsRefusedAlone(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, head, data, path, rule string }{
		{"no id", strings.Replace(xmlHead, "<id>e-1</id>", "", 1), "", "id", "required"},
		{"an id with elements", strings.Replace(xmlHead, "e-1", "<b/>", 1), "", "id", "type"},
		{"an id twice", xmlHead + "<id>2</id>", "", "id", "once"},
		{"a number that is none", xmlHead, `<data><n type="number">many</n></data>`, "data.n", "type"},
		{"mixed content", xmlHead, `<data>x<n/></data>`, "data", "mixed"},
		{"an attribute nobody reads", xmlHead, `<data><n unit="EUR">3</n></data>`, "data.n", "attribute"},
		{"text that is no JSON", xmlHead, `<data>hello</data>`, "data", "object"},
		{"a list", xmlHead, `<data><item>1</item></data>`, "data", "object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			items, batch, err := eventform.XML([]byte("<batch>"+inXML(tt.head, tt.data)+inXML(xmlHead, "")+"</batch>"), types, eventform.Defaults())
			if err != nil || !batch || len(items) != 2 {
				t.Fatal(items, batch, err)
			}
			named := func(f problem.Field) bool { return f.Path == tt.path && f.Rule == tt.rule }
			if items[0].Err == nil || !slices.ContainsFunc(items[0].Err.Fields, named) {
				t.Errorf("got %+v, want %s %s", items[0].Err, tt.path, tt.rule)
			}
			if items[1].Err != nil {
				t.Errorf("the good one: %v", items[1].Err)
			}
		})
	}
}

func TestWhatCannotBeReadNamesItsPlace(t *testing.T) {
	t.Parallel()
	l := eventform.Defaults()
	l.Batch = 2
	deep := strings.Repeat("[", 10_000_000)
	tests := []struct {
		name, form, body string
		code             problem.Code
		says             string
	}{
		{"half an event", "structured", "{\n\"id\":", problem.Malformed, "line 2"},
		{"nothing", "structured", "", problem.Malformed, "line 1"},
		{"trailing garbage", "structured", structured + "x", problem.Malformed, "byte "},
		{"two events", "structured", structured + structured, problem.Malformed, "byte "},
		{"deep nesting", "structured", `{"data":` + deep, problem.Malformed, "deeper than 32"},
		{"not UTF-8", "structured", "{\"id\":\"\xff\"}", problem.Malformed, "UTF-8"},
		{"an object as batch", "batch", structured, problem.Malformed, "array"},
		{"null as batch", "batch", "null", problem.Malformed, "array"},
		{"a batch too large", "batch", "[1,2,3]", problem.TooLarge, "at most 2"},
		{"deep nesting in a batch", "batch", deep, problem.Malformed, "deeper"},
		{"half an XML event", "xml", "<event>\n<id>", problem.Malformed, "line 2"},
		{"another root", "xml", "<a/>", problem.Malformed, "neither"},
		{"another namespace", "xml", `<event xmlns="urn:x"/>`, problem.Malformed, "namespace"},
		{"an entity bomb", "xml", `<!DOCTYPE event [<!ENTITY a "aaaa">]><event><id>&a;</id></event>`, problem.Malformed, "document type"},
		{"an XML batch too large", "xml", "<batch><event/><event/><event/></batch>", problem.TooLarge, "at most 2"},
		{"something else in a batch", "xml", "<batch><a/></batch>", problem.Malformed, "holds <event>"},
		{"text in a batch", "xml", "<batch>x</batch>", problem.Malformed, "text between"},
		{"deep XML", "xml", inXML(xmlHead, "<data>"+strings.Repeat("<a>", 40)+strings.Repeat("</a>", 40)+"</data>"), problem.Malformed, "deeper"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := readForm(tt.form, []byte(tt.body), l)
			if problem.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %s with %q", err, tt.code, tt.says)
			}
		})
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	l := eventform.Defaults()
	l.LineBytes = 400
	good := strings.ReplaceAll(structured, "\n\t", "")
	body := good + "\r\n\n" + "{oops\n" + `{"data":"` + strings.Repeat("x", 200_000) + "\"}\n" + strings.Repeat("[", 300) + "\n" + "\"x\"\n" + good
	in := eventform.NewLines(strings.NewReader(body), l)
	var got []string
	for {
		item, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		code := "ok"
		if item.Err != nil {
			code = string(item.Err.Code)
		}
		got = append(got, fmt.Sprintf("%d %s", item.Line, code))
	}
	if diff := cmp.Diff([]string{"1 ok", "3 malformed", "4 too_large", "5 malformed", "6 invalid", "7 ok"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLinesGiveTheErrorOfWhatTheyReadFrom(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut off")
	r := io.MultiReader(strings.NewReader("{"), failing{cut})
	if _, err := eventform.NewLines(r, eventform.Defaults()).Next(); !errors.Is(err, cut) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func readForm(form string, body []byte, l eventform.Limits) ([]eventform.Item, error) {
	switch form {
	case "batch":
		return eventform.Batch(body, l)
	case "xml":
		items, _, err := eventform.XML(body, types, l)
		return items, err
	case "binary":
		item, err := eventform.Binary(headers("ce-specversion", "1.0", "ce-id", string(body), "ce-source", "/", "ce-type", "t"), body, types, l)
		return []eventform.Item{item}, err
	case "binary xml":
		item, err := eventform.Binary(headers("Content-Type", "text/xml", "ce-id", "1"), body, types, l)
		return []eventform.Item{item}, err
	case "lines":
		return readLines(body, l)
	default:
		item, err := eventform.Structured(body, l)
		return []eventform.Item{item}, err
	}
}

func readLines(body []byte, l eventform.Limits) (items []eventform.Item, err error) {
	in := eventform.NewLines(strings.NewReader(string(body)), l)
	for {
		item, err := in.Next()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
}

// FuzzForms holds for every form: whatever is sent, it is read within the
// limits or refused with a problem, and what is read can be stored as JSON.
func FuzzForms(f *testing.F) {
	forms := []string{"structured", "batch", "xml", "binary", "binary xml", "lines"}
	for i := range forms {
		for _, body := range []string{
			structured, "[" + structured + "]", inXML(xmlHead, "<data><a>1</a></data>"), "<batch>" + inXML("", "") + "</batch>",
			"{\n" + structured, `{"id":{}}`, "[[[[", `<!DOCTYPE a>`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	l := eventform.Limits{Depth: 8, Batch: 4, LineBytes: 64, IDBytes: 16, SourceBytes: 16}
	f.Fuzz(func(t *testing.T, form uint8, body []byte) {
		items, err := readForm(forms[int(form)%len(forms)], body, l)
		if err != nil {
			if problem.CodeOf(err) == "" {
				t.Fatalf("an error that is no problem: %v", err)
			}
			return
		}
		for _, item := range items {
			if item.Err != nil {
				continue
			}
			e := item.Event
			if e.ID == "" || e.Source == "" || e.Type == "" || len(e.ID) > 16 || e.Data == nil {
				t.Fatalf("not an event: %+v", e)
			}
			stored, err := json.Marshal(e)
			if err != nil || strings.Contains(strings.ReplaceAll(string(stored), `\\`, ""), `\u0000`) {
				t.Fatalf("cannot be stored: %s, %v", stored, err)
			}
		}
	})
}

const benchmarked = 500

func BenchmarkBatchJSON(b *testing.B) {
	body := []byte("[" + strings.Repeat(structured+",", benchmarked-1) + structured + "]")
	bench(b, "batch", body)
}

func BenchmarkLinesJSON(b *testing.B) {
	bench(b, "lines", []byte(strings.Repeat(strings.ReplaceAll(structured, "\n", "")+"\n", benchmarked)))
}

func BenchmarkBatchXML(b *testing.B) {
	one := inXML(xmlHead, "<data><product>kettle</product><price>49.5</price><sale>true</sale></data>")
	bench(b, "xml", []byte("<batch>"+strings.Repeat(one, benchmarked)+"</batch>"))
}

func bench(b *testing.B, form string, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		items, err := readForm(form, body, eventform.Defaults())
		if err != nil || len(items) != benchmarked || items[0].Err != nil {
			b.Fatal(len(items), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchmarked), "µs/event")
}

func TestADocumentIsReadAnEventAtATime(t *testing.T) {
	t.Parallel()
	l := eventform.Defaults()
	first := inXML(xmlHead, "<data><product>kettle</product><price>49.5</price><sale>true</sale></data>")
	second := `<c:event specversion="1.0"><c:id>e-2</c:id><c:source>/shop</c:source></c:event>`
	d := eventform.NewDocument(strings.NewReader("<?xml version=\"1.0\"?>\n<batch xmlns:c=\""+eventform.Namespace+"\">\n"+first+"\n "+second+"</batch>\n"), types, l)
	item, err := d.Next()
	if diff := cmp.Diff(want(), item.Event); diff != "" || err != nil || item.Err != nil || item.Line != 3 {
		t.Errorf("line %d, err %v, refused %v (-want +got):\n%s", item.Line, err, item.Err, diff)
	}
	if string(d.Text()) != first {
		t.Errorf("text %s", d.Text())
	}
	if item, err = d.Next(); err != nil || item.Err == nil || item.Event.ID != "e-2" || string(d.Text()) != second {
		t.Errorf("the second: %+v, %v, text %s", item, err, d.Text())
	}
	again, err := eventform.NewFragment([]byte(second), types, l).Next()
	if err != nil || again.Event.ID != "e-2" {
		t.Errorf("the second alone: %+v, %v", again, err)
	}
	for range 2 {
		if _, err := d.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
	d = eventform.NewDocument(strings.NewReader(first), types, l)
	if item, err = d.Next(); err != nil || item.Event.ID != "e-1" || string(d.Text()) != first {
		t.Errorf("one event: %+v, %v", item, err)
	}
}

func TestADocumentEndsWhereItCannotBeRead(t *testing.T) {
	t.Parallel()
	l := eventform.Defaults()
	l.LineBytes = 1000
	for name, tt := range map[string]struct {
		text string
		code problem.Code
	}{
		"cut off":            {"<batch>" + inXML(xmlHead, "") + "<event><id>", problem.Malformed},
		"something else":     {"<batch>" + inXML(xmlHead, "") + "<order/></batch>", problem.Malformed},
		"a long event":       {"<batch>" + inXML(xmlHead, "") + "<event><id>" + strings.Repeat("x", 2000) + "</id></event></batch>", problem.TooLarge},
		"something after it": {"<batch>" + inXML(xmlHead, "") + "</batch><more/>", problem.Malformed},
	} {
		d := eventform.NewDocument(strings.NewReader(tt.text), types, l)
		if item, err := d.Next(); err != nil || item.Err != nil {
			t.Errorf("%s: the first: %+v, %v", name, item, err)
		}
		if _, err := d.Next(); problem.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
}
