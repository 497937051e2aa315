package modem

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"herald/dispatch/sms"
	"herald/hardware/gsm/tpdu"
	"herald/hardware/sim/texts"
	"herald/problem"
)

// mostHeld is how many messages the network keeps for the SIM.
const mostHeld = 10_000

// centre is the network's message centre.
type centre struct {
	counter   byte            // the TP-MR that the modem gives next
	held      map[byte]string // TP-MR → recipient of the newest message that had it
	waiting   []incoming      // for the modem, the oldest first
	awaiting  *incoming       // handed over and not acknowledged yet
	concealed []string        // indications held back by mode 0 of AT+CNMI
	reference uint16          // of the next message that comes in parts
	collector *sms.Collector
	pieces    map[string][]string // the TP-MRs of a message whose parts are not all here
}

// incoming is a unit on its way to the modem.
type incoming struct {
	report bool
	class  int
	pdu    slot
}

func newCentre() centre {
	return centre{held: map[byte]string{}, collector: sms.NewCollector(24*time.Hour, 1000), pieces: map[string][]string{}}
}

// forget is what a modem that restarts did not acknowledge: it comes again.
func (c *centre) forget() {
	if c.awaiting != nil {
		c.waiting = append([]incoming{*c.awaiting}, c.waiting...)
	}
	c.awaiting, c.concealed = nil, nil
}

// Part is one short message that a program sent.
type Part struct {
	At        time.Time `json:"at"`
	Reference byte      `json:"reference"` // TP-MR
	To        string    `json:"to"`
	Encoding  string    `json:"encoding"` // such as "GSM-7"
	Text      string    `json:"text"`
	// Message, Number and Of say of which message it is what part; Of is 1
	// for a message of one.
	Message uint16 `json:"message"`
	Number  int    `json:"number"`
	Of      int    `json:"of"`
	// Report is whether a status report was asked for, RejectDuplicates
	// whether the centre was to refuse what it has.
	Report           bool `json:"report"`
	RejectDuplicates bool `json:"reject_duplicates"`
	// Refused says that the centre had it already: it went nowhere.
	Refused bool `json:"refused,omitempty"`
}

// submit sends a stored or a given unit; name is the command that does.
func (m *Modem) submit(name string, pdu slot) answer {
	unit, err := tpdu.ParseSubmit(pdu.pdu[pdu.unit:])
	if err != nil {
		return cms(cmsPDUParameter)
	}
	to := unit.To.Number() + unit.To.Name
	return m.meddled(name, to, func() answer {
		if m.registered() != 1 {
			return cms(cmsNoNetwork)
		}
		if !m.wait(m.airTime()) {
			return answer{silent: true}
		}
		m.state.sentAt = m.cfg.Now()
		reference, fine := m.accept(unit, to)
		if !fine {
			return cms(cmsDuplicate)
		}
		return ok(fmt.Sprintf("%s: %d", name, reference))
	})
}

// linkKept is how long a modem keeps the link for a next part (3GPP TS 27.005,
// section 3.5.6: one to five seconds).
const linkKept = 5 * time.Second

// airTime is how long the next part takes.
func (m *Modem) airTime() time.Duration {
	if m.state.keepLink > 0 && !m.state.sentAt.IsZero() && m.cfg.Now().Sub(m.state.sentAt) < linkKept {
		return m.cfg.KeptPartTime
	}
	return m.cfg.PartTime
}

// accept is the centre taking a message; it is false for one that it has and
// was told to refuse (3GPP TS 23.040, section 9.2.3.25).
func (m *Modem) accept(unit tpdu.Submit, to string) (reference byte, fine bool) {
	reference = unit.Reference
	if m.cfg.OwnReferences || reference == 0 {
		reference = m.centre.counter
		m.centre.counter++
	}
	piece := pieceOf(unit.UserData)
	part := Part{
		At: m.cfg.Now(), Reference: reference, To: to, Encoding: nameOf(unit.DCS), Text: sms.Join([]sms.Piece{piece}).Text,
		Message: piece.Header.Ref, Number: max(1, int(piece.Header.Part)), Of: max(1, int(piece.Header.Of)),
		Report: unit.Report, RejectDuplicates: unit.RejectDuplicates,
	}
	part.Refused = unit.RejectDuplicates && m.centre.held[reference] == to && to != ""
	m.parts.Add(part)
	if part.Refused {
		return 0, false
	}
	m.centre.held[reference] = to
	piece.From, piece.To, piece.At = m.card.sim.Number, to, part.At
	m.join(piece, part)
	if unit.Report {
		m.report(reference, unit.To, part.At)
	}
	if to == m.card.sim.Number { // people do write to themselves, to see whether it works
		m.take(tpdu.Deliver{From: unit.To, PID: unit.PID, At: part.At, UserData: unit.UserData})
		m.bring()
	}
	return reference, true
}

// pieceOf reads user data, without who sent it to whom.
func pieceOf(u tpdu.UserData) sms.Piece {
	piece := sms.Piece{Encoding: sms.GSM7}
	data := u.Data
	if u.Header {
		if header, rest, err := sms.ParseHeader(data); err == nil {
			piece.Header, data = header, rest
		}
	}
	switch u.DCS.Alphabet() {
	case tpdu.UCS2:
		piece.Encoding, piece.Data = sms.UCS2, data
	case tpdu.Data8:
		piece.Data = []byte(strings.ToUpper(hex.EncodeToString(data))) // digits and letters are the same in GSM-7
	default:
		piece.Data = sms.Unpack(data, u.Length-piece.Header.Septets(), piece.Header.Fill())
	}
	return piece
}

