package gsm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"go.bug.st/serial"
)

// Why something could not be done. Of a submission, all but ErrUnanswered say
// that the modem surely did not take it.
var (
	// ErrUnanswered: the modem may have done it; nobody knows.
	ErrUnanswered = errors.New("the modem did not answer")
	// ErrNotReady: there is no modem at work now; Health says why.
	ErrNotReady = errors.New("the modem is not ready")
	// ErrNoNetwork: the modem works, and has no network.
	ErrNoNetwork = errors.New("the modem has no network")
	// ErrGone: the device went away: pulled out, reset, or its far end closed.
	ErrGone = errors.New("the device is gone")
	// ErrStuck: the line takes no bytes, or what comes of it fits nothing.
	ErrStuck = errors.New("the line is stuck")
	// ErrClosed: we closed the line.
	ErrClosed = errors.New("the line is closed")
	// ErrLocked: the SIM wants a PIN that we do not have, or have tried, or a
	// PUK. Somebody must act.
	ErrLocked = errors.New("the SIM is locked")
	// ErrRestarted: the modem began anew by itself.
	ErrRestarted = errors.New("the modem restarted")
)

// Domain is whose numbers the code of an Error is of.
type Domain string

// The domains.
const (
	CME   Domain = "CME" // equipment, 3GPP TS 27.007, section 9.2
	CMS   Domain = "CMS" // messages, 3GPP TS 27.005, section 3.2.5
	Plain Domain = ""    // ERROR without a code
)

// Error is a modem's refusal.
type Error struct {
	Domain Domain
	Code   int // 0 of Plain
	// Text is the modem's own words where it has no code, without quotes.
	Text string
}

func (e *Error) Error() string {
	switch {
	case e.Domain == Plain && e.Text == "":
		return "the modem says ERROR"
	case e.Domain == Plain:
		return "the modem says " + e.Text
	}
	said := fmt.Sprintf("%s error %d", e.Domain, e.Code)
	if words := e.words(); words != "" {
		said += ": " + words
	}
	return said
}

func (e *Error) words() string {
	names := cmeNames
	if e.Domain == CMS {
		names = cmsNames
	}
	if name, known := names[e.Code]; known {
		return name
	}
	if e.Domain == CMS {
		switch {
		case e.Code < 128:
			return "of the network (3GPP TS 24.011)"
		case e.Code < 256:
			return "of the service centre (3GPP TS 23.040)"
		case e.Code >= 512:
			return "of the modem's maker"
		}
	}
	return e.Text
}

// is reports whether err is the modem's refusal with one of these codes, or
// with any when none is given.
func is(err error, domain Domain, codes ...int) bool {
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Domain != domain {
		return false
	}
	return len(codes) == 0 || slices.Contains(codes, refusal.Code)
}

// The codes we act on.
const (
	cmePINWanted     = 11
	cmePUKWanted     = 12
	cmeSIMBusy       = 14
	cmeWrongPIN      = 16
	cmeNoNetwork     = 30
	cmeEmergencyOnly = 32
	cmsSIMBusy       = 314
	cmsNoNetwork     = 331
	cmsNoSuchIndex   = 321
	cmsMemoryFull    = 322
	cmsSIMNotReady   = 512 // of several makers: still starting
)

var cmeNames = map[int]string{
	0: "phone failure", 1: "no connection to phone", 3: "operation not allowed", 4: "operation not supported",
	5: "phone lock PIN required", 10: "no SIM", 11: "SIM PIN required", 12: "SIM PUK required", 13: "SIM failure",
	14: "SIM busy", 15: "SIM wrong", 16: "incorrect password", 17: "SIM PIN2 required", 18: "SIM PUK2 required",
	20: "memory full", 21: "invalid index", 22: "not found", 23: "memory failure", 24: "text too long",
	26: "dial string too long", 30: "no network service", 31: "network time-out", 32: "emergency calls only",
	40: "network lock PIN required", 50: "incorrect parameters", 100: "unknown",
}

// cmsNames are of 3GPP TS 24.011, annex E-2 (to 127), 23.040, section
// 9.2.3.22 (to 255) and 27.005, section 3.2.5.
var cmsNames = map[int]string{
	1: "unassigned number", 8: "operator determined barring", 10: "call barred", 11: "reserved",
	21: "transfer rejected", 22: "memory capacity exceeded", 27: "destination out of service", 28: "unidentified subscriber", 29: "facility rejected",
	30: "unknown subscriber", 38: "network out of order", 41: "temporary failure", 42: "congestion",
	47: "resources unavailable", 50: "facility not subscribed", 69: "facility not implemented",
	81: "invalid transfer reference", 95: "invalid message", 96: "invalid mandatory information",
	97: "message type not implemented", 98: "message not compatible with state", 99: "information element not implemented",
	111: "protocol error", 127: "interworking",
	128: "telematic interworking not supported", 129: "short message type 0 not supported", 130: "cannot replace",
	143: "protocol identifier error", 144: "alphabet not supported", 145: "message class not supported", 159: "data coding error",
	160: "command cannot be actioned", 161: "command unsupported", 175: "command error", 176: "unit not supported",
	192: "service centre busy", 193: "no subscription at the service centre", 194: "service centre failure",
	195: "invalid address", 196: "destination barred", 197: "rejected as a duplicate", 198: "validity format not supported", 199: "validity period not supported",
	208: "SIM storage full", 209: "no storage in SIM", 210: "error in phone", 211: "memory capacity exceeded",
	212: "SIM application busy", 213: "SIM data download error", 255: "unspecified",
	300: "phone failure", 301: "message service reserved", 302: "operation not allowed", 303: "operation not supported",
	304: "invalid PDU", 305: "invalid text", 310: "no SIM", 311: "SIM PIN required", 312: "phone lock PIN required",
	313: "SIM failure", 314: "SIM busy", 315: "SIM wrong", 316: "SIM PUK required", 317: "SIM PIN2 required", 318: "SIM PUK2 required",
	320: "memory failure", 321: "invalid memory index", 322: "memory full", 330: "service centre unknown",
	331: "no network service", 332: "network time-out", 340: "no acknowledgement expected", 500: "unknown error",
}

// lineError says what the failure of a line means.
func lineError(err error) error {
	var port *serial.PortError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.EBADF),
		errors.Is(err, os.ErrClosed), errors.As(err, &port) && port.Code() == serial.PortClosed:
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return fmt.Errorf("%w: %w", ErrStuck, err)
}
