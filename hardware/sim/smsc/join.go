package smsc

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim/texts"
)

// joining holds the parts of messages until all are there.
type joining struct {
	mu      sync.Mutex
	waiting map[message]*pieces // guarded by mu
}

// message is what the parts of one have in common.
type message struct {
	account, from, to string
	reference         uint16
	of                byte
}

type pieces struct {
	since time.Time
	parts []sms.Piece
	ids   map[byte]string // by part
}

// mostJoining is how many messages may wait for parts.
const mostJoining = 1000

// join keeps the text of a unit, once all parts of it came.
func (s *SMSC) join(u Unit) {
	p, trouble := s.decode(&u.Message)
	p.At = u.At
	text := texts.Text{
		At: u.At, From: u.Message.Source.Number, To: u.Message.Destination.Number, Account: u.Account,
		Encoding: s.encoding(u.Message.DataCoding), Parts: 1, IDs: []string{u.ID}, Problem: trouble,
	}
	if p.Header.Of < 2 {
		text.Text = sms.Join([]sms.Piece{p}).Text
		s.box.Add(text)
		return
	}
	key := message{u.Account, text.From, text.To, p.Header.Ref, p.Header.Of}
	s.joining.mu.Lock()
	defer s.joining.mu.Unlock()
	m := s.joining.waiting[key]
	if m == nil {
		if len(s.joining.waiting) >= mostJoining {
			s.joining.forgetOldest()
		}
		m = &pieces{since: u.At, ids: map[byte]string{}}
		s.joining.waiting[key] = m
	}
	if _, again := m.ids[p.Header.Part]; !again {
		m.parts = append(m.parts, p)
	}
	m.ids[p.Header.Part] = u.ID
	if len(m.parts) < int(p.Header.Of) {
		return
	}
	delete(s.joining.waiting, key)
	text.Text, text.Parts, text.IDs = sms.Join(m.parts).Text, len(m.parts), nil
	for part := range p.Header.Of {
		text.IDs = append(text.IDs, m.ids[part+1])
	}
	s.box.Add(text)
}

// forgetOldest wants mu held.
func (j *joining) forgetOldest() {
	keys := make([]message, 0, len(j.waiting))
	for key := range j.waiting {
		keys = append(keys, key)
	}
	delete(j.waiting, slices.MinFunc(keys, func(a, b message) int {
		return cmp.Compare(j.waiting[a].since.UnixNano(), j.waiting[b].since.UnixNano())
	}))
}

// The data codings that texts have (section 5.2.19).
const (
	codingDefault = 0
	codingASCII   = 1
	codingLatin1  = 3
	codingUCS2    = 8
)

func (s *SMSC) encoding(coding byte) string {
	switch coding {
	case codingDefault:
		if s.cfg.Alphabet != Latin1 {
			return sms.GSM7.String()
		}
		return "Latin-1"
	case codingASCII:
		return "ASCII"
	case codingLatin1:
		return "Latin-1"
	case codingUCS2:
		return sms.UCS2.String()
	}
	return "binary"
}

// decode reads a unit's text; trouble says why it could not.
func (s *SMSC) decode(m *pdu.Message) (p sms.Piece, trouble string) {
	octets := m.Text()
	if m.ESMClass&pdu.ESMHeader != 0 {
		header, rest, err := sms.ParseHeader(octets)
		if err != nil {
			return p, err.Error()
		}
		p.Header, octets = header, rest
	}
	if reference, found := m.Options.Number(pdu.SARReference); found {
		of, _ := m.Options.Number(pdu.SARTotal)
		part, _ := m.Options.Number(pdu.SARSegment)
		if part == 0 || part > of || of > 255 {
			return p, "the sar options contradict each other"
		}
		p.Header.Ref, p.Header.Wide, p.Header.Of, p.Header.Part = reference, true, byte(of), byte(part)
	}
	switch {
	case m.DataCoding == codingUCS2:
		p.Encoding, p.Data = sms.UCS2, octets
	case m.DataCoding == codingDefault && s.cfg.Alphabet == GSM7:
		p.Data = octets
	case m.DataCoding == codingDefault && s.cfg.Alphabet == GSM7Packed:
		p.Data = sms.Unpack(octets, (len(octets)*8-p.Header.Fill())/7, p.Header.Fill())
	case m.DataCoding == codingDefault || m.DataCoding == codingASCII || m.DataCoding == codingLatin1:
		runes := make([]rune, len(octets))
		for i, b := range octets {
			runes[i] = rune(b) // ISO 8859-1 is the beginning of Unicode
		}
		p.Encoding, p.Data = sms.UCS2, sms.AppendUCS2(nil, string(runes))
	default:
		return p, "the data coding is for no text"
	}
	return p, ""
}
