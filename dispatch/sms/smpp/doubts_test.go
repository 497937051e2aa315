package smpp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"herald/dispatch"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
	"herald/e2e/peers"
	"herald/hardware/sim/smsc"
	"herald/postgres/pgtest"
)

// TestALateAnswerSettlesADoubt.
func TestALateAnswerSettlesADoubt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query   bool
		faults  []smsc.Fault
		receipt string // the code; empty: it failed
		class   dispatch.Class
	}{
		"it was taken":                        {false, nil, "ROK", ""},
		"it was taken, and arrived":           {true, nil, "DELIVRD", ""},
		"it was taken, and will never arrive": {true, []smsc.Fault{{Kind: smsc.Undelivered, State: "REJECTD"}}, "", dispatch.Permanent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSMSC(t, smsc.Config{})
			account := accountAt(t, s.Addr())
			account.Timeout, account.QuerySM = silence, c.query
			client := newClient(t, account, nil)
			session := open(t, client)
			m := to("+8613800000001", "hello")
			setFaults(t, s, append(c.faults, smsc.Fault{Kind: smsc.Delay, Delay: smsc.Duration(2 * silence)})...)
			keepTalking(t, session)
			if _, err := session.Send(t.Context(), m); failure(t, err).Class != dispatch.Doubt {
				t.Fatalf("it gives %v", err)
			}
			if _, err := client.Resolve(t.Context(), m); failure(t, err).Class != dispatch.Doubt {
				t.Errorf("before the answer it resolves as %v", err)
			}
			waitUntil(t, "the late answer", func() bool {
				d, found := client.doubts.get(m.DeliveryID)
				return found && d.answered
			})
			r, err := client.Resolve(t.Context(), m)
			if c.class != "" {
				if failure(t, err).Class != c.class {
					t.Errorf("it resolves as %v", err)
				}
				return
			}
			if err != nil || r.Code != c.receipt || r.ProviderID != s.Units()[0].ID || r.Account != "operator" {
				t.Errorf("it resolves as %+v, %v", r, err)
			}
			if _, err := client.Resolve(t.Context(), to("+8613800000002", "")); failure(t, err).Class != dispatch.Doubt {
				t.Errorf("what was never sent resolves as %v", err)
			}
		})
	}
}

// keepTalking keeps the session from being silent, until the test ends.
func keepTalking(t *testing.T, s *session) {
	over := make(chan struct{})
	var talking sync.WaitGroup
	t.Cleanup(func() {
		close(over)
		talking.Wait()
	})
	talking.Go(func() {
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for {
			if _, err := s.link.ask(t.Context(), enquiry); err != nil {
				return
			}
			select {
			case <-again.C:
			case <-over:
				return
			}
		}
	})
}

func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	again, limit := time.NewTicker(time.Millisecond), time.NewTimer(peers.Patience)
	defer again.Stop()
	defer limit.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("waited for %s", what)
		}
	}
}

// TestAReceiptSettlesADoubt: it names the reference that we gave, though the
// answer with the id never came.
func TestAReceiptSettlesADoubt(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{Receipts: smsc.Receipts{Delay: 2 * silence}})
	account := accountAt(t, s.Addr())
	account.Timeout = silence
	c := newClient(t, account, parts.NewStore(pgtest.New(t)))
	heard, session := listen(t, c), open(t, c)
	setFaults(t, s, smsc.Fault{Kind: smsc.Lose, Times: 1})
	m := to("+8613800000001", "hello")
	keepTalking(t, session)
	if _, err := session.Send(t.Context(), m); failure(t, err).Class != dispatch.Doubt {
		t.Fatalf("it gives %v", err)
	}
	heard.until("the receipt", func() bool { return len(heard.reports) == 1 })
	if r := heard.reports[0]; r.DeliveryID != m.DeliveryID || r.Event != dispatch.ReportDelivered {
		t.Errorf("the report is %+v", r)
	}
}

