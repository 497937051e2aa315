package script

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"herald/problem"
)

// What a script may have.
const (
	maxSource = 64 << 10 // bytes
	maxSteps  = 100      // of the whole, those of choices and of the message included
	maxDepth  = 4        // lists of steps inside each other; the outermost is 1
	maxText   = 4000     // characters of one text
)

// What keeps the YAML library quick: it takes seconds over thousands of empty
// lines, or of brackets inside each other.
const (
	maxLines    = 2000
	maxTokens   = 8000
	maxBrackets = 40 // inside each other
	maxMistakes = 20 // are told at once
)

// Parse reads a script from YAML and checks all of it:
//
//	machine: leave
//	steps:
//	  - say: "Good day {{ member.name }}."
//	  - gather:
//	      say: Press 1 to confirm.
//	      choices:
//	        1: [{confirm: true}, {say: Thank you.}]
//	message:
//	  - say: Please call us.
//
// What is wrong comes back as one problem.Invalid. Each Field has the place as
// Path ("steps[1].gather.choices"), the line in Args ("line", from 1) and in
// the Message, which says what to write instead. The texts are not read as
// Liquid: that is their reader's part.
func Parse(source string) (*Script, error) {
	r := reader{script: &Script{Machine: Leave, lines: map[string]int{}}}
	if root := r.document(source); root != nil {
		r.root(root)
	}
	if err := r.mistakes.Err("the script cannot be read"); err != nil {
		return nil, err
	}
	return r.script, nil
}

// reader reads one script; it goes on after a mistake, to find all of them.
type reader struct {
	script   *Script
	mistakes problem.Fields
	steps    int // how many there are so far
}

// scope is the list that a step stands in.
type scope struct {
	depth   int
	pressed bool // somebody pressed a digit to come here
	machine bool // nobody is there
}

// wrong records a mistake at a line.
func (r *reader) wrong(line int, path, rule, format string, args ...any) {
	if len(r.mistakes) == maxMistakes {
		return
	}
	r.mistakes.AddArgs(path, rule, map[string]any{"line": line}, "line %d: %s", line, fmt.Sprintf(format, args...))
}

// entry is one key of a mapping and its value.
type entry struct {
	key   string
	line  int // of the key
	value ast.Node
}

// document is the one mapping that a script is, or nil when it is none.
func (r *reader) document(source string) ast.Node {
	if len(source) > maxSource {
		r.wrong(1, "", "max_len", "the script has %d bytes, at most %d are allowed", len(source), maxSource)
		return nil
	}
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source) // forms send both
	if n := strings.Count(source, "\n"); n > maxLines {
		r.wrong(1, "", "max_len", "the script has %d lines, at most %d are allowed", n, maxLines)
		return nil
	}
	tokens := lexer.Tokenize(source)
	if line := tangled(tokens); line > 0 {
		r.wrong(line, "", "depth", "too many brackets and words begin here: close what is open, or say more in fewer steps")
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line, what := 1, err.Error()
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			line, what = at.GetToken().Position.Line, at.GetMessage()
		}
		r.wrong(line, "", "syntax", "this is no YAML (%s): put a text that has : # { or [ in it between double quotes, and indent by spaces", what)
		return nil
	}
	return r.onlyDocument(file)
}

func (r *reader) onlyDocument(file *ast.File) ast.Node {
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		r.wrong(1, "steps", "required", `write what the call says, such as "steps: [{say: Good day.}]"`)
		return nil
	}
	if len(file.Docs) > 1 {
		line := 1
		if second := file.Docs[1]; second.Start != nil {
			line = second.Start.Position.Line
		}
		r.wrong(line, "", "syntax", "a script is one document: remove what begins with ---")
		return nil
	}
	return file.Docs[0].Body
}

// tangled is the line from where there are more tokens, or brackets inside
// each other, than a script needs; 0: there are not.
func tangled(tokens token.Tokens) int {
	open := 0
	for i, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open--
		}
		if open > maxBrackets || i >= maxTokens {
			return max(t.Position.Line, 1)
		}
	}
	return 0
}

func (r *reader) root(node ast.Node) {
	entries, ok := r.mapping(node, "", "machine, steps and message")
	if !ok {
		return
	}
	var steps, message ast.Node
	for _, e := range entries {
		switch e.key {
		case "machine":
			r.machine(e)
		case "steps":
			steps = e.value
			r.script.Steps = r.list(steps, "steps", scope{depth: 1})
		case "message":
			message = e.value
			r.script.Message = r.list(message, "message", scope{depth: 1, machine: true})
		default:
			r.unknown(e, "", "machine, steps and message")
		}
	}
	r.whole(node, steps, message)
}

