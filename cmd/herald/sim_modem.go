package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"herald/hardware/sim/modem"
)

type simModemCmd struct {
	Link        string        `help:"A symbolic link to keep to the modem's line, whose path is another at each start. Of several modems the second has the link PATH-2, and so on." type:"path" placeholder:"PATH"`
	Page        string        `help:"Where it shows the phones, lets them write, and takes faults at PUT /faults. Of several modems the second is at /2/, and so on." default:"127.0.0.1:8027"`
	Number      []string      `help:"The number of its SIM. Several numbers: as many modems." default:"+15550100"`
	PIN         string        `help:"The PIN of the SIM; none is asked for without one."`
	PartTime    time.Duration `help:"How long it takes to send one part." default:"1s"`
	ReportAfter time.Duration `help:"When the status report of a message comes." default:"200ms"`
}

// Run plays GSM modems and shows what they sent until ctx ends.
func (s simModemCmd) Run(ctx context.Context) (err error) {
	pages := http.NewServeMux()
	var paths []string
	for i, number := range s.Number {
		link, page := s.Link, "/"
		if i > 0 {
			page = fmt.Sprintf("/%d/", i+1)
			if link != "" {
				link = fmt.Sprintf("%s-%d", link, i+1)
			}
		}
		m := modem.New(modem.Config{
			Link: link, PartTime: s.PartTime, ReportAfter: s.ReportAfter,
			SIM: modem.SIM{Number: number, PIN: s.PIN, IMSI: fmt.Sprintf("00101%010d", i+1)},
		})
		if err := m.Start(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		paths = append(paths, m.Path())
		pages.Handle(page, http.StripPrefix(strings.TrimSuffix(page, "/"), m.Handler()))
	}
	return showPage(ctx, s.Page, "modem at "+strings.Join(paths, ", "), pages)
}
