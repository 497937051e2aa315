package console

import (
	"fmt"
	"time"

	"herald/access"
	"herald/dispatch"
	"herald/web/page"
)

// overviewEvery is how often the live figures are read anew.
const overviewEvery = 2 * time.Second

// overviewData is today so far, in the operator's zone.
type overviewData struct {
	dispatch.Overview
	SentLastMinute int64
	Bars           []bar
	BarsPeak       int64
	Well           bool // nothing wants an operator's eye
}

// bar is a minute of the last hour in the chart, in units of its viewBox.
type bar struct {
	X, Y, Height int
	Count        int64
	MinutesAgo   int
}

// The chart's viewBox: 60 bars of 8 wide, 2 apart.
const (
	barStep   = 10
	barHeight = 100
)

func (c console) overview(v *page.Visit, _ access.Operator) error {
	data, err := c.readOverview(v)
	if err != nil {
		return err
	}
	return v.Show("overview", data)
}

func (c console) live(v *page.Visit, _ access.Operator) error {
	return v.Live("overview", "figures", overviewEvery, c.Stopping, func() (any, error) { return c.readOverview(v) })
}

func (c console) readOverview(v *page.Visit) (overviewData, error) {
	now := c.Now().In(v.Zone)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, v.Zone)
	o, err := c.Deliveries.Overview(v.Context(), midnight)
	if err != nil {
		return overviewData{}, err
	}
	data := overviewData{Overview: o, Well: o.Ledger.Balanced && o.OldestPending < time.Minute && o.InDoubt == 0}
	data.Bars, data.BarsPeak = bars(o.SentPerMinute)
	if n := len(o.SentPerMinute); n > 1 {
		data.SentLastMinute = o.SentPerMinute[n-2] // the last whole minute
	}
	return data, nil
}

// bars are the heights of a bar chart; a minute with anything in it shows at
// least a sliver.
func bars(perMinute []int64) ([]bar, int64) {
	var peak int64
	for _, n := range perMinute {
		peak = max(peak, n)
	}
	list := make([]bar, len(perMinute))
	for i, n := range perMinute {
		height := 0
		if n > 0 {
			height = max(2, int(n*barHeight/peak))
		}
		list[i] = bar{X: i * barStep, Y: barHeight - height, Height: height, Count: n, MinutesAgo: len(perMinute) - 1 - i}
	}
	return list, peak
}

// FailuresPath is the search for what failed today.
func (o overviewData) FailuresPath() string {
	return fmt.Sprintf("%s/deliveries?state=failed&since=%s", Base, o.Since.Format(time.DateOnly))
}
