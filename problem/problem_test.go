package problem_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"herald/problem"
)

func TestErrorSaysEverythingAPersonCanMend(t *testing.T) {
	var f problem.Fields
	f.Add("params.target", "required", "fill this in")
	f.AddArgs("name", "max_len", map[string]any{"max": 3}, "at most %d characters", 3)
	err := f.Err("the order cannot be taken")

	want := "the order cannot be taken: params.target: fill this in; name: at most 3 characters"
	if err.Error() != want {
		t.Errorf("Error() = %q, want %q", err, want)
	}
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid || p.Fields[1].Args["max"] != 3 {
		t.Errorf("err = %#v, want an Invalid with both fields", err)
	}
}

func TestNoMistakesAreNoError(t *testing.T) {
	var f problem.Fields
	if err := f.Err("never said"); err != nil {
		t.Errorf("Err = %v, want nil", err)
	}
}

func TestCodeOfLooksThroughTheChain(t *testing.T) {
	cause := errors.New("the disk is full")
	inner := &problem.Error{Code: problem.Unavailable, Message: "not now", Err: cause}
	err := fmt.Errorf("save: %w", inner)
	if got := problem.CodeOf(err); got != problem.Unavailable {
		t.Errorf("CodeOf = %q, want %q", got, problem.Unavailable)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is not in the chain")
	}
	if got := inner.Error(); got != "not now (the disk is full)" {
		t.Errorf("Error() = %q", got)
	}
	for _, plain := range []error{nil, cause} {
		if got := problem.CodeOf(plain); got != "" {
			t.Errorf("CodeOf(%v) = %q, want none", plain, got)
		}
	}
}

func TestEveryKindHasAStatusOfItsOwn(t *testing.T) {
	seen := map[int]problem.Code{}
	for _, c := range []problem.Code{
		problem.Malformed, problem.Invalid, problem.NotFound, problem.Conflict, problem.Unauthorized,
		problem.Forbidden, problem.Throttled, problem.TooLarge, problem.Unavailable,
	} {
		status := c.Status()
		if http.StatusText(status) == "" || seen[status] != "" {
			t.Errorf("%s has status %d, as has %q", c, status, seen[status])
		}
		seen[status] = c
		if got := problem.OfStatus(status); got != c {
			t.Errorf("%d is of %q, want %q", status, got, c)
		}
	}
	if got := problem.Code("").Status(); got != 0 {
		t.Errorf("no kind has status %d", got)
	}
	if got := problem.OfStatus(http.StatusTeapot); got != "" {
		t.Errorf("418 is of %q", got)
	}
}
