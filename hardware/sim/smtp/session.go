package smtp

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"herald/hardware/sim"
)

// session is one SMTP connection; it belongs to the goroutine that serves it.
type session struct {
	server        *Server
	conn          *smtp.Conn
	authenticated bool
	from          string
	to            []string
}

func (s *Server) newSession(conn *smtp.Conn) (smtp.Session, error) {
	return &session{server: s, conn: conn}, nil
}

func (s *session) AuthMechanisms() []string {
	if s.server.cfg.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if s.server.cfg.Username == "" || mechanism != sasl.Plain {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return s.server.plain(s), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.cfg.Username != "" && !s.authenticated {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "authentication required"}
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	fault, found := s.server.fault(to, Refuse, Temporary, DropBeforeData)
	switch {
	case !found:
		s.to = append(s.to, to)
		return nil
	case fault.Kind == DropBeforeData:
		return s.drop()
	default:
		return reply(fault)
	}
}

func (s *session) Data(r io.Reader) error {
	fault, found := s.faultOfMail()
	if found && fault.Kind == DropInData {
		return s.drop()
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch fault.Kind {
	case RefuseData:
		return reply(fault)
	case DropAfterData:
		return s.drop()
	}
	s.server.inbox.Add(parse(s.from, s.to, raw, s.server.cfg.Now()))
	if fault.Kind == Doubt || fault.Kind == Delay && !sim.Pause(time.Duration(fault.Delay), s.server.closing) {
		return s.drop()
	}
	return nil
}

// faultOfMail is the fault of the first recipient who has one.
func (s *session) faultOfMail() (Fault, bool) {
	for _, to := range s.to {
		if fault, found := s.server.fault(to, DropInData, DropAfterData, Doubt, RefuseData, Delay); found {
			return fault, true
		}
	}
	return Fault{}, false
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }

// drop breaks the connection; what go-smtp writes afterwards reaches nobody.
func (s *session) drop() error {
	return errors.Join(errors.New("dropped on purpose"), s.conn.Conn().Close())
}

var enhancedCode = regexp.MustCompile(`^([245])\.(\d{1,3})\.(\d{1,3}) `)

// reply is a fault's refusal, with an enhanced code only where its text has one.
func reply(f Fault) *smtp.SMTPError {
	answer := &smtp.SMTPError{Code: f.Code, EnhancedCode: smtp.NoEnhancedCode, Message: f.Text}
	if m := enhancedCode.FindStringSubmatch(f.Text); m != nil {
		for i := range answer.EnhancedCode {
			answer.EnhancedCode[i], _ = strconv.Atoi(m[i+1]) // three digits at most
		}
		answer.Message = f.Text[len(m[0]):]
	}
	return answer
}
