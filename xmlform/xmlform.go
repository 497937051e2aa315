// Package xmlform is Herald's one mapping between JSON and XML, so that every
// resource of the API can be read and written in both.
//
// JSON comes in and goes out as XML (Write), XML comes in and goes out as JSON
// (ToJSON) or as Go values (Decoder). The mapping:
//
//   - an object is an element with one child element for each member, named
//     like the member; a member whose name is no plain XML name, or is "item"
//     or "entry", is <entry name="the name">;
//   - an array is an element with a child <item> for each element;
//   - a string is text, a number and a boolean are their JSON text;
//   - type="number", "boolean", "null", "array", "object" or "string" says
//     what an element is. Write gives it wherever it is needed to read the
//     same JSON back without knowing more. A reader may leave it out where the
//     shape of what is asked for says it (Hint). XML Schema's own names
//     (xsi:type="xs:decimal") are understood.
//
// Document type declarations, entities other than XML's five, processing
// instructions, encodings other than UTF-8 and deep nesting are refused.
package xmlform

// Type is what a value is in JSON.
type Type string

// The types; Any is "not known": an element with children is then an object,
// or an array when its children are called item, and one without is a string.
const (
	Any     Type = ""
	String  Type = "string"
	Number  Type = "number"
	Boolean Type = "boolean"
	Null    Type = "null"
	Array   Type = "array"
	Object  Type = "object"
)

// Hint says what is expected where the XML does not say what it is.
type Hint interface {
	Type() Type
	Member(name string) Hint // of an object
	Item() Hint              // of an array
}

// Scalar is the hint for a single value, or for nothing known (Any).
type Scalar Type

// Type is the scalar's own type.
func (s Scalar) Type() Type { return Type(s) }

// Member knows nothing of members.
func (s Scalar) Member(string) Hint { return Scalar(Any) }

// Item knows nothing of items.
func (s Scalar) Item() Hint { return Scalar(Any) }

// Members is the hint for an object of which only some members are known.
type Members map[string]Type

// Type is Object.
func (m Members) Type() Type { return Object }

// Member is the named member's type, Any when it is not among those known.
func (m Members) Member(name string) Hint { return Scalar(m[name]) }

// Item knows nothing of items.
func (m Members) Item() Hint { return Scalar(Any) }

// schemaInstance is the namespace of xsi:type and xsi:nil (XML Schema part 1, 2.6).
const schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"

// typeNames are the values of a type attribute, without a prefix.
var typeNames = map[string]Type{
	"string": String, "number": Number, "boolean": Boolean, "null": Null, "array": Array, "object": Object,
	// XML Schema part 2, 3: the built-in types with a JSON counterpart.
	"decimal": Number, "double": Number, "float": Number, "integer": Number, "int": Number, "long": Number,
	"short": Number, "unsignedInt": Number, "nonNegativeInteger": Number, "positiveInteger": Number,
	"dateTime": String, "date": String, "time": String, "anyURI": String, "any": Any,
}
