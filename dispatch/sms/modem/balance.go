package modem

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"herald/dispatch/sms"
	"herald/hardware/gsm"
)

// How a modem writes the texts of USSD.
const (
	codingText   = "text"
	codingPacked = "packed" // septets, packed, in hexadecimal
	codingUCS2   = "ucs2"   // in hexadecimal
)

// codeFor writes a code as the modem wants it.
func codeFor(code, coding string) string {
	switch coding {
	case codingPacked:
		septets, _ := sms.EncodeGSM7(code, 0, 0) // digits, * and #
		return strings.ToUpper(hex.EncodeToString(sms.Pack(septets, 0)))
	case codingUCS2:
		return strings.ToUpper(hex.EncodeToString(sms.AppendUCS2(nil, code)))
	}
	return code
}

// readAnswer is what an operator said. Modems write it as text or in
// hexadecimal, whatever they were asked and the data coding scheme says (3GPP
// TS 23.038, section 5), so hexadecimal digits and nothing else are taken for
// what gives readable text.
func readAnswer(u gsm.USSD, coding string) string {
	raw, err := hex.DecodeString(u.Text)
	if err != nil || len(raw) < 2 || coding == codingText {
		return u.Text
	}
	isUCS2 := u.DCS >= 0 && (u.DCS == 0x11 || u.DCS&0xcc == 0x48 || u.DCS&0xfc == 0x98)
	asUCS2 := sms.DecodeUCS2(raw)
	switch {
	case coding == codingUCS2, isUCS2 && len(raw)%2 == 0:
		return asUCS2
	case coding == codingPacked:
		return sms.DecodeGSM7(sms.Unpack(raw, -1, 0), 0, 0)
	case len(raw)%2 == 0 && readable(asUCS2):
		return asUCS2
	}
	if packed := sms.DecodeGSM7(sms.Unpack(raw, -1, 0), 0, 0); readable(packed) && strings.ContainsAny(u.Text, "ABCDEFabcdef") {
		return packed
	}
	return u.Text
}

// readable reports whether a text is such as operators write: letters, digits,
// marks and spaces, mostly of the scripts that are written a lot.
func readable(s string) bool {
	for _, r := range s {
		if r == unicode.ReplacementChar || unicode.IsControl(r) && r != '\n' && r != '\r' || !unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			return false
		}
		if r > 0x2fff && !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) && (r < 0x3000 || r > 0x303f) && (r < 0xff00 || r > 0xffef) {
			return false
		}
	}
	return s != "" && strings.ContainsFunc(s, func(r rune) bool { return r < 0x80 || unicode.IsSpace(r) })
}

// amountIn reads the amount that the pattern finds: with a point or a comma
// before the decimals, and with or without marks between the thousands.
func (s *Sender) amountIn(answer string) *float64 {
	found := s.amount.FindStringSubmatch(answer)
	if found == nil {
		return nil
	}
	digits := strings.TrimRight(strings.ReplaceAll(found[1], " ", ""), ".,")
	if decimal := strings.LastIndexAny(digits, ".,"); decimal >= 0 {
		whole, rest := digits[:decimal], digits[decimal+1:]
		if len(rest) == 3 && !strings.ContainsAny(whole, ".,") && digits[decimal] == ',' { // 1,250
			whole, rest = whole+rest, ""
		}
		digits = strings.NewReplacer(".", "", ",", "").Replace(whole) + "." + rest
	}
	amount, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return nil
	}
	return &amount
}

// CheckBalance asks the operator now, and keeps the answer.
func (s *Sender) CheckBalance(ctx context.Context) (Balance, error) {
	said, err := s.modem.USSD(ctx, codeFor(s.cfg.Balance.Code, s.cfg.Balance.Coding))
	if err != nil {
		return Balance{}, fmt.Errorf("ask for the balance: %w", err)
	}
	answer := []rune(strings.ToValidUTF8(strings.ReplaceAll(readAnswer(said, s.cfg.Balance.Coding), "\x00", ""), ""))
	b := Balance{Answer: string(answer[:min(len(answer), answerMax)]), At: s.now()}
	b.Amount = s.amountIn(b.Answer)
	if err := s.store.keepBalance(ctx, s.modem.Health().SIM, b); err != nil {
		return b, err
	}
	switch {
	case b.Amount == nil:
		s.logger.WarnContext(ctx, "the pattern finds no amount in the operator's answer")
	case s.isLow(b):
		s.logger.WarnContext(ctx, "the SIM's balance is low", "amount", *b.Amount, "low", s.cfg.Balance.Low)
	}
	return b, nil
}

func (s *Sender) isLow(b Balance) bool {
	return b.Amount != nil && s.cfg.Balance.Low != 0 && *b.Amount < s.cfg.Balance.Low
}

// balanceRetry is when a question that failed is asked again.
const balanceRetry = 10 * time.Minute

// watchBalance asks as often as is configured, from the last answer on, which
// may have been given to another run or node.
func (s *Sender) watchBalance(ctx context.Context) {
	for s.cfg.Balance.Code != "" && ctx.Err() == nil {
		if err := s.modem.Ready(ctx); err != nil {
			pause(ctx, balanceRetry)
			continue
		}
		wait, err := s.untilBalance(ctx)
		if err == nil && wait <= 0 {
			_, err = s.CheckBalance(ctx)
			wait = s.cfg.Balance.Every
		}
		if err != nil {
			if ctx.Err() == nil {
				s.logger.WarnContext(ctx, "the balance is not known", "error", err)
			}
			wait = min(balanceRetry, s.cfg.Balance.Every)
		}
		pause(ctx, wait)
	}
}

func (s *Sender) untilBalance(ctx context.Context) (time.Duration, error) {
	last, said, err := s.store.balance(ctx, s.modem.Health().SIM)
	if err != nil || !said {
		return 0, err
	}
	return last.At.Add(s.cfg.Balance.Every).Sub(s.now()), nil
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
