package templates

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextOfHTML(t *testing.T) {
	for name, c := range map[string]struct{ html, expected string }{
		"paragraphs stand apart":    {"<p>one</p><p>two</p>", "one\n\ntwo"},
		"white space is one space":  {"<p>  one \n\t two</p>", "one two"},
		"words across tags":         {"<p>o<b>n</b>e <i>two</i>, three</p>", "one two, three"},
		"a line end":                {"one<br>two<br/>three", "one\ntwo\nthree"},
		"two line ends":             {"one<br><br>two", "one\n\ntwo"},
		"a link":                    {`<a href="https://a.example/x">See it</a> now`, "See it: https://a.example/x now"},
		"a link that is its words":  {`<a href="https://a.example/x">https://a.example/x</a>`, "https://a.example/x"},
		"a link without words":      {`<a href="https://a.example/x"><img src="x"></a>`, "https://a.example/x"},
		"a link that leads nowhere": {`<a href="#top">Top</a> <a>no</a>`, "Top no"},
		"a link that is a script":   {`<a href="javascript:alert(1)">Top</a>`, "Top"},
		"a row of two":              {"<table><tr><td>Price</td><td> 5 </td></tr><tr><td>Size:</td><td>L</td></tr></table>", "Price: 5\nSize: L"},
		"a row of three":            {"<table><tr><th>a</th><th>b</th><th>c</th></tr></table>", "a | b | c"},
		"a table for the layout":    {"<table><tr><td><table><tr><td><p>one</p><p>two</p></td></tr></table></td></tr></table>", "one\n\ntwo"},
		"a list":                    {"<ul><li>one</li><li>two</li></ul>three", "- one\n- two\n\nthree"},
		"entities":                  {"<p>&lt;a&gt; &amp; &eacute; &#20013;</p>", "<a> & é 中"},
		"an image":                  {`<img alt="a teapot" src="x"> and`, "a teapot and"},
		"what is not seen":          {"<head><title>t</title><style>p{}</style></head><script>x</script><p hidden>h</p><div style='display: NONE'>d<p>e</p></div><p>seen</p>", "seen"},
		"a hidden one left open":    {"<p>a</p><div hidden>x<p>y</div><p>b</p>", "a\n\nb"},
		"an end without a start":    {"a</p></div></a></td>b", "a\n\nb"},
		"broken markup":             {"<p>a < b <b>c", "a < b c"},
		"nothing":                   {"", ""},
	} {
		if got := textOf(c.html); got != c.expected {
			t.Errorf("%s: %q gives %q, want %q", name, c.html, got, c.expected)
		}
	}
}

func FuzzTextOf(f *testing.F) {
	f.Add("<table><tr><td>a</td><td>b</td></tr></table><a href='https://x'>y</a>")
	f.Add("<div style='display:none'><p></div></p>\x1f&#x1f;&#0;")
	f.Fuzz(func(t *testing.T, html string) {
		text := textOf(html)
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1f\r") {
			t.Errorf("%q gives %q", html, text)
		}
	})
}
