package conformance

import (
	"context"
	"sync"

	"herald/dispatch"
)

func (b *bench) messages(n int) []dispatch.Message {
	ms := make([]dispatch.Message, n)
	for i := range ms {
		ms[i] = b.peer.Message(i)
	}
	return ms
}

func (b *bench) taken() {
	s := b.open()
	if live, can := s.(dispatch.LiveSession); can {
		if err := live.Alive(b.context()); err != nil {
			b.Errorf("a new session is not alive: %v", err)
		}
	}
	ms := b.messages(23)
	for _, m := range ms[:3] {
		b.works(s, m)
	}
	batch, can := s.(dispatch.BatchSession)
	if !can {
		return
	}
	batch.SendBatch(b.context(), nil, func(int, dispatch.Receipt, error) { b.Error("of no message something is said") })
	for _, o := range b.sendAll(b.context(), batch, ms[3:]) {
		if o.err != nil {
			b.Errorf("a good message in a batch gives %v", o.err)
		}
	}
	if s.Broken() {
		b.Error("the session is broken after a good batch")
	}
}

// single: a fault befalls one message, and the next ones go through.
func (b *bench) single(i int) {
	f, s := befalls[i], b.open()
	ms := b.messages(3)
	b.works(s, ms[0])
	if !b.inject(f.fault, ms[1]) {
		return
	}
	failure := b.expect(b.send(b.context(), s, ms[1]).err, f.classes...)
	if failure.AddressDead != f.dead {
		b.Errorf("%v says of the address that it is dead: %v", failure, failure.AddressDead)
	}
	if f.lost && failure.Class == dispatch.Transient && !s.Broken() {
		b.Error("the connection is lost, but the session is not broken")
	}
	b.peer.Heal(b.T)
	b.goesOn(s, failure.Class, ms[2])
}

// batch: a fault befalls the middle one of five messages.
func (b *bench) batch(i int) {
	f := befalls[i]
	s, can := b.open().(dispatch.BatchSession)
	if !can {
		b.Log("the channel has no batches")
		return
	}
	ms := b.messages(6)
	if !b.inject(f.fault, ms[2]) {
		return
	}
	said := b.sendAll(b.context(), s, ms[:5])
	failure := b.expect(said[2].err, f.classes...)
	if failure.AddressDead != f.dead {
		b.Errorf("%v says of the address that it is dead: %v", failure, failure.AddressDead)
	}
	for other, o := range said {
		switch {
		case other == 2:
		case !f.lost && o.err != nil:
			b.Errorf("message %d has nothing wrong, but gives %v", other, o.err)
		case f.lost && o.err != nil:
			b.expect(o.err, dispatch.SessionFatal, dispatch.Doubt)
		}
	}
	b.peer.Heal(b.T)
	b.goesOn(s, failure.Class, ms[5])
}

// gone: the connection breaks while nobody uses it.
func (b *bench) gone() {
	asked, used := b.open(), b.open()
	ms := b.messages(3)
	b.works(asked, ms[0])
	if !b.inject(Gone, dispatch.Message{}) {
		return
	}
	if live, can := asked.(dispatch.LiveSession); can {
		if live.Alive(b.context()) == nil || !asked.Broken() {
			b.Error("a session that is gone says that it is alive")
		}
	}
	failure := b.expect(b.send(b.context(), used, ms[1]).err, dispatch.SessionFatal, dispatch.Transient)
	if failure.Class == dispatch.Transient && !used.Broken() {
		b.Error("a session that is gone is not broken")
	}
	b.peer.Heal(b.T)
	b.works(b.open(), ms[2])
}

func (b *bench) away() {
	if !b.inject(Away, dispatch.Message{}) {
		return
	}
	_, err := b.peer.Open(b.context())
	b.expect(err, dispatch.Transient, dispatch.Throttled, dispatch.SessionFatal)
	b.peer.Heal(b.T)
	b.works(b.open(), b.peer.Message(0))
}

func (b *bench) credentials() {
	if !b.inject(WrongCredentials, dispatch.Message{}) {
		return
	}
	_, err := b.peer.Open(b.context())
	b.expect(err, dispatch.Configuration)
	b.peer.Heal(b.T)
	b.works(b.open(), b.peer.Message(0))
}

// endedBefore: nothing is handed over when there is no time left.
func (b *bench) endedBefore() {
	ended, cancel := context.WithCancel(b.context())
	cancel()
	ms := b.messages(5)
	s := b.open()
	failure := b.expect(b.send(ended, s, ms[0]).err, dispatch.SessionFatal, dispatch.Transient)
	b.goesOn(s, failure.Class, ms[1])
	if batch, can := b.open().(dispatch.BatchSession); can {
		for _, o := range b.sendAll(ended, batch, ms[2:]) {
			b.expect(o.err, dispatch.SessionFatal, dispatch.Transient)
		}
	}
}

// endedAfter: the far end has the message, and nobody waits for its answer.
func (b *bench) endedAfter() {
	ms := b.messages(1)
	s := b.open()
	if !b.inject(Silence, ms[0]) {
		return
	}
	ctx, cancel := context.WithCancel(b.context())
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	waiting.Go(func() {
		if err := b.peer.AwaitTaken(ctx, ms[0]); err == nil {
			cancel()
		}
	})
	b.expect(b.send(ctx, s, ms[0]).err, dispatch.Doubt)
}

func (b *bench) closed() {
	s := b.open()
	ms := b.messages(2)
	b.works(s, ms[0])
	b.end(s)
	if !s.Broken() {
		b.Error("a closed session is not broken")
	}
	b.expect(b.send(b.context(), s, ms[1]).err, dispatch.SessionFatal, dispatch.Transient)
}
