package modem

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"herald/dispatch"
	"herald/hardware/gsm"
)

var (
	_ dispatch.Device  = (*Sender)(nil)
	_ dispatch.Weigher = (*Sender)(nil)
)

// DeviceState is how the modem stands now, for the pages of all nodes.
func (s *Sender) DeviceState(ctx context.Context) (dispatch.DeviceState, error) {
	st, err := s.Status(ctx)
	if err != nil {
		return dispatch.DeviceState{}, err
	}
	d := dispatch.DeviceState{
		State: string(st.State), Since: st.Since, Model: strings.TrimSpace(st.Maker + " " + st.Model), SIM: st.ICCID,
		Registration: registration(st.Registration), Operator: st.Operator, SignalDBm: st.Signal,
		Today: st.Usage.Today, ThisMonth: st.Usage.ThisMonth, DailyQuota: st.Usage.Daily, MonthlyQuota: st.Usage.Monthly,
		BalanceLow: st.BalanceLow, Tracing: st.Tracing,
	}
	switch {
	case d.MonthlyQuota > 0 && d.ThisMonth >= d.MonthlyQuota:
		d.QuotaUntil = &st.Usage.MonthEnds
	case d.DailyQuota > 0 && d.Today >= d.DailyQuota:
		d.QuotaUntil = &st.Usage.DayEnds
	}
	if st.Balance != nil {
		d.Balance, d.BalanceAt = st.Balance.Amount, &st.Balance.At
	}
	if st.LastError != "" {
		d.LastError, d.LastErrorAt = cover(st.LastError), &st.LastErrorAt
	}
	return d, nil
}

// registration is a word for where a modem is registered.
func registration(r gsm.Registration) string {
	switch r {
	case gsm.Home, gsm.HomeSMSOnly, gsm.HomeNoCSFB:
		return "home"
	case gsm.Roaming, gsm.RoamSMSOnly, gsm.RoamNoCSFB:
		return "roaming"
	case gsm.SearchingNet:
		return "searching"
	case gsm.Denied:
		return "denied"
	}
	return "none"
}

// SwitchTrace watches the line from now on, or no longer.
func (s *Sender) SwitchTrace(on bool) { s.Trace().Switch(on) }

// TraceLines are what was seen on the line.
func (s *Sender) TraceLines() []dispatch.TraceLine {
	seen := s.Trace().Lines()
	lines := make([]dispatch.TraceLine, len(seen))
	for i, l := range seen {
		lines[i] = dispatch.TraceLine{At: l.At.Round(time.Microsecond), Sent: l.Sent, Text: l.Text, Covered: cover(l.Text)}
	}
	return lines
}

var (
	// octets are a message as it goes over the wire (3GPP TS 27.005, section
	// 3.1, <pdu>), with its number and text.
	octets = regexp.MustCompile(`\b[0-9A-Fa-f]{16,}\b`)
	// quoted is text in the answer to USSD or a number.
	quoted = regexp.MustCompile(`"[^"]*"`)
	// numbers are those of telephones, SIMs and devices.
	numbers = regexp.MustCompile(`\d{6,}`)
	digit   = regexp.MustCompile(`\d`)
)

// cover takes out of a line what tells of people: messages, numbers, and what
// was said by USSD.
func cover(line string) string {
	line = octets.ReplaceAllStringFunc(line, func(s string) string {
		if len(digit.FindAllString(s, -1)) == len(s) && len(s) <= 22 {
			return s // the number of a SIM or a device, see below
		}
		return fmt.Sprintf("‹%d octets›", len(s)/2)
	})
	if strings.Contains(line, "+CUSD") {
		line = quoted.ReplaceAllString(line, `"‹text›"`)
	}
	return numbers.ReplaceAllStringFunc(line, func(s string) string { return "…" + s[len(s)-2:] })
}