func nameOf(dcs tpdu.DCS) string {
	switch dcs.Alphabet() {
	case tpdu.UCS2:
		return sms.UCS2.String()
	case tpdu.Data8:
		return "8-bit"
	}
	return sms.GSM7.String()
}

// mostUnjoined is for how many messages references of parts are kept.
const mostUnjoined = 1000

// join keeps the message when all of its parts are here.
func (m *Modem) join(piece sms.Piece, part Part) {
	key := fmt.Sprintf("%s %d %d", part.To, part.Message, part.Of)
	if len(m.centre.pieces) >= mostUnjoined {
		clear(m.centre.pieces)
	}
	references := append(m.centre.pieces[key], strconv.Itoa(int(part.Reference)))
	m.centre.pieces[key] = references
	for _, whole := range m.centre.collector.Add(piece, part.At) {
		text := texts.Text{
			At: part.At, From: whole.From, To: whole.To, Text: whole.Text, Parts: whole.Of, Account: m.card.sim.IMSI,
		}
		if whole.Missing == 0 {
			text.Encoding, text.IDs = part.Encoding, references
			delete(m.centre.pieces, key)
		} else { // an older one, whose rest nobody waits for any more
			text.Problem = fmt.Sprintf("%d of %d parts did not come", whole.Missing, whole.Of)
		}
		m.texts.Add(text)
	}
}

// report has a status report come later.
func (m *Modem) report(reference byte, to tpdu.Address, at time.Time) {
	number := to.Number() + to.Name
	if _, found := m.fault("", number, NoReport); found {
		return
	}
	status := tpdu.Status(0) // received by the recipient
	if fault, found := m.fault("", number, Report); found {
		status = tpdu.Status(fault.Code) //nolint:gosec // checked by complete
	}
	m.later(m.cfg.ReportAfter, func() {
		unit, err := tpdu.StatusReport{Reference: reference, To: to, At: at, Done: m.cfg.Now(), Status: status}.MarshalBinary()
		if err != nil {
			m.cfg.Logger.Error("simulated modem: a status report", "error", err)
			return
		}
		m.hold(incoming{report: true, pdu: m.fromCentre(unit)})
		m.bring()
	})
}

// fromCentre is a unit as the modem gives it to a program.
func (m *Modem) fromCentre(unit []byte) slot {
	centre, err := tpdu.Number(m.card.sim.ServiceCentre)
	if err != nil {
		centre = tpdu.Address{}
	}
	pdu, err := tpdu.AppendCentre(nil, centre)
	if err != nil {
		pdu = []byte{0}
	}
	return slot{pdu: append(pdu, unit...), unit: len(pdu)}
}

// hold keeps something for the modem, unless there is too much.
func (m *Modem) hold(in incoming) bool {
	if len(m.centre.waiting) >= mostHeld {
		return false
	}
	m.centre.waiting = append(m.centre.waiting, in)
	return true
}

// Deliver has the network bring a text from a number or a name of up to eleven
// letters, in as many parts as it takes. What the modem cannot take now, the
// network keeps; see Held. It fails with problem.Invalid for what cannot be
// sent, and with problem.Unavailable when the network keeps too much already.
func (m *Modem) Deliver(from, text string) error {
	sender, err := senderOf(from)
	if err != nil {
		return err
	}
	composed, err := sms.Compose(text, sms.Options{})
	if err != nil {
		return problem.New(problem.Invalid, "%v", err)
	}
	dcs := tpdu.GSM7
	if composed.Encoding == sms.UCS2 {
		dcs = tpdu.UCS2
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.centre.reference++
	for i := range composed.Parts {
		err := m.take(tpdu.Deliver{
			From: sender, At: m.cfg.Now(), More: i < len(composed.Parts)-1,
			UserData: tpdu.UserData{
				DCS: dcs, Header: composed.Header(m.centre.reference, i) != nil,
				Length: composed.Length(i), Data: composed.Octets(m.centre.reference, i),
			},
		})
		if err != nil {
			return err
		}
	}
	m.texts.Add(texts.Text{
		At: m.cfg.Now(), From: from, To: m.card.sim.Number, Text: composed.Text, Encoding: composed.Encoding.String(),
		Parts: len(composed.Parts), Account: m.card.sim.IMSI, Reply: true,
	})
	m.bring()
	return nil
}

// DeliverUnit has the network bring a unit as it is.
func (m *Modem) DeliverUnit(unit tpdu.Deliver) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.take(unit); err != nil {
		return err
	}
	m.bring()
	return nil
}

func senderOf(from string) (tpdu.Address, error) {
	if number, err := tpdu.Number(from); err == nil {
		return number, nil
	}
	septets, fine := sms.EncodeGSM7(from, 0, 0)
	if !fine || len(septets) == 0 || len(septets) > 11 {
		return tpdu.Address{}, &problem.Error{Code: problem.Invalid, Message: "the message cannot be sent", Fields: []problem.Field{
			{Path: "from", Rule: "format", Message: "use a number, or up to 11 letters"},
		}}
	}
	return tpdu.Address{Type: tpdu.Alphanumeric, Name: string(septets)}, nil
}

// take has the centre keep a unit for the modem. It wants mu held.
func (m *Modem) take(unit tpdu.Deliver) error {
	octets, err := unit.MarshalBinary()
	if err != nil {
		return problem.New(problem.Invalid, "%v", err)
	}
	if !m.hold(incoming{class: unit.DCS.Class(), pdu: m.fromCentre(octets)}) {
		return problem.New(problem.Unavailable, "the network keeps too many messages for this SIM")
	}
	return nil
}

// Held is how many messages and reports the network keeps until the modem can
// take them.
func (m *Modem) Held() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.centre.waiting) + bit(m.centre.awaiting != nil)
}