// TestAReceiptOfAnotherMessageSettlesNoDoubt: the centre gives receipts to
// whichever node is there, of what another sent, or a process before.
func TestAReceiptOfAnotherMessageSettlesNoDoubt(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{})
	account := accountAt(t, s.Addr())
	other, c := newClient(t, account, nil), newClient(t, account, nil)
	m := to("+8613800000001", "hello")
	if _, err := open(t, other).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	setFaults(t, s, smsc.Fault{Kind: smsc.DropBefore, Times: 1})
	if _, err := open(t, c).Send(t.Context(), to(m.Address, "never taken")); failure(t, err).Class != dispatch.Doubt {
		t.Fatalf("it gives %v", err)
	}
	theirs, _ := s.Units()[0].Message.Options.Number(pdu.UserMessageReference)
	if delivery := c.doubts.delivery(s.Units()[0].ID, reference{theirs, m.Address}); delivery != uuid.Nil {
		t.Errorf("the receipt of the other message settles the doubt about %v", delivery)
	}
}

func TestAReferenceInDoubtIsNotGivenAgain(t *testing.T) {
	c := newClient(t, accountAt(t, "127.0.0.1:1"), nil)
	c.doubts.add(unit{delivery: uuid.Must(uuid.NewV7()), address: "+8613800000001", reference: 42})
	for address, want := range map[string]uint16{"+8613800000001": 43, "+8613800000002": 42} {
		c.references.Store(3<<16 + 41)
		if n := c.nextReference(address); n != want {
			t.Errorf("to %s goes %d, want %d", address, n, want)
		}
	}
}

func TestDoubtsAreForgotten(t *testing.T) {
	d := newDoubts()
	for i := range mostDoubts + 5 {
		d.add(unit{delivery: uuid.Must(uuid.NewV7()), address: fmt.Sprint(i), reference: 7})
	}
	if len(d.deliveries) != mostDoubts || len(d.references) != mostDoubts || len(d.order) != mostDoubts {
		t.Errorf("%d are remembered", len(d.deliveries))
	}
}

