package smpp

import (
	"time"

	"herald/dispatch/sms/smpp/pdu"
)

// deliver takes a deliver_sm or data_sm of the centre to a desk.
func (l *link) deliver(h pdu.Header, body []byte) {
	parse := pdu.ParseMessage
	if h.Command == pdu.DataSM {
		parse = pdu.ParseData
	}
	m, err := parse(body)
	if err != nil {
		l.answer(h, pdu.RINVMSGLEN)
		return
	}
	c := l.client
	switch {
	case isReceipt(&m):
		report, ok := c.report(&m)
		if !ok { // it says nothing, however often it comes
			l.answer(h, pdu.OK)
			return
		}
		put := c.reports.put(report, func(s pdu.Status) {
			l.answer(h, s)
			l.nudge(l.kick)
		})
		if !put {
			l.answer(h, pdu.RXTAPPN)
		}
	case m.ESMClass&pdu.ESMType != 0: // a phone's acknowledgement, which nobody asked for
		l.answer(h, pdu.OK)
	default:
		l.receive(h, &m)
	}
}

// receive takes what somebody wrote to its desk.
func (l *link) receive(h pdu.Header, m *pdu.Message) {
	now := l.client.now()
	piece, ok := l.client.written(m, now)
	if !ok {
		l.answer(h, pdu.OK)
		return
	}
	key, acknowledged := l.client.repeats.key(m, now)
	piece.Key = key
	put := l.client.inbound.put(piece, func(s pdu.Status) {
		if s == pdu.OK {
			acknowledged(l, time.Now())
		}
		l.answer(h, s)
		l.nudge(l.kick)
	})
	if !put {
		l.answer(h, pdu.RXTAPPN)
	}
}

// answer leaves the answer to a deliver_sm or data_sm to the keeper.
func (l *link) answer(h pdu.Header, status pdu.Status) {
	if status != pdu.OK {
		l.out.add(pdu.AppendBare(nil, h.Command.Response(), status, h.Sequence))
		return
	}
	if unit, err := pdu.AppendMessageResp(nil, h.Command, h.Sequence, ""); err == nil { // an empty id always fits
		l.out.add(unit)
	}
}
