package phone

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// reasons are the words of the answers that are given.
var reasons = map[int]string{
	180: "Ringing", 183: "Session Progress", 404: "Not Found", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
	486: "Busy Here", 488: "Not Acceptable Here", 503: "Service Unavailable", 603: "Decline",
}

func retryAfter(d Duration) sip.Header {
	return sip.NewHeader("Retry-After", strconv.Itoa(int(math.Ceil(time.Duration(d).Seconds()))))
}

// handle says what is done with what comes in.
func (p *Phone) handle(server *sipgo.Server) {
	server.OnInvite(p.invited)
	server.OnAck(p.within(func(l *line, req *sip.Request, tx sip.ServerTransaction) {
		_ = l.dialog.ReadAck(req, tx) // one of a request before does not matter
	}))
	server.OnBye(p.within(func(l *line, req *sip.Request, tx sip.ServerTransaction) {
		_ = l.dialog.ReadBye(req, tx) // the caller is gone anyway
		l.note(func(c *Call) { c.HungUp = "caller" })
		l.hangUp.Do(func() { close(l.ended) })
	}))
	server.OnRefer(p.within(referred))
	server.OnInfo(p.within(func(_ *line, req *sip.Request, tx sip.ServerTransaction) { ok(req, tx) }))
	server.OnUpdate(p.within(func(_ *line, req *sip.Request, tx sip.ServerTransaction) { ok(req, tx) }))
	server.OnOptions(ok)
	server.OnRegister(func(req *sip.Request, tx sip.ServerTransaction) {
		res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)
		for _, name := range []string{"Contact", "Expires"} {
			sip.CopyHeaders(name, req, res)
		}
		_ = tx.Respond(res) // it is asked again
	})
}

func ok(req *sip.Request, tx sip.ServerTransaction) {
	_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)) // it is asked again
}

// within has requests be seen to that are of a call.
func (p *Phone) within(do func(*line, *sip.Request, sip.ServerTransaction)) sipgo.RequestHandler {
	return func(req *sip.Request, tx sip.ServerTransaction) {
		if l := p.lineOf(req); l != nil {
			do(l, req, tx)
		} else if !req.IsAck() {
			_ = tx.Respond(sip.NewResponseFromRequest(req, 481, reasons[481], nil)) // it is asked again
		}
	}
}

func (p *Phone) lineOf(req *sip.Request) *line {
	id := req.CallID()
	if id == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[id.Value()]
}

// invited is given a call, or one that goes on and changes its sound.
func (p *Phone) invited(req *sip.Request, tx sip.ServerTransaction) {
	if req.CallID() == nil || req.To() == nil || req.From() == nil {
		_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusBadRequest, "Bad Request", nil)) // it is asked again
		return
	}
	if tag, _ := req.To().Params.Get("tag"); tag != "" {
		p.within(reinvited)(req, tx)
		return
	}
	f := p.faultOf(req.Recipient.User)
	if f.Kind == Silent {
		return
	}
	l, err := p.begin(req, tx, f)
	if err == nil {
		err = p.enter(l)
	}
	if errors.Is(err, errAway) {
		return // as if nobody were there, which is so in a moment
	}
	if err != nil {
		p.cfg.Logger.Debug("a call makes no sense", "error", err)
		_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusBadRequest, "Bad Request", nil)) // it is asked again
		return
	}
	defer p.leave(l)
	l.run(context.Background())
}

// errAway is why a call does not come in any more.
var errAway = errors.New("the phones are closed")

func (p *Phone) enter(l *line) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := l.request.CallID().Value()
	if p.closed {
		return errAway
	}
	if _, taken := p.calls[id]; taken {
		return errors.New("it is under way")
	}
	p.calls[id] = l
	return nil
}

func (p *Phone) leave(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, l.request.CallID().Value())
}

func reinvited(l *line, req *sip.Request, tx sip.ServerTransaction) {
	description, err := l.sound.Answer(req.Body())
	if err != nil {
		_ = tx.Respond(sip.NewResponseFromRequest(req, 488, reasons[488], nil)) // it is asked again
		return
	}
	_ = tx.Respond(sip.NewSDPResponseFromRequest(req, description)) // likewise
}

// lastWords is how long the caller has to answer.
const lastWords = 2 * time.Second

// bye hangs up here.
func (l *line) bye() {
	l.note(func(c *Call) { c.HungUp = "phone" })
	l.ask(sip.BYE, nil)
}

// ask sends a request within the call, and waits for the answer.
func (l *line) ask(method sip.RequestMethod, body []byte, headers ...sip.Header) {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	req := sip.NewRequest(method, l.request.Contact().Address)
	for _, h := range headers {
		req.AppendHeader(h)
	}
	req.SetBody(body)
	l.phone.mu.Lock()
	at := l.phone.at
	l.phone.mu.Unlock()
	if l.request.Transport() == "UDP" { // from where the call is
		req.Laddr = sip.Addr{IP: net.IP(at.Addr().AsSlice()), Port: int(at.Port())}
	}
	_, _ = l.dialog.Do(ctx, req) // the caller may be gone
}

// referred passes this phone on to another number: it tells the caller what
// became of that, which the faults say as of any number.
func referred(l *line, req *sip.Request, tx sip.ServerTransaction) {
	to := req.ReferTo()
	if to == nil {
		_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusBadRequest, "Bad Request", nil)) // it is asked again
		return
	}
	_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusAccepted, "Accepted", nil)) // likewise
	line := "SIP/2.0 200 OK"
	if code := codes[l.phone.faultOf(to.Address.User).Kind]; code != 0 {
		line = fmt.Sprintf("SIP/2.0 %d %s", code, reasons[code])
	} else {
		l.note(func(c *Call) { c.Transferred = to.Address.User })
	}
	l.ask(
		sip.NOTIFY, []byte(line+"\r\n"),
		sip.NewHeader("Event", "refer"), sip.NewHeader("Subscription-State", "terminated;reason=noresource"), sip.NewHeader("Content-Type", "message/sipfrag;version=2.0"),
	)
}

// babble is something like speech, so long: words of a voice, with gaps.
func babble(lasts time.Duration) []int16 {
	const rate, word, gap, pitch = 8000, 2400, 640, 140
	samples := make([]int16, int(lasts*rate/time.Second))
	for i := range samples {
		at := i % (word + gap)
		if at >= word {
			continue
		}
		loud := math.Sin(math.Pi * float64(at) / word) // it swells and fades
		var voice float64
		for harmonic := 1; harmonic <= 8; harmonic++ {
			voice += math.Sin(2*math.Pi*pitch*float64(harmonic*i)/rate) / float64(harmonic)
		}
		samples[i] = int16(5000 * loud * voice)
	}
	return samples
}
