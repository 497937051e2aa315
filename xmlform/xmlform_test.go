package xmlform_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"herald/problem"
	"herald/xmlform"
)

const maxDepth = 32

func TestWriteSaysWhatIsNeededToReadTheSameBack(t *testing.T) {
	t.Parallel()
	const document = `{"id":7,"account":"wei","vip":true,"birthday":null,"tags":["a","b"],"none":[],
		"attributes":{"2nd city":"Xi'an & <co>","item":1,"empty":{}}}`
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<member><id type="number">7</id><account>wei</account><vip type="boolean">true</vip><birthday type="null"></birthday>` +
		`<tags type="array"><item>a</item><item>b</item></tags><none type="array"></none>` +
		`<attributes><entry name="2nd city">Xi&#39;an &amp; &lt;co&gt;</entry><entry name="item" type="number">1</entry>` +
		`<empty type="object"></empty></attributes></member>`
	var got bytes.Buffer
	if err := xmlform.Write(&got, []byte(document), xmlform.Form{Root: "member"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	sameJSON(t, []byte(document), got.Bytes())
}

func TestUntypedDocumentsHaveNamespaceAndTheirOwnItems(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	form := xmlform.Form{Root: "problem", Namespace: "urn:ietf:rfc:7807", Item: "i", Untyped: true}
	if err := xmlform.Write(&got, []byte(`{"status":404,"errors":["a"]}`), form); err != nil {
		t.Fatal(err)
	}
	want := `<problem xmlns="urn:ietf:rfc:7807"><status>404</status><errors><i>a</i></errors></problem>`
	if !strings.HasSuffix(got.String(), want) {
		t.Errorf("got %s", got.String())
	}
}

func TestToJSON(t *testing.T) {
	t.Parallel()
	hint := xmlform.Members{"price": xmlform.Number, "vip": xmlform.Boolean, "tags": xmlform.Array, "name": xmlform.String}
	tests := []struct{ name, xml, want string }{
		{"the hint says what has no type", `<e><price>49.50</price><vip>1</vip><name>12</name></e>`, `{"name":"12","price":49.50,"vip":true}`},
		{"a type goes before the hint", `<e><price type="string">49</price></e>`, `{"price":"49"}`},
		{"the names of XML Schema are understood", `<e xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema"><x xsi:type="xs:decimal">1.5</x><y xsi:nil="true"/></e>`, `{"x":1.5,"y":null}`},
		{"what is not known is text", `<e><x>5</x></e>`, `{"x":"5"}`},
		{"items make an array", `<e><x><item>a</item><item type="number">2</item></x></e>`, `{"x":["a",2]}`},
		{"an empty array by its hint", `<e><tags/></e>`, `{"tags":[]}`},
		{"text keeps its white space", "<e><name> a\n b </name></e>", `{"name":" a\n b "}`},
		{"character data and comments", `<e><name><!-- x -->a<![CDATA[<b>]]></name></e>`, `{"name":"a<b>"}`},
		{"a wrong number stays text for the check to name", `<e><price>cheap</price></e>`, `{"price":"cheap"}`},
		{"a byte order mark", "\xef\xbb\xbf<e/>", `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := xmlform.ToJSON([]byte(tt.xml), hint, maxDepth)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(normal(t, []byte(tt.want)), normal(t, got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestToJSONRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, xml string
		code      problem.Code
		says      string
	}{
		{"nothing", ``, problem.Malformed, "no element"},
		{"an unclosed element", "<a>\n<b>", problem.Malformed, "line 2"},
		{"a wrong end", "<a><b></a>", problem.Malformed, "line 1"},
		{"trailing garbage", "<a/>x", problem.Malformed, "after the root"},
		{"a second root", "<a/><b/>", problem.Malformed, "follows the root"},
		{"a document type", `<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>`, problem.Malformed, "document type"},
		{"an entity bomb", `<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]><a>&z;</a>`, problem.Malformed, "document type"},
		{"an undeclared entity", `<a>&xxe;</a>`, problem.Malformed, "entity"},
		{"a processing instruction", `<?php x?><a/>`, problem.Malformed, "processing"},
		{"another encoding", `<?xml version="1.0" encoding="UTF-16"?><a/>`, problem.Malformed, "encoding"},
		{"bytes that are not UTF-8", "<a>\xff</a>", problem.Malformed, "UTF-8"},
		{"deep nesting", strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40), problem.Malformed, "deeper than 32"},
		{"mixed content", `<a>text<b/></a>`, problem.Invalid, "text between"},
		{"a member twice", `<a><b/><b/></a>`, problem.Invalid, "more than once"},
		{"an attribute nobody would see", `<a><b price="3"/></a>`, problem.Invalid, "attribute"},
		{"an unknown type", `<a type="colour"/>`, problem.Invalid, "not known"},
		{"a number that says so and is none", `<a><b type="number">0x10</b></a>`, problem.Invalid, "not a number"},
		{"other elements in an array", `<a type="array"><b/></a>`, problem.Invalid, "called item"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := xmlform.ToJSON([]byte(tt.xml), xmlform.Members{}, maxDepth)
			if problem.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %s, %v; want %s with %q", got, err, tt.code, tt.says)
			}
		})
	}
}

// FuzzRoundTrip holds that every JSON document whose text XML can carry comes
// back as it was.
func FuzzRoundTrip(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}],"item":{"entry":""}}`, `[[],{}]`, `"x"`, `-0.5e3`, `{"":"\n\t"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		var v any
		if json.Unmarshal(document, &v) != nil || !carries(v) {
			return
		}
		document, err := json.Marshal(v) // without repeated members
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := xmlform.Write(&out, document, xmlform.Form{Root: "r"}); err != nil {
			t.Fatal(err)
		}
		sameJSON(t, document, out.Bytes())
	})
}

// FuzzToJSON holds that whatever is sent, the answer is JSON or a problem.
func FuzzToJSON(f *testing.F) {
	for _, seed := range []string{`<a><b type="number">1</b><c><item/></c></a>`, `<a>&#0;</a>`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := xmlform.ToJSON(document, xmlform.Scalar(xmlform.Any), maxDepth)
		if err != nil && problem.CodeOf(err) == "" {
			t.Fatalf("an error that is no problem: %v", err)
		}
		if err == nil && !json.Valid(got) {
			t.Fatalf("not JSON: %s", got)
		}
	})
}

// carries reports whether XML can hold every text in v, and whether v is not too deep.
func carries(v any) bool {
	return carriesAt(v, 1)
}

func carriesAt(v any, depth int) bool {
	switch v := v.(type) {
	case string:
		return inXML(v)
	case []any:
		for _, e := range v {
			if !carriesAt(e, depth+1) {
				return false
			}
		}
	case map[string]any:
		for k, e := range v {
			if !inXML(k) || !carriesAt(e, depth+1) {
				return false
			}
		}
	}
	return depth <= maxDepth
}

func inXML(s string) bool {
	for _, r := range s {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}

func sameJSON(t *testing.T, document, xml []byte) {
	t.Helper()
	back, err := xmlform.ToJSON(xml, xmlform.Scalar(xmlform.Any), maxDepth)
	if err != nil {
		t.Fatalf("reading %s: %v", xml, err)
	}
	if diff := cmp.Diff(normal(t, document), normal(t, back)); diff != "" {
		t.Errorf("through %s (-want +got):\n%s", xml, diff)
	}
}

func normal(t *testing.T, document []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return v
}
