package sgip

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"sync"
	"time"

	"herald/dispatch/sms/wire"
	"herald/hardware/sim"
	"herald/hardware/sim/ismg"
)

// session is a client's connection.
type session struct {
	gateway  *Gateway
	conn     net.Conn
	name     string
	signedIn bool
	over     chan struct{}
	running  sync.WaitGroup

	writing sync.Mutex
}

// serve speaks on a client's connection until it ends, or is silent for too
// long.
func (g *Gateway) serve(conn net.Conn) {
	s := &session{gateway: g, conn: conn, over: make(chan struct{})}
	defer s.running.Wait()
	defer close(s.over)
	defer conn.Close() //nolint:errcheck // it is over
	defer func() {
		if s.signedIn {
			g.leave()
		}
	}()
	in := bufio.NewReader(conn)
	for {
		if conn.SetReadDeadline(time.Now().Add(g.cfg.IdleAfter)) != nil {
			return
		}
		u, err := protocol.Read(in)
		if err != nil || !s.hear(u) {
			return
		}
	}
}

// answer is false when the connection is over.
func (s *session) answer(u wire.PDU, result byte) bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	reply := wire.PDU{Command: u.Command | answer, Sequence: u.Sequence}
	if u.Command != unbind {
		reply.Body = resultBody(result)
	}
	_, err := s.conn.Write(protocol.Append(nil, reply))
	return err == nil
}

// hear takes what the client says; it is false when the connection is over.
func (s *session) hear(u wire.PDU) bool {
	switch {
	case u.Command == bind:
		return s.letIn(u)
	case u.Command == unbind:
		s.answer(u, resultOK)
		return false
	case !s.signedIn:
		s.answer(u, resultLogin)
		return false
	case u.Command == submit:
		return s.take(u)
	case u.IsAnswer():
		return true
	}
	return s.answer(u, resultFormat)
}

// letIn hears BIND; it is false when the connection is over.
func (s *session) letIn(u wire.PDU) bool {
	g := s.gateway
	l, err := parseLogin(u.Body)
	password, known := g.cfg.Logins[l.name]
	result := byte(resultOK)
	fault, faulty := g.faults.Meet("", ismg.RefuseLogin)
	switch {
	case err != nil:
		result = resultFormat
	case faulty:
		result = byte(cmp.Or(fault.Result, resultBusy)) //nolint:gosec // the fault's to say
	case l.kind != 1:
		result = resultKind
	case len(g.cfg.Logins) > 0 && (!known || l.password != password), s.signedIn:
		result = resultLogin
	case !g.enter():
		result = resultTooMany
	default:
		s.signedIn, s.name = true, l.name
	}
	return s.answer(u, result) && result == resultOK
}

// take hears a SUBMIT; it is false when the connection is over.
func (s *session) take(u wire.PDU) bool {
	g := s.gateway
	m, err := parseSubmission(u.Body)
	if err != nil {
		return s.answer(u, resultFormat)
	}
	fault := g.faults.Befall(m.to[0])
	before, repeated := g.before(u.Sequence)
	switch {
	case fault.Kind == ismg.DropBefore:
		return false
	case repeated && fault.Kind == ismg.Lose:
		return true
	case repeated && g.cfg.RefuseRepeats:
		return s.answer(u, resultRepeated)
	case repeated:
		return s.answer(u, before)
	case fault.Kind == ismg.Refuse:
		return s.answer(u, byte(cmp.Or(fault.Result, resultFormat))) //nolint:gosec // the fault's to say
	case !m.reachable():
		return s.answer(u, resultNumber)
	case !g.pace.Allows(g.cfg.Now()):
		return s.answer(u, resultBusy)
	}
	for _, to := range m.to {
		g.keep(u.Sequence, ismg.Message{
			Account: s.name, ID: fmt.Sprintf("%d-%010d-%d", u.Sequence[0], u.Sequence[1], u.Sequence[2]),
			From: m.from, To: to, Format: m.format, HasUDH: m.hasUDH, Content: m.content, At: g.cfg.Now(),
		}, m.registered, fault)
	}
	switch fault.Kind {
	case ismg.DropAfter:
		return false
	case ismg.Lose:
		return true
	case ismg.Delay:
		s.running.Go(func() {
			if sim.Pause(time.Duration(fault.Delay), s.over) {
				s.answer(u, resultOK)
			}
		})
		return true
	}
	return s.answer(u, resultOK)
}
