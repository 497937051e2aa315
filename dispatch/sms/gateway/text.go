package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// account is what every text may ask of the account it is filled for.
type account struct {
	Account  string
	Settings map[string]string
	Secrets  map[string]string
}

// target is what the address of a request is filled from: nothing that somebody
// wrote, so that nothing need be escaped.
type target struct {
	account
	To, DeliveryID string
}

// message is what the other texts of a request are filled from.
type message struct {
	account
	To, Name string // To with its plus
	Text     string // of the message, or of the part
	Subject  string
	Locale   string
	Purpose  string

	DeliveryID string
	WireID     string
	Attempt    int

	Encoding    string // gsm7 or ucs2
	Part, Parts int    // from 1
	Reference   int    // of a message in parts
	Header      string // of a part: the user data header, in hexadecimal
	Hex         string // what follows it: septets one to the octet, or UTF-16BE
	Octets      string // both, packed as a phone network carries them
	Key         string // the same whenever this request is repeated, and no other's

	ValidFor time.Duration // 0: no end
	Expires  time.Time

	Receipts string // the address for what becomes of this message
	Inbound  string // the address for messages that come in

	Now   time.Time // when the request is made
	Nonce string    // of this request alone
}

// signing is what a hash is made over.
type signing struct {
	message
	Method, URL, Path, Query, Body string
}

// call is a callback, for the texts that prove whose it is.
type call struct {
	account
	URL, Path, Query, Body, Timestamp string
}

// maxText is how long a filled text may be, in bytes.
const maxText = 512 << 10

// text is a template of one value. What stands around the value, and so how it
// must be escaped, is not its concern: the place it is filled in for is.
type text struct {
	source string
	filled *template.Template // nil: the source is the text
}

var (
	errTooLong = errors.New("it becomes too long")
	errRefused = errors.New("a function refuses its argument")
)

// fill gives the text for data, which is of the type it was parsed for.
func (t *text) fill(data any) (string, error) {
	if t == nil {
		return "", nil
	}
	if t.filled == nil {
		return t.source, nil
	}
	var out bounded
	if err := t.filled.Execute(&out, data); err != nil {
		return "", fmt.Errorf("the text %.100q of the description cannot be filled: %w", t.source, reason(err)) // the cause may quote the message
	}
	return out.String(), nil
}

// reason is an error of a template without the data that it met.
func reason(err error) error {
	if errors.Is(err, errTooLong) {
		return errTooLong
	}
	return errRefused
}

// bounded takes no more than maxText.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

// asked is what texts ask of an account.
type asked struct{ settings, secrets map[string]bool }

// newText parses a template that will be filled from data of the type of sample,
// and notes what it asks for. An empty source is nil.
func newText(source string, sample any, notes asked) (*text, error) {
	if source == "" {
		return nil, nil //nolint:nilnil // a nil text fills as nothing
	}
	if !strings.Contains(source, "{{") {
		return &text{source: source}, nil
	}
	t, err := template.New("").Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: :"))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("no template can be defined here")
	}
	w := walk{fields: reflect.TypeOf(sample), notes: notes}
	if err := w.node(t.Root); err != nil {
		return nil, err
	}
	return &text{source: source, filled: t}, nil
}

// walk checks a template before anything is filled in: that every name is
// known, and that there are no loops.
type walk struct {
	fields reflect.Type
	notes  asked
}

func (w walk) node(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return w.each(n.Nodes)
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.IdentifierNode, *parse.NilNode:
		return nil
	case *parse.ActionNode:
		return w.pipe(n.Pipe)
	case *parse.IfNode:
		return errors.Join(w.pipe(n.Pipe), w.node(n.List), w.node(n.ElseList))
	case *parse.PipeNode:
		return w.pipe(n)
	case *parse.FieldNode:
		return w.field(n.Ident)
	}
	return fmt.Errorf("%s: only values, functions and if can be used", n)
}

func (w walk) each(nodes []parse.Node) error {
	for _, n := range nodes {
		if err := w.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (w walk) pipe(p *parse.PipeNode) error {
	if len(p.Decl) > 0 {
		return errors.New("variables cannot be used")
	}
	for _, command := range p.Cmds {
		if err := w.each(command.Args); err != nil {
			return err
		}
	}
	return nil
}

func (w walk) field(name []string) error {
	if _, known := w.fields.FieldByName(name[0]); !known {
		return fmt.Errorf(".%s is not known here", name[0])
	}
	group := map[string]map[string]bool{"Settings": w.notes.settings, "Secrets": w.notes.secrets}[name[0]]
	if group == nil {
		return nil
	}
	if len(name) != 2 {
		return fmt.Errorf(".%s needs one name, as in .%[1]s.from", strings.Join(name, "."))
	}
	group[name[1]] = true
	return nil
}

// functions are what texts can call besides those of text/template. Only body
// needs those that escape: all else is escaped for where it stands.
var functions = template.FuncMap{
	"query":   url.QueryEscape,
	"json":    asJSON,
	"xml":     asXML,
	"base64":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"hex":     func(s string) string { return hex.EncodeToString([]byte(s)) },
	"unhex":   func(s string) (string, error) { raw, err := hex.DecodeString(s); return string(raw), err },
	"upper":   strings.ToUpper,
	"lower":   strings.ToLower,
	"digits":  func(number string) string { return strings.TrimPrefix(number, "+") },
	"without": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	"atmost":  func(limit, n int64) int64 { return min(limit, n) },
	"seconds": func(d time.Duration) int64 { return int64(d / time.Second) },
	"minutes": func(d time.Duration) int64 { return int64((d + time.Minute - 1) / time.Minute) },
	"unix":    func(at time.Time) int64 { return at.Unix() },
}

// asJSON is a value as JSON has it, without the escapes that HTML would need.
func asJSON(v any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func asXML(s string) (string, error) {
	var out bytes.Buffer
	err := xml.EscapeText(&out, []byte(s))
	return out.String(), err
}