// centre is a far end whose every octet is chosen by the test, from the answer
// to the bind on.
func centre(t *testing.T, serve func(conn net.Conn, in *pdu.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := pdu.NewReader(conn)
		h, _, err := in.Next()
		if err != nil {
			t.Error(err)
			return
		}
		if answer, err := pdu.AppendBindResp(nil, h.Command, h.Sequence, "centre"); err == nil {
			_, _ = conn.Write(answer)
		}
		serve(conn, in)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestASilentCentreIsLeft: it is asked whether it is there, and does not say.
func TestASilentCentreIsLeft(t *testing.T) {
	t.Parallel()
	heard := make(chan pdu.Command, 10)
	account := accountAt(t, centre(t, func(_ net.Conn, in *pdu.Reader) {
		for {
			h, _, err := in.Next()
			if err != nil {
				return
			}
			heard <- h.Command
		}
	}))
	account.EnquireEvery, account.Timeout = 50*time.Millisecond, silence
	session := open(t, newClient(t, account, nil))
	<-session.link.down
	if !errors.Is(session.link.reason(), errSilent) || <-heard != pdu.EnquireLink {
		t.Errorf("it was left because of %v", session.link.reason())
	}
}

// TestACentreThatReadsNoAnswersIsLeft, before its questions fill our memory.
func TestACentreThatReadsNoAnswersIsLeft(t *testing.T) {
	t.Parallel()
	asked := make(chan error, 1)
	account := accountAt(t, centre(t, func(conn net.Conn, _ *pdu.Reader) {
		var questions []byte
		for i := range uint32(1000) {
			questions = pdu.AppendBare(questions, pdu.EnquireLink, pdu.OK, i+1)
		}
		for {
			if _, err := conn.Write(questions); err != nil {
				asked <- err
				return
			}
		}
	}))
	account.Timeout = time.Minute // for what is written to it
	session := open(t, newClient(t, account, nil))
	<-session.link.down
	if !errors.Is(session.link.reason(), errDeaf) {
		t.Errorf("it was left because of %v", session.link.reason())
	}
	<-asked
}

// TestWhatNeverLeftUsIsNotInDoubt: a centre that stops reading gets a part of
// what is written, and then breaks the connection.
func TestWhatNeverLeftUsIsNotInDoubt(t *testing.T) {
	t.Parallel()
	const most = 400
	taken := make(chan int, 1)
	account := accountAt(t, centre(t, func(conn net.Conn, in *pdu.Reader) {
		n := 0
		socket := conn.(*net.TCPConn)
		_ = socket.SetReadBuffer(64 << 10) // or it takes all of it
		for range 20 {
			if _, _, err := in.Next(); err != nil {
				break
			}
			n++
		}
		for limit := time.Now().Add(30 * time.Second); unread(t, socket) == 0; { // it is being written to
			if time.Now().After(limit) {
				t.Error("nothing more was written")
				break
			}
		}
		taken <- n
		_ = socket.SetLinger(0)
	}))
	account.Window, account.LongMessages = mostWindow, longPayload
	account.Timeout = time.Minute // it is the centre that leaves
	ms := make([]dispatch.Message, most)
	for i := range ms {
		ms[i] = to(fmt.Sprintf("+8613800000%03d", i), strings.Repeat("0123456789", 2000))
	}
	_, errs := send(t, open(t, newClient(t, account, nil)), ms)
	said := map[dispatch.Class]int{}
	for i, err := range errs {
		class := failure(t, err).Class
		said[class]++
		if i < 20 && class != dispatch.Doubt {
			t.Errorf("message %d, which the centre had, gives %v", i, err)
		}
	}
	if <-taken != 20 || said[dispatch.SessionFatal] < 100 || said[dispatch.Doubt]+said[dispatch.SessionFatal] != most {
		t.Errorf("said was %v", said)
	}
}

// unread is how many octets have arrived that nobody has read.
func unread(t *testing.T, socket *net.TCPConn) (n int) {
	raw, err := socket.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	if err != nil {
		t.Error(err)
		return math.MaxInt
	}
	return n
}

// TestNonsenseEndsTheSession and nothing else.
func TestNonsenseEndsTheSession(t *testing.T) {
	for name, c := range map[string]struct {
		say   func(sequence uint32) []byte
		class dispatch.Class
	}{
		"a length of four gigabytes": {func(uint32) []byte { return bytes.Repeat([]byte{0xFF}, 16) }, dispatch.Doubt},
		"a length of nothing":        {func(uint32) []byte { return make([]byte, 16) }, dispatch.Doubt},
		"it does not understand us":  {func(s uint32) []byte { return pdu.AppendBare(nil, pdu.GenericNack, pdu.RINVCMDLEN, s) }, dispatch.SessionFatal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account := accountAt(t, centre(t, func(conn net.Conn, in *pdu.Reader) {
				h, _, _ := in.Next()
				_, _ = conn.Write(c.say(h.Sequence))
				_, _, _ = in.Next() // until we leave
			}))
			session := open(t, newClient(t, account, nil))
			_, err := session.Send(t.Context(), to("+8613800000001", "hello"))
			if f := failure(t, err); f.Class != c.class || !session.Broken() {
				t.Errorf("it gives %v", err)
			}
		})
	}
}

// TestStrangersAreTolerated: answers to nothing, unknown commands, a second
// answer, and a deliver_sm that cannot be read.
func TestStrangersAreTolerated(t *testing.T) {
	answers := make(chan pdu.Header, 10)
	account := accountAt(t, centre(t, func(conn net.Conn, in *pdu.Reader) {
		said := pdu.AppendBare(nil, pdu.SubmitSM.Response(), pdu.OK, 4711)
		said = pdu.AppendBare(said, pdu.Command(0x77), pdu.OK, 8)
		said = pdu.AppendBare(said, pdu.DeliverSM, pdu.OK, 9)
		said = pdu.AppendBare(said, pdu.GenericNack, pdu.RSYSERR, 4712)
		_, _ = conn.Write(said)
		for {
			h, _, err := in.Next()
			if err != nil {
				return
			}
			if h.Command != pdu.SubmitSM {
				answers <- h
				continue
			}
			one, _ := pdu.AppendMessageResp(nil, h.Command, h.Sequence, "1")
			_, _ = conn.Write(append(one, one...))
		}
	}))
	session := open(t, newClient(t, account, nil))
	for range 3 {
		if _, err := session.Send(t.Context(), to("+8613800000001", "hello")); err != nil {
			t.Fatal(err)
		}
	}
	if h := <-answers; h != (pdu.Header{Command: pdu.GenericNack, Status: pdu.RINVCMDID, Sequence: 8}) {
		t.Errorf("an unknown command is answered by %+v", h)
	}
	if h := <-answers; h.Command != pdu.DeliverSM.Response() || h.Status != pdu.RINVMSGLEN {
		t.Errorf("an empty deliver_sm is answered by %+v", h)
	}
}
