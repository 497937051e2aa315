package gateway

import (
	"time"

	"herald/dispatch"
)

// Description is how a provider is spoken to, read from a file by Parse or
// Load. What a file may say stands at spec. It does not change.
type Description struct {
	name   string // of the file, for errors
	source []byte
	spec   spec

	url       *text
	query     map[string]*text
	headers   map[string]*text
	form      map[string]*text
	json      any // maps, lists and constants, with *text where there were strings
	body      *text
	sign      signer
	rules     []rule
	answer    facts
	receipt   *callback
	inbound   *callback
	callers   []caller
	token     *text
	networks  *text
	mayAsk    map[string]bool // settings that texts ask for
	mayReveal map[string]bool // secrets that they do
}

// spec is what a file says. Strings marked as text are templates.
type spec struct {
	About string `yaml:"about"`
	// Settings and Secrets are what an account must give, by name.
	Settings map[string]setting `yaml:"settings"`
	Secrets  map[string]setting `yaml:"secrets"`

	Request requestSpec `yaml:"request"`
	Answer  answerSpec  `yaml:"answer"`
	Text    textSpec    `yaml:"text"`

	Receipt *callbackSpec `yaml:"receipt"`
	Inbound *callbackSpec `yaml:"inbound"`
	Trust   trustSpec     `yaml:"trust"`
}

type setting struct {
	About    string `yaml:"about"`
	Default  string `yaml:"default"`
	Optional bool   `yaml:"optional"`
}

// requestSpec hands one message over, or one part of it. At most one of Form,
// JSON and Body is given. A parameter whose text comes out empty is left out.
type requestSpec struct {
	Method  string            `yaml:"method"` // GET, POST or PUT; none: POST
	URL     string            `yaml:"url"`    // text
	Query   map[string]string `yaml:"query"`  // texts
	Headers map[string]string `yaml:"headers"`
	Form    map[string]string `yaml:"form"`
	JSON    any               `yaml:"json"` // strings in it are texts
	Body    string            `yaml:"body"` // text
	Auth    authSpec          `yaml:"auth"`
	// Idempotent says that the provider tells a repetition by something in the
	// request, and takes it as the same message.
	Idempotent bool `yaml:"idempotent"`
}

// authSpec proves who we are, in at most one way. What a header alone can say
// stands among the headers.
type authSpec struct {
	Basic  *basicSpec  `yaml:"basic"`
	Bearer string      `yaml:"bearer"` // text
	HMAC   *hmacSpec   `yaml:"hmac"`
	Aliyun *aliyunSpec `yaml:"aliyun"`
}

type basicSpec struct {
	Username string `yaml:"username"` // text
	Password string `yaml:"password"` // text
}

// hmacSpec is a keyed hash in a header.
type hmacSpec struct {
	Header    string `yaml:"header"`
	Secret    string `yaml:"secret"`    // text
	Algorithm string `yaml:"algorithm"` // sha1, sha256 or sha512; none: sha256
	Encoding  string `yaml:"encoding"`  // hex or base64; none: hex
	Prefix    string `yaml:"prefix"`    // before the hash, such as "sha256="
	// Over is the text that is hashed; none: {{.Body}}.
	Over string `yaml:"over"`
	// Timestamp, of callbacks only, is when it was signed, in Unix seconds,
	// and Window how long ago that may be; 0: five minutes.
	Timestamp *placeSpec    `yaml:"timestamp"`
	Window    time.Duration `yaml:"window"`
}

// aliyunSpec is Alibaba Cloud's signature V3.
type aliyunSpec struct {
	Key     string `yaml:"key"`    // text: the AccessKey ID
	Secret  string `yaml:"secret"` // text: the AccessKey secret
	Action  string `yaml:"action"`
	Version string `yaml:"version"`
}

// placeSpec is where something stands in an answer or a callback: exactly one
// of the first five. Match narrows what is found there.
type placeSpec struct {
	JSON   *string `yaml:"json"` // a JSON pointer (RFC 6901)
	Query  string  `yaml:"query"`
	Form   string  `yaml:"form"`
	Header string  `yaml:"header"`
	Body   string  `yaml:"body"`  // a regular expression; its first group counts
	Match  string  `yaml:"match"` // likewise, upon what was found
}

