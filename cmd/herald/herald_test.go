package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"herald/access"
)

func TestParseScopes(t *testing.T) {
	all, err := parseScopes([]string{"all"})
	if err != nil || !slices.Equal(all, access.Scopes) {
		t.Errorf("all = %v, %v", all, err)
	}
	two, err := parseScopes([]string{"events:write", "members:read"})
	if err != nil || !slices.Equal(two, []access.Scope{access.EventsWrite, access.MembersRead}) {
		t.Errorf("two = %v, %v", two, err)
	}
	if _, err := parseScopes([]string{"events:wirte"}); err == nil || !strings.Contains(err.Error(), "events:write") {
		t.Errorf("err = %v, want one that lists the scopes", err)
	}
}

func TestEveryCommandSaysWhatItIsFor(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		switch n := node.(type) {
		case *kong.Node:
			if n.Help == "" && n.Type == kong.CommandNode {
				t.Errorf("command %s has no help", n.FullPath())
			}
		case *kong.Flag:
			if n.Help == "" {
				t.Errorf("flag --%s has no help", n.Name)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}
