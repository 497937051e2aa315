package page

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"text/template/parse"
)

// checkPage finds the keys and icons that a page's templates name in plain
// strings and reports those that do not exist, and that every template it names
// does.
func checkPage(page *template.Template, l *Locale, a *Assets) error {
	var faults []error
	for _, t := range page.Templates() {
		if t.Tree == nil || t.Tree.Root == nil {
			continue
		}
		walk(t.Tree.Root, func(c *parse.CommandNode) {
			if err := checkCall(c, l, a); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", t.Name(), err))
			}
		})
	}
	// html/template looks for the templates that are named, and for places
	// where it cannot escape, when a page is filled for the first time.
	var escaping *template.Error
	if err := page.ExecuteTemplate(io.Discard, "layout", View{}); errors.As(err, &escaping) {
		faults = append(faults, escaping)
	}
	return errors.Join(faults...)
}

// keyAt says which argument of a function is a key.
var keyAt = map[string]int{"t": 1, "field": 3}

func checkCall(c *parse.CommandNode, l *Locale, a *Assets) error {
	if len(c.Args) == 0 {
		return nil
	}
	function := ""
	switch n := c.Args[0].(type) {
	case *parse.IdentifierNode:
		function = n.Ident
	case *parse.VariableNode:
		if n.Ident[len(n.Ident)-1] == "T" {
			function = "t"
		}
	}
	if at, ok := keyAt[function]; ok {
		if key, ok := literal(c, at); ok && !l.Has(key) {
			return fmt.Errorf("no wording for %q in %s", key, l.Tag)
		}
	}
	if name, ok := literal(c, 1); ok && function == "icon" {
		_, err := a.Icon(name)
		return err
	}
	if name, ok := literal(c, 1); ok && function == "asset" {
		_, err := a.Path(name)
		return err
	}
	return nil
}

func literal(c *parse.CommandNode, at int) (string, bool) {
	if at >= len(c.Args) {
		return "", false
	}
	s, ok := c.Args[at].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return s.Text, true
}

// walk visits every command below a node.
func walk(n parse.Node, visit func(*parse.CommandNode)) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			walk(child, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.IfNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.RangeNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.WithNode:
		walkBranch(&n.BranchNode, visit)
	case *parse.TemplateNode:
		walk(n.Pipe, visit)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, c := range n.Cmds {
			visit(c)
			for _, arg := range c.Args {
				walk(arg, visit)
			}
		}
	}
}

func walkBranch(n *parse.BranchNode, visit func(*parse.CommandNode)) {
	walk(n.Pipe, visit)
	walk(n.List, visit)
	walk(n.ElseList, visit)
}