// answerSpec is how an answer is read.
type answerSpec struct {
	ID     *placeSpec `yaml:"id"`     // what the provider calls the message
	Code   *placeSpec `yaml:"code"`   // its own; none: the status
	Detail *placeSpec `yaml:"detail"` // its words
	Price  *placeSpec `yaml:"price"`
	Unit   *placeSpec `yaml:"unit"` // of the price
	// Rules are tried in turn, and the first that fits decides. What none
	// fits is judged by its status: see usual.
	Rules []ruleSpec `yaml:"rules"`
}

// ruleSpec fits when all that it names does.
type ruleSpec struct {
	Status words  `yaml:"status"` // 200, 2xx or 500-599
	Code   words  `yaml:"code"`   // as found; a * at the end stands for any more
	Body   string `yaml:"body"`   // a regular expression

	Is          string        `yaml:"is"` // accepted, or a class of dispatch
	AddressDead bool          `yaml:"address_dead"`
	After       time.Duration `yaml:"after"` // unless the answer has Retry-After
}

// textSpec is in what form a text is handed over.
type textSpec struct {
	// Parts is whole (the provider splits) or each (a request for each part,
	// with .Header and .Hex). None: whole.
	Parts string `yaml:"parts"`
	// Longest is how many parts a message may have; 0: 255.
	Longest int `yaml:"longest"`
	// UCS2 says that the provider takes no other alphabet.
	UCS2 bool `yaml:"ucs2"`
}

// callbackSpec is how the provider calls us, about what became of messages or
// about those that came in.
type callbackSpec struct {
	Methods words `yaml:"methods"` // GET and POST; none: both
	// Each is the list within the body of which every item is one; none: the
	// whole is one. Places are then looked for in the item.
	Each *placeSpec `yaml:"each"`

	ID   *placeSpec `yaml:"id"` // what the provider calls the message
	At   *placeSpec `yaml:"at"`
	Time string     `yaml:"time"` // unix, unix_ms, rfc3339 or a layout of Go; none: rfc3339
	Zone string     `yaml:"zone"` // of a layout without one; none: UTC

	// Of receipts. Delivery none: the herald-delivery of our own address.
	Delivery *placeSpec       `yaml:"delivery"`
	State    *placeSpec       `yaml:"state"`
	States   map[string]words `yaml:"states"` // by event, in the provider's words
	Code     *placeSpec       `yaml:"code"`
	Codes    map[string]words `yaml:"codes"` // by event: these codes say more than the state
	Dead     words            `yaml:"dead"`  // codes of addresses that do not exist
	Detail   *placeSpec       `yaml:"detail"`

	// Of messages that came in.
	From    *placeSpec `yaml:"from"`
	To      *placeSpec `yaml:"to"`
	Text    *placeSpec `yaml:"text"`
	Charset *placeSpec `yaml:"charset"` // of the text's octets; none: UTF-8
	Hex     bool       `yaml:"hex"`     // the text is octets in hexadecimal
	Country string     `yaml:"country"` // text: of numbers without a country code, such as CN

	Reply replySpec `yaml:"reply"`
}

// replySpec is what the provider is answered once all is kept.
type replySpec struct {
	Status int    `yaml:"status"` // 0: 200
	Type   string `yaml:"type"`
	Body   string `yaml:"body"`
}

// trustSpec is how a callback proves whose it is: in all of the ways named.
type trustSpec struct {
	Token  string     `yaml:"token"` // text: the parameter herald-token of our own address
	Basic  *basicSpec `yaml:"basic"`
	Twilio string     `yaml:"twilio"` // text: the token that X-Twilio-Signature is made with
	HMAC   *hmacSpec  `yaml:"hmac"`
	// Networks is a text of the networks it comes from, apart by spaces or commas.
	Networks string `yaml:"networks"`
}

// events are the words of receipts in a description.
var events = []dispatch.ReportEvent{
	dispatch.ReportDelivered, dispatch.ReportBounced, dispatch.ReportDelayed, dispatch.ReportExpired,
	dispatch.ReportRead, dispatch.ReportComplained, dispatch.ReportUnsubscribed,
}

// inParts reports whether each part is a request of its own.
func (d *Description) inParts() bool { return d.spec.Text.Parts == "each" }
