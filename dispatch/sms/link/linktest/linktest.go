// Package linktest is what the tests of the drivers for CMPP and SGIP have in
// common.
//
// A Store keeps parts in memory and a Listener what a driver heard; a Peer holds
// a driver and its simulator against the contract of dispatch. The rest starts
// and waits; what fails ends the test.
package linktest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/hardware/sim/ismg"
	"herald/hardware/sim/texts"
	"herald/problem"
	"herald/templates"
)

// Patience is when a test gives up.
const Patience = 30 * time.Second

// Within is a context that ends when the test gives up.
func Within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Until waits for something that nobody announces.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx := Within(t)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited for: %s", what)
		}
	}
}

// Long is a text of three parts in UCS-2.
var Long = strings.Repeat("降价提醒：婴儿车今日四百元，", 12)

// Message is a new message to +861380013 and number, in four digits.
func Message(number int, text string) dispatch.Message {
	return dispatch.Message{
		DeliveryID: uuid.Must(uuid.NewV7()), Address: fmt.Sprintf("+861380013%04d", number),
		Content: templates.Content{Text: text},
	}
}

// ClassOf is the class of a failure; empty where it has none.
func ClassOf(err error) dispatch.Class {
	var failure *dispatch.SendError
	if !errors.As(err, &failure) {
		return ""
	}
	return failure.Class
}

// Octets reads hexadecimal digits, with white space anywhere.
func Octets(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Port is the port of an address, host:port.
func Port(t testing.TB, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Gateway is a simulated one.
type Gateway interface {
	Start(ctx context.Context) error
	Close() error
	SetFaults(faults ...ismg.Fault) error
	Submitted() []ismg.Message
	Texts() *texts.Box
	Untold() int
	DropAll()
}

// Start has a gateway work until the test ends.
func Start(t testing.TB, g Gateway) {
	t.Helper()
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
}

// SetFaults replaces a gateway's faults.
func SetFaults(t testing.TB, g Gateway, faults ...ismg.Fault) {
	t.Helper()
	if err := g.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// Settled waits until a gateway has nothing to tell any more.
func Settled(t testing.TB, g Gateway) {
	t.Helper()
	Until(t, "all is acknowledged", func() bool { return g.Untold() == 0 })
}

// Open opens a session that is closed when the test ends.
func Open(t testing.TB, sender dispatch.Sender) dispatch.Session {
	t.Helper()
	s, err := sender.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// KeepsOrder sends three messages over a window of one, of which the gateway
// refuses the second for now: it goes again before the third.
func KeepsOrder(t testing.TB, s dispatch.BatchSession, g Gateway, refusal ismg.Fault) {
	t.Helper()
	SetFaults(t, g, refusal)
	ms := []dispatch.Message{Message(0, "zero"), Message(1, "one"), Message(2, "two")}
	s.SendBatch(Within(t), ms, func(i int, _ dispatch.Receipt, err error) {
		if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	})
	var order []string
	for _, text := range g.Texts().All() {
		order = append(order, text.Text)
	}
	if strings.Join(order, " ") != "zero one two" {
		t.Errorf("they arrived as %v", order)
	}
}

// Mistakes are the fields that an account was refused for, with a space between
// them.
func Mistakes(t testing.TB, err error) string {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatalf("it gives %v", err)
	}
	var paths []string
	for _, f := range p.Fields {
		paths = append(paths, f.Path)
	}
	return strings.Join(paths, " ")
}
