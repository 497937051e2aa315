package console

import (
	"math"
	"net/url"
	"time"

	"herald/access"
	"herald/dispatch"
	"herald/subscriptions"
	"herald/web/page"
)

// overviewEvery is how often the live figures are read anew.
const overviewEvery = 2 * time.Second

// lateAfter is how long a message may wait for a worker before an operator
// should know.
const lateAfter = time.Minute

// overviewData is today so far, in the operator's zone.
type overviewData struct {
	dispatch.Overview
	Worries        []worry // what wants an operator's eye; none: all is well
	Oldest         time.Duration
	Through        float64 // percent of what was decided today and is settled; NaN: nothing is
	SentLastMinute int64
	Bars           []bar
	BarsPeak       int64
	ChannelBars    []channelBars // when several channels sent
	Accounts       []accountLine
}

// worry is something that wants an operator's eye, and where to look.
type worry struct{ Text, Path string }

// bar is a minute of the last hour in the chart, in units of its viewBox.
type bar struct {
	X, Y, Height int
	Count        int64
	MinutesAgo   int
}

// channelBars is the chart of one channel.
type channelBars struct {
	Channel subscriptions.Channel
	Bars    []bar
	Peak    int64
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

// live sends the overview's figures for as long as its reader may see them.
// Whoever may not is told so by the status: the reader is a script.
func (c console) live(v *page.Visit) error {
	if _, err := c.who(v); err != nil {
		return err
	}
	return v.Live("overview", "figures", overviewEvery, c.Stopping, func() (any, error) {
		if _, err := c.who(v); err != nil {
			return nil, err
		}
		return c.readOverview(v)
	})
}

func (c console) readOverview(v *page.Visit) (overviewData, error) {
	now := c.Now().In(v.Zone)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, v.Zone)
	o, err := c.Deliveries.Overview(v.Context(), midnight)
	if err != nil {
		return overviewData{}, err
	}
	data := overviewData{
		Overview: o, Worries: worries(v, o), Oldest: coarse(o.OldestPending), Through: through(o.Ledger),
		SentLastMinute: o.SentPerMinute[len(o.SentPerMinute)-2], // the last whole minute
	}
	data.Bars, data.BarsPeak = bars(o.SentPerMinute)
	if len(o.SentByChannel) > 1 {
		for _, one := range o.SentByChannel {
			list, peak := bars(one.PerMinute)
			data.ChannelBars = append(data.ChannelBars, channelBars{one.Channel, list, peak})
		}
	}
	accounts, err := c.readAccounts(v)
	if err != nil {
		return overviewData{}, err
	}
	data.Accounts = accounts.Accounts
	data.Worries = append(data.Worries, accounts.worries(v)...)
	return data, nil
}

func worries(v *page.Visit, o dispatch.Overview) []worry {
	var list []worry
	if o.Nodes == 0 {
		list = append(list, worry{Text: v.T("console.worry.nodes")})
	}
	if o.LastCheck != nil && !o.LastCheck.OK && o.LastCheck.RepairedBy == "" {
		found := differences(v, *o.LastCheck)
		for _, w := range found[:min(len(found), 3)] {
			list = append(list, worry{w.Text, Base + "/ledger"})
		}
	} else if !o.Ledger.Balanced {
		list = append(list, worry{v.T("console.worry.ledger"), Base + "/ledger"})
	}
	if o.OldestPending >= lateAfter {
		list = append(list, worry{v.T("console.worry.late", "wait", v.Duration(coarse(o.OldestPending))), statePath(dispatch.Pending)})
	}
	if o.InDoubt > 0 {
		list = append(list, worry{v.T("console.worry.in_doubt", "count", o.InDoubt), attentionPath(dispatch.InDoubt)})
	}
	return list
}

func attentionPath(s dispatch.State) string { return Base + "/attention?state=" + string(s) }

func statePath(s dispatch.State) string { return Base + "/deliveries?state=" + string(s) }

// coarse rounds a wait to what one reads at a glance.
func coarse(d time.Duration) time.Duration {
	switch {
	case d < time.Minute:
		return d.Round(time.Second / 10)
	case d < time.Hour:
		return d.Round(time.Minute)
	}
	return d.Round(time.Hour)
}

// through is how many percent of the settled were taken by a provider, to one
// decimal; NaN when nothing is settled.
func through(l dispatch.Ledger) float64 {
	good := l.Accepted + l.Delivered
	percent := 100 * float64(good) / float64(good+l.Failed)
	return math.Floor(percent*10) / 10 // 99.96 % is not all of it
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

// Settled reports whether there is anything of which Through is a part.
func (o overviewData) Settled() bool { return !math.IsNaN(o.Through) }

// Today is the search for what was decided today and is in a state, on a
// channel; empty ones do not narrow.
func (o overviewData) Today(state, channel string) string {
	query := url.Values{"since": {o.Since.Format(time.DateOnly)}, "state": {state}, "channel": {channel}}
	return Base + "/deliveries?" + narrowing(query).Encode()
}
