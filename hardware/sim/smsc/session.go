package smsc

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch/sms/smpp/pdu"
)

// session is one connection of a client.
type session struct {
	smsc *SMSC
	conn net.Conn
	in   *pdu.Reader
	over chan struct{} // closed when the connection is

	// Of the goroutine that reads.
	said     []byte    // answers that are not written yet
	receipts []*parcel // that are due behind those
	sends    bool      // it may submit
	outbox   *outbox

	account atomic.Value // the system_id, a string; none: not bound

	writing sync.Mutex // held while something is written

	mu      sync.Mutex
	pending map[uint32]*parcel // guarded by mu: units of ours without an answer, by sequence
	free    chan struct{}      // as many as may wait for an answer
	next    atomic.Uint32
	heard   atomic.Int64 // when, as nanoseconds
	others  sync.WaitGroup
}

func newSession(s *SMSC, conn net.Conn) *session {
	c := &session{
		smsc: s, conn: conn, in: pdu.NewReader(conn), over: make(chan struct{}),
		pending: map[uint32]*parcel{}, free: make(chan struct{}, s.cfg.Window),
	}
	return c
}

var errOver = errors.New("the session is over")

// serve answers until the connection ends.
func (c *session) serve() {
	err := c.converse()
	_ = c.conn.Close() // it ends either way
	close(c.over)
	c.others.Wait()
	c.giveBack()
	if err != nil && !errors.Is(err, errOver) && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		c.smsc.cfg.Logger.Debug("a client's connection broke", "error", err)
	}
}

func (c *session) converse() error {
	for {
		h, body, err := c.in.Next()
		if errors.Is(err, pdu.ErrLength) {
			c.said = pdu.AppendBare(c.said, pdu.GenericNack, pdu.RINVCMDLEN, h.Sequence)
			return errors.Join(err, c.flush())
		}
		if err != nil {
			return err
		}
		c.heard.Store(time.Now().UnixNano())
		err = c.answer(h, body)
		if err == nil && c.in.Buffered() && len(c.said) < 32<<10 {
			continue
		}
		if ferr := c.flush(); err == nil {
			err = ferr
		}
		if err != nil {
			return err
		}
	}
}

// flush writes the answers, and lets their receipts go.
func (c *session) flush() (err error) {
	if len(c.said) > 0 {
		err = c.write(c.said)
		c.said = c.said[:0]
	}
	for _, p := range c.receipts {
		c.outbox.add(p)
	}
	c.receipts = c.receipts[:0]
	return err
}

// patience is how long a client may take to read.
const patience = 10 * time.Second

func (c *session) write(units []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(units)
	return err
}

// answer appends the answer to a unit to what is said next.
func (c *session) answer(h pdu.Header, body []byte) error {
	switch h.Command {
	case pdu.BindTransmitter, pdu.BindReceiver, pdu.BindTransceiver:
		return c.bind(h, body)
	case pdu.EnquireLink:
		c.refuse(h, pdu.OK)
		return nil
	case pdu.Unbind:
		c.refuse(h, pdu.OK)
		return errOver
	case pdu.Unbind.Response():
		return errOver
	}
	if h.Command.IsResponse() {
		c.settle(h)
		return nil
	}
	switch {
	case h.Command == pdu.SubmitSM || h.Command == pdu.DataSM || h.Command == pdu.QuerySM:
		if !c.sends {
			c.refuse(h, pdu.RINVBNDSTS)
			return nil
		}
	default:
		c.said = pdu.AppendBare(c.said, pdu.GenericNack, pdu.RINVCMDID, h.Sequence)
		return nil
	}
	if h.Command == pdu.QuerySM {
		return c.query(h, body)
	}
	return c.take(h, body)
}

// refuse answers with a status and nothing else.
func (c *session) refuse(h pdu.Header, status pdu.Status) {
	c.said = pdu.AppendBare(c.said, h.Command.Response(), status, h.Sequence)
}

func (c *session) bind(h pdu.Header, body []byte) error {
	b, err := pdu.ParseBind(body)
	status := pdu.OK
	switch {
	case err != nil:
		status = pdu.RINVCMDLEN
	case c.name() != "":
		status = pdu.RALYBND
	default:
		status = c.smsc.admit(b)
	}
	if status != pdu.OK {
		c.refuse(h, status)
		return nil // the client may try again
	}
	c.account.Store(b.SystemID)
	c.sends = h.Command != pdu.BindReceiver
	if c.said, err = pdu.AppendBindResp(c.said, h.Command, h.Sequence, c.smsc.cfg.SystemID); err != nil {
		return err
	}
	receives := h.Command != pdu.BindTransmitter
	c.outbox = c.smsc.outboxOf(b.SystemID, receives)
	if err := c.flush(); err != nil { // before anything is delivered
		return err
	}
	if receives {
		c.others.Go(c.deliver)
	}
	c.others.Go(c.watch)
	return nil
}

// admit is OK when the client may come in.
func (s *SMSC) admit(b pdu.Bind) pdu.Status {
	if fault, found := s.fault("", RefuseBind); found {
		return fault.Status
	}
	if b.SystemID == "" {
		return pdu.RINVSYSID
	}
	if len(s.cfg.Accounts) > 0 {
		password, known := s.cfg.Accounts[b.SystemID]
		if !known {
			return pdu.RINVSYSID
		}
		if password != b.Password {
			return pdu.RINVPASWD
		}
	}
	if s.cfg.MostSessions > 0 && s.boundBy(b.SystemID) >= s.cfg.MostSessions {
		return pdu.RALYBND
	}
	return pdu.OK
}

// watch asks now and then whether the client is there, and ends the
// connection when it has said nothing for three times as long.
func (c *session) watch() {
	ticker := time.NewTicker(c.smsc.cfg.EnquireEvery)
	defer ticker.Stop()
	for {
		select {
		case <-c.over:
			return
		case now := <-ticker.C:
			silent := now.Sub(time.Unix(0, c.heard.Load()))
			if silent > 3*c.smsc.cfg.EnquireEvery {
				_ = c.conn.Close() // serve sees it
				return
			}
			if silent >= c.smsc.cfg.EnquireEvery {
				_ = c.write(pdu.AppendBare(nil, pdu.EnquireLink, pdu.OK, c.sequence())) // serve sees it
			}
		}
	}
}

func (c *session) unbind() {
	_ = c.write(pdu.AppendBare(nil, pdu.Unbind, pdu.OK, c.sequence())) // serve sees it
}

// name is the system_id it bound as; empty: it has not.
func (c *session) name() string {
	name, _ := c.account.Load().(string)
	return name
}

func (c *session) sequence() uint32 { return c.next.Add(1) & pdu.MaxSequence }
