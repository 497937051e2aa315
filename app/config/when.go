package config

import (
	"fmt"
	"strings"
	"time"

	"herald/problem"
)

// Quiet are the edges of the company's quiet hours, in minutes of the local
// day; equal ones where there are none. An error says how they are written.
func (d Dispatch) Quiet() (from, until int, err error) {
	if d.QuietHours == "" {
		return 0, 0, nil
	}
	begin, end, _ := strings.Cut(d.QuietHours, "-")
	if from, err = minuteOf(begin); err == nil {
		until, err = minuteOf(end)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("is %q and must be two times of day, such as 21:00-08:00", d.QuietHours)
	}
	return from, until, nil
}

func minuteOf(clock string) (int, error) {
	at, err := time.Parse("15:04", strings.TrimSpace(clock))
	return at.Hour()*60 + at.Minute(), err
}

// The bounds of a cap are those that package caps holds it to.
const (
	capMax    = 100
	capWithin = 366 * 24 * time.Hour
)

func (d Dispatch) checkWhen(f *problem.Fields) {
	if _, _, err := d.Quiet(); err != nil {
		f.Add("dispatch.quiet_hours", "quiet_hours", "%v", err)
	}
	for i, c := range d.Caps {
		at := fmt.Sprintf("dispatch.caps[%d].", i)
		oneOf(f, at+"purpose", c.Purpose, "transactional", "service", "marketing")
		within(f, at+"max", c.Max, 1, capMax)
		lasting(f, at+"within", c.Within, time.Second, capWithin)
	}
}
