package subscriptions

// Text is a wording in each language, by BCP 47 tag: {"en": …, "zh": …}.
type Text map[string]string

// In is the wording for a locale, falling back from "zh-CN" to "zh" to "en".
func (t Text) In(locale string) string {
	for tag := locale; tag != ""; tag = parentTag(tag) {
		if s, ok := t[tag]; ok {
			return s
		}
	}
	return t["en"]
}

func parentTag(tag string) string {
	for i := len(tag) - 1; i > 0; i-- {
		if tag[i] == '-' {
			return tag[:i]
		}
	}
	return ""
}

// Trigger is a kind of alert, defined by data: which events, what a
// subscriber fills in, when it is met, and how it is sent by default.
type Trigger struct {
	Name       string      `json:"name" yaml:"name"` // "price_drop"; never changes
	Title      Text        `json:"title" yaml:"title"`
	Help       Text        `json:"help" yaml:"help"`
	EventType  string      `json:"event_type" yaml:"event_type"` // the CloudEvents type
	Attributes []Attribute `json:"attributes" yaml:"attributes"`
	Params     []Param     `json:"params" yaml:"params"`
	// Condition is CEL over event.<attribute>, param.<name> and
	// member.account; see matcher/predicate.
	Condition string `json:"condition" yaml:"condition"`
	// Broadcast allows a condition that names no key to look it up by.
	Broadcast bool `json:"broadcast,omitempty" yaml:"broadcast,omitempty"`
	// Summary says a subscription in a line, as a Liquid template over param:
	// "{{ param.product }} below {{ param.target }}".
	Summary  Text      `json:"summary" yaml:"summary"`
	Channels []Channel `json:"channels" yaml:"channels"` // the default ladder
	Purpose  Purpose   `json:"purpose" yaml:"purpose"`
	Priority int       `json:"priority" yaml:"priority"` // 1 first … 4 last
	// CoolDown is the least time between two notifications of one
	// subscription, as a Go duration ("24h"); empty: none.
	CoolDown string `json:"cool_down,omitempty" yaml:"cool_down,omitempty"`
	// Expiry is how long a notification is worth sending ("24h").
	Expiry   string `json:"expiry" yaml:"expiry"`
	Template string `json:"template" yaml:"template"`

	Version int  `json:"version" yaml:"-"`
	Enabled bool `json:"enabled" yaml:"-"`
}

// Attribute is one member of an event's data.
type Attribute struct {
	Name     string `json:"name" yaml:"name"`
	Title    Text   `json:"title" yaml:"title"`
	Type     string `json:"type" yaml:"type"` // string, number, boolean, time
	Unit     string `json:"unit,omitempty" yaml:"unit,omitempty"`
	Optional bool   `json:"optional,omitempty" yaml:"optional,omitempty"`
}

// Param is one thing a subscriber fills in.
type Param struct {
	Name     string   `json:"name" yaml:"name"`
	Title    Text     `json:"title" yaml:"title"`
	Help     Text     `json:"help,omitempty" yaml:"help,omitempty"`
	Type     string   `json:"type" yaml:"type"` // string, number, boolean, time, strings
	Unit     string   `json:"unit,omitempty" yaml:"unit,omitempty"`
	Optional bool     `json:"optional,omitempty" yaml:"optional,omitempty"`
	Min      *float64 `json:"min,omitempty" yaml:"min,omitempty"`
	Max      *float64 `json:"max,omitempty" yaml:"max,omitempty"`
	MaxLen   int      `json:"max_len,omitempty" yaml:"max_len,omitempty"` // characters; 0: 200
	Options  []Option `json:"options,omitempty" yaml:"options,omitempty"`
	Default  any      `json:"default,omitempty" yaml:"default,omitempty"`
}

// Option is one of the values a parameter may take.
type Option struct {
	Value string `json:"value" yaml:"value"`
	Title Text   `json:"title" yaml:"title"`
}
