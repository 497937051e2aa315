package cmpp

import (
	"bufio"
	"cmp"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch/sms/wire"
	"herald/hardware/sim"
	"herald/hardware/sim/ismg"
)

// session is one connection.
type session struct {
	gateway *Gateway
	conn    net.Conn
	account *account
	version byte
	number  atomic.Uint32 // of the latest request of ours
	teller  ismg.Teller[telling]
	over    chan struct{}
	unheard atomic.Int32 // ACTIVE_TESTs in a row
	seen    recent
	running sync.WaitGroup

	writing sync.Mutex
}

// recent knows the latest numbers of a client's requests.
type recent struct {
	known map[uint32]bool
	order []uint32
}

// mostRecent is more than any window.
const mostRecent = 4096

func (r *recent) add(number uint32) {
	if len(r.order) == mostRecent {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
	r.known[number] = true
	r.order = append(r.order, number)
}

// serve speaks on a connection until it ends.
func (g *Gateway) serve(conn net.Conn) {
	s := &session{gateway: g, conn: conn, over: make(chan struct{}), seen: recent{known: map[uint32]bool{}}}
	in := bufio.NewReader(conn)
	let := s.letIn(in)
	if s.account != nil {
		defer g.leave(s)
	}
	if !let {
		return
	}
	s.teller = ismg.Teller[telling]{Outbox: &s.account.outbox, Send: s.deliver, Number: func(telling) uint32 { return s.next() }, Window: g.cfg.Window, Again: g.cfg.RetryAfter}
	s.running.Go(func() { s.teller.Run(s.over) })
	if g.cfg.ActiveEvery > 0 {
		s.running.Go(s.keepActive)
	}
	defer s.running.Wait()
	defer close(s.over)
	defer conn.Close() //nolint:errcheck // it is over
	for {
		u, err := protocol.Read(in)
		if err != nil || !s.hear(u) {
			return
		}
	}
}

// letIn hears CONNECT; it is false when the connection is over.
func (s *session) letIn(in *bufio.Reader) bool {
	g := s.gateway
	u, err := protocol.Read(in)
	if err != nil || u.Command != connect {
		return false
	}
	l, err := parseLogin(u.Body)
	highest := byte(0x30)
	if g.cfg.Highest == "2.0" {
		highest = 0x20
	}
	s.version = min(l.version, highest)
	secret, known := g.cfg.Accounts[l.name]
	fault, faulty := g.faults.Meet("", ismg.RefuseLogin)
	status := uint32(resultOK)
	switch {
	case err != nil:
		status = resultStructure
	case faulty:
		status = cmp.Or(fault.Result, statusOther)
	case len(g.cfg.Accounts) > 0 && !known:
		status = statusNobody
	case len(g.cfg.Accounts) > 0 && !l.knows(secret):
		status = statusSecret
	case l.version > highest:
		status = statusVersion
	}
	if status == resultOK {
		if !g.enter(s, l.name) {
			status = statusOther
		}
	}
	body := loginBody(s.version, status, l, secret, highest)
	return s.say(wire.PDU{Command: connect | answer, Sequence: u.Sequence, Body: body}) == nil && status == resultOK
}

func (s *session) next() uint32 { return s.number.Add(1) }

func (s *session) say(u wire.PDU) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.conn.Write(protocol.Append(nil, u))
	return err
}

// hear takes what the client says; it is false when the connection is over.
func (s *session) hear(u wire.PDU) bool {
	reply := wire.PDU{Command: u.Command | answer, Sequence: u.Sequence}
	switch u.Command {
	case submit:
		return s.take(u)
	case deliver | answer:
		s.teller.Answered(u.Sequence[2], toldResult(u.Body, s.version) == resultOK)
	case activeTest:
		if !s.gateway.cfg.Deaf {
			reply.Body = []byte{0}
			return s.say(reply) == nil
		}
	case activeTest | answer:
		s.unheard.Store(0)
	case terminate | answer:
		return false
	case terminate:
		_ = s.say(reply) // it is over either way
		return false
	}
	return true
}

// take hears a SUBMIT; it is false when the connection is over.
func (s *session) take(u wire.PDU) bool {
	g := s.gateway
	m, err := parseSubmission(u.Body, s.version)
	if err != nil {
		return s.answer(u, 0, resultStructure)
	}
	number := u.Sequence[2]
	fault := g.faults.Befall(m.to[0])
	switch {
	case fault.Kind == ismg.DropBefore:
		return false
	case fault.Kind == ismg.Lose && s.seen.known[number]:
		return true
	case s.seen.known[number]:
		return s.answer(u, 0, resultDuplicate)
	case fault.Kind == ismg.Refuse:
		return s.answer(u, 0, cmp.Or(fault.Result, resultOther))
	case !g.pace.Allows(g.cfg.Now()):
		return s.answer(u, 0, resultTooFast)
	}
	s.seen.add(number)
	now := g.cfg.Now()
	id := g.id(now)
	for _, to := range m.to {
		g.keep(s.account, ismg.Message{
			Account: s.account.name, ID: strconv.FormatUint(id, 10), From: m.from, To: to,
			Format: m.format, HasUDH: m.hasUDH, Content: m.content, At: now,
		}, id, m.registered, fault)
	}
	switch fault.Kind {
	case ismg.DropAfter:
		return false
	case ismg.Lose:
		return true
	case ismg.Delay:
		s.running.Go(func() {
			if sim.Pause(time.Duration(fault.Delay), s.over) {
				s.answer(u, id, resultOK)
			}
		})
		return true
	}
	return s.answer(u, id, resultOK)
}

// answer is CMPP_SUBMIT_RESP (section 8.4.3.2).
func (s *session) answer(u wire.PDU, id uint64, result uint32) bool {
	body := appendStatus(wire.Uint64(nil, id), s.version, result)
	return s.say(wire.PDU{Command: submit | answer, Sequence: u.Sequence, Body: body}) == nil
}

func (s *session) deliver(number uint32, t telling) error {
	return s.say(wire.PDU{Command: deliver, Sequence: wire.Sequence{2: number}, Body: t.body(s.version, s.gateway.cfg.Now(), s.gateway.cfg.NarrowReports)})
}

// keepActive asks whether the client is there (section 7.1).
func (s *session) keepActive() {
	again := time.NewTicker(s.gateway.cfg.ActiveEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-s.over:
			return
		}
		if s.unheard.Add(1) > 3 || s.say(wire.PDU{Command: activeTest, Sequence: wire.Sequence{2: s.next()}}) != nil {
			_ = s.conn.Close() // its reader notices
			return
		}
	}
}