// whole checks what no step can see.
func (r *reader) whole(root, steps, message ast.Node) {
	if steps == nil {
		r.wrong(lineOf(root), "steps", "required", `write what the call says, such as "steps: [{say: Good day.}]"`)
	}
	if r.steps > maxSteps {
		r.wrong(lineOf(root), "steps", "max", "the script has %d steps, at most %d are allowed: say more in one", r.steps, maxSteps)
	}
	if message != nil && r.script.Machine == HangUp {
		r.wrong(lineOf(message), "message", "unused", `no machine hears this message, for "machine: hang_up" ends the call: remove one of the two`)
	}
	if len(r.mistakes) > 0 {
		return
	}
	if !speaks(r.script.Steps) {
		r.wrong(lineOf(steps), "steps", "required", "a call begins by saying or playing something: put a say or play before the rest")
	} else if r.script.Machine == Leave && !speaks(r.script.ForMachine()) {
		r.wrong(lineOf(root), "message", "required", `nothing is said before the first question, so a machine would be left silence: add a message, or "machine: hang_up"`)
	}
}

// speaks reports whether one of the steps is heard whatever is pressed.
func speaks(steps []Step) bool {
	for _, s := range steps {
		if s.Say != "" || s.Play != "" || s.Gather != nil && s.Gather.Say+s.Gather.Play != "" {
			return true
		}
	}
	return false
}

func (r *reader) machine(e entry) {
	word, ok := r.word(e.value, "machine")
	if !ok {
		return
	}
	r.script.Machine = Machine(word)
	if r.script.Machine != Leave && r.script.Machine != HangUp {
		r.wrong(e.line, "machine", "one_of", "write leave (the message is left after the beep) or hang_up, not %q", short(word))
	}
}

// list reads steps.
func (r *reader) list(node ast.Node, path string, in scope) []Step {
	if in.depth > maxDepth {
		r.wrong(lineOf(node), path, "depth", "questions stand in each other's choices %d deep, at most %d lists may: ask less", in.depth, maxDepth)
		return nil
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok || len(sequence.Values) == 0 {
		r.wrong(lineOf(node), path, "required", `write a list of steps, such as "[{say: Good day.}]"`)
		return nil
	}
	r.steps += len(sequence.Values)
	if r.steps > maxSteps {
		return nil // and whole says so
	}
	steps := make([]Step, 0, len(sequence.Values))
	for i, value := range sequence.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		step := r.step(value, at, in)
		if last := i == len(sequence.Values)-1; !last && (step.HangUp || step.Repeat) {
			r.wrong(lineOf(value), at, "last", "nothing after this step is ever reached: make it the last of its list")
		}
		steps = append(steps, step)
	}
	return steps
}

// mapping are the entries of a mapping, each key once.
func (r *reader) mapping(node ast.Node, path, keys string) ([]entry, bool) {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		r.wrong(lineOf(node), path, "type", "write %s here, each with a colon after it", keys)
		return nil, false
	}
	seen := map[string]bool{}
	entries := make([]entry, 0, len(m.Values))
	for _, v := range m.Values {
		key, line := v.Key.GetToken().Value, v.Key.GetToken().Position.Line
		switch {
		case v.Key.IsMergeKey(), !scalar(v.Key):
			r.wrong(line, path, "type", "write %s here, as plain words", keys)
		case seen[key]:
			r.wrong(line, inside(path, short(key)), "twice", "%s stands here twice: keep one of them", short(key))
		default:
			seen[key] = true
			entries = append(entries, entry{key, line, v.Value})
		}
	}
	return entries, true
}

func (r *reader) unknown(e entry, path, keys string) {
	r.wrong(e.line, inside(path, short(e.key)), "unknown", "there is no %q: write %s", short(e.key), keys)
}

// word is a scalar as it was written, without its quotes.
func (r *reader) word(node ast.Node, path string) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	}
	if node != nil && scalar(node) {
		return node.GetToken().Value, true
	}
	r.wrong(lineOf(node), path, "type", "write a text, between double quotes if it has : # { or [ in it")
	return "", false
}

// scalar reports whether a node is one plain value; aliases, anchors and tags
// are not.
func scalar(node ast.Node) bool {
	switch node.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	case *ast.LiteralNode:
		return true
	}
	return false
}

func lineOf(node ast.Node) int {
	if node == nil || node.GetToken() == nil {
		return 1
	}
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position.Line // its own token may be the first colon
	}
	return node.GetToken().Position.Line
}

func inside(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// short keeps a message readable, whatever was written.
func short(word string) string {
	const most = 40
	runes := []rune(strings.ToValidUTF8(word, "?"))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
