package templates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/render"
)

// What a template may cost. A template is written by people of the house, who
// make mistakes: one that runs away must fail alone, quickly, and for a reason
// that its author understands.
const (
	maxSource = 256 << 10       // bytes of one field of a template
	maxOutput = 512 << 10       // bytes that one field may print
	maxValue  = 64 << 10        // bytes of a text made on the way, or elements of a list
	maxSteps  = 10_000          // rounds of all loops together
	maxTime   = 2 * time.Second // to fill one field, when ctx ends no sooner
)

// budgetVar is where a rendering keeps its budget; a template cannot name it.
const budgetVar = "\x00budget"

// budget is what is left to one field, or to all texts of a script. It belongs
// to the rendering's goroutine.
type budget struct {
	ctx   context.Context
	steps int // rounds of loops
	bytes int // to print
}

// newBudget begins a rendering; cancel ends it.
func newBudget(ctx context.Context) (_ *budget, cancel context.CancelFunc) {
	ctx, cancel = context.WithTimeout(ctx, maxTime)
	return &budget{ctx: ctx, steps: maxSteps, bytes: maxOutput}, cancel
}

// render fills p in. data is not changed.
func (p *part) render(ctx context.Context, data map[string]any) (string, error) {
	if text, done := p.merge.fill(data, p.markup); done {
		return text, nil
	}
	b, cancel := newBudget(ctx)
	defer cancel()
	return p.renderTree(b, data)
}

// renderWithin fills p in from a budget that it shares with other parts.
func (p *part) renderWithin(b *budget, data map[string]any) (string, error) {
	if text, done := p.merge.fill(data, p.markup); done && len(text) <= b.bytes {
		b.bytes -= len(text)
		return text, nil
	}
	return p.renderTree(b, data)
}

func (p *part) renderTree(b *budget, data map[string]any) (_ string, err error) {
	vars := make(map[string]any, len(data)+1)
	for name, value := range data {
		vars[name] = value
	}
	vars[budgetVar] = b
	// The library panics where a filter does, and where a write fails at the end of a block.
	defer func() {
		if thrown := recover(); thrown != nil {
			err = panicked(thrown)
		}
	}()
	out := limitedBuffer{left: b.bytes}
	if err := p.tree.FRender(&out, vars); err != nil {
		if at := err.LineNumber(); at > 0 {
			return "", &syntaxError{at, renderMessage(err)}
		}
		return "", errors.New(renderMessage(err))
	}
	b.bytes = out.left
	return out.String(), nil
}

// panicked makes an error of what the library threw, in one line.
func panicked(thrown any) error {
	if err, isError := thrown.(error); isError && errors.Is(err, errTooLong) {
		return errTooLong
	}
	line, _, _ := strings.Cut(withoutData(fmt.Sprint(thrown)), "\n")
	return fmt.Errorf("the template cannot be filled: %s", line)
}

func renderMessage(err render.Error) string {
	var inner render.Error = err
	for {
		next, isRender := inner.Cause().(render.Error)
		if !isRender {
			break
		}
		inner = next
	}
	return withoutData(parseMessage(inner))
}

// The library quotes the values that it could not use.
var (
	quotedValue   = regexp.MustCompile(`(?s)(can't convert [^(]*)\(.*\)( to type )`)
	quotedElement = regexp.MustCompile(`(?s)(can't convert ).*( to [^ ]+: )`)
	quotedDivisor = regexp.MustCompile(`(?s)(invalid divisor): '.*'`)
)

// withoutData takes the values out of a message of the library's, which is
// logged and shown to operators: they are the member's.
func withoutData(message string) string {
	message = quotedValue.ReplaceAllString(message, "$1$2")
	message = quotedElement.ReplaceAllString(message, "${1}an element$2")
	return quotedDivisor.ReplaceAllString(message, "$1")
}

var errTooLong = fmt.Errorf("it prints more than %d bytes, or captures more than %d", maxOutput, maxValue)

// limitedBuffer refuses what goes beyond its limit.
type limitedBuffer struct {
	bytes.Buffer
	left int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, errTooLong
	}
	b.left -= len(p)
	return b.Buffer.Write(p)
}

// step counts one round of a loop.
func step(ctx render.Context) (string, error) {
	b, found := ctx.Get(budgetVar).(*budget)
	if !found {
		return "", errors.New("rendered without a budget")
	}
	b.steps--
	if b.steps < 0 {
		return "", fmt.Errorf("its loops take more than %d rounds", maxSteps)
	}
	if err := b.ctx.Err(); err != nil {
		return "", fmt.Errorf("it takes too long: %w", err)
	}
	return "", nil
}

// assign is Liquid's, with a limit on what a variable holds.
func assign(ctx render.Context) (string, error) {
	stmt, err := expressions.ParseStatement(expressions.AssignStatementSelector, ctx.TagArgs())
	if err != nil {
		return "", err
	}
	value, err := ctx.Evaluate(stmt.Assignment.ValueFn)
	if err != nil {
		return "", err
	}
	if s, isText := value.(string); isText && len(s) > maxValue {
		return "", fmt.Errorf("a variable may hold %d bytes", maxValue)
	}
	ctx.Set(stmt.Assignment.Variable, value)
	return "", nil
}

// capture is Liquid's, with a limit; what it holds was escaped when it was written.
func capture(ctx render.Context) (string, error) {
	out := limitedBuffer{left: maxValue}
	if err := ctx.RenderChildren(io.Writer(&out)); err != nil {
		return "", err
	}
	ctx.Set(strings.TrimSpace(ctx.TagArgs()), verbatim(out.String()))
	return "", nil
}
