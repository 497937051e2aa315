package conformance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
)

// patience is when a test gives up.
const patience = 2 * time.Minute

// bench is one test at work.
type bench struct {
	*testing.T
	peer Peer
}

// outcome is what a session said of a message.
type outcome struct {
	receipt dispatch.Receipt
	err     error
	times   int // that it did
}

func (b *bench) context() context.Context {
	ctx, cancel := context.WithTimeout(b.T.Context(), patience)
	b.Cleanup(cancel)
	return ctx
}

// open is a session that is closed at the end of the test.
func (b *bench) open() dispatch.Session {
	b.Helper()
	s, err := b.peer.Open(b.context())
	if err != nil {
		b.Fatalf("a session cannot be opened: %v", err)
	}
	b.Cleanup(func() { b.end(s) })
	return s
}

func (b *bench) end(s dispatch.Session) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		b.Errorf("closing gives %v", err)
	}
}

// inject is false when the channel has no such fault.
func (b *bench) inject(f Fault, m dispatch.Message) bool {
	b.Helper()
	if b.peer.Inject(b.T, f, m) {
		return true
	}
	b.Logf("the far end of this channel never %s", f)
	return false
}

// send hands m over singly and checks what is said of it.
func (b *bench) send(ctx context.Context, s dispatch.Session, m dispatch.Message) outcome {
	b.Helper()
	r, err := s.Send(ctx, m)
	o := outcome{r, err, 1}
	b.isTrue(m, o)
	return o
}

// sendAll hands messages over in a batch and checks what is said of each.
func (b *bench) sendAll(ctx context.Context, s dispatch.BatchSession, ms []dispatch.Message) []outcome {
	b.Helper()
	said := make([]outcome, len(ms))
	s.SendBatch(ctx, ms, func(i int, r dispatch.Receipt, err error) {
		said[i] = outcome{r, err, said[i].times + 1} // the race detector finds another goroutine
	})
	for i := range ms {
		b.isTrue(ms[i], said[i])
	}
	return said
}

// isTrue checks what is said of m against what became of it.
func (b *bench) isTrue(m dispatch.Message, o outcome) {
	b.Helper()
	if o.times != 1 {
		b.Fatalf("of a message something was said %d times", o.times)
	}
	taken := b.peer.Taken(m)
	if o.err == nil {
		if taken != 1 || o.receipt.Account == "" {
			b.Errorf("a message with the receipt %+v was taken %d times", o.receipt, taken)
		}
		return
	}
	failure := b.failure(o.err)
	if failure.Class != dispatch.Doubt && taken != 0 {
		b.Errorf("a message that was taken %d times fails as %v", taken, o.err)
	}
	if strings.Contains(o.err.Error(), m.Address) {
		b.Errorf("an error has the address: %v", o.err)
	}
}

// failure is an error that says what it means.
func (b *bench) failure(err error) *dispatch.SendError {
	b.Helper()
	var failure *dispatch.SendError
	if !errors.As(err, &failure) {
		b.Fatalf("the error is %v, want one of dispatch", err)
	}
	if failure.Account == "" {
		b.Errorf("the failure %v names no account", err)
	}
	return failure
}

// expect checks the class of a failure.
func (b *bench) expect(err error, classes ...dispatch.Class) *dispatch.SendError {
	b.Helper()
	if err == nil {
		b.Fatalf("it succeeded, want %v", classes)
	}
	failure := b.failure(err)
	if !slices.Contains(classes, failure.Class) {
		b.Errorf("gives %v, want %v", err, classes)
	}
	return failure
}

// works checks that a session takes a message.
func (b *bench) works(s dispatch.Session, m dispatch.Message) {
	b.Helper()
	if o := b.send(b.context(), s, m); o.err != nil {
		b.Fatalf("a good message gives %v", o.err)
	}
	if s.Broken() {
		b.Error("the session is broken after a good message")
	}
}

// goesOn checks that after a failure there is a session that works: the same
// one where the contract lets it be used again.
func (b *bench) goesOn(s dispatch.Session, class dispatch.Class, m dispatch.Message) {
	b.Helper()
	if s.Broken() || class == dispatch.SessionFatal || class == dispatch.Doubt {
		s = b.open()
	}
	b.works(s, m)
}
