package subscriptions

import (
	"fmt"
	"strconv"
	"strings"
)

// Clock is a minute of the local day, 0 to 1439. In JSON, and wherever else
// text is asked for, it is written as a clock shows it: "22:00".
type Clock int

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

// MarshalText writes it as String does.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads an hour of 0 to 23 and its minute, such as "22:00" or
// "7:30"; seconds, which some browsers send, must be zero.
func (c *Clock) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), ":")
	if len(parts) == 3 && parts[2] == "00" {
		parts = parts[:2]
	}
	if len(parts) == 2 && len(parts[0]) <= 2 && len(parts[1]) == 2 {
		hour, noHour := strconv.ParseUint(parts[0], 10, 8)
		minute, noMinute := strconv.ParseUint(parts[1], 10, 8)
		if noHour == nil && noMinute == nil && hour < 24 && minute < 60 {
			*c = Clock(hour*60 + minute)
			return nil
		}
	}
	return fmt.Errorf("%q is no time of day, such as 22:00", text)
}

// known reports whether a clock ever shows it.
func (c Clock) known() bool { return 0 <= c && c < 24*60 }

// minutes is a clock as PostgreSQL keeps it.
func minutes(c *Clock) *int16 {
	if c == nil {
		return nil
	}
	m := int16(*c)
	return &m
}
